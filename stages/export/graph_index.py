"""What the nodes of an ONNX graph are connected to: shapes, constants, who makes and who uses."""

import collections
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

Shape = tuple[int | str, ...]


def shape_of(value: onnx.ValueInfoProto) -> Shape:
    """Sizes of a tensor; the name of an axis, or "?", where its size is not known."""
    dims = value.type.tensor_type.shape.dim
    return tuple(dim.dim_value or dim.dim_param or "?" for dim in dims)


def opset_version(model: onnx.ModelProto) -> int:
    """Opset of the default domain; 0 when there is none."""
    return next((item.version for item in model.opset_import if item.domain in ("", "ai.onnx")), 0)


def inputs(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    """Inputs of a graph that are not weights."""
    weights = {tensor.name for tensor in graph.initializer}
    return [value for value in graph.input if value.name not in weights]


def attributes(node: NodeProto) -> dict[str, Any]:
    """Attributes of a node as plain Python values; texts as str."""
    values = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    return {k: v.decode() if isinstance(v, bytes) else v for k, v in values.items()}


def is_depthwise(node: NodeProto, index: "GraphIndex") -> bool:
    """Whether a node is a convolution of each channel on its own."""
    if node.op_type != "Conv":
        return False
    shape = index.shapes.get(node.input[1], ())
    return bool(shape) and shape[1] == 1 and attributes(node).get("group", 1) > 1


class GraphIndex:
    """Look-ups by tensor name in a graph whose shapes are inferred.

    Attributes:
        shapes: sizes of inputs, outputs, weights and what shape inference found.
        weights: stored tensors.
        users: nodes that read a tensor.
        makers: the node that writes a tensor.
        outputs: names of the graph's outputs.
    """

    def __init__(self, graph: onnx.GraphProto) -> None:
        known = (*graph.value_info, *graph.input, *graph.output)
        self.shapes: dict[str, Shape] = {value.name: shape_of(value) for value in known}
        self.weights = {tensor.name: tensor for tensor in graph.initializer}
        self.shapes |= {name: tuple(tensor.dims) for name, tensor in self.weights.items()}
        self.users: dict[str, list[NodeProto]] = collections.defaultdict(list)
        self.makers: dict[str, NodeProto] = {}
        for node in graph.node:
            self.makers |= dict.fromkeys(node.output, node)
            for name in node.input:
                self.users[name].append(node)
        self.outputs = {value.name for value in graph.output}

    def constant(self, name: str) -> NDArray[Any] | None:
        """Values of a stored tensor or of a Constant node; None for all else."""
        tensor, maker = self.weights.get(name), self.makers.get(name)
        if tensor is None and maker is not None and maker.op_type == "Constant":
            tensor = attributes(maker).get("value")
        if not isinstance(tensor, TensorProto) or tensor.data_location == TensorProto.EXTERNAL:
            return None
        return np.asarray(numpy_helper.to_array(tensor))
