"""What the networks have in common: convolutions that mirror, and the enlargement they add to."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

SLOPE = 0.2  # of every leaky ReLU
CUBIC = 2  # pixels that a cubic reaches to either side


def convolution(inputs: int, outputs: int, size: int = 3, groups: int = 1) -> nn.Conv2d:
    """Same height and width; what lies outside is mirrored, the outermost pixel not repeated."""
    return nn.Conv2d(
        inputs, outputs, size, padding=size // 2, groups=groups, padding_mode="reflect"
    )


def rectifier() -> nn.LeakyReLU:
    """The activation of all networks here but EDSR."""
    return nn.LeakyReLU(SLOPE, inplace=True)


def add_reaches(reaches: Iterable[tuple[int, int]], factor: int) -> int:
    """Output pixels from the edge inwards on which what lies outside has an influence.

    Args:
        reaches: pixels that some layers see to either side, and how many pixels of theirs lie along
            one of the input: 1 before the first enlargement, the factor after the last one.
        factor: output pixels along one of the input.
    """
    return sum(pixels * factor // along for pixels, along in reaches)


class Cubic(nn.Module):
    """Bicubic enlargement of each channel (Keys 1981, a = -1/2), as `sisr.enlarge` has it.

    As one convolution and a pixel shuffle, which runtimes do several times faster than their
    general resize, and with the same numbers everywhere. Pixels beyond an edge are those at it.

    Args:
        factor: whole number.
        channels: C.
    """

    kernels: Tensor

    def __init__(self, factor: int, channels: int) -> None:
        super().__init__()
        self.factor, self.channels = factor, channels
        kernels = make_kernels(factor).repeat(channels, 1, 1)[:, None]
        self.register_buffer("kernels", kernels, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) to (N, C, factor * h, factor * w)."""
        wide = functional.pad(x, (CUBIC,) * 4, mode="replicate")
        parts = functional.conv2d(wide, self.kernels, groups=self.channels)
        return functional.pixel_shuffle(parts, self.factor)


def make_kernels(factor: int) -> Tensor:
    """(factor², 5, 5) weights of the 5 × 5 pixels around one, for each of the finer ones in it."""
    offset = (torch.arange(factor, dtype=torch.float64) + 0.5) / factor - 0.5
    apart = (torch.arange(-CUBIC, CUBIC + 1) - offset[:, None]).abs()
    near = 1.5 * apart**3 - 2.5 * apart**2 + 1
    far = -0.5 * apart**3 + 2.5 * apart**2 - 4 * apart + 2
    taps = torch.where(apart <= 1, near, torch.where(apart < 2, far, 0.0))
    return torch.einsum("iy,jx->ijyx", taps, taps).reshape(factor**2, 5, 5).float()
