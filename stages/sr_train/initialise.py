"""Networks that start as interpolation: a short training need not learn to enlarge first.

The first features carry the bands, one each, through all layers outside the residual blocks, whose
last convolution starts at zero; the other features join in with a little noise.
"""

from collections.abc import Sequence

import torch
from torch import nn


def bilinear(factor: int) -> torch.Tensor:
    """(factor ** 2, 3, 3) bilinear kernels, one for each place of a pixel shuffle."""
    offset = (torch.arange(factor) + 0.5) / factor - 0.5
    taps = torch.stack([(-offset).clamp(min=0), 1 - offset.abs(), offset.clamp(min=0)], 1)
    return torch.einsum("iy,jx->ijyx", taps, taps).reshape(-1, 3, 3)


@torch.no_grad()
def zero(*convolutions: nn.Conv2d) -> None:
    """Convolutions that give nothing yet; those before them learn once they do."""
    for convolution in convolutions:
        convolution.weight.zero_()
        if convolution.bias is not None:
            convolution.bias.zero_()


@torch.no_grad()
def pass_through(
    convolution: nn.Conv2d, bands: int = 1, *, noise: float = 1.0,
    kernel: Sequence[float] = (0, 1, 0),
) -> None:  # fmt: skip
    """The first features go on as they are, or smoothed by a kernel along rows and columns."""
    taps = torch.tensor(kernel)
    convolution.weight *= noise
    convolution.weight[:bands] = 0
    for band in range(bands):
        convolution.weight[band, band] = taps[:, None] * taps
    if convolution.bias is not None:
        convolution.bias.zero_()


@torch.no_grad()
def bilinear_shuffles(layers: nn.Sequential) -> None:
    """The first feature comes out of each pixel shuffle as its bilinear interpolation."""
    steps = list(layers)
    for convolution, shuffle in zip(steps[::2], steps[1::2], strict=True):
        kernels = bilinear(shuffle.upscale_factor)
        convolution.weight *= 0.1
        convolution.weight[: len(kernels)] = 0
        convolution.weight[: len(kernels), 0] = kernels
        convolution.bias.zero_()


def bilinear_repeat(convolution: nn.Conv2d, bands: int) -> None:
    """After each pixel is repeated 2 × 2, (1, 2, 1) / 4 both ways makes that bilinear."""
    pass_through(convolution, bands, kernel=(0.25, 0.5, 0.25))
