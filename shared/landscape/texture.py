"""Chance on the ground: smooth noise, shares of materials, and which material lies where."""

import functools

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from shared.landscape.materials import CODE, NAMES, City
from shared.landscape.zones import Mix

CELL = 2.5  # metres
MARGIN = 4  # pixels of 10 m around the patch, for blur, shadow and speckle filter
CELLS = (32 + 2 * MARGIN) * 4

Grid = NDArray[np.float64]


@functools.cache
def _spline(knots: int, cells: int) -> sparse.csr_array:
    """(cells, knots + 3) cubic B-spline basis, rows of unit length: it makes white noise smooth.

    Sparse, as all matrices here: products of this size lose more to threads than they gain.
    """
    at = np.linspace(0, knots, cells, endpoint=False)[:, None]
    far = np.abs(at - (np.arange(knots + 3)[None] - 1))
    basis = np.where(far < 1, 2 / 3 - far**2 + far**3 / 2, np.clip(2 - far, 0, None) ** 3 / 6)
    return sparse.csr_array(basis / np.linalg.norm(basis, axis=1, keepdims=True))


def noise(rng: np.random.Generator, metres: float, cells: int = CELLS, cell: float = CELL) -> Grid:
    """(cells, cells) standard normal field, correlated over about `metres`; cells of `cell` m."""
    basis = _spline(int(np.clip(cells * cell / metres, 2, cells // 2)), cells)
    field: Grid = basis @ (basis @ rng.standard_normal((basis.shape[1],) * 2)).T
    return field


def weights(mix: Mix, city: City, rng: np.random.Generator, evenness: float) -> Grid:
    """(materials,) shares that sum to 1: the recipe, the city's habit, the patch's chance."""
    mean = np.zeros(len(NAMES))
    for name, weight in mix.items():
        mean[CODE[name]] = weight * city.roofs[CODE[name]] ** 0.6
    drawn = rng.standard_gamma(evenness * mean / mean.sum() + 1e-9)
    share: Grid = drawn / drawn.sum()
    return share


def mosaic(
    share: Grid, metres: float, rng: np.random.Generator, cells: int = CELLS, cell: float = CELL
) -> NDArray[np.intp]:
    """(cells, cells) material codes in pieces of about `metres`; a larger share wins more often."""
    codes = np.flatnonzero(share > 0.01)
    rival = np.stack([noise(rng, metres, cells, cell) for _ in codes])
    won: NDArray[np.intp] = codes[np.argmax(rival + np.log(share[codes])[:, None, None], 0)]
    return won


def choose(uniform: Grid, share: Grid) -> NDArray[np.intp]:
    """Material codes from numbers in 0 … 1, each as often as its share."""
    index: NDArray[np.intp] = np.searchsorted(np.cumsum(share)[:-1], uniform).astype(np.intp)
    return index
