"""What a super-resolved image restored of each spatial frequency, and what it made up.

The frequency-domain metrics of torchsisr (CESBIO, hal-04723225), with rings that lie
edge to edge.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TOP, BELOW = 0.8, 0.6  # of the rings: noise is what is restored above, beyond what is below


class Spectrum:
    """Mean amplitude of a set of images over rings of equal frequency.

    Images are padded with zeros to twice their side W, so ring k holds the frequencies around
    k / (2 W) cycles a pixel, and ring W is the Nyquist frequency.
    """

    def __init__(self, side: int) -> None:
        self.side, self.count = side, 0
        place = np.rint(np.fft.fftfreq(2 * side) * 2 * side)
        far = np.rint(np.hypot(place[:, None], place[: side + 1]))
        self._ring = far.astype(np.intp).clip(max=side + 1).ravel()
        # Half of the plane is enough: the amplitudes of the other half are the same.
        twice = np.where((np.abs(place[: side + 1]) % side == 0), 1.0, 2.0)
        self._share = np.broadcast_to(twice, far.shape).ravel()
        self._sums = np.zeros(self._ring.shape)

    def add(self, image: NDArray[np.floating]) -> None:
        """Count an image (W, W)."""
        size = (2 * self.side, 2 * self.side)
        self._sums += np.abs(np.fft.rfft2(image, size)).ravel()
        self.count += 1

    def profile(self) -> NDArray[np.float64]:
        """(W,) decibels of rings 1 to W relative to ring 1, the first of which is 0."""
        weighted = np.bincount(self._ring, self._sums * self._share, self.side + 2)
        rings = weighted / np.bincount(self._ring, self._share, self.side + 2) / self.count
        decibels: NDArray[np.float64] = 20 * np.log10(rings[1 : self.side + 1] / rings[1])
        return decibels


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
