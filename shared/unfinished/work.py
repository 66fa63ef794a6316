"""What of an unfinished product is worth going on with, and whether it is still what was written.

Beside ``dst.partial`` lies ``dst.partial.sums``: a line for each part that is complete, with its
SHA-256. A run that goes on makes again what is no longer what was written, be it a bit that a disk
lost. Without that file, as after an older version, everything counts as it is.
"""

import contextlib
import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

LINE = re.compile(r"([0-9a-f]{64})  (.+)")


class _Log:
    """Digests by the name of a part; a part that was made twice has two."""

    def __init__(self, partial: Path, taken_over: bool) -> None:
        self.folder, self.path = partial.parent, sums_path(partial)
        self.worth, self.taken_over = False, taken_over
        self.digests: dict[str, set[str]] = {}
        self.trusts = partial.exists() and not self.path.exists()
        text = self.path.read_text(errors="replace") if self.path.exists() else ""
        for line in text.split("\n")[:-1]:  # one that a stop cut off says nothing
            if match := LINE.fullmatch(line):
                self.digests.setdefault(match[2], set()).add(match[1])
        # Opened once: in a folder that was moved away, none is begun in its place.
        mode = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self._file = -1 if self.trusts else os.open(self.path, mode, 0o666)

    def close(self) -> None:
        """Nothing is added any more."""
        if self._file >= 0:
            os.close(self._file)

    def add(self, name: str, digest: str) -> None:
        """Append a line; it is there before the part is."""
        line = f"{digest}  {name}\n".encode()
        while line:
            line = line[os.write(self._file, line) :]
        self.digests.setdefault(name, set()).add(digest)

    def name(self, path: Path) -> str:
        """The name of a file: its path beside the product, in printable ASCII."""
        return ascii(os.path.relpath(path, self.folder))


_logs: list[_Log] = []  # of the product that is being made, innermost last


def sums_path(partial: Path) -> Path:
    """Where the digests of an unfinished product lie."""
    return partial.with_name(partial.name + ".sums")


@contextlib.contextmanager
def begin(partial: Path, taken_over: bool = False) -> Iterator[None]:
    """Keep and check digests for this unfinished product; outside of it nothing is kept.

    Args:
        partial: the unfinished product.
        taken_over: whether a run on another machine, which seems dead, may have it open.
    """
    log = _Log(partial, taken_over)
    _logs.append(log)
    try:
        yield
    finally:
        _logs.pop()
        log.close()


def make_folder(path: Path) -> None:
    """Make a folder of the product and what is missing around it, as far as the product reaches.

    Not the folder in which the product lies: where that was moved away, none begins in its place.

    Args:
        path: of the folder, which may be there.

    Raises:
        FileNotFoundError: the folder of the product is gone.
    """
    if not _logs or not path.is_relative_to(_logs[-1].folder):
        path.mkdir(parents=True, exist_ok=True)
        return
    inner = path.relative_to(_logs[-1].folder)
    for folder in reversed([inner, *inner.parents][:-1]):
        (_logs[-1].folder / folder).mkdir(exist_ok=True)


def is_taken_over() -> bool:
    """Whether another machine may hold locks on files of the product that mean nothing any more."""
    return bool(_logs) and _logs[-1].taken_over


def is_worth_keeping() -> bool:
    """Whether this run completed a part that a later run goes on from."""
    return bool(_logs) and _logs[-1].worth


def note(name: str, digest: str) -> None:
    """Keep the digest of a part before it is marked as complete.

    Args:
        name: of the part, without line breaks.
        digest: SHA-256 in hexadecimal.
    """
    if _logs:
        _logs[-1].worth = True
        if not _logs[-1].trusts:
            _logs[-1].add(name, digest)


def noted(begins: str = "") -> dict[str, set[str]] | None:
    """Digests by name of part, of names that begin so; None where everything counts as it is."""
    if not _logs or _logs[-1].trusts:
        return None
    return {name: sums for name, sums in _logs[-1].digests.items() if name.startswith(begins)}


def note_files(paths: Iterable[Path]) -> None:
    """Keep the digests of complete files."""
    for path in paths:
        if _logs:
            note(_logs[-1].name(path), hash_file(path))


def publish(draft: Path, path: Path) -> None:
    """Give a complete file its name, in one step, and keep its digest."""
    if _logs:
        note(_logs[-1].name(path), hash_file(draft))
    draft.replace(path)


def is_intact(path: Path) -> bool:
    """Whether a file is what was written, or not there if it never was."""
    if not _logs or _logs[-1].trusts:
        return True
    sums = _logs[-1].digests.get(_logs[-1].name(path), set())
    return hash_file(path) in sums if path.exists() else not sums


def keeps(path: Path) -> bool:
    """Whether an earlier run left this file; one that is not what was written is removed."""
    if path.exists() and not is_intact(path):
        from shared.progress import say  # make reads who holds a product, and has no tqdm

        say(f"{path}: not what was written, discarded; it is made again")
        path.unlink()
    return path.exists()


def hash_file(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
