"""Teachers as ONNX files, whoever trained them, run by onnxruntime on the CPU."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from shared import models
from shared.errors import StageError
from stages.distill import cached_logits, matlab_export

FLOAT = "tensor(float)"


@dataclass(frozen=True)
class Teacher:
    """One network and the input it takes.

    Attributes:
        card: its description; classes are those of the data, in the order of its outputs.
        session: runs it.
        order: place of each class of the data among its outputs.
        softened: whether it gives probabilities instead of logits.
        rows: pictures that it takes at once, 0 for any number.
        channels_last: whether its input is (N, S, S, C).
    """

    card: models.Card
    session: onnxruntime.InferenceSession
    order: tuple[int, ...]
    softened: bool
    rows: int
    channels_last: bool

    def logits(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, K) logits of (N, C, S, S) pictures, in the classes of the data."""
        logits = run_session(self.session, images, self.rows, self.channels_last)[:, self.order]
        return cached_logits.log_probabilities(logits) if self.softened else logits


def read(folders: tuple[Path, ...], classes: tuple[str, ...]) -> list[Teacher]:
    """Every network of these folders, opened and tried on two pictures of noise.

    Args:
        folders: each with model.json or preprocessing.json (`matlab_export.read`) and ONNX files.
        classes: (K,) names of the data; the networks may have them in another order.

    Raises:
        StageError: names the file and what does not fit.
    """
    teachers = []
    for folder in folders:
        ours = (folder / models.MODEL_FILE).is_file() or not (folder / matlab_export.NAME).is_file()
        cards = models.load(folder) if ours else matlab_export.read(folder, classes)
        teachers += [_open(folder / card.file, card, classes) for card in cards]
    return teachers


def run_session(
    session: onnxruntime.InferenceSession,
    images: NDArray[np.float32],
    rows: int,
    channels_last: bool,
) -> NDArray[np.float32]:
    """(N, K) of (N, C, S, S), in pieces of `rows` pictures where the network insists on that."""
    name, count = session.get_inputs()[0].name, len(images)
    images = np.moveaxis(images, 1, -1) if channels_last else images
    if rows:  # the last piece is filled up
        images = np.concatenate([images, np.repeat(images[-1:], -count % rows, 0)])
    step = rows or len(images)
    pieces = [images[first : first + step] for first in range(0, len(images), step)]
    outputs = [session.run(None, {name: np.ascontiguousarray(piece)})[0] for piece in pieces]
    whole: NDArray[np.float32] = np.concatenate(outputs)[:count]
    return whole.reshape(count, -1)


def _open(path: Path, card: models.Card, classes: tuple[str, ...]) -> Teacher:
    if card.features:
        raise StageError(
            f"{path}: takes topological features; give the folder that fusion made as --teacher, "
            "whose cached logits need no network"
        )
    names = matlab_export.match_classes(card.classes, classes)
    if not names:
        described = f"{len(card.classes)} classes {', '.join(card.classes[:3])} …"
        raise StageError(
            f"{path}: expected {len(classes)} classes {', '.join(classes[:3])} …, found {described}"
        )
    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:
        raise StageError(f"{path}: not a complete ONNX file ({_first(error)})") from None
    rows, last = _input_layout(path, card, session)
    order = tuple(names.index(name) for name in classes)
    softened = cached_logits.is_probabilities(_run_on_noise(path, card, session, rows, last))
    return Teacher(card, session, order, softened, rows, last)


def _input_layout(
    path: Path, card: models.Card, session: onnxruntime.InferenceSession
) -> tuple[int, bool]:
    """Pictures at once (0: any number), and whether channels come last."""
    inputs = session.get_inputs()
    if [value.type for value in inputs] != [FLOAT]:
        names = [value.name for value in inputs]
        raise StageError(f"{path}: expected one float32 picture as the input, found {names}")
    actual, channels, side = inputs[0].shape, len(card.bands), card.size
    for shape, last in (((channels, side, side), False), ((side, side, channels), True)):
        pairs = zip(actual[1:], shape, strict=False)
        if len(actual) == 4 and all(a == b or not isinstance(a, int) for a, b in pairs):
            return (actual[0] if isinstance(actual[0], int) else 0), last
    shown = ", ".join(map(str, actual))
    raise StageError(f"{path}: expected input (N, {channels}, {side}, {side}), found ({shown})")


def _run_on_noise(
    path: Path, card: models.Card, session: onnxruntime.InferenceSession, rows: int, last: bool
) -> NDArray[np.float32]:
    shape = (2, len(card.bands), card.size, card.size)
    noise = np.random.default_rng(0).standard_normal(shape, np.float32)
    try:
        output = run_session(session, noise, rows, last)
    except Exception as error:
        raise StageError(f"{path}: does not run on two pictures ({_first(error)})") from None
    if output.shape != (2, len(card.classes)) or not np.isfinite(output).all():
        expected = f"{len(card.classes)} finite numbers a picture"
        raise StageError(f"{path}: expected {expected}, found shape {output.shape}")
    return output


def _first(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
