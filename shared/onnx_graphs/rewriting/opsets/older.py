"""Operators of opset 7 to 16 as opset 17 writes them.

Each rule changes a node in place, or gives what stands in its place. Where an operator only gained
element types or attributes whose defaults are its old behaviour, there is no rule.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import NodeProto, helper

from shared.onnx_graphs.network import Network
from shared.onnx_graphs.nodes import UnconvertibleError, attributes, call, entry, result, take

Instead = list[NodeProto] | None
Rule = Callable[[Network, NodeProto], Instead]


def clip(network: Network, node: NodeProto) -> None:
    """Clip 6: limits were attributes."""
    low, high = take(node, "min"), take(node, "max")
    limits = [_scalar(network, node, value) for value in (low, high)]
    node.input.extend(limits if limits[1] else limits[:1] if limits[0] else [])


def pad(network: Network, node: NodeProto) -> None:
    """Pad 2: widths and value were attributes."""
    widths, value = take(node, "pads"), take(node, "value", 0.0)
    node.input.append(_ints(network, node, widths))
    node.input.append(_scalar(network, node, value))


def slice_(network: Network, node: NodeProto) -> None:
    """Slice 1: ends and axes were attributes."""
    starts, ends, axes = (take(node, name) for name in ("starts", "ends", "axes"))
    axes = axes if axes is not None else range(len(starts))
    node.input.extend(_ints(network, node, values) for values in (starts, ends, axes))


def top_k(network: Network, node: NodeProto) -> None:
    """TopK 1: k was an attribute."""
    node.input.append(_ints(network, node, [take(node, "k")]))


def axes_to_input(network: Network, node: NodeProto) -> None:
    """Squeeze, Unsqueeze and ReduceSum before 13: axes were an attribute."""
    axes = take(node, "axes")
    if axes is not None:
        node.input.append(_ints(network, node, axes))


def split(network: Network, node: NodeProto) -> None:
    """Split before 13: sizes were an attribute."""
    sizes = take(node, "split")
    if sizes is not None:
        node.input.append(_ints(network, node, sizes))


def dropout(_network: Network, node: NodeProto) -> None:
    """Dropout before 12: the ratio was an attribute; a trained network drops nothing."""
    take(node, "ratio")


def batch_normalisation(_network: Network, node: NodeProto) -> None:
    """BatchNormalization before 14: no statistics of the batch are computed."""
    if take(node, "spatial") == 0:
        raise UnconvertibleError(f"{call(node)}: spatial=0: expected one mean a channel")
    del node.output[1:]


def upsample(network: Network, node: NodeProto) -> Instead:
    """Upsample is the Resize of these corners."""
    scales, mode = take(node, "scales"), take(node, "mode", "nearest")
    name = node.input[1] if scales is None else _floats(network, node, scales)
    return [_resize(node, name, mode)]


def resize(_network: Network, node: NodeProto) -> Instead:
    """Resize 10 had one way to place the corners, and no region."""
    return [_resize(node, node.input[1], take(node, "mode", "nearest"))]


def _resize(node: NodeProto, scales: str, mode: str) -> NodeProto:
    corners: dict[str, Any] = {"coordinate_transformation_mode": "asymmetric"}
    if mode == "nearest":
        corners["nearest_mode"] = "floor"
    mode = "linear" if mode == "bilinear" else mode
    given = [entry(node), "", scales]
    return helper.make_node("Resize", given, node.output, node.name, mode=mode, **corners)


def softmax(network: Network, node: NodeProto) -> Instead:
    """Softmax before 13 took all axes from ``axis`` on, 1 by default, as one."""
    (given,) = node.input
    shape, axis = network.shapes.get(given), take(node, "axis", 1)
    if shape is not None:
        axis = axis % len(shape)
    # Of an unknown number of axes, it may be the last one: the comparison of outputs says so.
    if shape is None or all(size == 1 for size in shape[axis + 1 :]):
        node.attribute.append(helper.make_attribute("axis", axis))
        return None
    (made,) = node.output
    flat, rows, sizes = (network.fresh(f"{made}_{part}") for part in ("flat", "rows", "shape"))
    return [
        helper.make_node("Shape", [given], [sizes]),
        helper.make_node("Flatten", [given], [flat], axis=axis),
        helper.make_node(node.op_type, [flat], [rows], node.name, axis=1),
        helper.make_node("Reshape", [rows, sizes], node.output),
    ]


# Operator to the first opset that writes it as 17 does, and how to get there.
RULES: dict[str, tuple[int, Rule]] = {
    "Clip": (11, clip), "Pad": (11, pad), "Slice": (10, slice_), "TopK": (10, top_k),
    "Squeeze": (13, axes_to_input), "Unsqueeze": (13, axes_to_input), "Split": (13, split),
    "ReduceSum": (13, axes_to_input), "Dropout": (12, dropout), "Upsample": (17, upsample),
    "BatchNormalization": (14, batch_normalisation), "Resize": (11, resize),
    "Softmax": (13, softmax), "LogSoftmax": (13, softmax), "Hardmax": (13, softmax),
}  # fmt: skip
# Operators that say something else under the same name, and have no rule.
CHANGED = {"RoiAlign": 16, "Scatter": 11}


def upgrade(network: Network) -> None:
    """Every node as opset 17 writes it; shapes are inferred.

    Raises:
        UnconvertibleError: names the operator.
    """
    opset = network.opset

    def rule(node: NodeProto) -> Instead:
        if node.domain not in ("", "ai.onnx"):
            return None
        if opset < CHANGED.get(node.op_type, 0) or any(
            "body" in n or "branch" in n for n in attributes(node)
        ):
            raise UnconvertibleError(f"{call(node)}: does not convert from opset {opset} to 17")
        since, change = RULES.get(node.op_type, (0, None))
        return change(network, node) if change and opset < since else None

    network.rewrite(rule)


def _ints(network: Network, node: NodeProto, values: Any) -> str:
    return network.store(f"{result(node)}_numbers", np.array(list(values), np.int64))


def _floats(network: Network, node: NodeProto, values: Any) -> str:
    return network.store(f"{result(node)}_scales", np.array(list(values), np.float32))


def _scalar(network: Network, node: NodeProto, value: float | None) -> str:
    """A stored number; "" for one that is not given."""
    if value is None:
        return ""
    return network.store(f"{result(node)}_value", np.array(value, np.float32))
