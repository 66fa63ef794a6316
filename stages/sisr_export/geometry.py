"""Checks of places: does it matter how an image is cut up, and does the output lie on the input?"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from shared import sisr_client
from shared.errors import StageError
from shared.sisr_client import Window
from stages.sisr_export.case import Case, Image, Result, compare

REGION = Window(11, 7, 37, 30)  # input pixels of the region, in the land without its margin
# Input pixels that are cut off the top and the left to see how far that is felt. These, and the
# place of the region, are moved on to the grid of the network.
CUT = (9, 6)
ONE = 1.0  # digital number by which rounding may differ
SMOOTH = 1.5  # pixels: both images are smoothed alike, so that differences become derivatives


def check_tiles(case: Case) -> Result:
    """The same image from tiles of two sizes."""
    sides = [case.factor * side for side in (case.middle[0], case.tile)]
    large, small = (sisr_client.emulate(case.network, case.land, side=side)[0] for side in sides)
    sizes = " and ".join(map(str, sides))
    return _judge(case, "tiles", compare(large, small), f"tiles of {sizes} output pixels")


def check_region(case: Case) -> Result:
    """A region that is read alone, and the same part of the whole."""
    first = case.margin_low
    region = Window(
        case.align(REGION.row) + first, case.align(REGION.column) + first, REGION.height,
        REGION.width,
    ).scale(case.factor)  # fmt: skip
    alone, place = sisr_client.emulate(case.network, case.land, region)
    whole = sisr_client.wrap(case.whole)
    found = compare(alone, whole[:, place.rows, place.columns])
    return _judge(case, "region", found, "a region alone and the same part of the whole")


def _judge(case: Case, name: str, found: tuple[float, float], what: str) -> Result:
    largest, share = found
    passed = largest <= ONE and share <= case.limits.unequal
    said = (
        f"{what} differ by at most {largest:g} digital numbers, {100 * share:.3g} % of the values "
        f"differ; at most {ONE:g} and {100 * case.limits.unequal:g} % may"
    )
    return Result(name, passed, largest, ONE, "digital numbers", said)


def measure_reach(case: Case) -> int:
    """Output pixels from a cut edge to the furthest value that the cut changes by more than one."""
    down, right = map(case.align, CUT)
    part = case.network.run(case.land[:, down:, right:])
    whole = case.whole[:, case.factor * down :, case.factor * right :]
    apart = np.nan_to_num(np.abs(part - whole), nan=np.inf).max(0) > ONE
    rows, columns = np.nonzero(apart)
    # A value is as far from the cut as from the nearer of the two edges.
    return int(np.minimum(rows, columns).max(initial=-1)) + 1


def check_margin(case: Case) -> Result:
    """The margin is whole input pixels, and reaches as far as an edge is felt."""
    margin, needed = case.network.description.margin, measure_reach(case)
    whole = margin % case.factor == 0
    said = f"an edge is felt {needed} output pixels away, the margin is {margin}, " + (
        f"a multiple of {case.factor}" if whole else f"no multiple of {case.factor}: a region "
        "would begin between input pixels"
    )  # fmt: skip
    return Result("margin", whole and needed <= margin, needed, margin, "output pixels", said)


def check_off_grid(case: Case) -> Result:
    """Land that begins half a window further down and to the right, and that land in the whole."""
    half = case.network.grid // 2
    part = case.network.run(case.land[:, half:, half:])
    whole = case.whole[:, case.factor * half :, case.factor * half :]
    inside = slice(case.margin, -case.margin or None)
    apart = np.abs(part - whole)[:, inside, inside].astype(np.float64)
    levels = np.maximum(1.0, case.land.mean((1, 2), dtype=np.float64))
    shares = np.sqrt(np.square(apart).mean((1, 2))) / levels
    worst = int(np.argmax(shares))
    value, limit = float(shares[worst]), case.limits.off_grid
    said = (
        f"a part that begins between windows of {case.network.grid} input pixels lies "
        f"{100 * value:.3g} % of the mean of {case.bands[worst]} (RMSE) beside the whole, the most "
        f"of all bands, and at most {apart.max():g} digital numbers; at most {100 * limit:g} % may"
    )
    return Result("off grid", value <= limit, value, limit, "share of the mean", said)


def list_sizes(case: Case) -> list[tuple[int, int]]:
    """Heights and widths of tiles, odd ones too: the least that the client gives, and more."""
    least = 2 * case.margin_low
    return [(least + a, least + b) for a, b in ((1, 1), (2, 9), (7, 4), (16, 16), (31, 17))]


def check_sizes(case: Case) -> Result:
    """Tiles of any size: numbers of the right size and without gaps."""
    wrong = []
    for height, width in list_sizes(case):
        tile = case.land[:, :height, :width]
        expected = (len(case.bands), case.factor * height, case.factor * width)
        try:
            made = case.network.run(tile)
        except StageError:  # it does not run
            made = np.empty(0, np.float32)
        if made.shape != expected or not np.isfinite(made).all():
            wrong.append(f"{height} x {width}")
    count = len(list_sizes(case))
    said = f"of {count} sizes of tiles {len(wrong)} do not run, have gaps or give another size" + (
        f": {', '.join(wrong)}" if wrong else ""
    )
    return Result("sizes", not wrong, len(wrong), 0, "sizes", said)


def average(image: NDArray[np.floating], factor: int) -> NDArray[np.float64]:
    """(C, h, w) means of squares of (C, factor * h, factor * w) pixels."""
    bands, height, width = image.shape
    squares = image.reshape(bands, height // factor, factor, width // factor, factor)
    return np.asarray(squares.mean((2, 4), dtype=np.float64))


def find_shift(low: NDArray[np.floating], made: NDArray[np.floating]) -> tuple[float, float]:
    """Pixels down and to the right by which an image lies beside another one, by least squares.

    made = offset + gain * low - shift · gradient of gain * low, which holds for shifts below a
    pixel in images that are smooth; both are smoothed alike.

    Args:
        low: (h, w) image.
        made: (h, w) the same land.

    Returns:
        infinity where the one has nothing of the other.
    """
    first, second = (ndimage.gaussian_filter(np.float64(image), SMOOTH) for image in (low, made))
    border = int(np.ceil(4 * SMOOTH))
    inside = (slice(border, -border),) * 2
    slopes = [slope[inside].ravel() for slope in np.gradient(first)]
    columns = [np.ones(slopes[0].size), first[inside].ravel(), *slopes]
    found = np.linalg.lstsq(np.stack(columns, 1), np.asarray(second[inside]).ravel())
    _, gain, down, right = found[0].tolist()
    if gain <= 0.1:
        return np.inf, np.inf
    return -down / gain, -right / gain


def measure_shifts(case: Case, low: Image, made: Image) -> list[tuple[float, float]]:
    """Shift of each band of the output, in input pixels.

    Args:
        case: the network.
        low: (C, h, w) input.
        made: (C, factor * h, factor * w) output; its border of one margin is left out.
    """
    first = case.margin_low
    inside = (slice(first, low.shape[1] - first), slice(first, low.shape[2] - first))
    coarse = average(made, case.factor)
    return [find_shift(low[band][inside], coarse[band][inside]) for band in range(len(low))]


def check_shift(case: Case) -> Result:
    """The output, averaged over input pixels, lies where the input lies: half-pixel centres."""
    shifts = measure_shifts(case, case.land, case.whole)
    sizes = [float(np.hypot(*shift)) for shift in shifts]
    worst = int(np.argmax(sizes))
    down, right = shifts[worst]
    said = (
        f"{case.bands[worst]} lies {down:.3f} input pixels down and {right:.3f} to the right, "
        f"the furthest of all bands; at most {case.limits.shift:g} may be"
    )
    passed = sizes[worst] <= case.limits.shift
    return Result("shift", passed, sizes[worst], case.limits.shift, "input pixels", said)
