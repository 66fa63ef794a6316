"""The bundle as the SDK will read it, PNG to class, beside the patch file it was made from."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image

from shared import model, progress, scores
from shared.errors import StageError
from shared.model import Card
from shared.source import Source
from stages.voyager import tiles
from stages.voyager.bundle import Bundle, open_bundle

BATCH = 64  # rows in memory at once
NOTABLE = 0.5  # points of accuracy from which on the reason is looked for


def preprocess(pictures: NDArray[np.uint8], bundle: Bundle) -> NDArray[np.float32]:
    """(N, H, W, 3) pictures to (N, 3, size, size) by the operators of the YAML.

    The resize works on 8 bits, as in the SDK: with half_pixel_centers as OpenCV does (no
    antialias), otherwise as Pillow does.
    """
    steps = bundle.steps
    resize = steps["resize"]
    width, height = resize["width"], resize["height"]
    if resize["half_pixel_centers"]:
        images = np.moveaxis(pictures, -1, 1).astype(np.float32)
        planes = model.resize(images, height, width, resize["interpolation"])
    else:
        method = Image.Resampling[resize["interpolation"].upper()]
        enlarged = [Image.fromarray(p).resize((width, height), method) for p in pictures]
        planes = np.moveaxis(np.stack([np.asarray(p) for p in enlarged]), -1, 1)
    tensor = tiles.eight_bit(planes).astype(np.float32) / np.float32(255)
    mean, std = (_numbers(steps["normalize"][key]) for key in ("mean", "std"))
    return np.ascontiguousarray((tensor - mean[:, None, None]) / std[:, None, None], np.float32)


def _numbers(text: str) -> NDArray[np.float32]:
    return np.array([float(part) for part in str(text).split(",")], np.float32)


class Network:
    """The bundle's ONNX on the CPU, several rows beside each other.

    Args:
        path: ONNX file with a static batch of 1.
        threads: rows at once; changes time, not numbers.
    """

    def __init__(self, path: Path, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
        self.name = self.session.get_inputs()[0].name
        self.pool = ThreadPoolExecutor(threads)

    def __call__(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, 3, S, S) input to (N, K) logits."""
        return np.concatenate(list(self.pool.map(self._one, images)))

    def _one(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        row: NDArray[np.float32] = self.session.run(None, {self.name: image[None]})[0]
        return row


def readback(folder: Path, source: Source, card: Card, threads: int) -> dict[str, Any]:
    """Accuracy of the bundle's pictures by its own YAML, and of the same rows of the patch file.

    Args:
        folder: finished bundle; the pictures in val/ are named by their row.
        source: the patch file that val/ was made from.
        card: how the network wants patches.
        threads: processors to use.

    Raises:
        StageError: a picture does not hold its row.
    """
    bundle = open_bundle(folder)
    network = Network(bundle.path(bundle.model["weight_path"]), threads)
    classes = sorted(path for path in bundle.validation.iterdir() if path.is_dir())
    files = [(path, k) for k, place in enumerate(classes) for path in sorted(place.iterdir())]
    labels = np.array([k for _, k in files])
    found: dict[str, list[NDArray[np.float32]]] = {"hdf5": [], "rounded": [], "png": []}
    with progress.bar(len(files), "read back") as bar:
        for start in range(0, len(files), BATCH):
            paths = [path for path, _ in files[start : start + BATCH]]
            pictures = np.stack([tiles.load(path) for path in paths])
            values = _values(source, card, paths, pictures)
            found["hdf5"].append(network(model.prepare(values, card)))
            rounded = pictures.astype(np.float32)
            found["rounded"].append(network(model.prepare(rounded, card)))
            found["png"].append(network(preprocess(pictures, bundle)))
            bar.update(len(paths))
    return compare(labels, {k: np.concatenate(v) for k, v in found.items()}, card.classes)


def _values(
    source: Source, card: Card, paths: list[Path], pictures: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """(N, H, W, 3) of the rows that the file names give, which the pictures must hold."""
    rows = [int(path.stem) for path in paths]
    values = np.concatenate([model.scaled(source, card.bands, slice(i, i + 1)) for i in rows])
    apart = np.abs(np.clip(values, 0, 255) - pictures).reshape(len(rows), -1).max(1)
    if (worst := int(apart.argmax())) >= 0 and apart[worst] > 0.51:
        what = f"differs by {apart[worst]:.3g} of 255 from row {rows[worst]} of {source.path}"
        raise StageError(f"{paths[worst]}: {what}: other bands, order or scale")
    return values


def compare(
    labels: NDArray[np.integer], logits: dict[str, NDArray[np.float32]], classes: tuple[str, ...]
) -> dict[str, Any]:
    """Accuracies, agreement, and the step that costs accuracy when it is notable.

    Args:
        labels: (N,) true classes.
        logits: (N, K) from the patch file ("hdf5"), from its values rounded to 8 bits
            ("rounded"), and from the pictures by the YAML ("png").
        classes: (K,) names.
    """
    found = {
        name: scores.metrics(scores.confusion(labels, v), classes) for name, v in logits.items()
    }
    points = {name: 100 * entry["overall_accuracy"] for name, entry in found.items()}
    lost, rounding = points["hdf5"] - points["png"], points["hdf5"] - points["rounded"]
    why = None
    if abs(lost) > NOTABLE:
        why = (
            f"rounding the pixels to 8 bits takes {rounding:.2f} points, resizing in 8 bits "
            f"{lost - rounding:.2f}"
        )
    keys = ("overall_accuracy", "average_accuracy", "macro_f1")
    return {
        "rows": len(labels),
        "accuracy": {name: {key: entry[key] for key in keys} for name, entry in found.items()},
        "points_lost": lost,
        "agreement": float((logits["hdf5"].argmax(1) == logits["png"].argmax(1)).mean()),
        "why": why,
    }
