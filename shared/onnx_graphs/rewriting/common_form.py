"""From any of these graphs to the common form, one rewriting after the other."""

from typing import Literal

import onnx
from onnx import helper, inliner

from shared.onnx_graphs.network import Network
from shared.onnx_graphs.nodes import UnconvertibleError, all_nodes
from shared.onnx_graphs.rewriting import (
    batch,
    constants,
    ends,
    layout,
    listed,
    opsets,
    picture,
)

OPSET, OLDEST, IR = opsets.OPSET, 7, 8
Form = Literal["logits", "probabilities", "logarithms"]  # of probabilities


def rewrite(
    model: onnx.ModelProto,
    shape: tuple[int, int, int],
    classes: int,
    *,
    rows: int,
    channels_last: bool,
    form: Form,
) -> onnx.ModelProto:
    """A copy in the common form.

    Opset 17, float32, `image` (batch, C, S, S) to `logits` (batch, K), constants stored, no nodes
    that do nothing. A softmax at the end is cut off; where probabilities come from anything else,
    their logarithm is taken.

    Args:
        model: one input of floating point, one output.
        shape: (C, S, S) of a picture.
        classes: K.
        rows: pictures that the file takes at once, 0 for any number.
        channels_last: whether its input is (N, S, S, C).
        form: of its outputs.

    Raises:
        UnconvertibleError: names the operator or the axis.
    """
    network, count = _open_copy(model), rows or 1
    if network.opset < OLDEST:
        raise UnconvertibleError(f"opset: expected {OLDEST} or newer, found {network.opset}")
    _set_shape(network, (count, *(shape[1:] + shape[:1] if channels_last else shape)))
    network.infer(count)
    constants.fold_sizes(network, count)
    (opsets.downgrade if network.opset > OPSET else opsets.upgrade)(network)
    _set_versions(network)
    network.infer(count)
    constants.drop_idle(network)
    network.infer(count)
    softmax = ends.cut_tail(network, count, classes, form != "logits")
    if form == "probabilities" and not softmax:
        ends.add_logarithm(network)
    if channels_last:
        layout.put_channels_first(network, shape[0], shape[1])
    network.infer(count)
    layout.sink_transposes(network)
    network.infer(count)
    batch.free_batch(network, count)
    listed.write_pads(network)
    listed.write_gemms(network)
    picture.merge_pads(network)
    picture.fold_into_convolution(network)
    network.drop_unused()
    ends.name_ends(network, shape, classes)
    return network.model


def widen(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy with all numbers in float32, and otherwise as it is."""
    return _open_copy(model).model


def _open_copy(model: onnx.ModelProto) -> Network:
    copy = onnx.ModelProto()
    copy.CopyFrom(inliner.inline_local_functions(model) if model.functions else model)
    copy.ir_version = max(copy.ir_version, IR)  # older ones ask for constants among the inputs
    network = Network(copy)
    constants.store_constants(network)
    constants.to_float32(network)
    return network


def _set_shape(network: Network, sizes: tuple[int, ...]) -> None:
    dims = network.input.type.tensor_type.shape.dim
    for dim, size in zip(dims, sizes, strict=True):
        dim.Clear()
        dim.dim_value = size


def _set_versions(network: Network) -> None:
    """Opset 17, and the other sets of operators that are used."""
    used = {node.domain for node in all_nodes(network.graph)} - {"", "ai.onnx"}
    others = [item for item in network.model.opset_import if item.domain in used]
    kept = [helper.make_opsetid("", OPSET), *others]
    del network.model.opset_import[:]
    network.model.opset_import.extend(kept)
    network.model.ir_version = IR
