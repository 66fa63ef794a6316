"""The network that tells where one image shows what another one shows: a U-Net of two inputs."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from shared.registration import least_squares

TENSORS = "network.safetensors"  # its weights, in the folder of `register`
OUTPUTS = 32  # features of the last level, before they become a flow
SKIPS_FROM = 2  # the finer levels of the way down are not joined: their detail is no flow
MOST = 4  # times the width that a level has at most
FLAT = 1e-3  # reflectance: contrast below it is noise and is not stretched
LEAK = 0.1  # of the rectifiers below 0
FULL = 0.95  # share of the largest offset that the guess reaches: beyond, tanh has no slope


@dataclass(frozen=True)
class Size:
    """Size of a registration network.

    Attributes:
        width: features of the finest level; each deeper one has twice as many, up to four times.
        depth: how often the resolution is halved.
        max_offset: pixels that no flow exceeds.
        guess: whether it corrects a guess by least squares, or finds the flow from nothing.
    """

    width: int = 64
    depth: int = 4
    max_offset: float = 2.0
    guess: bool = True

    @property
    def limit(self) -> float:
        """Pixels along each axis that no flow exceeds."""
        return self.max_offset / math.sqrt(2)


def normalise(images: Tensor) -> Tensor:
    """Each channel of each image (N, C, H, W) with mean 0 and deviation 1."""
    apart = images - images.mean((2, 3), keepdim=True)
    return apart / (apart.square().mean((2, 3), keepdim=True) + FLAT**2).sqrt()


def _convolve(given: int, made: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(given, made, 3, padding=1), nn.LeakyReLU(LEAK, inplace=True))


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
        inputs = 2 + 2 * len(least_squares.WINDOWS) * size.guess
        widths = [min(2**depth, MOST) * size.width for depth in range(size.depth + 1)]
        below = [OUTPUTS, *widths[1 : size.depth], widths[-1]]
        self.down = nn.ModuleList(map(_level, [inputs, *widths[:-1]], widths))
        self.up = nn.ModuleList(
            _convolve(below[depth + 1], below[depth])
            if depth < SKIPS_FROM
            else _level(below[depth + 1] + widths[depth], below[depth])
            for depth in range(size.depth)
        )
        self.last = nn.Conv2d(OUTPUTS, 2, 3, padding=1)
        self._begin()

    @torch.no_grad()
    def _begin(self) -> None:
        """First weights that keep the size of the features; the first flow is nearly the guess."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, a=LEAK)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
        self.last.weight.mul_(0.1)

    def forward(self, images: Tensor) -> Tensor:
        """The flow of pairs of any height and width.

        Args:
            images: (N, 2, H, W) reflectance: the reference, and the image that moved.

        Returns:
            (N, 2, H, W) pixels down and to the right: the second image shows at place + flow what
            the first one shows at place.
        """
        seen, limit = normalise(images), self.size.limit
        if not self.size.guess:
            return torch.tanh(self._correct(seen)) * limit
        with torch.no_grad():  # nothing in it is learned
            guesses = least_squares.guess_flow(seen, limit)
            first = guesses[:, 2 * least_squares.FIRST : 2 * least_squares.FIRST + 2] / limit
            first = first.clamp(-FULL, FULL)
            base = ((1 + first) / (1 - first)).log() / 2  # of which tanh is the guess
        return torch.tanh(base + self._correct(torch.cat([seen, guesses], 1))) * limit

    def _correct(self, seen: Tensor) -> Tensor:
        """(N, 2, H, W) what the U-Net says, in units of the slope of tanh."""
        high, wide = seen.shape[2:]
        step = 2**self.size.depth
        filled = functional.pad(seen, (0, -wide % step, 0, -high % step), mode="replicate")
        features, kept = filled, []
        for depth, level in enumerate(self.down):
            features = level(functional.avg_pool2d(features, 2) if depth else features)
            kept.append(features)
        for depth in reversed(range(self.size.depth)):
            features = functional.interpolate(features, scale_factor=2, mode="nearest")
            if depth >= SKIPS_FROM:
                features = torch.cat([features, kept[depth]], 1)
            features = self.up[depth](features)
        said: Tensor = self.last(features)
        return said[:, :, :high, :wide]
