"""VDSR (Kim et al. 2016): what a bicubic enlargement lacks, by a stack of 3 × 3 convolutions."""

import math
import re
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from shared.backend import weights
from shared.errors import StageError
from shared.sr.networks import folding

WIDTH, DEPTH = 64, 18  # published: 18 middle layers, 20 in all


@dataclass(frozen=True)
class Port:
    """How published weights name what we name as the first of them does.

    Attributes:
        first: first layer.
        middle: middle layers, with a place for their number.
        last: last layer.
        step: from one number to the next.
        relu: whether one follows the first layer.
    """

    first: str
    middle: str
    last: str
    step: int = 1
    relu: bool = True

    def rename(self, name: str) -> str:
        """A name of ours as this port has it."""
        layer, kind = name.rsplit(".", 1)
        number = re.search(r"\d+", layer)
        middle = self.middle.format(int(number[0]) * self.step if number else 0)
        return {"input": self.first, "output": self.last}.get(layer, middle) + "." + kind

    def middle_pattern(self) -> str:
        """Pattern of the middle layers, with a group for the number."""
        return re.escape(self.middle).replace(r"\{\}", r"(\d+)")


PORTS = (
    Port("input", "residual_layer.{}.conv", "output"),  # twtygqyy/pytorch-vdsr and its many copies
    Port("conv1.0", "trunk.{}.conv", "conv2"),  # Lornatang/VDSR-PyTorch
    Port("conv1", "conv_block.{}", "conv2", 2, relu=False),  # the same, release 1.0
)


class Layer(nn.Module):
    """A middle layer; `conv` is its name in published weights."""

    def __init__(self, width: int, bias: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(M, width, H, W) to the same."""
        return functional.relu(self.conv(x), inplace=True)


class VDSR(nn.Module):
    """Bicubic enlargement and a network that adds what it lacks; 664,704 parameters by default.

    The weights know no scale: a network trained for several serves each of them.

    Args:
        width: features of a layer.
        depth: middle layers.
        scale: factor on height and width.
        channels: of the images, in and out.
        bias: whether the convolutions have one; published weights have none.
        relu: whether one follows the first convolution.
    """

    def __init__(
        self, width: int = WIDTH, depth: int = DEPTH, scale: int = 2, channels: int = 1,
        bias: bool = False, relu: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.scale, self.relu = scale, relu
        self.input: nn.Module = nn.Conv2d(channels, width, 3, padding=1, bias=bias)
        self.residual_layer = nn.Sequential(*(Layer(width, bias) for _ in range(depth)))
        self.output: nn.Module = nn.Conv2d(width, channels, 3, padding=1, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(M, channels, H, W) in [0, 1] to (M, channels, scale * H, scale * W)."""
        large = resize_bicubic(x, self.scale)
        features = self.input(large)
        if self.relu:
            features = functional.relu(features, inplace=True)
        return large + self.output(self.residual_layer(features))


def resize_bicubic(x: torch.Tensor, scale: int) -> torch.Tensor:
    """Bicubic enlargement in float32 with Keys' kernel of a = -0.5.

    Published weights were trained on MATLAB's imresize, which has this kernel. torch has it only
    with `antialias`, which changes nothing else when enlarging (without, a is -0.75). The outermost
    two pixels differ from MATLAB's: it mirrors the image there, torch leaves out what is outside.
    """
    return functional.interpolate(x.float(), scale_factor=scale, mode="bicubic", antialias=True)


def load(path: Path, scale: int, channel: str) -> nn.Module:
    """The network of a file of weights, all its sizes read from it.

    Args:
        path: state dict with the names of one of `PORTS`.
        scale: factor on height and width; the weights do not say what they were trained for.
        channel: of a network of three, the one that is the band: "first", "mean" or "luma".

    Returns:
        (M, 1, H, W) in [0, 1] to (M, 1, scale * H, scale * W), for inference.

    Raises:
        StageError: says which keys are missing or extra, or of which shape.
    """
    tensors = weights.read(path)
    part = weights.main_part(tensors)
    port = next((port for port in PORTS if weights.length(part, port.middle_pattern())), PORTS[0])
    width, channels = weights.ends(part, port.first, port.last, WIDTH)
    if channels not in (1, 3):
        raise StageError(f"{path}: expected weights of 1 or 3 channels, found {channels}")
    depth = math.ceil(weights.length(part, port.middle_pattern()) / port.step)
    bias = any(name.endswith("bias") for name in part)
    network = VDSR(width, depth, scale, channels, bias, port.relu)
    weights.fit(path, network, tensors, "VDSR", port.rename)
    network.input = folding.fold_first(network.input, channels)
    network.output = folding.Float32(folding.fold_last(network.output, channel))
    return network
