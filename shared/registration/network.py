"""The network that tells where one image shows what another one shows: a U-Net of two inputs."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

OUTPUTS = 32  # features of the last level, before they become a flow
SKIPS_FROM = 2  # the finer levels of the way down are not joined: their detail is no flow
MOST = 4  # times the width that a level has at most
FLAT = 1e-3  # reflectance: contrast below it is noise and is not stretched


@dataclass(frozen=True)
class Size:
    """Size of a registration network.

    Attributes:
        width: features of the finest level; each deeper one has twice as many, up to four times.
        depth: how often the resolution is halved.
        max_offset: pixels that no flow exceeds.
    """

    width: int = 64
    depth: int = 4
    max_offset: float = 2.0


def normalise(images: Tensor) -> Tensor:
    """Each channel of each image (N, C, H, W) with mean 0 and deviation 1."""
    mean = images.mean((2, 3), keepdim=True)
    apart = images - mean
    return apart / (apart.square().mean((2, 3), keepdim=True) + FLAT**2).sqrt()


def _convolve(given: int, made: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(given, made, 3, padding=1), nn.LeakyReLU(0.1, inplace=True))


def _level(given: int, made: int) -> nn.Sequential:
    return nn.Sequential(_convolve(given, made), _convolve(made, made))


class RegistrationNetwork(nn.Module):
    """Two images of one band to a flow, at their own resolution.

    Attributes:
        size: what it was built with.
    """

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.size = size
        widths = [min(2**depth, MOST) * size.width for depth in range(size.depth + 1)]
        self.down = nn.ModuleList(
            _level(given, made) for given, made in zip([2, *widths], widths, strict=False)
        )
        made = [OUTPUTS, *widths[1:]]
        self.up = nn.ModuleList(
            _convolve((made + widths[-1:])[depth + 1], made[depth])
            if depth < SKIPS_FROM
            else _level((made + widths[-1:])[depth + 1] + widths[depth], made[depth])
            for depth in range(size.depth)
        )
        self.last = nn.Conv2d(OUTPUTS, 2, 3, padding=1)
        with torch.no_grad():
            self.last.weight.mul_(0.1)
            self.last.bias.zero_()

    def forward(self, images: Tensor) -> Tensor:
        """The flow of pairs of any height and width.

        Args:
            images: (N, 2, H, W) reflectance: the reference, and the image that moved.

        Returns:
            (N, 2, H, W) pixels down and to the right: the second image shows at place + flow what
            the first one shows at place.
        """
        high, wide = images.shape[2:]
        step = 2**self.size.depth
        filled = functional.pad(
            normalise(images), (0, -wide % step, 0, -high % step), mode="replicate"
        )
        features, kept = filled, []
        for depth, level in enumerate(self.down):
            features = level(functional.avg_pool2d(features, 2) if depth else features)
            kept.append(features)
        for depth in reversed(range(self.size.depth)):
            features = functional.interpolate(features, scale_factor=2, mode="nearest")
            if depth >= SKIPS_FROM:
                features = torch.cat([features, kept[depth]], 1)
            features = self.up[depth](features)
        flow: Tensor = torch.tanh(self.last(features)) * (self.size.max_offset / math.sqrt(2))
        return flow[:, :, :high, :wide]
