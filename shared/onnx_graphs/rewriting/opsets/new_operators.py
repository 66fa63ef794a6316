"""Operators that are younger than opset 17, in those of opset 17."""

import math
from collections.abc import Callable

import numpy as np
from onnx import NodeProto, helper

from shared.onnx_graphs.network import Network
from shared.onnx_graphs.nodes import attributes, entry, result, take

Rule = Callable[[Network, NodeProto], list[NodeProto] | None]


class Steps:
    """Nodes one after the other, which give the output of one node.

    Args:
        network: the graph that they go into.
        node: what they stand for.
    """

    def __init__(self, network: Network, node: NodeProto) -> None:
        self.network, self.made, self.name = network, result(node), node.name
        self.nodes: list[NodeProto] = []

    def add(self, kind: str, *inputs: str, **attributes: object) -> str:
        """One more node; the name of its output."""
        made = f"{self.network.fresh(self.made)}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [made], **attributes))
        return made

    def number(self, value: float) -> str:
        """A stored number."""
        return self.network.store(f"{self.made}_number", np.array(value, np.float32))

    def end(self) -> list[NodeProto]:
        """All nodes; the last one writes the output and has the name of the node."""
        self.nodes[-1].output[:], self.nodes[-1].name = [self.made], self.name
        return self.nodes


def mish(network: Network, node: NodeProto) -> list[NodeProto]:
    """Mish is an operator since 18: x * tanh(softplus(x))."""
    steps, given = Steps(network, node), entry(node)
    steps.add("Mul", given, steps.add("Tanh", steps.add("Softplus", given)))
    return steps.end()


def swish(network: Network, node: NodeProto) -> list[NodeProto]:
    """Swish is an operator since 24: x * sigmoid(alpha x)."""
    steps, given = Steps(network, node), entry(node)
    scaled = steps.add("Mul", given, steps.number(attributes(node).get("alpha", 1.0)))
    steps.add("Mul", given, steps.add("Sigmoid", scaled))
    return steps.end()


def gelu(network: Network, node: NodeProto) -> list[NodeProto]:
    """Gelu is an operator since 20; before, exporters wrote x / √2, Erf, + 1, * x, / 2."""
    steps, given = Steps(network, node), entry(node)
    if attributes(node).get("approximate", "none") == "tanh":
        cube = steps.add("Mul", steps.add("Mul", given, given), given)
        bent = steps.add("Add", given, steps.add("Mul", cube, steps.number(0.044715)))
        gate = steps.add("Tanh", steps.add("Mul", bent, steps.number(math.sqrt(2 / math.pi))))
    else:
        gate = steps.add("Erf", steps.add("Div", given, steps.number(math.sqrt(2))))
    product = steps.add("Mul", given, steps.add("Add", gate, steps.number(1)))
    steps.add("Mul", product, steps.number(0.5))
    return steps.end()


def group_normalisation(network: Network, node: NodeProto) -> list[NodeProto] | None:
    """GroupNormalization 21, scaled by channel: InstanceNormalization of groups as channels."""
    scale, bias = (network.constant(name) for name in node.input[1:3])
    given, shape = entry(node), network.shapes.get(entry(node))
    groups = attributes(node)["num_groups"]
    if scale is None or bias is None or shape is None or shape[1] != scale.size:
        return None
    steps = Steps(network, node)
    sizes = network.store(f"{result(node)}_sizes", np.array([0, groups, -1], np.int64))
    ones = network.store(f"{result(node)}_ones", np.ones(groups, np.float32))
    none = network.store(f"{result(node)}_none", np.zeros(groups, np.float32))
    rows = steps.add("Reshape", given, sizes)
    least = take(node, "epsilon", 1e-5)
    plain = steps.add("InstanceNormalization", rows, ones, none, epsilon=least)
    whole = steps.add("Reshape", plain, steps.add("Shape", given))
    channels = (-1, *(1,) * (len(shape) - 2))
    stored = [network.store(f"{result(node)}_row", v.reshape(channels)) for v in (scale, bias)]
    steps.add("Add", steps.add("Mul", whole, stored[0]), stored[1])
    return steps.end()


RULES: dict[str, Rule] = {
    "Mish": mish, "Swish": swish, "Gelu": gelu, "GroupNormalization": group_normalisation,
}  # fmt: skip
