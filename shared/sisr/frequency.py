"""What a super-resolved image restored of each spatial frequency, and what it made up.

The frequency-domain metrics of torchsisr (CESBIO, hal-04723225), with rings that lie
edge to edge.
"""

import functools
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

TOP, BELOW = 0.8, 0.6  # of the rings: noise is what is restored above, beyond what is below


@functools.lru_cache(maxsize=4)
def _lay_rings(side: int) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.float64]]:
    """Ring and weight of each amplitude of half a plane; all weights of each ring."""
    place = np.rint(np.fft.fftfreq(2 * side) * 2 * side)
    far = np.rint(np.hypot(place[:, None], place[: side + 1]))
    ring = far.astype(np.intp).clip(max=side + 1).ravel()
    # Half of the plane is enough: the amplitudes of the other half are the same.
    twice = np.where((np.abs(place[: side + 1]) % side == 0), 1.0, 2.0)
    weight = np.broadcast_to(twice, far.shape).ravel()
    whole: NDArray[np.float64] = np.bincount(ring, weight, side + 2).astype(np.float64)
    return ring, weight, whole


def measure_rings(image: NDArray[np.floating]) -> NDArray[np.float64]:
    """(W + 1,) mean amplitude of an image (W, W) in the rings 0 to W, for `to_decibels`.

    It is padded with zeros to twice its side W, so ring k holds the frequencies around k / (2 W)
    cycles a pixel, and ring W is the Nyquist frequency.
    """
    side = len(image)
    ring, weight, whole = _lay_rings(side)
    amplitude = np.abs(np.fft.rfft2(image, (2 * side, 2 * side))).ravel()
    means: NDArray[np.float64] = np.bincount(ring, amplitude * weight, side + 2) / whole
    return means[: side + 1]


def to_decibels(rings: NDArray[np.float64]) -> NDArray[np.float64]:
    """(W,) rings 1 to W relative to ring 1, the first of which is 0, of a sum (W + 1,) of images.

    How many images there are does not matter.
    """
    decibels: NDArray[np.float64] = 20 * np.log10(rings[1:] / rings[1])
    return decibels


class Spectrum:
    """Mean amplitude of a set of images (W, W) over rings of equal frequency."""

    def __init__(self, side: int) -> None:
        self._rings = np.zeros(side + 1)

    def add(self, image: NDArray[np.floating]) -> None:
        """Count an image (W, W)."""
        self._rings += measure_rings(image)

    def profile(self) -> NDArray[np.float64]:
        """(W,) decibels of rings 1 to W relative to ring 1, the first of which is 0."""
        return to_decibels(self._rings)


@dataclass(frozen=True)
class Rates:
    """Rates in percent.

    Attributes:
        prr: potential restoration: how far the target lies above the input.
        arr: achieved restoration: how far towards the target the prediction lies above the input.
        frr: restoration: the achieved in percent of the potential; 0 where nothing was to restore.
        fro: overshoot: how far the prediction lies above the target.
        fru: undershoot: how far the prediction lies below the input; 0 or negative.
        noise: how much more of the highest fifth is restored than of the one below it.
    """

    prr: float
    arr: float
    frr: float
    fro: float
    fru: float
    noise: float


RATES = tuple(field.name for field in fields(Rates))


def rate(
    given: NDArray[np.float64], target: NDArray[np.float64], made: NDArray[np.float64]
) -> Rates:
    """The rates of a prediction.

    Args:
        given: (W,) profile of the input, enlarged by a cubic.
        target: (W,) profile of what was to be restored.
        made: (W,) profile of the prediction.
    """
    least = np.minimum(target, given)
    within = np.maximum(np.minimum(made, target), least)
    whole, last = float(least.sum()), len(target) - 1
    top, below = (round(share * last) for share in (TOP, BELOW))

    def restored(first: int, end: int) -> float:
        possible = float((target - least)[first:end].sum())
        return 100 * float((within - least)[first:end].sum()) / possible if possible else 0.0

    return Rates(
        prr=100 * abs(float((target - least).sum()) / whole),
        arr=100 * abs(float((within - least).sum()) / whole),
        frr=restored(0, last),  # without the last ring
        fro=100 * float((target - np.maximum(made, target)).sum()) / float(target.sum()),
        fru=100 * float((given - np.minimum(made, given)).sum()) / float(given.sum()),
        noise=max(0.0, restored(top, last) - restored(below, top)),
    )
