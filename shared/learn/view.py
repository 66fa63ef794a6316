"""From stored batches to network input, on the device, a whole batch at once.

Decode, scale, z-score, augment at patch resolution, resize: the same geometry for every channel of
a sample, whichever sensor it comes from. Augmentation comes before the resize, so that two pixels
of shift and a cutout of 3 to 5 pixels mean Sentinel pixels.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from shared.learn.split import Batch, Part

DEGREES, SHIFT, CUTOUT, CUTOUT_CHANCE = 8.0, 2.0, (3, 5), 0.3


@dataclass(frozen=True)
class Geometry:
    """One random view per sample.

    Attributes:
        theta: (N, 2, 3) from output to input coordinates, -1 … 1 as in `affine_grid`.
        holes: (N, 4) left, top, right, bottom of the cutout in fractions of the patch.
    """

    theta: Tensor
    holes: Tensor


def draw(count: int, side: int, generator: torch.Generator) -> Geometry:
    """Flip p 0.5, rotation ±8°, translation ±2 px, one cutout of 3 … 5 px with p 0.3.

    Args:
        count: samples N.
        side: patch side in Sentinel pixels.
        generator: on the CPU, so that every device sees the same views.
    """
    flip = 1 - 2 * (torch.rand(count, generator=generator) < 0.5).float()
    angle = (2 * torch.rand(count, generator=generator) - 1) * math.radians(DEGREES)
    shift = (2 * torch.rand(count, 2, generator=generator) - 1) * SHIFT * 2 / side
    cos, sin = angle.cos(), angle.sin()
    theta = torch.stack([cos * flip, -sin, shift[:, 0], sin * flip, cos, shift[:, 1]], 1)
    size = torch.randint(CUTOUT[0], CUTOUT[1] + 1, (count,), generator=generator)
    size = size * (torch.rand(count, generator=generator) < CUTOUT_CHANCE)
    corner = (torch.rand(count, 2, generator=generator) * (side - size + 1)[:, None]).floor()
    holes = torch.cat([corner, corner + size[:, None]], 1) / side
    return Geometry(theta.view(-1, 2, 3), holes)


def warp(images: Tensor, geometry: Geometry) -> Tensor:
    """(N, C, H, W) seen through a geometry: bilinear, zero fill, cutout set to zero."""
    theta = geometry.theta.to(images.device)
    grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
    warped = functional.grid_sample(images, grid, padding_mode="zeros", align_corners=False)
    return warped * _keep(images.shape[-1], geometry.holes.to(images.device))[:, None]


def _keep(side: int, holes: Tensor) -> Tensor:
    """(N, side, side) zeros inside the holes, ones elsewhere."""
    centre = (torch.arange(side, device=holes.device) + 0.5) / side
    inside = [(centre >= holes[:, i, None]) & (centre < holes[:, i + 2, None]) for i in (0, 1)]
    return 1 - (inside[1][:, :, None] & inside[0][:, None, :]).float()


class View(nn.Module):
    """Stored batch to (N, C, size, size) float32.

    Args:
        parts: where the channels come from (their tensors are not kept).
        mean: (C,) on the 0 … 1 scale.
        std: (C,) likewise.
        size: pixels per side at the output.
        interpolation: "bilinear" or "nearest".
        side: patch side in Sentinel pixels, for the size of shifts and cutouts.
        eight_bit: whether to round values to whole levels of 0 … 255 first.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        mean: Sequence[float],
        std: Sequence[float],
        size: int,
        interpolation: str,
        side: int,
        eight_bit: bool = False,
    ) -> None:
        super().__init__()
        self.eight_bit = eight_bit
        self.layouts = [part.layout for part in parts]
        self.channels = [list(part.channels) for part in parts]
        self.size, self.interpolation, self.side = size, interpolation, side
        self.register_buffer("mean", torch.tensor(mean)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(std)[:, None, None], persistent=False)

    def forward(self, batch: Batch, generator: torch.Generator | None = None) -> Tensor:
        """With a generator, a random view of every sample; without, the plain one."""
        count, device = len(batch["image0"]), batch["image0"].device
        geometry = draw(count, self.side, generator) if generator else None
        out = torch.empty((count, len(self.mean), self.size, self.size), device=device)
        with torch.autocast(device.type, enabled=False):  # half precision would move the grid
            for number, channels in enumerate(self.channels):
                images = self._normal(batch[f"image{number}"], number)
                images = warp(images, geometry) if geometry else images
                out[:, channels] = self._resize(images)
        return out

    def _normal(self, stored: Tensor, number: int) -> Tensor:
        layout, channels = self.layouts[number], self.channels[number]
        values = stored.permute(0, 3, 1, 2).float() / layout.per_unit
        values = values.clamp(layout.low, layout.high) if layout.clip else values
        scaled = (values - layout.low) / (layout.high - layout.low)
        if self.eight_bit:  # as shared.model.levels does
            scaled = (scaled * 255 + 0.501).floor().clamp(0, 255) / 255
        return (scaled - self.mean[channels]) / self.std[channels]

    def _resize(self, images: Tensor) -> Tensor:
        if images.shape[-1] == self.size:
            return images
        corners = {} if self.interpolation == "nearest" else {"align_corners": False}
        return functional.interpolate(images, self.size, mode=self.interpolation, **corners)
