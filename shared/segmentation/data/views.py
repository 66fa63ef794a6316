"""From stored tiles to network input and classes, on the device."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from shared.segmentation.data import workers
from shared.segmentation.data.colours import jitter_colours
from shared.segmentation.data.drawing import Drawn
from shared.segmentation.data.geometry import cut_view
from shared.segmentation.groups import Views


def augment(image: Tensor, mask: Tensor, drawn: Drawn) -> tuple[Tensor, Tensor]:
    """The random views that were drawn: geometry of both, then colours of the image alone.

    On a CPU tile by tile, each in one thread, which keeps it in that thread's cache and makes the
    values independent of the number of threads; on a GPU the colours of all tiles together.

    Args:
        image: (N, S, S, 3) uint8, on any device.
        mask: (N, S, S) uint8, there too.
        drawn: one view per tile.

    Returns:
        (N, 3, s, s) float32, 0 … 1, and (N, s, s) uint8, with s the side of `drawn`.
    """
    seen = image.new_empty((len(image), 3, drawn.side, drawn.side), dtype=torch.float32)
    classes = mask.new_empty((len(mask), drawn.side, drawn.side))

    @torch.no_grad()
    def fill(rows: slice) -> None:
        with torch.autocast(image.device.type, enabled=False):  # half precision moves the grid
            for row in range(*rows.indices(len(image))):
                one, truth = cut_view(image[row], mask[row], *drawn.geometry(row))
                seen[row], classes[row] = _resize(one[None], truth[None], drawn.side)
            jitter_colours(seen[rows], drawn.factors[rows], drawn.order[rows])

    if image.is_cuda:
        fill(slice(None))
    else:
        workers.each(fill, [slice(row, row + 1) for row in range(len(image))])
    return seen, classes


@torch.no_grad()
def see_plain(image: Tensor, mask: Tensor, views: Views) -> tuple[Tensor, Tensor]:
    """What is seen for validation and test: whole tiles, of `resized` at the size of its views.

    Args:
        image: (N, S, S, 3) uint8.
        mask: (N, S, S) uint8.
        views: those of training.

    Returns:
        (N, 3, s, s) float32, 0 … 1, and (N, s, s) uint8.
    """
    pictures = image.permute(0, 3, 1, 2).float().div_(255)
    if views.augment != "resized":
        return pictures, mask
    return _resize(pictures, mask, views.crop)


def normalise(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """(N, 3, H, W) of 0 … 1 to network input, in place: less the mean, over the deviation.

    Args:
        images: float32.
        mean: of each channel, of values / 255.
        std: likewise.
    """
    for channel, (middle, spread) in enumerate(zip(mean, std, strict=True)):
        images[:, channel].sub_(middle).div_(spread)
    return images


def _resize(images: Tensor, masks: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """To the side of the view; averaged where it becomes smaller, as pillow does."""
    if images.shape[-2:] == (side, side):
        return images, masks
    smaller = functional.interpolate(images, (side, side), mode="bilinear", antialias=True)
    classes = functional.interpolate(masks[:, None], (side, side), mode="nearest-exact")
    return smaller.clamp_(0, 1), classes[:, 0]
