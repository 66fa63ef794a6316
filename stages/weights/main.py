"""Published weights, fetched from where their authors keep them or from a mirror, and verified."""

from pathlib import Path

from shared import cli, progress
from shared.errors import StageError
from shared.runs import record
from stages.weights import begun, listing, mirrors

DIGITS = 64  # of a whole SHA-256


def run(*, dst: Path, name: str, mirror: str = "") -> None:
    """Fetch one file that a weights.txt lists, and refuse it unless it is the one that is listed.

    Args:
        dst: file to write; a download that broke off goes on.
        name: file name in one of the lists, such as RealESRGAN_x4plus.pth.
        mirror: where the file is taken from instead of its authors' place: a folder, file://…,
            or an http(s) address; the file lies in it under its name.
    """
    entry = listing.entry(name)
    place = mirrors.place(entry, mirror)
    if isinstance(place, Path):
        mirrors.copy(place, dst, entry.size)
    else:
        from stages.weights import transfer

        transfer.fetch(place, dst, entry.size)
    _verify(entry, str(place), dst)


def _verify(entry: listing.Published, place: str, dst: Path) -> None:
    """Keep the file only if it is what the list, or the record of an earlier fetch, says."""
    found = record.measure(dst)
    earlier = "" if len(entry.sha256) == DIGITS else _recorded(entry, dst)
    try:
        if entry.size not in (None, found["bytes"]):
            raise StageError(f"{place}: expected {entry.size} bytes, found {found['bytes']}")
        if not found["sha256"].startswith(entry.sha256):
            raise StageError(
                f"{place}: SHA-256: expected {entry.sha256}, found {found['sha256']}; not kept"
            )
        if earlier not in ("", found["sha256"]):
            raise StageError(f"{place}: SHA-256: expected {earlier} as at the first fetch, "
                             f"found {found['sha256']}; not kept; to accept it remove "
                             f"{record.beside(_product(dst))}")  # fmt: skip
    except StageError:
        begun.forget(dst)
        raise
    if len(entry.sha256) < DIGITS and not earlier:
        line = entry.line(found["bytes"], found["sha256"])
        progress.say(f"{entry.name}: digest not known before, trusted on first use; for "
                     f"weights.txt, once it is compared elsewhere:\n{line}")  # fmt: skip


def _product(dst: Path) -> Path:
    """What the file will be called when it is complete."""
    return dst.with_name(dst.name.removesuffix(".partial"))


def _recorded(entry: listing.Published, dst: Path) -> str:
    """SHA-256 in the record of an earlier fetch of this file to this place, "" without one."""
    made = record.load(_product(dst))
    same = made and made["plan"].get("parameters", {}).get("name") == entry.name
    return str(made["output"]["sha256"]) if made and same else ""


if __name__ == "__main__":
    cli.main(run)
