"""Operators of opset 18 and later as opset 17 writes them, where it can."""

from collections.abc import Callable

import numpy as np
from onnx import NodeProto, defs, helper

from shared.onnx_graphs.network import Network
from shared.onnx_graphs.nodes import UnconvertibleError, attributes, call, entry, result, take
from shared.onnx_graphs.rewriting.opsets import new_operators

OPSET = 17
Instead = list[NodeProto] | None
Rule = Callable[[Network, NodeProto], Instead]
REDUCTIONS = ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "SumSquare")


def axes_to_attribute(network: Network, node: NodeProto) -> Instead:
    """Reductions have their axes as an input since 18."""
    empty = take(node, "noop_with_empty_axes", 0)
    axes = _constant(network, node, 1, "axes")
    del node.input[1:]
    if axes is None or not axes.size:  # all of them, or none
        nothing = helper.make_node("Identity", node.input, node.output, node.name)
        return [nothing] if empty else None
    node.attribute.append(helper.make_attribute("axes", axes.ravel().tolist()))
    return None


def pad(network: Network, node: NodeProto) -> Instead:
    """Pad has axes since 18; without them there are widths for all."""
    axes = _constant(network, node, 3, "axes")
    widths = None if axes is None else _constant(network, node, 1, "pads")
    if axes is None or widths is None:
        del node.input[3:]
        return None
    rank = _rank(network, node)
    whole = np.zeros((2, rank), np.int64)
    whole[:, axes.ravel() % rank] = widths.reshape(2, -1)
    node.input[:] = [
        entry(node),
        network.store(f"{result(node)}_pads", whole.ravel()),
        node.input[2],
    ]
    return None


def split(network: Network, node: NodeProto) -> Instead:
    """Split may say only how many parts since 18; the last one may be smaller."""
    count = take(node, "num_outputs")
    if count is None or (len(node.input) > 1 and node.input[1]):
        return None
    axis, shape = attributes(node).get("axis", 0), network.shapes.get(entry(node))
    if shape is None or shape[axis] is None:
        raise UnconvertibleError(f"{call(node)}: axis {axis}: expected a known size to split")
    step = -(-shape[axis] // count)
    sizes = [step] * (count - 1) + [shape[axis] - step * (count - 1)]
    node.input[:] = [entry(node), network.store(f"{result(node)}_sizes", np.array(sizes))]
    return None


RULES: dict[str, Rule] = dict.fromkeys(map("Reduce{}".format, REDUCTIONS), axes_to_attribute) | {
    "Pad": pad, "Split": split, **new_operators.RULES,
}  # fmt: skip


def downgrade(network: Network) -> None:
    """Every node as opset 17 writes it; shapes are inferred.

    Raises:
        UnconvertibleError: an operator or an attribute that opset 17 does not have.
    """
    newer = network.opset

    def rule(node: NodeProto) -> Instead:
        if node.domain not in ("", "ai.onnx"):
            return None
        if node.op_type in RULES:
            instead = RULES[node.op_type](network, node)
            if instead is not None:
                return instead
        if not _is_known(node.op_type):
            raise UnconvertibleError(
                f"{call(node)}: opset {OPSET} has no such operator, found {newer}"
            )
        _drop_new_attributes(node, newer)
        return None

    network.rewrite(rule)


def _is_known(operator: str) -> bool:
    """Whether opset 17 has an operator of this name."""
    try:
        defs.get_schema(operator, OPSET)
    except defs.SchemaError:
        return False
    return True


def _drop_new_attributes(node: NodeProto, newer: int) -> None:
    """Attributes that opset 17 does not know, where they say what it does anyway."""
    new, old = defs.get_schema(node.op_type, newer), defs.get_schema(node.op_type, OPSET)
    for name, value in attributes(node).items():
        if name in old.attributes or name not in new.attributes:
            continue
        default = new.attributes[name].default_value
        usual = helper.get_attribute_value(default) if default.type else None
        usual = usual.decode() if isinstance(usual, bytes) else usual
        plain = name == "dilations" and set(value) == {1}
        if value != usual and not plain:
            raise UnconvertibleError(f"{call(node)}: {name}={value}: opset {OPSET} cannot say it")
        take(node, name)


def _constant(network: Network, node: NodeProto, place: int, name: str) -> np.ndarray | None:
    """An input that has to be a constant; None where it is not given."""
    if len(node.input) <= place or not node.input[place]:
        return None
    values = network.constant(node.input[place])
    if values is None:
        raise UnconvertibleError(
            f"{call(node)}: {name}: expected a constant, found what is computed"
        )
    return values


def _rank(network: Network, node: NodeProto) -> int:
    shape = network.shapes.get(entry(node))
    if shape is None:
        raise UnconvertibleError(f"{call(node)}: axes of an unknown number of axes")
    return len(shape)
