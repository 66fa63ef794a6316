"""Weights: published files, fetched and verified; or a file of one's own, made readable for us."""

from pathlib import Path

from shared import cli, progress
from shared.errors import StageError
from shared.published import Published
from shared.runs import record
from stages.weights import conversion, keras_folder, mirrors, partial_file, published_files

DIGITS = 64  # of a whole SHA-256


def run(
    *,
    dst: Path,
    name: str = "",
    mirror: str = "",
    src: Path | None = None,
    key: str = "",
    prefix: str = "",
) -> None:
    """Fetch one published file and refuse any other; or convert a file that is there.

    Args:
        dst: file to write, of a classifier of Keras a model folder; an interrupted download
            continues.
        name: name of the file to fetch, such as RealESRGAN_x4plus.pth; shared/sr/methods and
            shared/published list them.
        mirror: a folder, file://… or http(s) address that has the file under its name; without
            one it is fetched from where its authors keep it.
        src: instead of --name: a file of weights, also a pickled module, whose tensors are written
            as safetensors; or a classifier that Keras saved (.h5), which becomes a model folder
            with its network as ONNX. Nothing in it is run.
        key: of --src, the keys that lead to the weights, with dots between them; without it they
            are known ones such as params_ema or state_dict.
        prefix: of --src, take the tensors whose names begin so, and drop it from their names.
    """
    if bool(name) == bool(src):
        raise StageError("--name, --src: expected one of the two: what to fetch or what to convert")
    if src:
        if mirror:
            raise StageError("--mirror: only for --name; --src is a file that is there")
        if keras_folder.is_keras(src):
            keras_folder.write(src, dst, key or prefix)
        else:
            conversion.convert(src, dst, key, prefix)
        return
    if key or prefix:
        raise StageError("--key, --prefix: only for --src; a published file is kept as it is")
    entry = published_files.find(name)
    place = mirrors.locate(entry, mirror)
    if isinstance(place, Path):
        mirrors.copy(place, dst, entry.bytes)
    else:
        from stages.weights import hosts, transfer

        if not mirror:
            hosts.check_listed(place)
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
