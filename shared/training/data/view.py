"""From stored batches to network input, on the device, a whole batch at once.

Decode, scale, z-score, augment at patch resolution, resize: the same geometry for every band of a
sample, whichever sensor it comes from. Augmentation comes before the resize, so that two pixels of
shift and a cutout of 3 to 5 pixels mean Sentinel pixels.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from shared import lcz, models
from shared.training.data.split import Batch

DEGREES, SHIFT, CUTOUT, CUTOUT_CHANCE = 8.0, 2.0, (3, 5), 0.3
RUN = 128  # samples warped at once on a CPU
OUTSIDE = 1e4  # added to a coordinate of -1 … 1: no pixel is there, so what is read is zero


def draw_views(count: int, side: int, generator: torch.Generator) -> Batch:
    """One random view per sample: flip p 0.5, rotation ±8°, shift ±2 px, a cutout of p 0.3.

    The numbers of a sample are drawn together: the first rows of many samples are what fewer
    samples get, and a process that trains on some rows of a batch takes those rows of the draws.

    Args:
        count: samples N.
        side: patch side in Sentinel pixels; the cutout is 3 … 5 of them, whole pixels.
        generator: on the CPU, so that every device sees the same views.

    Returns:
        "theta" (N, 2, 3) float32, from output to input coordinates, -1 … 1 as in `affine_grid`;
        "holes" (N, 4) float32, left, top, right, bottom of the cutout in fractions of the patch.
    """
    drawn = torch.rand((count, 8), generator=generator)
    flip = 1 - 2 * (drawn[:, 0] < 0.5).float()
    angle = (2 * drawn[:, 1] - 1) * math.radians(DEGREES)
    shift = (2 * drawn[:, 2:4] - 1) * (SHIFT * 2 / side)
    cos, sin = angle.cos(), angle.sin()
    theta = torch.stack([cos * flip, -sin, shift[:, 0], sin * flip, cos, shift[:, 1]], 1)
    size = CUTOUT[0] + (drawn[:, 4] * (CUTOUT[1] - CUTOUT[0] + 1)).floor()
    size = size * (drawn[:, 5] < CUTOUT_CHANCE)
    corner = (drawn[:, 6:] * (side - size + 1)[:, None]).floor()
    return {
        "theta": theta.view(-1, 2, 3),
        "holes": torch.cat([corner, corner + size[:, None]], 1) / side,
    }


def warp_images(images: Tensor, theta: Tensor, holes: Tensor) -> Tensor:
    """(N, C, H, W) seen through the views that were drawn: bilinear, zero fill, cutouts zero."""
    grid = _grid(theta, holes * 2 - 1, images.shape[-2], images.shape[-1])
    return functional.grid_sample(images, grid, padding_mode="zeros", align_corners=False)


def _grid(theta: Tensor, holes: Tensor, height: int, width: int) -> Tensor:
    """(N, H, W, 2) places to read at: each the sum of a number per column and one per row."""
    column, row = _centres(width, theta.device), _centres(height, theta.device)
    along = theta[:, :, :1] * column
    down = theta[:, :, 1:2] * row + theta[:, :, 2:]
    grid = theta.new_empty((len(theta), height, width, 2))
    for axis in (0, 1):
        torch.add(along[:, axis, None, :], down[:, axis, :, None], out=grid[..., axis])
    across, upright = _inside(column, holes[:, 0::2]), _inside(row, holes[:, 1::2])
    grid[..., 0].addcmul_(across[:, None, :], upright[:, :, None], value=OUTSIDE)
    return grid


def _centres(side: int, device: torch.device) -> Tensor:
    return (torch.arange(side, device=device) * 2 + 1) / side - 1


def _inside(centres: Tensor, ends: Tensor) -> Tensor:
    """(N, side) one where the centre of a pixel lies between the two ends (N, 2), else zero."""
    return ((centres >= ends[:, :1]) & (centres < ends[:, 1:])).float()


class View(nn.Module):
    """Stored batch to (N, C, size, size) float32, as `shared.models.preprocess` but for rounding.

    Args:
        card: bands, mean, std, size, interpolation and levels of the network's input.
        layouts: how the numbers of each key of a batch decode and scale.
        side: patch side in Sentinel pixels, which is what `draw_views` is to be asked for.
        prefix: channel c is ``batch[prefix + card.bands[c]]``.
        keys: the C keys of a batch instead, when they are not prefix and band.
    """

    def __init__(
        self,
        card: models.Card,
        layouts: Mapping[str, lcz.Layout],
        side: int,
        prefix: str = "",
        keys: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.keys = tuple(keys) or tuple(prefix + band for band in card.bands)
        self.layouts = [layouts[key] for key in self.keys]
        self.card, self.side = card, side

    @torch.no_grad()
    def forward(self, batch: Batch) -> Tensor:
        """The random views that the batch holds as "theta" and "holes"; else the plain ones."""
        sides = [batch[key].shape[-1] for key in self.keys]
        groups = [[c for c, of in enumerate(sides) if of == side] for side in sorted(set(sides))]
        device = batch[self.keys[0]].device.type
        with torch.autocast(device, enabled=False):  # half precision would move the grid
            seen = [self._through(batch, channels) for channels in groups]
        order = np.argsort(np.concatenate(groups))
        return seen[0] if len(seen) == 1 else torch.cat(seen, 1)[:, order.tolist()]

    def _through(self, batch: Batch, channels: Sequence[int]) -> Tensor:
        """These channels, which are all of one side."""
        images = self._normal(batch, channels)
        if "theta" in batch:
            # On a CPU in runs that stay in its cache, which takes a quarter less time.
            step = len(images) if images.is_cuda else RUN
            for first in range(0, len(images), step):
                rows = slice(first, first + step)
                images[rows] = warp_images(images[rows], batch["theta"][rows], batch["holes"][rows])
        images = _resize(images, self.card.size, self.card.interpolation)
        return self._whole(images, channels) if self.card.eight_bit else images

    def _whole(self, images: Tensor, channels: Sequence[int]) -> Tensor:
        """In whole levels of 0 … 255 again, as `shared.models.preprocess` after the resize."""
        for place, c in enumerate(channels):
            mean, std = self.card.mean[c], self.card.std[c]
            band = images[:, place].mul_(255 * std).add_(255 * mean + 0.501).floor_()
            band.clamp_(0, 255).mul_(1 / 255 / std).sub_(mean / std)
        return images

    def _normal(self, batch: Batch, channels: Sequence[int]) -> Tensor:
        first = batch[self.keys[channels[0]]]
        shape = (len(first), len(channels), *first.shape[1:])
        images = torch.empty(shape, dtype=torch.float32, device=first.device)
        for place, c in enumerate(channels):
            mean, std = self.card.mean[c], self.card.std[c]
            band, layout = images[:, place].copy_(batch[self.keys[c]]), self.layouts[c]
            unit, span = layout.per_unit, layout.high - layout.low
            if layout.clip:
                band.clamp_(layout.low * unit, layout.high * unit)
            if self.card.eight_bit:  # as shared.models.round_to_levels does
                band.mul_(255 / unit / span).add_(0.501 - 255 * layout.low / span)
                band.floor_().clamp_(0, 255).mul_(1 / 255 / std).sub_(mean / std)
            else:
                band.mul_(1 / (unit * span * std)).sub_((layout.low / span + mean) / std)
        return images


def _resize(images: Tensor, size: int, interpolation: str) -> Tensor:
    """(N, C, H, H) to (N, C, size, size): half-pixel centres, no antialias."""
    side = images.shape[-1]
    if side == size:
        return images
    if interpolation == "nearest":
        return functional.interpolate(images, size, mode="nearest")
    if images.is_cuda or side > size:
        return functional.interpolate(images, size, mode="bilinear", align_corners=False)
    # On a CPU two products with the shares of the pixels take a third of interpolate's time.
    eye = np.eye(side, dtype=np.float32)
    shares = torch.from_numpy(models.resize(eye, size, side, "bilinear"))
    wide = (images.reshape(-1, side) @ shares.T).view(-1, side, size)
    return torch.matmul(shares, wide).view(*images.shape[:2], size, size)
