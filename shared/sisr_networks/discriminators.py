"""Networks that tell super-resolved images from true ones, as torchsisr has them."""

import itertools
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from shared.sisr_networks.layers import SLOPE

Kind = Literal["plain", "unet"]
WIDTH = 64
STEPS = 3  # halvings of the plain one
# Pixels of a side that each needs at least; batch norm has no deviation of a single pixel.
SMALLEST = {"plain": 37, "unet": 8}


class Plain(nn.Module):
    """One number for each image: convolutions without padding, batch norm, two dense layers.

    Args:
        bands: channels.
        width: features of the first layers; they double with each halving.
    """

    def __init__(self, bands: int, width: int = WIDTH) -> None:
        super().__init__()
        widths = [width * 2**step for step in range(STEPS)]
        layers: list[nn.Module] = []
        for given, made in zip([bands, *widths], widths, strict=False):
            layers += [*_normalised(given, made, 1), *_normalised(made, made, 2)]
        self.features = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        last = widths[-1]
        self.judge = nn.Sequential(nn.Linear(last, last), nn.LeakyReLU(SLOPE), nn.Linear(last, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(N, bands, H, W), sides of `SMALLEST` or more, to (N, 1) logits."""
        made: Tensor = self.judge(self.features(x))
        return made


def _normalised(given: int, made: int, stride: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(given, made, 3, stride), nn.BatchNorm2d(made), nn.LeakyReLU(SLOPE)


class UNet(nn.Module):
    """A number for each pixel: the U-Net of Real-ESRGAN (Wang et al. 2021), spectral norm 1.

    4,376,897 parameters for three bands.

    Args:
        bands: channels.
        width: features of the finest level.
    """

    def __init__(self, bands: int, width: int = WIDTH) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(4)]
        self.first = nn.Conv2d(bands, width, 3, padding=1)
        self.down = nn.ModuleList(
            spectral_norm(nn.Conv2d(fine, wide, 4, 2, 1, bias=False))
            for fine, wide in itertools.pairwise(widths)
        )
        self.up = nn.ModuleList(_bounded(wide, fine) for fine, wide in itertools.pairwise(widths))
        self.tail = nn.ModuleList(_bounded(width, width) for _ in range(2))
        self.last = nn.Conv2d(width, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, bands, H, W), sides of `SMALLEST` or more, to (N, 1, H, W) logits."""
        levels = [functional.leaky_relu(self.first(x), SLOPE)]
        for layer in self.down:
            levels.append(functional.leaky_relu(layer(levels[-1]), SLOPE))
        made = levels.pop()
        for layer in reversed(self.up):
            kept = levels.pop()
            large = functional.interpolate(made, kept.shape[-2:], mode="bilinear")
            made = functional.leaky_relu(layer(large), SLOPE) + kept
        for layer in self.tail:
            made = functional.leaky_relu(layer(made), SLOPE)
        judged: Tensor = self.last(made)
        return judged


def _bounded(given: int, made: int) -> nn.Module:
    bounded: nn.Module = spectral_norm(nn.Conv2d(given, made, 3, padding=1, bias=False))
    return bounded


def build_discriminator(kind: Kind, bands: int, seed: int) -> nn.Module:
    """An untrained one, from a seed of its own: the network it judges begins the same with any."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Plain(bands) if kind == "plain" else UNet(bands)
