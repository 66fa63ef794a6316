"""Which random view of a row training sees: numbers that are drawn on the CPU, for every device.

The numbers of a sample are drawn together: the first rows of many samples are what fewer samples
get, and a process that trains on some rows of a batch takes those rows of the draws.
"""

import math
import zlib
from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor

from shared.training.data.split import Batch

DEGREES, SHIFT, CUTOUT, CUTOUT_CHANCE = 8.0, 2.0, (3, 5), 0.3
TURNED = 0.5  # share of the rows of "sharp" that are rotated, and so interpolated
ERASED, ERASED_AREA, ERASED_ASPECT = 0.25, (0.02, 0.2), (0.3, 1 / 0.3)
BRIGHTNESS, CONTRAST, COLOUR = 0.2, 0.2, 0.1  # of normalised values, up and down

Draw = Callable[[int, int, torch.Generator], Batch]


def draw_views(name: str, count: int, side: int, seed: int, bands: Iterable[str] = ()) -> Batch:
    """One random view per sample.

    Args:
        name: of the set of views: lcz, sharp or overhead.
        count: samples N.
        side: patch side in Sentinel pixels; shifts and holes are measured in them.
        seed: of all numbers.
        bands: keys of pictures, of which "overhead" changes each one's colour on its own; what a
            band gets does not depend on which others there are.

    Returns:
        "theta" (N, 2, 3) float32, from output to input coordinates, -1 … 1 as in `affine_grid`;
        "holes" (N, 4) float32, left, top, right, bottom of what is cut out in fractions of the
        patch; but for lcz "turned" (N,) bool, which of them do not move whole pixels to whole
        pixels; for overhead "contrast", "brightness" and "colour KEY", (N,) float32 each.
    """
    drawn = SETS[name](count, side, torch.Generator().manual_seed(seed))
    if "contrast" in drawn:
        drawn |= {f"colour {key}": _draw_colour(count, seed, key) for key in bands}
    return drawn


def draw_lcz(count: int, side: int, generator: torch.Generator) -> Batch:
    """As published: flip p 0.5, rotation ±8°, shift ±2 px, a cutout of p 0.3."""
    drawn = torch.rand((count, 8), generator=generator)
    theta = _rotate(_flip(drawn[:, 0]), _spread(drawn[:, 1], math.radians(DEGREES)))
    return {
        "theta": _shifted(theta, _spread(drawn[:, 2:4], SHIFT), side),
        "holes": _cut_squares(drawn[:, 4:], side),
    }


def draw_sharp(count: int, side: int, generator: torch.Generator) -> Batch:
    """The same, but half of the rows are not rotated and move by whole pixels."""
    drawn = torch.rand((count, 9), generator=generator)
    turned = drawn[:, 8] < TURNED
    theta = _rotate(_flip(drawn[:, 0]), _spread(drawn[:, 1], math.radians(DEGREES)) * turned)
    anywhere, whole = _spread(drawn[:, 2:4], SHIFT), _whole_shifts(drawn[:, 2:4])
    return {
        "theta": _shifted(theta, torch.where(turned[:, None], anywhere, whole), side),
        "holes": _cut_squares(drawn[:, 4:8], side),
        "turned": turned,
    }


def draw_overhead(count: int, side: int, generator: torch.Generator) -> Batch:
    """What is seen from above: symmetries of the square, whole shifts, light, random erasing."""
    drawn = torch.rand((count, 10), generator=generator)
    theta = symmetries()[(drawn[:, 0] * 8).long()]
    return {
        "theta": _shifted(theta, _whole_shifts(drawn[:, 1:3]), side),
        "holes": _erase_rectangles(drawn[:, 3:8], side),
        "turned": torch.zeros(count, dtype=torch.bool),
        "brightness": _spread(drawn[:, 8], BRIGHTNESS),
        "contrast": 1 + _spread(drawn[:, 9], CONTRAST),
    }


SETS: Mapping[str, Draw] = {"lcz": draw_lcz, "sharp": draw_sharp, "overhead": draw_overhead}


def symmetries() -> Tensor:
    """(8, 2, 2) the square onto itself: by quarter turns, and the same of its mirror picture."""
    turns = [torch.matrix_power(torch.tensor([[0.0, -1.0], [1.0, 0.0]]), n) for n in range(4)]
    return torch.stack([*turns, *(turn * torch.tensor([-1.0, 1.0]) for turn in turns)])


def _spread(drawn: Tensor, limit: float) -> Tensor:
    """0 … 1 to ± limit."""
    return (2 * drawn - 1) * limit


def _flip(drawn: Tensor) -> Tensor:
    return 1 - 2 * (drawn < 0.5).float()


def _whole_shifts(drawn: Tensor) -> Tensor:
    """0 … 1 to whole pixels, ± SHIFT, each as likely as another."""
    return (drawn * (2 * SHIFT + 1)).floor() - SHIFT


def _rotate(flip: Tensor, angle: Tensor) -> Tensor:
    """(N, 2, 2) flipped left to right, then turned."""
    cos, sin = angle.cos(), angle.sin()
    return torch.stack([cos * flip, -sin, sin * flip, cos], 1).view(-1, 2, 2)


def _shifted(turns: Tensor, shift: Tensor, side: int) -> Tensor:
    """(N, 2, 3) with a shift of (N, 2) pixels."""
    return torch.cat([turns, (shift * (2 / side))[:, :, None]], 2)


def _cut_squares(drawn: Tensor, side: int) -> Tensor:
    """(N, 4) numbers to holes: a square of 3 … 5 px, or none."""
    size = CUTOUT[0] + (drawn[:, 0] * (CUTOUT[1] - CUTOUT[0] + 1)).floor()
    size = (size * (drawn[:, 1] < CUTOUT_CHANCE))[:, None]
    return _place(drawn[:, 2:], size, side)


def _erase_rectangles(drawn: Tensor, side: int) -> Tensor:
    """(N, 5) numbers to holes: 2 … 20 % of the patch, at most about thrice as long as wide."""
    area = ERASED_AREA[0] + drawn[:, 0] * (ERASED_AREA[1] - ERASED_AREA[0])
    low, high = map(math.log, ERASED_ASPECT)
    root = ((low + drawn[:, 1] * (high - low)) / 2).exp()  # of height to width
    size = torch.stack([1 / root, root], 1) * (area.sqrt() * side)[:, None]
    size = size.round().clamp(1, side) * (drawn[:, 2:3] < ERASED)
    return _place(drawn[:, 3:], size, side)


def _place(drawn: Tensor, size: Tensor, side: int) -> Tensor:
    """(N, 2) numbers to (N, 4) holes of this size, whole pixels inside the patch."""
    corner = (drawn * (side - size + 1)).floor()
    return torch.cat([corner, corner + size], 1) / side


def _draw_colour(count: int, seed: int, key: str) -> Tensor:
    """(N,) factors of one band, the same whichever bands are drawn beside it."""
    generator = torch.Generator().manual_seed((seed + zlib.crc32(key.encode())) % 2**63)
    return 1 + _spread(torch.rand(count, generator=generator), COLOUR)
