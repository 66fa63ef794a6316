"""Networks of the sizes that maps are made with, untrained, and what their windows can share."""

from math import gcd
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime import quantization

CLASSES = 17
STAGES20 = ((16, 64, 1), (64, 128, 2), (128, 256, 2))  # width, output, stride of So2Sat's ResNet20
STAGES18 = ((64, 1), (128, 2), (256, 2), (512, 2))


class Builder:
    """A graph with one chain of tensors, weights drawn from a seed."""

    def __init__(self, seed: int = 0) -> None:
        self.rng, self.count = np.random.default_rng(seed), 0
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def add(self, kind: str, inputs: list[str], **settings: object) -> str:
        """Name of the output of a new node."""
        self.count += 1
        name = f"t{self.count}"
        self.nodes.append(helper.make_node(kind, inputs, [name], f"n{self.count}", **settings))
        return name

    def weight(self, values: NDArray[np.floating]) -> str:
        """Name of a new constant."""
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name

    def conv(self, x: str, inside: int, outside: int, side: int, stride: int = 1) -> str:
        """A convolution with He's weights."""
        spread = np.sqrt(2 / (inside * side**2))
        kernel = spread * self.rng.standard_normal((outside, inside, side, side))
        pads = [side // 2] * 4
        names = [x, self.weight(kernel), self.weight(np.zeros(outside))]
        return self.add("Conv", names, kernel_shape=[side] * 2, strides=[stride] * 2, pads=pads)

    def norm(self, x: str, channels: int, relu: bool = True) -> str:
        """Batch normalisation, with a ReLU behind."""
        values = [self.rng.uniform(0.8, 1.2, channels), self.rng.normal(0, 0.1, channels)]
        values += [self.rng.normal(0, 0.1, channels), self.rng.uniform(0.8, 1.2, channels)]
        names = [x, *map(self.weight, values)]
        made = self.add("BatchNormalization", names, epsilon=1e-3)
        return self.add("Relu", [made]) if relu else made

    def finish(self, x: str, channels: int, bands: int, size: int) -> onnx.ModelProto:
        """Pooling and classifier behind, and the whole graph."""
        flat = self.add("Flatten", [self.add("GlobalAveragePool", [x])])
        matrix = self.weight(0.3 * self.rng.standard_normal((channels, CLASSES)))
        last = helper.make_node(
            "Gemm", [flat, matrix, self.weight(np.zeros(CLASSES))], ["logits"], "g"
        )
        shapes = (("image", ["batch", bands, size, size]), ("logits", ["batch", CLASSES]))
        ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in shapes]
        graph = helper.make_graph([*self.nodes, last], "net", ends[:1], ends[1:], self.weights)
        opsets = [helper.make_opsetid("", 17)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def resnet20(bands: int = 10, size: int = 32) -> onnx.ModelProto:
    """So2Sat's: two bottlenecks a stage, normalisation before each convolution but the second."""
    net = Builder()
    x, channels = net.norm(net.conv("image", bands, 16, 3), 16), 16
    for number, (width, out, stride) in enumerate(STAGES20):
        for block in range(2):
            step, before = stride if not block else 1, x
            y = x if not (number or block) else net.norm(x, channels)
            y = net.conv(y, channels, width, 1, step)
            y = net.conv(net.norm(y, width), width, width, 3)
            y = net.conv(net.norm(y, width), width, out, 1)
            before = before if block else net.conv(before, channels, out, 1, step)
            x, channels = net.add("Add", [before, y]), out
    return net.finish(net.norm(x, channels), channels, bands, size)


def resnet18(bands: int = 10, size: int = 32) -> onnx.ModelProto:
    """The usual one, 7 x 7 stem and pooling, as published students."""
    net = Builder()
    x = net.norm(net.conv("image", bands, 64, 7, 2), 64)
    x = net.add("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    channels = 64
    for out, stride in STAGES18:
        for block in range(2):
            step = stride if not block else 1
            y = net.norm(net.conv(x, channels, out, 3, step), out)
            y = net.norm(net.conv(y, out, out, 3), out, relu=False)
            if channels != out:
                x = net.norm(net.conv(x, channels, out, 1, step), out, relu=False)
            x, channels = net.add("Relu", [net.add("Add", [x, y])]), out
    return net.finish(x, channels, bands, size)


class Rows(quantization.CalibrationDataReader):
    """Pictures for the ranges of activations."""

    def __init__(self, images: NDArray[np.float32]) -> None:
        self.rows = iter(images[:, None])

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """The next picture."""
        row = next(self.rows, None)
        return None if row is None else {"image": row}


def quantise(source: Path, target: Path, images: NDArray[np.float32]) -> None:
    """INT8 with ranges from these (N, C, S, S) pictures, as export writes it: QDQ, by channel."""
    ready = source.with_suffix(".ready.onnx")
    options = onnxruntime.SessionOptions()  # normalisation goes into the convolutions first
    options.optimized_model_filepath = str(ready)
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    quantization.quantize_static(
        ready, target, Rows(images), quant_format=quantization.QuantFormat.QDQ, per_channel=True,
        activation_type=quantization.QuantType.QInt8, weight_type=quantization.QuantType.QInt8,
    )  # fmt: skip


def count_shared(step: int, side: int = 32, bands: int = 10) -> tuple[int, int]:
    """Multiplications of ResNet20 for one window: alone, and where windows share all they can.

    What a convolution says within reach of a window's zero padding differs from window to window.
    The rest is the same wherever windows overlap, and need be computed once per place; with
    strides, the places of windows `step` pixels apart lie on a finer grid than one window's.
    """
    alone = together = 0
    first, last, stride = 0, side, 1  # places that no padding reaches, in units of `stride` pixels

    def layer(weights: int) -> None:
        nonlocal alone, together
        places, same = (side // stride) ** 2, max(0, last - first) ** 2
        dense = (step // gcd(step, stride)) ** 2
        alone += weights * places
        together += weights * (places - same + min(same, dense))

    def three(weights: int) -> None:
        nonlocal first, last
        first, last = first + 1, last - 1
        layer(weights)

    three(9 * bands * 16)
    channels = 16
    for width, out, factor in STAGES20:
        for block in range(2):
            if factor == 2 and not block:
                stride, first, last = 2 * stride, -(-first // 2), -(-last // 2)
            layer(channels * width)
            if not block:
                layer(channels * out)
            three(9 * width * width)
            layer(width * out)
            channels = out
    return alone, together
