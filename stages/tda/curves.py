"""Short descriptions of diagrams: Betti curves, landscapes, silhouettes, statistics.

Curves are sampled at ``bins`` evenly spaced levels of the grid, the same for every patch. Their
definitions are giotto-tda's (gtda.diagrams), with fixed levels instead of fitted ones.
"""

import numpy as np
from numpy.typing import NDArray

from stages.tda.diagrams import Points

STATISTICS = (
    "points", "entropy", "birth mean", "birth deviation", "death mean", "death deviation",
    "persistence mean", "persistence deviation", "persistence maximum",
)  # fmt: skip


def levels(axes: NDArray[np.float64], bins: int) -> NDArray[np.float64]:
    """(bins,) from the lowest birth to the highest birth plus the highest persistence."""
    return np.linspace(axes[0, 0], axes[0, 1] + axes[1, 1], bins)


def betti(points: Points, count: int, at: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, bins) points with birth <= level < death: components or holes alive at each level."""
    bins = len(at)
    change = np.zeros(count * (bins + 1), np.intp)
    for values, step in ((points.birth, 1), (points.birth + points.persistence, -1)):
        place = points.patch * (bins + 1) + np.searchsorted(at, values)
        change += step * np.bincount(place, minlength=len(change))
    return change.reshape(count, -1).cumsum(1)[:, :bins].astype(np.float64)


def silhouette(
    points: Points, count: int, at: NDArray[np.float64], power: float
) -> NDArray[np.float64]:
    """(N, bins) mean of all tents, weighted by persistence ** power; 0 without a point.

    Chazal et al. 2014, "Stochastic convergence of persistence landscapes and silhouettes".
    """
    weight = points.persistence**power
    total = _sums(points.patch, weight, count)
    total[total == 0] = np.inf
    sums = [_sums(points.patch, weight * tent, count) for tent in _tents(points, at).T]
    return np.stack(sums, axis=1) / total[:, None]


def landscape(
    points: Points, count: int, at: NDArray[np.float64], layers: int
) -> NDArray[np.float64]:
    """(N, layers, bins) highest tent at each level, second highest, …; 0 where there are fewer.

    Bubenik 2015, "Statistical topological data analysis using persistence landscapes". Tents are as
    high as half their persistence; some authors and gudhi draw them higher by the root of 2.
    """
    lengths = np.bincount(points.patch, minlength=count)
    most = max(layers, int(lengths.max(initial=0)))
    place = np.arange(len(points.patch)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    padded = np.zeros((count, len(at), most))
    padded[points.patch, :, place] = _tents(points, at)
    highest = np.partition(padded, range(most - layers, most), axis=2)[..., most - layers :]
    return highest[..., ::-1].transpose(0, 2, 1)


def statistics(points: Points, count: int) -> NDArray[np.float64]:
    """(N, 9) the STATISTICS of each patch, 0 without a point.

    Entropy is that of the persistences as shares of their sum, in bits.
    """
    patch, birth, persistence = points
    number = np.bincount(patch, minlength=count).astype(np.float64)
    share = persistence / _sums(patch, persistence, count)[patch]
    highest = np.zeros(count)
    np.maximum.at(highest, patch, persistence)
    columns = [number, -_sums(patch, share * np.log2(share), count)]
    for values in (birth, birth + persistence, persistence):
        mean = _sums(patch, values, count) / np.maximum(number, 1)
        square = _sums(patch, (values - mean[patch]) ** 2, count) / np.maximum(number, 1)
        columns += [mean, np.sqrt(square)]
    return np.stack([*columns, highest], axis=1)


def _tents(points: Points, at: NDArray[np.float64]) -> NDArray[np.float64]:
    """(M, bins) each point as a tent: 0 at birth and death, half the persistence in the middle."""
    half = points.persistence[:, None] / 2
    tents: NDArray[np.float64] = half - np.abs(at - (points.birth[:, None] + half))
    return tents.clip(0)


def _sums(patch: NDArray[np.intp], values: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """(N,) sums per patch, one value after the other: the same bits whatever the neighbours."""
    return np.asarray(np.bincount(patch, values, count), np.float64)
