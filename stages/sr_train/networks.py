"""Networks to train, with the parameter names of their published weights."""

import warnings

import torch
from spandrel.architectures.SwinIR import SwinIR
from torch import nn

from shared.errors import StageError

warnings.filterwarnings("ignore", "torch.meshgrid")  # spandrel calls it in the old way
UPSAMPLERS = ("pixelshuffle", "pixelshuffledirect")


def build(
    architecture: str,
    *,
    scale: int,
    width: int,
    depth: tuple[int, ...],
    heads: int,
    window: int,
    upsampler: str,
) -> nn.Module:
    """An untrained network of one band in and out; its random numbers come from torch's generator.

    Raises:
        StageError: no such architecture, numbers that do not go together.
    """
    if architecture != "swinir":
        raise StageError(f"--architecture: expected swinir, found {architecture!r}")
    if upsampler not in UPSAMPLERS:
        raise StageError(f"--upsampler: expected one of {UPSAMPLERS}, found {upsampler!r}")
    if heads < 1 or width < 1 or width % heads:
        raise StageError(f"--width: expected a multiple of --heads {heads}, found {width}")
    if window < 2 or not depth or min(depth) < 1:
        raise StageError(f"--window, --depth: expected at least 2 and 1, found {window}, {depth}")
    network = SwinIR(
        img_size=64, in_chans=1, embed_dim=width, depths=list(depth),
        num_heads=[heads] * len(depth), window_size=window, mlp_ratio=2.0,
        drop_path_rate=0.0, upscale=scale, upsampler=upsampler,
    )  # fmt: skip
    _interpolate(network)
    return network


@torch.no_grad()
def _interpolate(network: SwinIR) -> None:
    """Start as bilinear interpolation plus a little noise: a short training need not learn that.

    The first of the features carries the image through all convolutions outside the blocks.
    """
    _carry(network.conv_first)
    network.conv_after_body.weight.zero_()
    network.conv_after_body.bias.zero_()
    if network.upsampler == "pixelshuffle":
        _carry(network.conv_before_upsample[0])
        _carry(network.conv_last, noise=0.1)
    steps = list(network.upsample)
    for convolution, shuffle in zip(steps[::2], steps[1::2], strict=True):
        kernels = bilinear(shuffle.upscale_factor)
        convolution.weight *= 0.1
        convolution.bias.zero_()
        convolution.weight[: len(kernels)] *= 0.1
        convolution.weight[: len(kernels), 0] = kernels


def _carry(convolution: nn.Conv2d, noise: float = 1.0) -> None:
    convolution.weight *= noise
    convolution.weight[0] = 0
    convolution.weight[0, 0, 1, 1] = 1
    convolution.bias.zero_()


def bilinear(factor: int) -> torch.Tensor:
    """(factor ** 2, 3, 3) bilinear kernels, one for each place of a pixel shuffle."""
    offset = (torch.arange(factor) + 0.5) / factor - 0.5
    taps = torch.stack([(-offset).clamp(min=0), 1 - offset.abs(), offset.clamp(min=0)], 1)
    return torch.einsum("iy,jx->ijyx", taps, taps).reshape(-1, 3, 3)
