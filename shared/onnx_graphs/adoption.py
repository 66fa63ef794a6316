"""Networks of others made ours: one form for all stages, whoever wrote the file."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from shared import models, patches
from shared.errors import StageError
from shared.models import Card
from shared.onnx_graphs import given
from shared.onnx_graphs.nodes import UnconvertibleError
from shared.onnx_graphs.outputs import compare, name_form, permute_outputs
from shared.onnx_graphs.rewriting import IMAGE, LOGITS, OPSET, name_picture, rewrite

# Largest difference that is accepted, over the largest magnitude of the outputs or 1.
TOLERANCE, TOLERANCE_OF_HALF = 1e-3, 3e-2
OTHERS = {onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE}
PICTURES = 8  # rows of a patch file that a network is compared on
ENDINGS = {"Identity", "Log", "LogSoftmax", "Softmax"}  # our own networks have none of these last


@dataclass(frozen=True)
class Adopted:
    """A network in the common form: `image` (batch, C, S, S) in, `logits` (batch, K) out.

    Attributes:
        model: opset 17, float32, one file; the file's own where that has this form.
        given: the network as it was given.
        order: place of each class of the data among the outputs that the file gives.
    """

    model: onnx.ModelProto
    given: given.GivenNetwork
    order: tuple[int, ...]

    def difference(self, logits: NDArray[np.float32], images: NDArray[np.float32]) -> float:
        """Largest difference between (N, K) logits and what the given file says of (N, C, S, S)."""
        return compare(logits, self.outputs(images))

    def outputs(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, K) what the given file says of (N, C, S, S), classes in the order of the data."""
        return self.given.run(images)[:, self.order]


def adopt(
    path: Path,
    card: Card,
    rows: NDArray[np.float32] | None = None,
    classes: tuple[str, ...] | None = None,
) -> Adopted:
    """The network of a file in the common form, compared with the file on pictures.

    Taken are channels first or last, any fixed or free number of pictures, logits or probabilities,
    opset 7 and later, half, single and double precision, and external data.

    Args:
        path: ONNX file with one picture in and one output.
        card: bands, size and classes that it has.
        rows: (N, C, S, S) stored pictures to compare with, besides noise.
        classes: the card's in another order, which the outputs then have.

    Raises:
        StageError: not a usable file; what cannot be converted, by operator or axis.
    """
    return _adopt(given.open_file(path, card), card, rows, classes)


def adopt_model(model: onnx.ModelProto, path: Path, card: Card) -> Adopted:
    """As `adopt`, of a network that was made from a file of another kind.

    Args:
        model: the network.
        path: file that it was made from, for messages.
        card: bands, size and classes that it has.
    """
    return _adopt(given.open_model(model, path, card), card, None, None)


def _adopt(
    opened: given.GivenNetwork,
    card: Card,
    rows: NDArray[np.float32] | None,
    classes: tuple[str, ...] | None,
) -> Adopted:
    order = tuple(card.classes.index(name) for name in classes or card.classes)
    if has_common_form(opened.model):
        model = name_picture(opened.model)
    else:
        model = _convert(opened, card, rows)
    if order != tuple(range(len(order))):
        model = permute_outputs(model, order)
    return Adopted(model, opened, order)


def _convert(
    opened: given.GivenNetwork, card: Card, rows: NDArray[np.float32] | None
) -> onnx.ModelProto:
    """The common form of a network, compared with what was given."""
    images = given.make_noise(card, 3)
    images = images if rows is None else np.concatenate([images, rows])
    outputs = opened.run(images)
    shape = (len(card.bands), card.size, card.size)
    try:
        model = rewrite(
            opened.model, shape, len(card.classes), rows=opened.rows,
            channels_last=opened.channels_last, form=name_form(outputs),
        )  # fmt: skip
    except UnconvertibleError as error:
        raise StageError(f"{opened.path}: cannot be converted: {error}") from None
    _check_parity(opened, model, images, outputs)
    return model


def has_common_form(model: onnx.ModelProto) -> bool:
    """Whether a file is as our own exporter writes it, so that nothing is to be done."""
    graph = model.graph
    if len(graph.input) != 1 or len(graph.output) != 1 or not graph.node:
        return False
    ends = (graph.input[0], graph.output[0])
    axes = [[dim.dim_param for dim in value.type.tensor_type.shape.dim[:1]] for value in ends]
    named = ends[0].name in (IMAGE, "input") and ends[1].name == LOGITS and axes == [["batch"]] * 2
    opsets = {item.domain: item.version for item in model.opset_import}
    wide = any(tensor.data_type in OTHERS for tensor in graph.initializer)
    ending = any(LOGITS in node.output and node.op_type in ENDINGS for node in graph.node)
    return named and opsets == {"": OPSET} and not wide and not ending


def _check_parity(
    opened: given.GivenNetwork,
    model: onnx.ModelProto,
    images: NDArray[np.float32],
    outputs: NDArray[np.float32],
) -> None:
    """Refuse a conversion that says something else, alone or several pictures at once."""
    path, scale = opened.path, max(1.0, float(np.abs(outputs).max()))
    allowed = scale * (TOLERANCE_OF_HALF if opened.is_half else TOLERANCE)
    try:
        onnx.checker.check_model(model)
        session = given.open_session(model)
        alone = given.run_session(session, images, 1, False)
    except Exception as error:
        reason = given.explain_failure(error)
        raise StageError(f"{path}: cannot be converted: {reason}") from None
    mixed = f"{path}: its output for a picture depends on the other pictures of the batch"
    if (apart := compare(alone, outputs)) > allowed:
        if np.abs(opened.run_alone(images) - outputs).max() > allowed:
            raise StageError(mixed)
        raise StageError(
            f"{path}: cannot be converted: opset {OPSET} gives other outputs, by {apart:.3g}, "
            f"expected at most {allowed:.3g}"
        )
    try:
        together = given.run_session(session, images, 0, False)
    except Exception as error:
        reason = given.explain_failure(error)
        raise StageError(f"{path}: cannot take two pictures at once ({reason})") from None
    if compare(together, outputs) > allowed:
        raise StageError(mixed)


def read_pictures(source: patches.Source, card: Card) -> NDArray[np.float32]:
    """(n, C, S, S) first rows of a patch file as the network takes them."""
    rows = slice(0, min(PICTURES, source.total))
    return models.preprocess(models.read_scaled(source, card.bands, rows), card)
