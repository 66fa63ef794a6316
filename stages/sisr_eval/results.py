"""Means over all rows to the metrics of the tables."""

from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from shared.sisr import frequency
from stages.sisr_eval.measures import AGAINST, SHIFTS, SUFFIX, Means
from stages.sisr_eval.networks import BICUBIC
from stages.sisr_eval.samples import TARGET, TRUTH

MEAN = "mean"  # instead of a band: of all bands
OF_INPUT = ("low_fidelity", "radiometric_mean", "radiometric_std")
FLOWS = ("flow_mean", "flow_std", "flow_error")  # of all bands, as the shifts are
COMPARED = (*AGAINST, *frequency.RATES, *SHIFTS)
METRICS = (*(m + suffix for suffix in SUFFIX.values() for m in COMPARED), *OF_INPUT, *FLOWS)
Figures = dict[str, float]  # by metric, as far as there is a value
Results = dict[str, dict[str, Figures]]  # by name of the image, then by band, "mean" first


class Totals:
    """Sums over the rows so far, by name of the image."""

    def __init__(self) -> None:
        self._sums: dict[str, Means] = {}
        self._rows = 0

    def add(self, found: dict[str, Means]) -> None:
        """Count a row."""
        for name, means in found.items():
            sums = self._sums.setdefault(name, {})
            for metric, value in means.items():
                sums[metric] = sums.get(metric, 0) + value
        self._rows += 1

    def means(self) -> dict[str, Means]:
        """By name of the image, means over all rows."""
        return {
            name: {metric: value / self._rows for metric, value in sums.items()}
            for name, sums in self._sums.items()
        }

    def profiles(self) -> dict[str, NDArray[np.float64]]:
        """By name of the image (C, W) decibels of its bands, NaN for those that it lacks."""
        with np.errstate(divide="ignore", invalid="ignore"):  # an image of zeros has none
            return {
                name: np.stack([frequency.to_decibels(rings) for rings in sums["rings"]])
                for name, sums in self._sums.items()
            }


def tabulate(totals: Totals, bands: tuple[str, ...]) -> Results:
    """The metrics of every image, band by band and as the mean of its bands.

    `radiometric_mean` has the mean of the magnitudes there: bands that are too bright would make up
    for those that are too dark.
    """
    profiles = totals.profiles()
    return {
        name: _gather(_finish(means, profiles, name), bands)
        for name, means in totals.means().items()
    }


def _finish(means: Means, profiles: dict[str, NDArray[np.float64]], name: str) -> Means:
    """Deviations from means of squares, and the rates of the spectra."""
    told = {metric: value for metric, value in means.items() if metric in METRICS}
    told["radiometric_mean"] = means["base"]
    told["radiometric_std"] = _deviate(means["base"], means["base_square"])
    if "flow_norm" in means:
        told["flow_mean"] = means["flow_norm"]
        told["flow_std"] = _deviate(means["flow_norm"], means["flow_square"])
    for reference, suffix in SUFFIX.items():
        if reference in profiles and reference != name:
            three = (profiles[BICUBIC], profiles[reference], profiles[name])
            rates = [_rate(*band) for band in zip(*three, strict=True)]
            told |= {m + suffix: np.array([band[m] for band in rates]) for m in frequency.RATES}
    return told


def _rate(*three: NDArray[np.float64]) -> dict[str, float]:
    """Rates of one band, NaN where one of the three images does not have it."""
    if not np.isfinite(three).all():
        return dict.fromkeys(frequency.RATES, np.nan)
    return asdict(frequency.rate(*three))


def _deviate(mean: NDArray[np.float64], square: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standard deviation of what has this mean and this mean square."""
    return np.sqrt(np.maximum(square - mean**2, 0))


def _gather(told: Means, bands: tuple[str, ...]) -> dict[str, Figures]:
    made: dict[str, Figures] = {MEAN: {}, **{band: {} for band in bands}}
    for metric in (name for name in METRICS if name in told):
        values = np.asarray(told[metric], np.float64)
        there = np.isfinite(values)
        if values.ndim:
            for band in np.flatnonzero(there):
                made[bands[band]][metric] = float(values[band])
            values = np.abs(values) if metric == "radiometric_mean" else values
        if there.any():
            made[MEAN][metric] = float(values[there].mean())
    return made


def name_curves(totals: Totals) -> tuple[list[str], NDArray[np.float64]]:
    """Whose spectra there are, and (K, C, W) decibels of them."""
    profiles = totals.profiles()
    first = [name for name in (BICUBIC, TARGET, TRUTH) if name in profiles]
    order = first + [name for name in profiles if name not in first]
    return order, np.stack([profiles[name] for name in order])
