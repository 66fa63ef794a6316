"""Plain files: constants stored, numbers in float32, and no nodes that do nothing."""

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from shared.onnx_graphs.network import Network
from shared.onnx_graphs.nodes import UnconvertibleError, all_nodes, attributes, call, entry, result

WIDE = (TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16)
TYPES = {"to": "Cast", "dtype": ""}  # attributes that name an element type
# Kept: they are no constants, or their folding would undo what a file is for.
KEPT = {
    "RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Multinomial",
    "Bernoulli", "DequantizeLinear", "QuantizeLinear", "If", "Loop", "Scan",
}  # fmt: skip
LARGEST = 2**22  # numbers in a tensor that folding may make


def store_constants(network: Network) -> None:
    """What hangs on constants alone becomes stored tensors; they are no inputs."""
    graph = network.graph
    for tensor in graph.sparse_initializer:
        raise UnconvertibleError(f"sparse tensor {tensor.values.name!r}: expected dense tensors")
    given = [value for value in graph.input if value.name not in network.weights]
    del graph.input[:]
    graph.input.extend(given)
    network.rewrite(lambda node: _fold(network, node))


def _fold(network: Network, node: NodeProto) -> list[NodeProto] | None:
    """Nothing instead of a node whose outputs are now stored; None where it has to stay."""
    names, standard = list(filter(None, node.input)), node.domain in ("", "ai.onnx")
    fixed = all(name in network.weights for name in names) and (names or node.op_type == "Constant")
    ends = network.output.name in node.output
    if not (fixed and standard) or ends or node.op_type in KEPT:
        return None
    values = _evaluate(network, node)
    size = sum(int(np.size(value)) for value in values)
    if not values or size > max(LARGEST, _size(network, names)):
        return None
    for name, value in zip(filter(None, node.output), values, strict=True):
        network.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
        network.weights[name] = network.graph.initializer[-1]
    return []


def _size(network: Network, names: list[str]) -> int:
    return max((int(np.prod(network.weights[name].dims)) for name in names), default=0)


def _evaluate(network: Network, node: NodeProto) -> list[np.ndarray]:
    """The outputs of one node without computed inputs; none where numpy cannot say."""
    outputs = [helper.make_empty_tensor_value_info(name) for name in node.output if name]
    weights = [network.weights[name] for name in dict.fromkeys(filter(None, node.input))]
    alone = helper.make_model(
        helper.make_graph([node], "one", [], outputs, weights),
        opset_imports=network.model.opset_import,
    )
    try:
        values = ReferenceEvaluator(alone).run(None, {})
    except Exception:  # operators and versions that the evaluator does not have
        return []
    whole = all(isinstance(value, np.ndarray | np.generic) for value in values)
    return [np.asarray(value) for value in values] if whole else []


def fold_sizes(network: Network, batch: int) -> None:
    """Sizes that are computed from the picture become constants, but for the number of pictures.

    Exporters compute where a chunk begins from the shape of what they cut, though that is known.

    Args:
        network: shapes are inferred for so many pictures.
        batch: how many.
    """
    while _fold_known_sizes(network):
        store_constants(network)
        network.infer(batch)


def _fold_known_sizes(network: Network) -> bool:
    """Store sizes that single nodes take from a known shape; whether there were any."""
    known: dict[str, np.ndarray] = {}
    for node in network.graph.node:
        shape = network.makers.get(entry(node)) if node.op_type == "Gather" else None
        if shape is None or shape.op_type != "Shape" or attributes(shape):
            continue
        sizes, places = network.shapes.get(entry(shape)), network.constant(node.input[1])
        if sizes is None or places is None or not (places % len(sizes)).all():  # 0: pictures
            continue
        taken = [sizes[int(place)] for place in places.ravel()]
        if None not in taken:
            known[result(node)] = np.array(taken, np.int64).reshape(places.shape)
    network.set_nodes([node for node in network.graph.node if result(node) not in known])
    for name, values in known.items():
        network.graph.initializer.append(numpy_helper.from_array(values, name))
    network.refresh()
    return bool(known)


def to_float32(network: Network) -> None:
    """Half and double precision to float32, everywhere.

    Raises:
        UnconvertibleError: a graph inside a node holds such numbers.
    """
    for tensor in network.graph.initializer:
        if tensor.data_type in WIDE:
            _widen(tensor)
    for node in network.graph.node:
        for item in node.attribute:
            if item.name in TYPES and item.i in WIDE:
                item.i = TensorProto.FLOAT
            elif item.type == onnx.AttributeProto.TENSOR and item.t.data_type in WIDE:
                _widen(item.t)
            elif item.type == onnx.AttributeProto.GRAPH and _is_wide(item.g):
                raise UnconvertibleError(f"{call(node)}: holds a graph that is not float32")
    for value in (network.input, network.output):
        value.type.tensor_type.elem_type = TensorProto.FLOAT
    del network.graph.value_info[:]
    network.refresh()


def _is_wide(graph: onnx.GraphProto) -> bool:
    kinds = [tensor.data_type for tensor in graph.initializer]
    for node in all_nodes(graph):
        kinds += [
            value.data_type for value in attributes(node).values() if isinstance(value, TensorProto)
        ]
        kinds += [item.i for item in node.attribute if item.name in TYPES]
    return any(kind in WIDE for kind in kinds)


def _widen(tensor: TensorProto) -> None:
    values = np.asarray(numpy_helper.to_array(tensor))
    with np.errstate(over="ignore"):  # what float32 cannot hold shows in the comparison
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float32), tensor.name))


def drop_idle(network: Network) -> None:
    """Without Identity, Dropout, and Cast from float32 to float32; element types are inferred."""
    for node in list(network.graph.node):
        same = node.op_type == "Cast" and attributes(node)["to"] == TensorProto.FLOAT
        same &= bool(node.input) and network.kinds.get(entry(node)) == TensorProto.FLOAT
        idle = node.op_type in ("Identity", "Dropout") or same
        if (
            idle
            and node.domain in ("", "ai.onnx")
            and not any(map(network.users.get, node.output[1:]))
        ):
            network.redirect(result(node), entry(node))
    network.drop_unused()
