"""Channels first: a picture whose channels come last, and the transposes that go with it.

A transpose to channels last is moved down, over one operator after the other, until it meets the
one back to channels first, or a classifier whose weights can be put into the other order.
"""

from collections.abc import Callable

import numpy as np
from onnx import NodeProto, helper

from shared.onnx_graphs.network import Network
from shared.onnx_graphs.nodes import attributes, entry, result

LAST, FIRST = [0, 2, 3, 1], [0, 3, 1, 2]  # perm to channels last, and back
UNARY = {
    "Abs", "Cast", "Celu", "Clip", "Elu", "Erf", "Exp", "HardSigmoid", "HardSwish", "LeakyRelu",
    "Log", "Mish", "Neg", "Reciprocal", "Relu", "Selu", "Sigmoid", "Softplus", "Softsign", "Sqrt",
    "Tanh", "ThresholdedRelu", "Floor", "Round", "Sign",
}  # fmt: skip
SEVERAL = {"Add", "Sub", "Mul", "Div", "Max", "Min", "Pow", "PRelu", "Sum", "Mean"}
REDUCTIONS = {
    "ReduceMean", "ReduceMax", "ReduceMin", "ReduceSum", "ReduceProd", "ReduceL1", "ReduceL2",
    "ReduceSumSquare", "ReduceLogSumExp",
}  # fmt: skip


def put_channels_first(network: Network, channels: int, side: int) -> None:
    """The input (N, side, side, channels) becomes (N, channels, side, side)."""
    old = network.input.name
    dims = network.input.type.tensor_type.shape.dim
    for dim, size in zip(dims[1:], (channels, side, side), strict=True):
        dim.Clear()
        dim.dim_value = size
    network.input.name = network.fresh("channels_first")
    first = helper.make_node("Transpose", [network.input.name], [old], perm=LAST)
    network.set_nodes([first, *network.graph.node])


def sink_transposes(network: Network) -> None:
    """Move transposes to channels last down as far as they go; shapes are inferred."""
    while _move_one(network):
        pass
    network.drop_unused()


def _move_one(network: Network) -> bool:
    """Move one transpose over one operator that reads it; whether there was one."""
    for place, node in enumerate(network.graph.node):
        if any(name in network.makers and _is_last(network, name) for name in node.input):
            moved = _over(network, node)
            if moved is not None:
                nodes = list(network.graph.node)
                network.set_nodes([*nodes[:place], *moved, *nodes[place + 1 :]])
                return True
    return False


def _is_last(network: Network, name: str) -> bool:
    node = network.makers[name]
    return node.op_type == "Transpose" and attributes(node).get("perm") == LAST


def _over(network: Network, node: NodeProto) -> list[NodeProto] | None:
    """What stands instead of a node that reads a transpose to channels last, if anything can."""
    if node.op_type == "Transpose" and attributes(node).get("perm") == FIRST:
        network.redirect(result(node), _source(network, entry(node)))
        return []
    rules: dict[str, Callable[[Network, NodeProto], list[NodeProto] | None]] = {
        **dict.fromkeys(UNARY, _over_one), **dict.fromkeys(SEVERAL, _over_several),
        **dict.fromkeys(REDUCTIONS, _over_reduction), "Concat": _over_several, "Pad": _over_pad,
        "Squeeze": _over_squeeze, "Reshape": _over_flatten, "Flatten": _over_flatten,
    }  # fmt: skip
    rule = rules.get(node.op_type)
    return rule(network, node) if rule else None


def _source(network: Network, name: str) -> str:
    """The tensor before its transpose."""
    return entry(network.makers[name])


def _after(network: Network, node: NodeProto, inputs: list[str]) -> list[NodeProto]:
    """The node on channels first, and the transpose after it."""
    made = network.fresh(f"{result(node)}_first")
    copy = NodeProto()
    copy.CopyFrom(node)
    copy.input[:], copy.output[:] = inputs, [made]
    back = helper.make_node("Transpose", [made], node.output, perm=LAST)
    shape = network.shapes.get(result(node))
    if shape is not None and len(shape) == 4:
        network.shapes[made] = tuple(shape[place] for place in FIRST)
    return [copy, back]


def _over_one(network: Network, node: NodeProto) -> list[NodeProto]:
    return _after(network, node, [_source(network, entry(node)), *node.input[1:]])


def _over_several(network: Network, node: NodeProto) -> list[NodeProto] | None:
    """All inputs have the same transpose, or are constants, which are turned back."""
    inputs = []
    for name in node.input:
        values = network.constant(name)
        if values is not None and values.ndim <= 4:
            whole = values.reshape((1,) * (4 - values.ndim) + values.shape).transpose(FIRST)
            inputs.append(name if values.size == 1 else network.store(f"{name}_first", whole))
        elif name in network.makers and _is_last(network, name):
            inputs.append(_source(network, name))
        else:
            return None
    moved = _after(network, node, inputs)
    if node.op_type == "Concat":
        moved[0].attribute[0].i = LAST[attributes(node)["axis"] % 4]
    return moved


def _over_pad(network: Network, node: NodeProto) -> list[NodeProto] | None:
    widths = network.constant(node.input[1])
    if widths is None:
        return None
    turned = widths.reshape(2, 4)[:, FIRST].ravel()
    name = network.store(f"{result(node)}_pads", turned)
    return _after(network, node, [_source(network, entry(node)), name, *node.input[2:]])


def _over_reduction(network: Network, node: NodeProto) -> list[NodeProto] | None:
    """Over height and width, or anything that keeps four axes."""
    given, stored = attributes(node), len(node.input) > 1
    axes = network.constant(node.input[1]) if stored else given.get("axes")
    if axes is None:
        return None
    turned = [LAST[int(axis) % 4] for axis in np.ravel(axes)]
    inputs = [_source(network, entry(node))]
    if stored:
        inputs.append(network.store(f"{result(node)}_axes", np.array(turned, np.int64)))
    moved = _after(network, node, inputs)
    for item in moved[0].attribute:
        if item.name == "axes":
            item.ints[:] = turned
    if given.get("keepdims", 1):
        return moved
    return _without_transpose(moved, turned)


def _over_squeeze(network: Network, node: NodeProto) -> list[NodeProto] | None:
    axes = network.constant(node.input[1]) if len(node.input) > 1 else None
    if axes is None:
        return None
    turned = [LAST[int(axis) % 4] for axis in axes.ravel()]
    name = network.store(f"{result(node)}_axes", np.array(turned, np.int64))
    return _without_transpose(_after(network, node, [_source(network, entry(node)), name]), turned)


def _without_transpose(moved: list[NodeProto], gone: list[int]) -> list[NodeProto] | None:
    """The first node alone, if the axes that it leaves stand in the same order either way."""
    left = [axis for axis in LAST if axis not in gone]
    if left != sorted(left):
        return None
    moved[0].output[:] = moved[1].output
    return moved[:1]


def _over_flatten(network: Network, node: NodeProto) -> list[NodeProto] | None:
    """Into rows for a classifier, whose weights are put into the order of channels first."""
    source = _source(network, entry(node))
    before, after = network.sizes(source), network.sizes(result(node))
    if before is None or after is None or len(after) != 2 or after[0] != before[0]:
        return None
    users = network.users.get(result(node), [])
    channels, height, width = before[1:]
    if channels > 1 and height * width > 1:
        if not users or network.output.name == result(node):
            return None
        if not all(_can_turn(network, user, result(node)) for user in users):
            return None
        for user in users:
            _turn_weights(network, user, (height, width, channels))
    flat = helper.make_node("Flatten", [source], node.output, node.name, axis=1)
    return [flat]


def _can_turn(network: Network, user: NodeProto, rows: str) -> bool:
    if user.op_type not in ("MatMul", "Gemm") or entry(user) != rows:
        return False
    stored = network.constant(user.input[1])
    return stored is not None and stored.ndim == 2 and not attributes(user).get("transA", 0)


def _turn_weights(network: Network, user: NodeProto, shape: tuple[int, int, int]) -> None:
    """Rows of height, width, channels become rows of channels, height, width."""
    matrix = network.constant(user.input[1])
    assert matrix is not None
    turned = attributes(user).get("transB", 0)
    rows = matrix.T if turned else matrix
    mixed = rows.reshape(*shape, -1).transpose(2, 0, 1, 3).reshape(rows.shape)
    user.input[1] = network.store(f"{user.input[1]}_first", mixed.T if turned else mixed)
