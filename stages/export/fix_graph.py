"""A graph with some nodes replaced by others."""

import collections
from collections.abc import Iterable

import onnx
from onnx import NodeProto, shape_inference

from stages.export.fix_site import Instead


def replace(
    model: onnx.ModelProto, instead: Instead, tensors: Iterable[onnx.TensorProto]
) -> onnx.ModelProto:
    """A copy with other nodes in their places, without what nothing reads, shapes inferred.

    Args:
        model: with a name for each node.
        instead: what stands in which place.
        tensors: constants that it reads.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph, kept = copy.graph, list[NodeProto]()
    graph.initializer.extend(tensors)
    for node in graph.node:
        made = instead.get(node.output[0], [node])
        kept += made if isinstance(made, list) else []
    nodes = list(map(_copy, kept))
    for node in nodes:
        for place, name in enumerate(node.input):
            while isinstance(other := instead.get(name), str):
                name = other
            node.input[place] = name
    _set_nodes(graph, nodes)
    del graph.value_info[:]
    return shape_inference.infer_shapes(copy, strict_mode=True, data_prop=True)


def _copy(node: NodeProto) -> NodeProto:
    copy = NodeProto()
    copy.CopyFrom(node)
    return copy


def _set_nodes(graph: onnx.GraphProto, nodes: list[NodeProto]) -> None:
    used, kept = {value.name for value in graph.output}, list[NodeProto]()
    for node in reversed(nodes):
        if used & set(node.output):
            used |= set(node.input)
            kept.insert(0, node)
    del graph.node[:]
    graph.node.extend(kept)
    weights = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(weights)


def name_nodes(graph: onnx.GraphProto) -> None:
    """Each node gets a name that no other one has."""
    counts = collections.Counter(node.name for node in graph.node)
    for node in graph.node:
        if not node.name or counts[node.name] > 1:
            node.name = node.output[0]
