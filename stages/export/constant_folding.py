"""What a graph computes from constants alone is computed once, and the rest said as Metis lists it.

In numpy and on single nodes, so that the outcome is the same on every machine and in every order.
"""

import math
from collections.abc import Iterator

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from stages.export.graph_index import GraphIndex, attributes

Array = NDArray[np.float64]
RANDOM = {"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Multinomial"}


def fold_constants(model: onnx.ModelProto) -> None:
    """Constants to stored tensors, batch normalisation into convolutions, in place.

    Means over height and width become GlobalAveragePool, and reshapes of pooled features Flatten:
    the same numbers in the operators that Metis lists.

    Args:
        model: graph with inferred static shapes; those of tensors that stay remain true.
    """
    graph = model.graph
    constants(model)
    for node in list(graph.node):
        if node.op_type == "BatchNormalization":
            _into_convolution(graph, node)
    facts, kept = GraphIndex(graph), []
    for node in graph.node:
        kept += _use_listed_operators(node, facts)
    _replace(graph, kept)
    drop_unused(graph)


def drop_unused(graph: onnx.GraphProto) -> None:
    """Without stored tensors that no node reads, in place."""
    used = {name for node in graph.node for name in node.input}
    weights = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(weights)


def constants(model: onnx.ModelProto, *, exact: bool = False) -> None:
    """Nodes without a computed input become the tensors that they write, in place.

    Args:
        model: graph with inferred shapes.
        exact: whether numbers without axes stay so, which a further pass relies on.
    """
    graph, facts, kept = model.graph, GraphIndex(model.graph), []
    known = set(facts.weights)
    for node in graph.node:
        fixed = node.op_type == "Shape" and _static(facts, node.input[0])
        stored = all(name in known for name in node.input if name)
        ends = facts.outputs & set(node.output)
        if ends or not (fixed or stored) or node.op_type in RANDOM:
            kept.append(node)
            continue
        for tensor in _evaluate(model, node, facts, exact):
            graph.initializer.append(tensor)
            facts.weights[tensor.name] = tensor
            known.add(tensor.name)
    _replace(graph, kept)


def _static(facts: GraphIndex, name: str) -> bool:
    shape = facts.shapes.get(name, ("?",))
    return all(isinstance(size, int) for size in shape)


def _evaluate(
    model: onnx.ModelProto, node: NodeProto, facts: GraphIndex, exact: bool
) -> Iterator[onnx.TensorProto]:
    """The outputs of one node, as stored tensors of the same names."""
    if node.op_type == "Shape":
        name = node.input[0]
        told = _as_inferred(facts, name).dims if name in facts.weights else facts.shapes[name]
        sizes = np.array(told, np.int64)
        given = attributes(node)
        yield numpy_helper.from_array(
            sizes[given.get("start", 0) : given.get("end")], node.output[0]
        )
        return
    outputs = [helper.make_empty_tensor_value_info(name) for name in node.output if name]
    weights = [_as_inferred(facts, name) for name in dict.fromkeys(node.input) if name]
    one = helper.make_graph([node], "one", [], outputs, weights)
    alone = helper.make_model(one, opset_imports=model.opset_import, ir_version=model.ir_version)
    for value, array in zip(outputs, ReferenceEvaluator(alone).run(None, {}), strict=True):
        users = facts.users[value.name]
        index = any(user.op_type == "Gather" and user.input[1] == value.name for user in users)
        # A single place takes an axis away; numbers of all other nodes may have an axis.
        bare = exact or index
        stored = np.asarray(array, order="C") if bare else np.ascontiguousarray(array)
        yield numpy_helper.from_array(stored, value.name)


def _as_inferred(facts: GraphIndex, name: str) -> onnx.TensorProto:
    """A stored tensor; a number without axes, which is stored with one, has none here."""
    tensor = facts.weights[name]
    if tuple(tensor.dims) == (1,) and facts.shapes.get(name) == ():
        bare = onnx.TensorProto()
        bare.CopyFrom(tensor)
        del bare.dims[:]
        return bare
    return tensor


def _into_convolution(graph: onnx.GraphProto, norm: NodeProto) -> None:
    """Scale the kernels before a batch normalisation, where nothing else reads between them."""
    facts = GraphIndex(graph)
    conv = facts.makers.get(norm.input[0])
    parameters = [facts.constant(name) for name in norm.input[1:]]
    if conv is None or conv.op_type != "Conv" or len(facts.users[norm.input[0]]) != 1:
        return
    kernel, plain = facts.constant(conv.input[1]), norm.input[0] not in facts.outputs
    bias = facts.constant(conv.input[2]) if len(conv.input) > 2 else np.zeros(1)
    if kernel is None or bias is None or any(v is None for v in parameters) or not plain:
        return
    gain, shift, mean, variance = (np.asarray(value, np.float64) for value in parameters)
    factor = gain / np.sqrt(variance + attributes(norm).get("epsilon", 1e-5))
    scaled = kernel * factor.reshape(-1, *[1] * (kernel.ndim - 1))
    output, names = norm.output[0], [f"{norm.output[0]}_{part}" for part in ("kernel", "bias")]
    for name, array in zip(names, (scaled, shift + (bias - mean) * factor), strict=True):
        graph.initializer.append(numpy_helper.from_array(array.astype(np.float32), name))
    conv.input[:] = [conv.input[0], *names]
    conv.output[:] = [output]
    graph.node.remove(norm)


def _use_listed_operators(node: NodeProto, facts: GraphIndex) -> list[NodeProto]:
    """The node, or what says the same in operators that Metis lists."""
    given, name, output = attributes(node), node.name or node.output[0], node.output[0]
    before = facts.shapes.get(node.input[0], ()) if node.input else ()
    axes = sorted(axis % 4 for axis in given.get("axes", ()))
    if node.op_type == "ReduceMean" and len(before) == 4 and axes == [2, 3]:
        if given.get("keepdims", 1):
            return [helper.make_node("GlobalAveragePool", node.input, [output], name)]
        pooled = f"{output}_pooled"
        pool = helper.make_node("GlobalAveragePool", node.input, [pooled], name)
        return [pool, helper.make_node("Flatten", [pooled], [output], f"{name}_flat", axis=1)]
    flat = (1, math.prod(size for size in before[1:] if isinstance(size, int)))
    same = node.op_type in ("Reshape", "Squeeze") and facts.shapes.get(output) == flat
    if same and len(before) == 4 and before[0] == 1:
        return [helper.make_node("Flatten", node.input[:1], [output], name, axis=1)]
    return [node]


def _replace(graph: onnx.GraphProto, nodes: list[NodeProto]) -> None:
    del graph.node[:]
    graph.node.extend(nodes)
