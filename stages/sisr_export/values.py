"""Checks of numbers: what the client stores, pixels without data, bands, and fidelity."""

import numpy as np
from numpy.typing import NDArray

from shared import sisr, sisr_client
from shared.sisr_client import Window
from stages.sisr_export.case import Case, Image, Result, compare
from stages.sisr_export.geometry import ONE, average
from stages.sisr_export.settings import PER_UNIT

HOLE = Window(20, 24, 5, 7)  # input pixels without data, in the land without its margin
BRIGHT = Window(8, 10, 9, 8)  # input pixels of the largest number of 16 bits
DARK = Window(40, 30, 6, 9)  # input pixels of 0
BRIGHTEST = 65_535


def _place(case: Case, window: Window) -> Window:
    """A window of the land, of one of the land without its margin."""
    first = case.margin_low
    return Window(window.row + first, window.column + first, window.height, window.width)


def check_types(case: Case) -> Result:
    """The first output is float32 and has four axes."""
    made = case.network.session.run(None, {"input": case.land[None, :, :40, :36]})[0]
    passed = made.dtype == np.float32 and made.ndim == 4
    said = f"the output is {made.dtype} of {made.ndim} axes; float32 of 4 is expected"
    return Result("types", passed, float(not passed), 0, "faults", said)


def check_whole_numbers(case: Case) -> Result:
    """Whole numbers: the client cuts the rest off, half a digital number on average."""
    known = case.whole[np.isfinite(case.whole)]
    largest = float(np.abs(known - np.rint(known)).max(initial=0))
    said = f"values lie up to {largest:.3g} beside a whole number; the client cuts that off"
    return Result("whole numbers", largest == 0, largest, 0, "digital numbers", said)


def check_saturation(case: Case) -> Result:
    """The largest and the smallest input: what is stored is what the network gave."""
    extreme = case.land.copy()
    for window, number in ((BRIGHT, BRIGHTEST), (DARK, 0)):
        place = _place(case, window)
        extreme[:, place.rows, place.columns] = number
    made = case.network.run(extreme)
    stored = sisr_client.wrap(made)
    wrapped = np.abs(stored - np.where(np.isnan(made), sisr_client.NODATA, made)) >= ONE
    by_accident = np.isfinite(made) & (stored == sisr_client.NODATA)
    missing = np.isnan(made)
    count = int((wrapped | by_accident | missing).sum())
    low, high = (float(f(made)) for f in (np.nanmin, np.nanmax))
    said = (
        f"of input from 0 to {BRIGHTEST} come {low:g} to {high:g}; {count} values are not what the "
        "client stores: they wrap at 32,767, or are nodata"
    )
    return Result("saturation", count == 0, count, 0, "values", said)


def check_hole(case: Case) -> Result:
    """One band without data in a few pixels: so many are lost, and none far away is changed."""
    factor, place = case.factor, _place(case, HOLE)
    given = case.land.copy()
    given[-1, place.rows, place.columns] = np.nan
    made = case.network.run(given)
    fine = place.scale(factor)
    expected = np.zeros(made.shape, bool)
    expected[:, fine.rows, fine.columns] = True
    wrong = int((np.isnan(made) != expected).sum())
    far = np.ones(made.shape, bool)
    around = fine.grow(case.margin).clip(Window(0, 0, *made.shape[1:]))
    far[:, around.rows, around.columns] = False
    changed, share = compare(made[far], case.whole[far])
    beside = np.abs(np.where(expected | far, case.whole, made) - case.whole)
    passed = not wrong and changed <= ONE and share <= case.limits.unequal
    gone = int(np.isnan(made[0]).sum())
    said = (
        f"{HOLE.height} x {HOLE.width} input pixels without data make {gone} of "
        f"{HOLE.height * HOLE.width * factor**2} output pixels, {wrong} values wrongly; beyond the "
        f"margin values change by at most {changed:g}, beside the hole by {np.nanmax(beside):g}"
    )
    return Result("hole", passed, float(wrong), 0, "values", said)


def check_empty(case: Case) -> Result:
    """A tile without any data gives none."""
    size = (len(case.bands), 2 * case.margin_low + 8, 2 * case.margin_low + 5)
    made = case.network.run(np.full(size, np.nan, np.float32))
    count = int(np.isfinite(made).sum())
    said = f"a tile without data gives {count} numbers; none are expected"
    return Result("empty", count == 0, count, 0, "values", said)


def compare_bands(low: NDArray[np.floating], coarse: NDArray[np.floating]) -> NDArray[np.float64]:
    """(C, C) RMSE of each band of the output (rows) and each of the input (columns)."""
    count = len(low)
    apart = coarse[:, None] - low[None].astype(np.float64)
    return np.asarray(np.sqrt((apart**2).reshape(count, count, -1).mean(2)))


def _inside(case: Case, image: NDArray[np.floating]) -> NDArray[np.floating]:
    """The land without its margin."""
    place = _place(case, Window(0, 0, *case.middle))
    return image[:, place.rows, place.columns]


def check_bands(case: Case) -> Result:
    """Each band of the output is nearest to the same band of the input."""
    low, coarse = _inside(case, case.land), _inside(case, average(case.whole, case.factor))
    nearest = compare_bands(low, coarse).argmin(1)
    wrong = [
        f"{case.bands[i]} is nearest to {case.bands[k]}" for i, k in enumerate(nearest) if i != k
    ]
    said = f"{len(wrong)} bands of the output are nearest to another band of the input" + (
        f": {', '.join(wrong)}" if wrong else ""
    )
    return Result("bands", not wrong, len(wrong), 0, "bands", said)


def measure_fidelity(
    low: NDArray[np.floating], made: NDArray[np.floating], factor: int, band: str
) -> float:
    """RMSE of (h, w) input and (factor * h, factor * w) output as the sensor would see it."""
    unit = np.float64(PER_UNIT)
    mtf = sisr.SENTINEL2_MTF[band]
    return float(
        PER_UNIT
        * sisr.fidelity.low_fidelity(made[..., None] / unit, low[..., None] / unit, factor, mtf)
    )


def check_fidelity(case: Case, images: list[tuple[Image, Image]], what: str) -> Result:
    """The output, as the sensor would see it, is near to the input.

    Args:
        case: the network.
        images: (C, h, w) inputs and (C, factor * h, factor * w) outputs.
        what: what they show.
    """
    shares = []
    for number, band in enumerate(case.bands):
        errors = [measure_fidelity(x[number], y[number], case.factor, band) for x, y in images]
        level = np.mean([x[number].mean(dtype=np.float64) for x, _ in images])
        shares.append(float(np.sqrt(np.mean(np.square(errors))) / max(1.0, abs(level))))
    worst = int(np.argmax(shares))
    value, limit = shares[worst], case.limits.fidelity
    said = (
        f"{what}: {case.bands[worst]}, seen again by the sensor, is {100 * value:.2f} % of its "
        f"mean beside the input, the most of all bands; at most {100 * limit:g} % may be"
    )
    return Result("fidelity", value <= limit, value, limit, "share of the mean", said)
