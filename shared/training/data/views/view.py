"""From stored batches to network input, on the device, a whole batch at once.

Decode, scale, z-score, move, resize: the same geometry for every band of a sample, whichever sensor
it comes from. Shifts and cutouts are measured in Sentinel pixels, whatever the size that is seen.
"""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shared import lcz, models
from shared.training.data.mixing import mix
from shared.training.data.split import Batch
from shared.training.data.views.drawing import draw_views
from shared.training.data.views.eight_bit import resize_levels
from shared.training.data.views.warping import resize_images, rows_at_once, see_images, warp_images


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
        """The random views that the batch holds as `draw_views` drew them; else the plain ones.

        Of a mixed batch each picture is laid over its partner's, as they are seen.
        """
        sides = [batch[key].shape[-1] for key in self.keys]
        groups = [[c for c, of in enumerate(sides) if of == side] for side in sorted(set(sides))]
        device = batch[self.keys[0]].device.type
        with torch.autocast(device, enabled=False):  # half precision would move the grid
            seen = [self._through(batch, channels) for channels in groups]
        order = np.argsort(np.concatenate(groups))
        images = seen[0] if len(seen) == 1 else torch.cat(seen, 1)[:, order.tolist()]
        return mix(images, batch)

    def _through(self, batch: Batch, channels: Sequence[int]) -> Tensor:
        """These channels, which are all of one side."""
        images, size, way = self._normal(batch, channels), self.card.size, self.card.interpolation
        if "contrast" in batch:
            self._recolour(images, batch, channels)
        resize = partial(self._resize, channels=channels)
        if "turned" not in batch:
            return resize(_warp(images, batch))
        images = see_images(images, batch, self.side, size, way, resize)
        if not self.card.eight_bit:
            return images
        return self._normalise(self._levels(images, channels), channels)  # of rows sampled between

    def _resize(self, images: Tensor, channels: Sequence[int]) -> Tensor:
        """To the network's size; in whole levels as the SDK resizes an 8-bit picture."""
        size, way = self.card.size, self.card.interpolation
        if not self.card.eight_bit:
            return resize_images(images, size, way)
        levels = self._levels(images, channels)
        if way == "nearest":
            return self._normalise(resize_images(levels, size, way), channels)
        return self._normalise(resize_levels(levels, size, len(self.keys)), channels)

    def _recolour(self, images: Tensor, batch: Batch, channels: Sequence[int]) -> None:
        """In other light, in place: before anything comes in from outside, which is the mean."""
        for place, c in enumerate(channels):
            factor = batch["contrast"] * batch[f"colour {self.keys[c]}"]
            light = batch["brightness"][:, None, None]
            images[:, place].mul_(factor[:, None, None]).add_(light)

    def _levels(self, images: Tensor, channels: Sequence[int]) -> Tensor:
        """Normalised values to whole levels of 0 … 255, in place."""
        for place, c in enumerate(channels):
            mean, std = self.card.mean[c], self.card.std[c]
            images[:, place].mul_(255 * std).add_(255 * mean + 0.501).floor_().clamp_(0, 255)
        return images

    def _normalise(self, levels: Tensor, channels: Sequence[int]) -> Tensor:
        """Levels to normalised values, in place."""
        for place, c in enumerate(channels):
            mean, std = self.card.mean[c], self.card.std[c]
            levels[:, place].mul_(1 / 255 / std).sub_(mean / std)
        return levels

    def _normal(self, batch: Batch, channels: Sequence[int]) -> Tensor:
        first = batch[self.keys[channels[0]]]
        shape = (len(first), len(channels), *first.shape[1:])
        images = torch.empty(shape, dtype=torch.float32, device=first.device)
        for place, c in enumerate(channels):
            band = images[:, place].copy_(batch[self.keys[c]])
            (self._round if self.card.eight_bit else self._standardise)(band, c)
        return images

    def _round(self, band: Tensor, c: int) -> None:
        """Stored numbers of a channel to normalised levels, in place.

        The very operations of `lcz.Layout` and `shared.models.to_levels`, in their order, so that
        no value comes to another level; a factor on a GPU is a tensor, or it would be inverted.
        """
        layout, mean, std = self.layouts[c], self.card.mean[c], self.card.std[c]
        if layout.per_unit != 1:
            band.div_(torch.full((), layout.per_unit, device=band.device))
        if layout.clip:
            band.clamp_(layout.low, layout.high)
        band.sub_(layout.low).mul_(255 / (layout.high - layout.low))
        if self.card.low:
            shift, factor = models.shift_of(*self.card.limits[c])
            band.sub_(shift).mul_(factor)
        band.add_(0.501).floor_().clamp_(0, 255).mul_(1 / 255 / std).sub_(mean / std)

    def _standardise(self, band: Tensor, c: int) -> None:
        """Stored numbers of a channel to normalised values, in place."""
        layout, (low, high) = self.layouts[c], self.card.limits[c]
        mean, std, unit = self.card.mean[c], self.card.std[c], layout.per_unit
        span, kept = layout.high - layout.low, high - low
        if layout.clip:
            band.clamp_(layout.low * unit, layout.high * unit)
        start = (layout.low / span + low) / kept + mean
        band.mul_(1 / (unit * span * kept * std)).sub_(start / std)


def sees_views(view: nn.Module, augment: str) -> bool:
    """Whether there are random views: of pictures, and not "none"."""
    return augment != "none" and isinstance(view, View)


def add_views(
    view: nn.Module, augment: str, batch: Batch, seed: int, rows: int,
    part: slice | NDArray[np.intp] = slice(None),
) -> Batch:  # fmt: skip
    """A batch with random views of its rows; itself where there are none.

    Args:
        view: what looks at it.
        augment: set of views, as `draw_views`, or none.
        batch: a part of a whole batch.
        seed: of the views.
        rows: of the whole batch.
        part: which of them these are: a run of them, or their places.
    """
    if augment == "none" or not isinstance(view, View):
        return batch
    pictures = [name for name, of in batch.items() if of.ndim == 3]
    views = draw_views(augment, rows, view.side, seed, pictures)
    return batch | {name: of[part].to(batch["label"].device) for name, of in views.items()}


def _warp(images: Tensor, batch: Batch) -> Tensor:
    """The published way, in place and at patch resolution; nothing where nothing was drawn."""
    if "theta" in batch:
        step = rows_at_once(images.shape[-1], images.device)
        for first in range(0, len(images), step):
            rows = slice(first, first + step)
            images[rows] = warp_images(images[rows], batch["theta"][rows], batch["holes"][rows])
    return images
