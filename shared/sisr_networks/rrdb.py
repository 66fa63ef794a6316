"""The generator of ESRGAN (Wang et al. 2018) in the form of torchsisr: residual dense blocks.

It differs from `shared/sr/networks/rrdb.py`, which reads published files: leaky ReLU after all five
convolutions of a dense block, mirrored edges.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from shared.sisr_networks.layers import add_reaches, convolution, rectifier

SCALE = 0.2  # of what a dense block, and three of them together, add
CONVOLUTIONS, DENSE = 5, 3  # of a dense block; dense blocks of a residual one


class Dense(nn.Module):
    """Five convolutions, each of which sees the results of all before it."""

    def __init__(self, latent: int, growth: int) -> None:
        super().__init__()
        inputs = [latent + place * growth for place in range(CONVOLUTIONS)]
        outputs = [growth] * (CONVOLUTIONS - 1) + [latent]
        self.layers = nn.ModuleList(map(convolution, inputs, outputs))
        self.rectifier = nn.LeakyReLU(rectifier().negative_slope)

    def forward(self, x: Tensor) -> Tensor:
        """(N, latent, h, w) to the same."""
        parts = [x]
        for layer in self.layers:
            parts.append(self.rectifier(layer(torch.cat(parts, 1))))
        return x + SCALE * parts[-1]


class Residual(nn.Module):
    """Three dense blocks, whose change is added in part."""

    def __init__(self, latent: int, growth: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*(Dense(latent, growth) for _ in range(DENSE)))

    def forward(self, x: Tensor) -> Tensor:
        """(N, latent, h, w) to the same."""
        return x + SCALE * (self.body(x) - x)


class Generator(nn.Module):
    """4,432,004 parameters for four bands, the factor 2 and six blocks of 64 and 32 features.

    Args:
        bands_in, bands_out: channels of the images.
        factor: a power of 2.
        depth: residual blocks.
        latent: features between them.
        growth: features that a convolution of a dense block adds.
    """

    def __init__(
        self, bands_in: int, bands_out: int, factor: int, *, depth: int, latent: int, growth: int
    ) -> None:
        super().__init__()
        steps = int(math.log2(factor))
        low = CONVOLUTIONS * DENSE * depth + 2
        enlarged = [(1, 2**step) for step in range(1, steps + 1)]
        self.reach = add_reaches([(low, 1), *enlarged, (2, factor)], factor)
        self.first = convolution(bands_in, latent)
        self.body = nn.Sequential(*(Residual(latent, growth) for _ in range(depth)))
        self.trunk = convolution(latent, latent)
        self.ups = nn.ModuleList(convolution(latent, latent) for _ in range(steps))
        self.before, self.last = convolution(latent, latent), convolution(latent, bands_out)
        self.rectifier = rectifier()

    def forward(self, x: Tensor) -> Tensor:
        """(N, bands_in, h, w) to (N, bands_out, factor * h, factor * w)."""
        first = self.first(x)
        features = first + self.trunk(self.body(first))
        for up in self.ups:
            large = functional.interpolate(features, scale_factor=2.0, mode="nearest")
            features = self.rectifier(up(large))
        made: Tensor = self.last(self.rectifier(self.before(features)))
        return made
