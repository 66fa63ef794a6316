"""EDSR (Lim et al. 2017): residual blocks without normalisation, then a pixel shuffle."""

import math
import re
from functools import partial
from pathlib import Path

import torch
from torch import nn

from shared.backend import weights
from shared.errors import StageError
from shared.sr.networks import folding
from shared.sr.networks.tail import Tail

WIDTH, BLOCKS = 64, 16  # EDSR-base
WIDE = 256  # EDSR, whose residuals are scaled by 0.1
DIV2K = (0.4488, 0.4371, 0.4040)  # mean of the training images that most ports subtract
SHIFTS = ("sub_mean.weight", "sub_mean.bias", "add_mean.weight", "add_mean.bias")


class Block(nn.Module):
    """Two convolutions whose output is added to their input."""

    def __init__(self, width: int, residual: float) -> None:
        super().__init__()
        relu = nn.ReLU(inplace=True)
        self.body = nn.Sequential(convolution(width, width), relu, convolution(width, width))
        self.residual = residual

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(M, width, H, W) to the same."""
        return torch.add(x, self.body(x), alpha=self.residual)


class EDSR(nn.Module):
    """1,369,859 parameters at ×2 with three channels; names as in the original PyTorch port.

    Args:
        scale: factor on height and width, 3 or a power of 2.
        width: features of a layer.
        blocks: residual blocks.
        channels: of the images, in and out.
        residual: what the output of a block is multiplied by; by default the published 0.1 for
            networks as wide as EDSR, 1 for narrower ones like EDSR-base.
    """

    def __init__(
        self, scale: int, width: int = WIDTH, blocks: int = BLOCKS, channels: int = 1,
        residual: float | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.scale = scale
        factor = residual or (0.1 if width >= WIDE else 1.0)
        steps = [3] if scale == 3 else [2] * int(math.log2(scale))
        shuffles = [
            layer
            for s in steps
            for layer in (convolution(width, s * s * width), nn.PixelShuffle(s))
        ]
        self.head = nn.Sequential(convolution(channels, width))
        self.body = nn.Sequential(
            *(Block(width, factor) for _ in range(blocks)), convolution(width, width)
        )
        self.tail: nn.Module = nn.Sequential(nn.Sequential(*shuffles), convolution(width, channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(M, channels, H, W) in the unit of the weights to (M, channels, scale * H, scale * W)."""
        features = self.head(x)
        return self.tail(self.body(features) + features)


def convolution(inputs: int, outputs: int) -> nn.Conv2d:
    """3 × 3, same size."""
    return nn.Conv2d(inputs, outputs, 3, padding=1)


@torch.inference_mode(False)  # the tail is read off gradients
def load(
    path: Path, scale: int, channel: str, inputs: str = "file", residual: float | None = None
) -> nn.Module:
    """The network of a file of weights, all its sizes read from it.

    Args:
        path: state dict of the original PyTorch port, torchSR or super-image (`head.0.weight`,
            `body.0.body.0.weight` …, `tail.1.weight`) or of BasicSR (`conv_first.weight`,
            `body.0.conv1.weight` …, `conv_last.weight`).
        scale: factor on height and width; must be that of the weights.
        channel: of a network of three, the one that is the band: "first", "mean" or "luma".
        inputs: what the network was trained on. "file": as its layout has it, three channels in
            0 … 255 less the DIV2K mean, or one in 0 … 1. "unit": 0 … 1, no mean, as super-image
            does, whose files hold the shift of the original port and do not use it.
        residual: as for `EDSR`.

    Returns:
        (M, 1, H, W) in [0, 1] to (M, 1, scale * H, scale * W), for inference.

    Raises:
        StageError: says which keys are missing or extra, or of which shape; another scale.
    """
    tensors = weights.read(path)
    part = weights.main_part(tensors)
    basic = "conv_first.weight" in part or "conv_last.weight" in part
    blocks = weights.length(part, r"body\.(\d+)\.(?:body|conv)")
    rename = partial(basicsr_name, blocks=blocks) if basic else str
    width, channels = weights.ends(part, rename("head.0"), rename("tail.1"), WIDTH)
    if channels not in (1, 3):
        raise StageError(f"{path}: expected weights of 1 or 3 channels, found {channels}")
    stored = read_scale(part, rename("tail.0."), width) or scale
    gain = read_shift(path, tensors) if channels == 3 else None
    network = EDSR(stored, width, blocks, channels, residual)
    weights.fit(path, network, tensors, "EDSR", rename)
    if stored != scale:
        raise StageError(f"{path}: expected weights of --scale {scale}, found scale {stored}")
    return fold(network, channel, None if inputs == "unit" else gain)


def basicsr_name(name: str, blocks: int) -> str:
    """A name of ours as BasicSR names it."""
    for ours, theirs in (
        (r"head\.0", "conv_first"), (rf"body\.{blocks}\.", "conv_after_body."),
        (r"(body\.\d+)\.body\.0", r"\1.conv1"), (r"(body\.\d+)\.body\.2", r"\1.conv2"),
        (r"tail\.0", "upsample"), (r"tail\.1", "conv_last"),
    ):  # fmt: skip
        name = re.sub("^" + ours, theirs, name)
    return name


def read_scale(tensors: weights.Tensors, steps: str, width: int) -> int | None:
    """Scale by the convolutions before the pixel shuffles; None where there are none."""
    outputs = [weights.size(tensors, f"{steps}{i}", 0, 0) for i in (0, 2, 4)]
    factors = [math.isqrt(count // width) for count in outputs if count >= width]
    return math.prod(factors) if factors else None


def read_shift(path: Path, tensors: weights.Tensors) -> float:
    """Largest value of the images that a network of three channels knows; its shift is taken out.

    Such a network subtracts the DIV2K mean from its images and adds it again. BasicSR does so in
    0 … 255 and its files do not say it.

    Raises:
        StageError: another shift, or a part of it.
    """
    missing = [name for name in SHIFTS if name not in tensors]
    if len(missing) == len(SHIFTS):
        return 255.0
    if missing:
        raise StageError(f"{path}: not EDSR weights: missing: {', '.join(missing)}")
    eye, less, also, more = (tensors.pop(name).float().squeeze() for name in SHIFTS)
    gain = float(round(-float(less.sum()) / sum(DIV2K)))
    one, mean = torch.eye(3), gain * torch.tensor(DIV2K)
    pairs = ((eye, one), (also, one), (less, -mean), (more, mean))
    if not all(a.shape == b.shape and torch.allclose(a, b, rtol=1e-3) for a, b in pairs):
        raise StageError(f"{path}: sub_mean, add_mean: expected {DIV2K}, the DIV2K mean, times "
                         f"the largest value of an image, found {less.tolist()}")  # fmt: skip
    return gain


@torch.no_grad()
def fold(network: EDSR, channel: str, gain: float | None) -> EDSR:
    """The network for one band in [0, 1]: copies, choice of channel, range and mean go inside.

    The tail becomes one convolution. The first layer, and so the sum that all blocks add to, stays
    in float32 under autocast: that halves the error of bfloat16 for a twentieth of the time.

    Args:
        network: for images in 0 … ``gain`` less the DIV2K mean; None: in [0, 1] as they are.
        channel: "first", "mean" or "luma".
        gain: largest value of an image.
    """
    head, last, mean = network.head[0], network.tail[1], DIV2K if gain else None
    head.weight *= gain or 1
    last.weight /= gain or 1
    last.bias /= gain or 1
    network.head[0] = folding.Float32(folding.fold_first(head, head.in_channels, mean))
    network.tail[1] = folding.fold_last(last, channel, mean=mean)
    network.tail = Tail(network.tail, last.in_channels, network.scale)
    return network
