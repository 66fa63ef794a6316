"""A classifier that Keras saved, as a model folder: its network in ONNX, and what it reads."""

from pathlib import Path
from typing import Any

from shared import lcz, progress
from shared.errors import StageError
from shared.published import load_classifiers
from shared.runs import record

FILE = "model.onnx"
SIGNATURE = b"\x89HDF\r\n\x1a\n"


def is_keras(path: Path) -> bool:
    """Whether a file begins as HDF5 does, which no other file of weights is."""
    with path.open("rb") as file:
        return file.read(len(SIGNATURE)) == SIGNATURE


def write(src: Path, dst: Path, chosen: str = "") -> None:
    """Write ONNX and model.json, and say what the network is.

    It reads So2Sat's ten bands as reflectance. Of 17 classes it is So2Sat's, in their order;
    others are called 1, 2, …, which every stage takes for the classes of its data in order.

    Args:
        src: HDF5 file that Keras saved.
        dst: folder to write.
        chosen: --key or --prefix, which are for other files.

    Raises:
        StageError: as `keras_files.read`; other bands.
    """
    if chosen:
        raise StageError(f"--key, --prefix: only for files of torch and safetensors; {src} is HDF5")
    import onnx

    from shared import keras_files, models

    network = keras_files.read(src)
    numbers = tuple(str(number) for number in range(1, network.classes + 1))
    classes = lcz.CLASSES if network.classes == len(lcz.CLASSES) else numbers
    card = keras_files.fit_card(src, network, FILE, lcz.SEN2, classes)
    model = keras_files.to_onnx(network)
    dst.mkdir(exist_ok=True)
    onnx.save(model, dst / FILE)
    models.save(dst, [card], **_origin(src))
    progress.say(f"{src}: {network.architecture}, {network.channels} bands of {network.size} "
                 f"pixels, {network.classes} classes")  # fmt: skip


def _origin(src: Path) -> dict[str, dict[str, Any]]:
    """Where a listed file is from, under which licence, and the statistics of what it learned from.

    All listed ones are So2Sat's.
    """
    listed = {file.name: file for file in load_classifiers().values()}
    file = listed.get(src.name)
    if file is None or file.sha256 != record.fingerprint(src)["sha256"]:
        return {"origin": {"file": src.name}}
    learned = {"mean": lcz.TRAINING_MEAN, "std": lcz.TRAINING_STD}
    return {
        "origin": {"file": src.name, "licence": file.licence, "url": file.url},
        "training_reflectance": learned,
    }
