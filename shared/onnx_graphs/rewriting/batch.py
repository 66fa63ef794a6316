"""Any number of pictures at once, where an exporter wrote down the number of its example."""

import numpy as np
from onnx import NodeProto, helper

from shared.onnx_graphs.network import Network
from shared.onnx_graphs.nodes import attributes, entry, result, take

Instead = list[NodeProto] | None


def free_batch(network: Network, rows: int) -> None:
    """Let nodes that hold the number of pictures in a constant take it from what they read.

    What cannot be freed so does not run on another number of pictures, which the caller tries.

    Args:
        network: shapes are inferred for ``rows`` pictures.
        rows: how many pictures the file takes.
    """

    def rule(node: NodeProto) -> Instead:
        if node.domain not in ("", "ai.onnx"):
            return None
        if node.op_type == "Reshape":
            _free_reshape(network, node, rows)
        elif node.op_type == "Squeeze":
            _name_axes(network, node)
        elif node.op_type == "Expand":
            _free_expand(network, node, rows)
        elif node.op_type == "Concat":
            return _repeat_constants(network, node, rows)
        return None

    network.rewrite(rule)


def _free_reshape(network: Network, node: NodeProto, rows: int) -> None:
    """New sizes that begin, as the old ones, with the number of pictures: 0 copies that."""
    before, after = (network.sizes(name) for name in (entry(node), result(node)))
    if not before or not after or (before[0], after[0]) != (rows, rows):
        return
    take(node, "allowzero")
    kept = np.array([0, *after[1:]], np.int64)
    node.input[1] = network.store(f"{result(node)}_sizes", kept)


def _name_axes(network: Network, node: NodeProto) -> None:
    """A Squeeze without axes would drop the axis of one picture, too."""
    before = network.sizes(entry(node))
    if len(node.input) > 1 or not before:
        return
    axes = [axis for axis, size in enumerate(before) if axis and size == 1]
    node.input.append(network.store(f"{result(node)}_axes", np.array(axes, np.int64)))


def _free_expand(network: Network, node: NodeProto, rows: int) -> None:
    """A first size of 1 keeps as many as there are."""
    sizes, before = network.constant(node.input[1]), network.shapes.get(entry(node))
    if sizes is None or not before or len(before) != len(sizes):
        return
    if before[0] == sizes[0] == rows:
        kept = np.array([1, *sizes[1:]], np.int64)
        node.input[1] = network.store(f"{result(node)}_sizes", kept)


def _repeat_constants(network: Network, node: NodeProto, rows: int) -> Instead:
    """What is joined to every picture, such as a class token, is stored once and repeated."""
    stored = {name: network.constant(name) for name in node.input}
    ours = {k: v for k, v in stored.items() if v is not None and v.ndim > 1 and len(v) == rows}
    same = all((values == values[:1]).all() for values in ours.values())
    if not ours or not same or attributes(node)["axis"] == 0:
        return None
    added = []
    shape, first = network.fresh(f"{result(node)}_shape"), network.fresh(f"{result(node)}_rows")
    ends = [network.store(f"{result(node)}_end", np.array([k], np.int64)) for k in (0, 1)]
    added.append(helper.make_node("Shape", [network.input.name], [shape]))
    added.append(helper.make_node("Slice", [shape, *ends], [first]))
    for name, values in ours.items():
        once = network.store(f"{name}_once", values[:1])
        rest = network.store(f"{name}_sizes", np.array(values.shape[1:], np.int64))
        sizes, many = f"{result(node)}_{name}_sizes", f"{result(node)}_{name}_repeated"
        added.append(helper.make_node("Concat", [first, rest], [sizes], axis=0))
        added.append(helper.make_node("Expand", [once, sizes], [many]))
        node.input[:] = [many if given == name else given for given in node.input]
    return [*added, node]
