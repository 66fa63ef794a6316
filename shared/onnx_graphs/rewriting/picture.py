"""What a network does to its picture before the first convolution goes into that convolution.

Compilers feed the picture by their own rules and refuse Sub, Div, Mul and Add there.
"""

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from shared.onnx_graphs.network import Network
from shared.onnx_graphs.nodes import attributes, entry, result, take

Values = NDArray[np.float64]
BORDER = "_border"  # ends the names of maps that are computed here, not learned
STEPS = {"Mul", "Add", "Sub", "Div"}


def merge_pads(network: Network) -> None:
    """A Pad with zeros of height and width before a convolution becomes pads of that."""
    for node in list(network.graph.node):
        pad = network.makers.get(entry(node)) if node.op_type == "Conv" else None
        if pad is None or pad.op_type != "Pad" or len(network.users[entry(node)]) > 1:
            continue
        widths = network.constant(pad.input[1])
        value = network.constant(pad.input[2]) if len(pad.input) > 2 and pad.input[2] else 0
        zeros = attributes(pad).get("mode", "constant") == "constant" and not np.any(value)
        auto = attributes(node).get("auto_pad", "NOTSET") != "NOTSET"
        if widths is None or value is None or not zeros or auto or widths.size != 8:
            continue
        if widths.min() < 0 or widths[[0, 1, 4, 5]].any():
            continue
        own = take(node, "pads", [0] * 4)
        both = (np.array(own) + widths[[2, 3, 6, 7]]).tolist()
        node.attribute.append(helper.make_attribute("pads", both))
        node.input[0] = entry(pad)
    network.drop_unused()


def fold_into_convolution(network: Network) -> None:
    """Let the first convolution take the picture as it comes; shapes are inferred."""
    name, shape = network.input.name, network.shapes[network.input.name]
    scale, offset = np.ones((1, 1, 1, 1)), np.zeros((1, 1, 1, 1))
    changed = False
    while len(users := network.users.get(name, [])) == 1 and users[0].op_type in STEPS:
        step = _apply(network, users[0], name, scale, offset)
        if step is None:
            return
        scale, offset = step
        name, changed = result(users[0]), True
    if not changed or len(users) != 1 or users[0].op_type != "Conv":
        return
    if scale.shape[2:] != (1, 1) or attributes(users[0]).get("group", 1) != 1:
        return
    _fold(network, users[0], scale, np.broadcast_to(offset, (1, *map(int, shape[1:]))))  # type: ignore[arg-type]


def _apply(
    network: Network, node: NodeProto, name: str, scale: Values, offset: Values
) -> tuple[Values, Values] | None:
    """Scale and offset after one more step, where that is one by a constant."""
    (other,) = [given for given in node.input if given != name] or [name]
    stored = network.constant(other)
    if stored is None or stored.ndim > 4 or (stored.ndim == 4 and len(stored) != 1):
        return None
    values = stored.astype(np.float64).reshape((1,) * (4 - stored.ndim) + stored.shape)
    first = entry(node) == name
    if node.op_type == "Mul":
        return scale * values, offset * values
    if node.op_type == "Add":
        return scale, offset + values
    if node.op_type == "Sub":
        return (scale, offset - values) if first else (-scale, values - offset)
    return (scale / values, offset / values) if first else None


def _fold(network: Network, conv: NodeProto, scale: Values, offset: Values) -> None:
    """Kernels that scale, and what the offset adds: a bias, or a map where pads are zero."""
    kernel = network.constant(conv.input[1])
    bias = network.constant(conv.input[2]) if len(conv.input) > 2 else np.zeros(1)
    if kernel is None or bias is None:
        return
    added = _convolve(conv, offset, kernel)
    scaled = (kernel * scale.reshape(1, -1, 1, 1)).astype(np.float32)
    centre = added[:, :, added.shape[2] // 2, added.shape[3] // 2].ravel()
    stored = [
        network.store(f"{result(conv)}_kernel", scaled),
        network.store(f"{result(conv)}_bias", (bias + centre).astype(np.float32)),
    ]
    conv.input[:] = [network.input.name, *stored]
    rest = added - centre[None, :, None, None]
    if np.abs(rest).max() > 1e-6 * max(1.0, np.abs(added).max()):
        _add_map(network, conv, rest.astype(np.float32))
    network.drop_unused()


def _add_map(network: Network, conv: NodeProto, rest: NDArray[np.float32]) -> None:
    old, new = result(conv), network.fresh(f"{result(conv)}_plain")
    border = network.store(f"{old}{BORDER}", rest)
    nodes = []
    for node in network.graph.node:
        if result(node) == old:
            node.output[0] = new
            nodes += [node, helper.make_node("Add", [new, border], [old], f"{old}_at_border")]
        else:
            nodes.append(node)
    network.set_nodes(nodes)


def _convolve(conv: NodeProto, image: Values, kernel: NDArray[np.float32]) -> Values:
    """(1, F, h, w) of a convolution without bias."""
    one = NodeProto()
    one.CopyFrom(conv)
    one.input[:], one.output[:] = ["x", "w"], ["y"]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes)
        for name, sizes in (("x", image.shape), ("y", None))
    ]
    stored = [numpy_helper.from_array(kernel, "w")]
    graph = helper.make_graph([one], "one", ends[:1], ends[1:], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return np.asarray(session.run(None, {"x": image.astype(np.float32)})[0], np.float64)
