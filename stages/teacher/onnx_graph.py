"""ONNX files of others made ours: input `image`, output `logits`, any number of rows."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from shared import models
from shared.errors import StageError

LEAST = np.float32(1e-30)  # of a probability, before its logarithm
CPU = ["CPUExecutionProvider"]


def convert(path: Path, card: models.Card) -> onnx.ModelProto:
    """The network of a file with our names, a free batch, and logits out.

    Probabilities, recognised by rows that are not negative and sum to 1, become their logarithms: a
    softmax over those gives them back.

    Raises:
        StageError: does not open, other inputs or outputs, rows that depend on each other.
    """
    network = _load(path)
    _check(path, "input", _inputs(network.graph), (len(card.bands), card.size, card.size))
    _check(path, "output", list(network.graph.output), (len(card.classes),))
    shape = (2, len(card.bands), card.size, card.size)
    pictures = np.random.default_rng(0).standard_normal(shape, np.float32)
    given = run_one_by_one(path, pictures)
    if given.shape != (2, len(card.classes)) or not np.isfinite(given).all():
        expected = f"{len(card.classes)} finite numbers a picture"
        raise StageError(f"{path}: expected {expected}, found shape {given.shape}")
    ours = _rename_ends(network, is_probabilities(given))
    try:
        together = open_session(ours).run(["logits"], {"image": pictures})[0]
    except Exception as error:
        raise StageError(f"{path}: cannot take two pictures at once ({_first(error)})") from None
    if not np.allclose(together, to_logits(given), rtol=1e-3, atol=1e-3):
        raise StageError(
            f"{path}: its output for a picture depends on the other pictures of the batch"
        )
    return ours


def is_probabilities(rows: NDArray[np.floating]) -> bool:
    """Whether (N, K) outputs are probabilities: not negative, and rows sum to 1."""
    return bool(rows.min() >= 0 and np.allclose(rows.sum(1), 1, atol=1e-3))


def to_logits(given: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, K) logits of outputs that may be probabilities."""
    return np.log(np.maximum(given, LEAST)) if is_probabilities(given) else given


def run_one_by_one(path: Path, pictures: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, K) outputs of a file as it was given, one picture at a time: its batch may be one.

    Raises:
        StageError: it does not run.
    """
    try:
        network = onnxruntime.InferenceSession(str(path), providers=CPU)
        name = network.get_inputs()[0].name
        rows = [network.run(None, {name: picture[None]})[0] for picture in pictures]
        logits_of_rows: NDArray[np.float32] = np.concatenate(rows)
    except Exception as error:
        raise StageError(f"{path}: does not run on one picture ({_first(error)})") from None
    return logits_of_rows


def open_session(network: onnx.ModelProto) -> onnxruntime.InferenceSession:
    """A session on the CPU."""
    return onnxruntime.InferenceSession(network.SerializeToString(), providers=CPU)


def _load(path: Path) -> onnx.ModelProto:
    try:
        network = onnx.load(path)
        onnx.checker.check_model(network)
    except Exception as error:
        raise StageError(f"{path}: not a complete ONNX file ({_first(error)})") from None
    return network


def _first(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _inputs(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    """Inputs of a graph; old files list their constants too."""
    constants = {tensor.name for tensor in graph.initializer}
    return [value for value in graph.input if value.name not in constants]


def _check(
    path: Path, what: str, values: list[onnx.ValueInfoProto], sizes: tuple[int, ...]
) -> None:
    """One float32 tensor (N, *sizes), where the file says its sizes."""
    names = [value.name for value in values]
    kinds = [value.type.tensor_type.elem_type for value in values]
    if kinds != [onnx.TensorProto.FLOAT]:
        raise StageError(f"{path}: expected one float32 {what}, found {names or 'none'}")
    dims = values[0].type.tensor_type.shape.dim
    shape = [dim.dim_value or "?" for dim in dims]
    fits = [a in ("?", b) for a, b in zip(shape[1:], sizes, strict=False)]
    if len(shape) != 1 + len(sizes) or not all(fits):
        expected = ", ".join(map(str, ("N", *sizes)))
        shown = ", ".join(map(str, shape))
        raise StageError(f"{path}: {what} {names[0]!r}: expected ({expected}), found ({shown})")


def _rename_ends(network: onnx.ModelProto, softened: bool) -> onnx.ModelProto:
    """The network between two new ends; a logarithm comes after probabilities."""
    ours = onnx.compose.add_prefix(network, "given/")  # frees the names of the two ends
    graph = ours.graph
    first, last = _inputs(graph)[0].name, graph.output[0].name
    ends = [helper.make_node("Identity", ["image"], [first], "image")]
    if softened:
        graph.initializer.append(numpy_helper.from_array(LEAST, "least"))
        ends.append(helper.make_node("Max", [last, "least"], ["positive"], "positive"))
        ends.append(helper.make_node("Log", ["positive"], ["logits"], "logits"))
    else:
        ends.append(helper.make_node("Identity", [last], ["logits"], "logits"))
    nodes = [ends[0], *graph.node, *ends[1:]]
    del graph.node[:]
    graph.node.extend(nodes)
    for value, name in ((_inputs(graph)[0], "image"), (graph.output[0], "logits")):
        value.name = name
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    del graph.value_info[:]  # has the old number of rows in it
    return ours
