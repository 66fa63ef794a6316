"""A network of a Keras file as ONNX in the form of our own: channels first, any batch, logits.

A batch norm behind a convolution goes into its weights; those behind an addition stay. The softmax
is left out. Of "same" padding TensorFlow's and ONNX's agree here: only 1 x 1 convolutions have a
stride of 2, and those take every other pixel from the first one on and pad nothing.
"""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from shared.keras_files.network import Block, Convolution, Network, Norm

OPSET, IR_VERSION = 17, 8
IMAGE, LOGITS = "image", "logits"


def to_onnx(network: Network) -> onnx.ModelProto:
    """`image` (batch, C, S, S) reflectance to `logits` (batch, K); the same bytes on every run."""
    graph = _Graph()
    flow = graph.convolve(IMAGE, network.stem, network.stem_norm)
    for block in network.blocks:
        flow = _add_block(graph, flow, block)
    flow = graph.rectify(graph.normalise(flow, network.last_norm))
    flow = graph.add("Flatten", [graph.add("GlobalAveragePool", [flow], "mean")], "features")
    weight = graph.store("dense.weight", network.kernel.T)
    bias = graph.store("dense.bias", network.bias)
    graph.add("Gemm", [flow, weight, bias], LOGITS, transB=1)
    side, float32 = network.size, TensorProto.FLOAT
    image = helper.make_tensor_value_info(IMAGE, float32, ["batch", network.channels, side, side])
    logits = helper.make_tensor_value_info(LOGITS, float32, ["batch", network.classes])
    made = helper.make_graph(graph.nodes, network.architecture, [image], [logits], graph.tensors)
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(
        made, opset_imports=opsets, ir_version=IR_VERSION, producer_name="lcz42-edge"
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def _add_block(graph: "_Graph", flow: str, block: Block) -> str:
    first, second, third = block.convolutions
    before, *behind = block.norms
    inner = graph.rectify(graph.normalise(flow, before)) if before else flow
    inner = graph.convolve(inner, first, behind[0])
    inner = graph.convolve(inner, second, behind[1])
    inner = graph.convolve(inner, third, None)
    beside = graph.convolve(flow, block.projection, None) if block.projection else flow
    return graph.add("Add", [beside, inner], f"{third.name}.sum")


class _Graph:
    """Nodes and stored tensors, each node named by what it writes."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.tensors: list[onnx.TensorProto] = []

    def add(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """A node; the name of its output."""
        self.nodes.append(helper.make_node(kind, inputs, [output], output, **attributes))
        return output

    def store(self, name: str, values: NDArray[np.floating]) -> str:
        """A stored tensor; its name."""
        array = np.ascontiguousarray(values, np.float32)
        self.tensors.append(numpy_helper.from_array(array, name))
        return name

    def convolve(self, flow: str, layer: Convolution, norm: Norm | None) -> str:
        """A convolution; a batch norm behind it goes into its weights, and then ReLU follows."""
        kernel, bias = layer.kernel.astype(np.float64), layer.bias.astype(np.float64)
        if norm:
            scale = norm.gamma / np.sqrt(norm.variance.astype(np.float64) + norm.epsilon)
            kernel, bias = kernel * scale, (bias - norm.mean) * scale + norm.beta
        weight = self.store(f"{layer.name}.weight", kernel.transpose(3, 2, 0, 1))
        shift, side = self.store(f"{layer.name}.bias", bias), layer.kernel.shape[0]
        made = self.add(
            "Conv", [flow, weight, shift], layer.name, kernel_shape=[side, side],
            strides=[layer.stride] * 2, pads=[side // 2] * 4,
        )  # fmt: skip
        return self.rectify(made) if norm else made

    def normalise(self, flow: str, norm: Norm) -> str:
        """A batch norm of its own."""
        parts = {"scale": norm.gamma, "shift": norm.beta, "mean": norm.mean, "var": norm.variance}
        stored = [self.store(f"{norm.name}.{part}", values) for part, values in parts.items()]
        return self.add("BatchNormalization", [flow, *stored], norm.name, epsilon=norm.epsilon)

    def rectify(self, flow: str) -> str:
        """ReLU."""
        return self.add("Relu", [flow], f"{flow}.relu")
