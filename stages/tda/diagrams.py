"""Cubical persistence of many patches of one band. Imports gudhi or giotto-tda when called."""

from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

DIMENSIONS = (0, 1)
Backend = Literal["gudhi", "giotto"]
BACKENDS = get_args(Backend)


class Points(NamedTuple):
    """The points of one homology dimension, of many patches: patch by patch, in patch order.

    Attributes:
        patch: (M,) the patch every point belongs to, 0 … N - 1.
        birth: (M,) in units of the band.
        persistence: (M,) death - birth, above 0.
    """

    patch: NDArray[np.intp]
    birth: NDArray[np.float64]
    persistence: NDArray[np.float64]


def points(
    band: NDArray[np.float64], essential: bool, backend: str = "gudhi"
) -> tuple[Points, Points]:
    """H0 and H1 of the sublevel filtration of every patch by itself.

    Pixels are the top cells of the complex (T-construction), so components are 8-connected and the
    holes of H1 are 4-connected parts of the superlevel set that do not touch the border.

    Args:
        band: (N, H, W) one band, finite.
        essential: keep the H0 class that never dies, with the maximum of its own patch as death;
            otherwise leave it out (reduced homology).
        backend: gudhi or giotto; both find the same points, in another order.
    """
    diagrams = _giotto(band) if backend == "giotto" else _gudhi(band)
    highest = band.max((1, 2)) if essential else None
    return _kept(*diagrams[0], highest), _kept(*diagrams[1], None)


Found = tuple[NDArray[np.intp], NDArray[np.float64]]  # patch (M,); birth and death (M, 2)


def _gudhi(band: NDArray[np.float64]) -> list[Found]:
    """By gudhi's code for rectangles, behind its CubicalPersistence for scikit-learn.

    Called without that class: it spends 3 µs a patch on joblib, and a second on its imports.
    """
    from gudhi._pers_cub_low_dim_ext import _persistence_on_rectangle_from_top_cells as rectangle

    if min(band.shape[1:]) < 3:  # it wants three rows; wider pixels meet as the narrow ones do
        band = band.repeat(3, 1).repeat(3, 2)
    each = [rectangle(patch, 0.0) for patch in band]
    numbers = np.arange(len(band))
    return [
        (
            np.repeat(numbers, [len(diagram[d]) for diagram in each]),
            np.concatenate([f[d] for f in each]),
        )
        for d in DIMENSIONS
    ]


def _giotto(band: NDArray[np.float64]) -> list[Found]:
    """By giotto-tda, the reference: gudhi's complex of any dimension behind joblib and padding."""
    from gtda.homology import CubicalPersistence

    # giotto-tda would let the essential class die at the maximum over all N patches, and a patch
    # would then depend on its neighbours: so it is told infinity.
    giotto = CubicalPersistence(
        homology_dimensions=DIMENSIONS, infinity_values=np.inf, reduced_homology=False
    )
    diagram = giotto.fit_transform(band)
    chosen = [np.nonzero(diagram[..., 2] == dimension) for dimension in DIMENSIONS]
    return [(patch, diagram[patch, place, :2]) for patch, place in chosen]


def _kept(
    patch: NDArray[np.intp], table: NDArray[np.float64], highest: NDArray[np.float64] | None
) -> Points:
    """Without points of no persistence; the essential class dies at ``highest`` or is left out."""
    birth, death = table.T
    if highest is not None:
        death = np.where(np.isinf(death), highest[patch], death)
    persistence = death - birth
    keep = (persistence > 0) & (persistence < np.inf)
    return Points(patch[keep], birth[keep], persistence[keep])
