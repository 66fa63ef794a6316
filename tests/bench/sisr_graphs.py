"""Networks in the shapes of CARN and ESRGAN's generator, with random weights, made without torch.

Both add to an enlargement of their input what random convolutions say, scaled to some hundred
digital numbers, so that a difference between two ways of running them would show.
"""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

PER_UNIT, DETAIL = 10_000.0, 0.03  # of reflectance; what the network adds, in reflectance


class Builder:
    """Nodes and tensors of a graph, in order."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.tensors: list[onnx.TensorProto] = []
        self.rng = np.random.default_rng(0)

    def constant(self, values: NDArray[Any]) -> str:
        """A tensor; its name."""
        name = f"c{len(self.tensors)}"
        self.tensors.append(numpy_helper.from_array(values, name))
        return name

    def add(self, kind: str, *inputs: str, **attributes: object) -> str:
        """A node; the name of its output."""
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def draw(
        self, before: int, behind: int, side: int = 3, groups: int = 1, gain: float = 1.0
    ) -> tuple[str, str]:
        """Weights that multiply the size of values by `gain`, about, and a bias."""
        shape = (behind, before // groups, side, side)
        spread = gain * np.sqrt(2 / (shape[1] * side * side))
        weights = (self.rng.standard_normal(shape) * spread).astype(np.float32)
        return self.constant(weights), self.constant(np.zeros(behind, np.float32))

    def convolve(self, x: str, weights: tuple[str, str], side: int = 3, groups: int = 1) -> str:
        """With mirrored edges, as both networks have them."""
        if side == 3:
            pads = self.constant(np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64))
            x = self.add("Pad", x, pads, mode="reflect")
        return self.add("Conv", x, *weights, kernel_shape=[side, side], group=groups)

    def rectify(self, x: str) -> str:
        """Leaky ReLU."""
        return self.add("LeakyRelu", x, alpha=0.2)

    def scale(self, x: str, factor: float) -> str:
        """Times a number."""
        return self.add("Mul", x, self.constant(np.array(factor, np.float32)))

    def finish(self, made: str, bands: int, factor: int) -> onnx.ModelProto:
        """The model: an enlargement of the input, and what was made of it."""
        eye = np.repeat(np.eye(bands), factor**2, 0)[..., None, None].astype(np.float32)
        many = self.add("Conv", "input", self.constant(eye))
        large = self.add("DepthToSpace", many, blocksize=factor, mode="CRD")
        self.add("Add", large, self.scale(made, PER_UNIT * DETAIL))
        self.nodes[-1].output[0] = "output"
        ends = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["b", bands, *sides])
            for name, sides in (("input", "hw"), ("output", "HW"))
        ]
        graph = helper.make_graph(self.nodes, "network", ends[:1], ends[1:], self.tensors)
        opset = [helper.make_opsetid("", 17)]
        return helper.make_model(graph, opset_imports=opset, ir_version=8)


def carn(bands: int, factor: int = 2, features: int = 64, groups: int = 4) -> onnx.ModelProto:
    """CARN 3x3x64g4sw: 2,492,298 parameters for ten bands."""
    net, width = Builder(), features * factor**2
    x = net.convolve(net.scale("input", 1 / PER_UNIT), net.draw(bands, width))
    total = x
    for _ in range(3):
        grouped = [net.draw(width, width, 3, groups) for _ in range(2)]
        single = net.draw(width, width, 1, gain=0.3)
        mixed = inner = x
        for _ in range(3):
            y = mixed
            for weights in grouped:
                y = net.rectify(net.convolve(y, weights, groups=groups))
            y = net.rectify(net.add("Add", net.convolve(y, single, 1), mixed))
            inner = net.add("Add", inner, y)
            mixed = net.convolve(inner, net.draw(width, width, 1, gain=0.5), 1)
        total = net.add("Add", total, mixed)
        x = net.convolve(total, net.draw(width, width, 1, gain=0.5), 1)
    x = net.add("DepthToSpace", net.convolve(x, net.draw(width, width)), blocksize=factor)
    return net.finish(net.convolve(x, net.draw(features, bands)), bands, factor)


def esrgan(bands: int, depth: int = 6, latent: int = 64, growth: int = 32) -> onnx.ModelProto:
    """ESRGAN's generator, x2: 4,432,004 parameters for four bands and six blocks."""
    net = Builder()
    x = first = net.convolve(net.scale("input", 1 / PER_UNIT), net.draw(bands, latent))
    for _ in range(depth):
        outer = x
        for _ in range(3):
            parts = [x]
            for place in range(5):
                seen = net.add("Concat", *parts, axis=1) if place else x
                made = latent if place == 4 else growth
                weights = net.draw(latent + place * growth, made)
                parts.append(net.rectify(net.convolve(seen, weights)))
            x = net.add("Add", net.scale(parts[-1], 0.2), x)
        x = net.add("Add", net.scale(x, 0.2), outer)
    x = net.add("Add", net.convolve(x, net.draw(latent, latent)), first)
    twice = net.constant(np.array([1, 1, 2, 2], np.float32))
    x = net.add("Resize", x, "", twice, mode="nearest", nearest_mode="floor",
                coordinate_transformation_mode="asymmetric")  # fmt: skip
    for _ in range(2):
        x = net.rectify(net.convolve(x, net.draw(latent, latent)))
    return net.finish(net.convolve(x, net.draw(latent, bands)), bands, 2)
