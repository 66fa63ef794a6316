"""A network in the file that somebody gave: opened, checked, and run as it is."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from shared.errors import StageError
from shared.models import Card
from shared.onnx_graphs.nodes import first_line
from shared.onnx_graphs.opening import load, open_session
from shared.onnx_graphs.rewriting import widen

KINDS = {"tensor(float)": "f4", "tensor(float16)": "f2", "tensor(double)": "f8"}
Pictures = NDArray[np.float32]


@dataclass(frozen=True)
class GivenNetwork:
    """A file and how it wants its pictures.

    Attributes:
        path: the ONNX file.
        model: what it holds, external data included.
        session: runs it on the CPU.
        rows: pictures that it takes at once, 0 for any number.
        channels_last: whether its input is (N, S, S, C).
    """

    path: Path
    model: onnx.ModelProto
    session: onnxruntime.InferenceSession
    rows: int
    channels_last: bool

    def run(self, images: Pictures) -> NDArray[np.float32]:
        """(N, K) outputs of (N, C, S, S) pictures, each call as small as the file allows.

        Raises:
            StageError: it does not run.
        """
        try:
            return run_session(self.session, images, self.rows or 1, self.channels_last)
        except Exception as error:
            reason = explain_failure(error)
            raise StageError(f"{self.path}: does not run on pictures ({reason})") from None

    def run_alone(self, images: Pictures) -> NDArray[np.float32]:
        """As `run`, every call with one picture, which is repeated where the file wants more."""
        rows = self.rows or 1
        return self.run(np.repeat(images, rows, 0))[::rows]

    @property
    def is_half(self) -> bool:
        """Whether any of its numbers have fewer digits than those of float32."""
        kinds = {tensor.data_type for tensor in self.model.graph.initializer}
        given = self.session.get_inputs()[0].type
        return given == "tensor(float16)" or onnx.TensorProto.FLOAT16 in kinds


def open_file(path: Path, card: Card) -> GivenNetwork:
    """Open a file and find out how it takes pictures.

    Args:
        path: ONNX file.
        card: bands, size and classes that it has.

    Raises:
        StageError: not a usable ONNX file, other inputs or outputs than the card says.
    """
    return open_model(load(path), path, card)


def open_model(model: onnx.ModelProto, path: Path, card: Card) -> GivenNetwork:
    """As `open_file`, of a network that is read already.

    Args:
        model: the network.
        path: file that it was made from, for messages.
        card: bands, size and classes that it has.

    Raises:
        StageError: other inputs or outputs than the card says.
    """
    session = _open_as_given(path, model)
    _check_ends(path, session)
    noise = make_noise(card, 2)
    sizes, failures = session.get_inputs()[0].shape, []
    for rows, channels_last in _list_layouts(path, card, sizes):
        try:
            outputs = run_session(session, noise, rows, channels_last)
        except Exception as error:
            failures.append(explain_failure(error))
            continue
        _check_outputs(path, card, outputs)
        return GivenNetwork(path, model, session, rows, channels_last)
    raise StageError(f"{path}: does not run on pictures ({failures[0]})")


def _open_as_given(path: Path, model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    """A session; onnxruntime has few operators in double precision, which is then single."""
    kinds = {value.type.tensor_type.elem_type for value in model.graph.output}
    try:
        return open_session(widen(model) if onnx.TensorProto.DOUBLE in kinds else model)
    except Exception as error:
        raise StageError(f"{path}: not a usable ONNX file ({first_line(error)})") from None


def make_noise(card: Card, count: int) -> Pictures:
    """(count, C, S, S) pictures of noise, the same in every run."""
    shape = (count, len(card.bands), card.size, card.size)
    return np.random.default_rng(0).standard_normal(shape, np.float32)


def run_session(
    session: onnxruntime.InferenceSession, images: Pictures, rows: int, channels_last: bool
) -> NDArray[np.float32]:
    """(N, K) of (N, C, S, S), in pieces of ``rows`` pictures, or in one where that is 0."""
    entry, count = session.get_inputs()[0], len(images)
    images = np.moveaxis(images, 1, -1) if channels_last else images
    if rows:  # the last piece is filled up
        images = np.concatenate([images, np.repeat(images[-1:], -count % rows, 0)])
    step, kind = rows or count, np.dtype(KINDS[entry.type])
    pieces = [images[first : first + step] for first in range(0, len(images), step)]
    outputs = [
        np.reshape(
            session.run(None, {entry.name: np.ascontiguousarray(piece, kind)})[0], (step, -1)
        )
        for piece in pieces
    ]
    return np.concatenate(outputs)[:count].astype(np.float32)


def explain_failure(error: Exception) -> str:
    """Operator and name of the node that failed, where onnxruntime says them."""
    text = first_line(error)
    where = re.search(r"running (\w+) node\. Name:'([^']*)' Status Message: (.*)", text)
    if not where:
        return text
    reason = re.sub(r"^\S+:\d+ .*?\) ?", "", where[3]) or "fails"
    return f"{where[1]} {where[2]!r}: {reason}"


def _check_ends(path: Path, session: onnxruntime.InferenceSession) -> None:
    ends = {"picture as the input": session.get_inputs(), "output": session.get_outputs()}
    for what, values in ends.items():
        if len(values) != 1 or values[0].type not in KINDS:
            shown = ", ".join(f"{value.name} {value.type}" for value in values) or "none"
            raise StageError(f"{path}: expected one {what}, of floating point, found {shown}")


def _list_layouts(path: Path, card: Card, sizes: list[int | str]) -> list[tuple[int, bool]]:
    """(rows, channels last) that the declared sizes allow, the likelier first."""
    channels, side, layouts = len(card.bands), card.size, []
    for shape, last in (((channels, side, side), False), ((side, side, channels), True)):
        pairs = list(zip(sizes[1:], shape, strict=False))
        if len(sizes) == 4 and all(a == b or not isinstance(a, int) for a, b in pairs):
            layouts.append(last)
    if not layouts:
        shown = ", ".join(map(str, sizes))
        expected = f"(N, {channels}, {side}, {side}) or (N, {side}, {side}, {channels})"
        raise StageError(f"{path}: expected input {expected}, found ({shown})")
    if isinstance(sizes[0], int):
        return [(sizes[0], last) for last in layouts]
    return [(rows, last) for rows in (0, 1) for last in layouts]


def _check_outputs(path: Path, card: Card, outputs: NDArray[np.float32]) -> None:
    if outputs.shape != (2, len(card.classes)) or not np.isfinite(outputs).all():
        expected = f"{len(card.classes)} finite numbers a picture"
        raise StageError(f"{path}: expected {expected}, found shape {outputs.shape}")
