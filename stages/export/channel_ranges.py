"""Inputs of depthwise convolutions on a grid of their own per channel, in the QDQ form."""

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, helper, numpy_helper

from shared.int8 import Range
from stages.export.graph_index import GraphIndex, attributes

AXIS = 1  # of the channels


def split_depthwise_inputs(network: onnx.ModelProto, ranges: dict[str, Range]) -> None:
    """Give each depthwise convolution an own pair of Quantize and Dequantize, in place.

    Args:
        network: QDQ form, weights and activations per tensor.
        ranges: by name of the tensor; those of one range per channel count.
    """
    graph, index = network.graph, GraphIndex(network.graph)
    nodes: list[NodeProto] = []
    for node in graph.node:
        tensor = _quantised_input(node, index)
        if tensor in ranges and ranges[tensor].low.ndim and attributes(node).get("group", 1) > 1:
            nodes += round_tensor(graph, tensor, f"{node.name}_{tensor}", ranges[tensor])
            node.input[0] = nodes[-1].output[0]
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    _drop_unused(graph)


def round_tensor(graph: onnx.GraphProto, tensor: str, name: str, values: Range) -> list[NodeProto]:
    """Nodes that put a tensor on its grid; the last one makes it.

    With a grid per channel the scales are a division before and a product behind: onnxruntime takes
    pairs of Quantize and Dequantize for those of one scale and fails on others.

    Args:
        graph: gets the constants; the nodes are for the caller to place.
        tensor: what is quantised, (N, C, H, W) where there is a range per channel.
        name: of the nodes, not used before.
        values: one range, or one per channel.
    """
    scale, zero = values.grid()
    zero_name, levels, made = _store(graph, f"{name}_zero", zero), f"{name}_levels", f"{name}_made"
    if not scale.ndim:
        given = [_store(graph, f"{name}_scale", scale), zero_name]
        return [
            helper.make_node("QuantizeLinear", [tensor, *given], [levels], f"{name}_q"),
            helper.make_node("DequantizeLinear", [levels, *given], [made], f"{name}_dq"),
        ]
    ones = _store(graph, f"{name}_ones", np.ones_like(scale))
    width = _store(graph, f"{name}_scale", scale[:, None, None])
    steps, units, given = f"{name}_steps", f"{name}_units", [ones, zero_name]
    return [
        helper.make_node("Div", [tensor, width], [steps], f"{name}_div"),
        helper.make_node("QuantizeLinear", [steps, *given], [levels], f"{name}_q", axis=AXIS),
        helper.make_node("DequantizeLinear", [levels, *given], [units], f"{name}_dq", axis=AXIS),
        helper.make_node("Mul", [units, width], [made], f"{name}_mul"),
    ]


def _store(graph: onnx.GraphProto, name: str, values: NDArray[np.generic]) -> str:
    graph.initializer.append(numpy_helper.from_array(np.asarray(values), name))
    return name


def _quantised_input(node: NodeProto, index: GraphIndex) -> str:
    """Tensor whose quantised form a convolution reads; "" for all else."""
    back = index.makers.get(node.input[0]) if node.op_type == "Conv" else None
    if back is None or back.op_type != "DequantizeLinear":
        return ""
    forth = index.makers.get(back.input[0])
    return forth.input[0] if forth is not None and forth.op_type == "QuantizeLinear" else ""


def _drop_unused(graph: onnx.GraphProto) -> None:
    """Take out nodes and constants that nothing reads."""
    outputs, kept = {value.name for value in graph.output}, list(graph.node)
    while True:
        read = outputs | {name for node in kept for name in node.input}
        used = [node for node in kept if read & set(node.output)]
        if len(used) == len(kept):
            break
        kept = used
    constants = [tensor for tensor in graph.initializer if tensor.name in read]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(kept)
    graph.initializer.extend(constants)
