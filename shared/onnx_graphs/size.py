"""How large a graph is: parameters, and multiplications with their additions for one row."""

import math
from collections.abc import Mapping

import onnx
from onnx import NodeProto

from shared.onnx_graphs.network import Network
from shared.onnx_graphs.nodes import UnconvertibleError, result
from shared.onnx_graphs.rewriting import BORDER

STATISTICS = {"BatchNormalization": (3, 4)}  # inputs that are measured, not learned
KINDS = {onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE}


def count_cost(model: onnx.ModelProto) -> tuple[int, int]:
    """Parameters of a network and its MACs for one row, as the graph says them.

    A MAC is one multiplication with its addition; those of convolutions and matrix products are
    counted, as papers do. Parameters are the stored tensors of floating point with more than one
    number, without the means and variances of batch normalisations.

    Args:
        model: one input whose first axis is that of the rows.

    Returns:
        Both numbers; MACs are 0 where the shapes are not known.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    network = Network(copy)
    measured = {
        name
        for node in network.graph.node
        for place, name in enumerate(node.input)
        if place in STATISTICS.get(node.op_type, ())
    }
    counted = [
        math.prod(tensor.dims)
        for tensor in network.graph.initializer
        if tensor.data_type in KINDS
        and tensor.name not in measured
        and not tensor.name.endswith(BORDER)
    ]
    parameters = sum(count for count in counted if count > 1)
    try:
        network.infer(1)
        return parameters, sum(count_macs(node, network.shapes) for node in network.graph.node)
    except UnconvertibleError:
        return parameters, 0


def count_macs(node: NodeProto, known: Mapping[str, tuple[int | str | None, ...]]) -> int:
    """MACs of one node; 0 for operators that multiply no matrices, or of unknown sizes.

    Args:
        node: of a graph.
        known: sizes of its tensors by name; a size that is no number is not known.
    """
    if node.op_type not in ("Conv", "ConvTranspose", "Gemm", "MatMul"):
        return 0
    shapes = [known.get(name, (None,)) for name in (*node.input[:2], result(node))]
    first, second, made = ([size for size in s if isinstance(size, int)] for s in shapes)
    if [len(first), len(second), len(made)] != [len(shape) for shape in shapes]:
        return 0
    if node.op_type == "Conv":
        return math.prod(made) * math.prod(second[1:])
    if node.op_type == "ConvTranspose":
        return math.prod(first) * math.prod(second[1:])
    turned = any(item.name == "transA" and item.i for item in node.attribute)
    return math.prod(made) * (first[0] if turned else first[-1])
