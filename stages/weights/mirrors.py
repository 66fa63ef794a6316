"""Where a published file is taken from: its authors' place, another server, a folder."""

from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from shared import progress
from shared.clutter import without_clutter
from shared.destination import describe_link, leads_nowhere
from shared.errors import StageError
from shared.sr.methods import Published
from stages.weights.partial_file import discard

BLOCK = 2**20
SHOWN = 5  # names in a message


def locate(entry: Published, mirror: str) -> Path | str:
    """The file in a folder, or the address to fetch it from.

    Args:
        entry: a listed file.
        mirror: "" for its authors' place, a folder, file://… or http(s)://….

    Raises:
        StageError: no such folder, the file is not in it, another kind of address, or none at all.
    """
    if not mirror:
        if entry.page:
            raise StageError(
                f"{entry.name}: its authors offer it on a page only; download it from {entry.page} "
                "into a folder and give that folder as --mirror"
            )
        return entry.url
    expected = "expected a folder, file:///… or http(s)://…"
    try:
        parts = urlsplit(mirror)
    except ValueError as error:
        raise StageError(f"--mirror: {expected}, found {mirror!r} ({error})") from None
    if parts.scheme in ("http", "https"):
        if not parts.hostname:
            raise StageError(f"--mirror: {expected}, found {mirror!r} without a host")
        return f"{mirror.rstrip('/')}/{quote(entry.name)}"
    if "://" in mirror and (parts.scheme != "file" or parts.netloc not in ("", "localhost")):
        raise StageError(f"--mirror: {expected}, found {mirror!r}")
    return _in_folder(Path(unquote(parts.path) if "://" in mirror else mirror), entry.name)


def _in_folder(folder: Path, name: str) -> Path:
    if not folder.exists():
        raise StageError(f"--mirror: no such file or folder: {folder}")
    if not folder.is_dir():
        raise StageError(f"--mirror: {folder}: expected a folder, found a file")
    if leads_nowhere(folder / name):
        raise StageError(f"--mirror: {folder / name} is {describe_link(folder / name)}")
    if (folder / name).is_dir():
        raise StageError(f"--mirror: {folder / name}: expected a file, found a folder")
    if not (folder / name).is_file():
        names = [path.name for path in without_clutter(folder.iterdir())]
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        raise StageError(f"--mirror: {folder}: expected {name}, found {names[:SHOWN]}{more}")
    return folder / name


def copy(source: Path, target: Path, size: int | None) -> None:
    """Copy a file, from its first byte, whatever an earlier run left.

    Raises:
        StageError: not of this size in bytes, where one is given.
    """
    length = source.stat().st_size
    if size not in (None, length):
        raise StageError(f"{source}: expected {size} bytes, found {length}")
    discard(target)
    with (
        source.open("rb") as given,
        target.open("wb") as file,
        progress.bar(length, target.stem, unit="B") as bar,
    ):
        while block := given.read(BLOCK):
            file.write(block)
            bar.update(len(block))
