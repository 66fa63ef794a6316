"""Published weights, fetched from where their authors keep them or from a mirror, and verified."""

from pathlib import Path

from shared import cli, progress
from shared.errors import StageError
from shared.runs import record
from shared.sr.methods import Published
from stages.weights import mirrors, partial_file, published_files

DIGITS = 64  # of a whole SHA-256


def run(*, dst: Path, name: str, mirror: str = "") -> None:
    """Fetch one published file and refuse it unless it is the one that is listed.

    Args:
        dst: file to write; an interrupted download continues.
        name: name of the file, such as RealESRGAN_x4plus.pth; shared/sr/methods lists them.
        mirror: a folder, file://… or http(s) address that has the file under its name; without
            one it is fetched from where its authors keep it.
    """
    entry = published_files.find(name)
    place = mirrors.locate(entry, mirror)
    if isinstance(place, Path):
        mirrors.copy(place, dst, entry.bytes)
    else:
        from stages.weights import transfer

        transfer.fetch(place, dst, entry.bytes)
    _verify(entry, str(place), dst)


def _verify(entry: Published, place: str, dst: Path) -> None:
    """Keep the file only if it is what the list, or the record of an earlier fetch, says."""
    measured = record.fingerprint(dst)
    earlier = "" if len(entry.sha256) == DIGITS else _recorded_digest(entry, dst)
    try:
        if entry.bytes not in (None, measured["bytes"]):
            raise StageError(f"{place}: expected {entry.bytes} bytes, found {measured['bytes']}")
        if not measured["sha256"].startswith(entry.sha256):
            raise StageError(
                f"{place}: SHA-256: expected {entry.sha256}, found {measured['sha256']}; not kept"
            )
        if earlier not in ("", measured["sha256"]):
            raise StageError(f"{place}: SHA-256: expected {earlier} as at the first fetch, "
                             f"found {measured['sha256']}; not kept; to accept it remove "
                             f"{record.record_path(_product(dst))}")  # fmt: skip
    except StageError:
        partial_file.discard(dst)
        raise
    if len(entry.sha256) < DIGITS and not earlier:
        facts = published_files.format_record(measured["bytes"], measured["sha256"])
        progress.say(f"{entry.name}: no digest is published, so this one is trusted on first use; "
                     "for its record, once it is compared elsewhere:")  # fmt: skip
        for line in facts.splitlines():
            progress.say(line)


def _product(dst: Path) -> Path:
    """What the file will be called when it is complete."""
    return dst.with_name(dst.name.removesuffix(".partial"))


def _recorded_digest(entry: Published, dst: Path) -> str:
    """SHA-256 in the record of an earlier fetch of this file to this place, "" without one."""
    made = record.load(_product(dst))
    same = made and made["plan"].get("parameters", {}).get("name") == entry.name
    return str(made["output"]["sha256"]) if made and same else ""


if __name__ == "__main__":
    cli.main(run)
