"""Single nodes of a graph: their attributes, the graphs inside them, and how messages name them."""

from collections.abc import Iterable
from typing import Any

import onnx
from onnx import NodeProto, helper

ENDLESS = ("Loop", "Scan")  # operators that may take any number of rounds


class UnconvertibleError(Exception):
    """What cannot be brought to the common form: names the operator or the axis."""


def all_nodes(graph: onnx.GraphProto) -> Iterable[NodeProto]:
    """The nodes of a graph and of the graphs in it."""
    for node in graph.node:
        yield node
        for item in node.attribute:
            if item.type == onnx.AttributeProto.GRAPH:
                yield from all_nodes(item.g)


def find_loop(model: onnx.ModelProto) -> NodeProto | None:
    """The first node, in any graph or function, whose rounds nothing limits."""
    bodies = [model.graph, *(onnx.GraphProto(node=of.node) for of in model.functions)]
    every = (node for body in bodies for node in all_nodes(body))
    return next((node for node in every if node.op_type in ENDLESS), None)


def inner_names(node: NodeProto) -> set[str]:
    """Tensors that the graphs inside a node read."""
    graphs = [item.g for item in node.attribute if item.type == onnx.AttributeProto.GRAPH]
    return {name for graph in graphs for inner in all_nodes(graph) for name in inner.input}


def attributes(node: NodeProto) -> dict[str, Any]:
    """Attributes of a node as plain Python values; texts as str."""
    values = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    return {k: v.decode() if isinstance(v, bytes) else v for k, v in values.items()}


def take(node: NodeProto, name: str, default: Any = None) -> Any:
    """The value of an attribute, which the node then no longer has."""
    value = attributes(node).get(name, default)
    kept = [item for item in node.attribute if item.name != name]
    del node.attribute[:]
    node.attribute.extend(kept)
    return value


def entry(node: NodeProto) -> str:
    """The tensor that a node reads first; of most it is the only one that is no constant."""
    return str(node.input[0])


def result(node: NodeProto) -> str:
    """The tensor that a node writes first; of most it is the only one."""
    return str(node.output[0])


def call(node: NodeProto) -> str:
    """A node for messages: operator and name."""
    return f"{node.op_type} {(node.name or result(node))!r}"


def first_line(error: Exception) -> str:
    """The first line of what a library said."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
