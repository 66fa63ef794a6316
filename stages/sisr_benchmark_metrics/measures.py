"""All metrics of all cases, summed up image by image."""

from collections.abc import Iterator
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from shared import sisr
from shared.sisr import fidelity, frequency
from stages.sisr_benchmark_metrics import faults

ONE_BY_ONE = ("psnr", "best_shift_psnr", "rmse", "low_fidelity", "high_fidelity")
OF_THE_SET = frequency.RATES
METRICS = ONE_BY_ONE + OF_THE_SET
MOVED = tuple(name for name in METRICS if name != "prr")  # that one is of the input alone
Case = tuple[str, float]


class Totals:
    """Metrics of one case so far.

    Args:
        side: pixels of what is measured.
        bands: number of them; each has a spectrum of its own.
    """

    def __init__(self, side: int, bands: int) -> None:
        self.spectra = [frequency.Spectrum(side) for _ in range(bands)]
        self.values = dict.fromkeys(ONE_BY_ONE, 0.0)

    def add(self, made: NDArray[np.float64], target: NDArray[np.float64], scale: "Scale") -> None:
        """Count an image (H, W, C) beside the one that it should be."""
        for band, spectrum in enumerate(self.spectra):
            spectrum.add(made[scale.inside][..., band])
        ours, other = made[scale.inside], target[scale.inside]
        measured = {
            "psnr": fidelity.psnr(ours, other),
            "best_shift_psnr": fidelity.best_shift(ours, other)[0],
            "rmse": fidelity.rmse(ours, other),
            "low_fidelity": fidelity.low_fidelity(
                made, scale.shrink(target), scale.factor, scale.mtf
            ),
            "high_fidelity": fidelity.high_fidelity(made, target, scale.factor, scale.mtf),
        }
        self.values = {name: self.values[name] + value for name, value in measured.items()}

    def profiles(self) -> list[NDArray[np.float64]]:
        """(W,) decibels of each band."""
        return [spectrum.profile() for spectrum in self.spectra]


class Scale:
    """The step from the coarser sensor to the finer one.

    Attributes:
        factor: pixels of the finer along one of the coarser.
        mtf: of the coarser at the Nyquist frequency of its pixels.
        inside: what is measured of an image.
    """

    def __init__(self, factor: int, mtf: float) -> None:
        self.factor, self.mtf = factor, mtf
        middle = slice(faults.EDGE, -faults.EDGE)
        self.inside = (middle, middle)

    def shrink(self, image: NDArray[np.float64]) -> NDArray[np.float64]:
        """(h, w, C) as the coarser sensor sees an image."""
        return sisr.downscale(image, self.factor, self.mtf)


def measure(
    images: Iterator[NDArray[np.float64]], scale: Scale, seed: int
) -> dict[Case, dict[str, float]]:
    """All metrics by case: means over the images, or rates of the set averaged over its bands.

    Args:
        images: (H, W, C) reflectance, squares of one size.
        scale: from which sensor they would come.
        seed: decides the noise.
    """
    cases, totals, count = faults.list_cases(), dict[Case, Totals](), 0
    for image in images:
        enlarged = sisr.enlarge(scale.shrink(image), scale.factor)
        for number, case in enumerate(cases):
            if not count:
                totals[case] = Totals(len(image) - 2 * faults.EDGE, image.shape[-1])
            rng = np.random.default_rng((seed, count, number))
            totals[case].add(faults.spoil(image, enlarged, case, rng), image, scale)
        count += 1
    given, target = (totals[name, 0.0].profiles() for name in (faults.GIVEN, faults.EXACT))
    told = {}
    for case, total in totals.items():
        rates = [
            asdict(frequency.rate(*three))
            for three in zip(given, target, total.profiles(), strict=True)
        ]
        of_the_set = {name: float(np.mean([rate[name] for rate in rates])) for name in OF_THE_SET}
        told[case] = {name: value / count for name, value in total.values.items()} | of_the_set
    return told


def react(told: dict[Case, dict[str, float]]) -> dict[str, dict[str, float]]:
    """How much each fault, at its largest, moves each metric, by fault and metric.

    Returns:
        0 to 1: the distance from the value without a fault, as a share of the largest of all
        faults; 0 everywhere where no fault moves the metric.
    """
    strongest = {name: told[name, sizes[-1]] for name, (_, sizes, _) in faults.FAULTS.items()}
    exact = told[faults.EXACT, 0.0]
    apart = {
        fault: {name: abs(values[name] - exact[name]) for name in MOVED}
        for fault, values in strongest.items()
    }
    most = {name: max(values[name] for values in apart.values()) for name in MOVED}
    return {
        fault: {name: values[name] / most[name] if most[name] else 0.0 for name in MOVED}
        for fault, values in apart.items()
    }
