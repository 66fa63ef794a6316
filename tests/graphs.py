"""Small ONNX graphs as text, and what onnxruntime says of them."""

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, parser

from shared import onnx_graphs
from shared.onnx_graphs.network import Network

SHAPE = (1, 2, 6, 4)  # of the picture: height and width differ


def network(
    text: str, opset: int = 17, shape: tuple[int, ...] = SHAPE, /, **stored: Any
) -> Network:
    """A graph from ``x`` to ``y``, its shapes inferred for as many pictures as the shape says.

    Args:
        text: one node a line, such as "y = Clip <max=6.0> (x)".
        opset: of the standard operators.
        shape: of ``x``.
        stored: tensors; numbers of Python become float32, and whole ones int64.
    """
    nodes = [parser.parse_node(line.strip()) for line in text.strip().splitlines()]
    for place, node in enumerate(nodes):
        node.name = f"{node.op_type}-{place}"
    tensors = [numpy_helper.from_array(_array(v), name) for name, v in stored.items()]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in "xy"]
    ends[0] = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    graph = helper.make_graph(nodes, "small", ends[:1], ends[1:], tensors)
    domains = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    made = Network(helper.make_model(graph, opset_imports=domains, ir_version=8))
    made.infer(shape[0])
    return made


def _array(values: Any) -> np.ndarray:
    array = np.asarray(values)
    return array.astype(np.float32) if array.dtype == np.float64 else array


def pictures(shape: tuple[int, ...] = SHAPE, seed: int = 0) -> np.ndarray:
    """Noise for ``x``."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def run(network: Network, images: np.ndarray | None = None, opset: int = 0) -> np.ndarray:
    """The output of a graph, read as one of another opset where that is given."""
    model = onnx.ModelProto()
    model.CopyFrom(network.model)
    if opset:
        model.opset_import[0].version = opset
    images = pictures() if images is None else images
    name = model.graph.input[0].name
    made: np.ndarray = onnx_graphs.open_session(model).run(None, {name: images})[0]
    return made


def kinds(network: Network) -> list[str]:
    """The operators, in the order of the nodes."""
    return [node.op_type for node in network.graph.node]
