"""Cubical persistence of many patches of one band. Heavy: imports giotto-tda."""

import numpy as np
from gtda.homology import CubicalPersistence
from numpy.typing import NDArray

DIMENSIONS = (0, 1)


def diagrams(band: NDArray[np.float64], essential: bool) -> NDArray[np.float64]:
    """Persistence diagrams of the sublevel filtration of every patch by itself.

    Pixels are the top cells of the complex (T-construction), so components are 8-connected and the
    holes of H1 are 4-connected parts of the superlevel set.

    Args:
        band: (N, H, W) one band, finite.
        essential: keep the H0 class that never dies, with the maximum of its own patch as death;
            otherwise leave it out (reduced homology).

    Returns:
        (N, P, 3) birth, death, homology dimension; rows with birth = death only fill up.
    """
    # giotto-tda would let the essential class die at the maximum over all N patches, and a patch
    # would then depend on its neighbours: so it is told infinity, and each patch gets its own.
    giotto = CubicalPersistence(
        homology_dimensions=DIMENSIONS, infinity_values=np.inf, reduced_homology=not essential
    )
    found: NDArray[np.float64] = giotto.fit_transform(band)
    highest = band.max((1, 2))[:, None]
    found[..., 1] = np.where(np.isinf(found[..., 1]), highest, found[..., 1])
    return found


def points(
    found: NDArray[np.float64], dimension: int
) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.float64]]:
    """Patch numbers, births and persistences, each (M,), of one dimension; fillers left out."""
    persistence = found[..., 1] - found[..., 0]
    patch, place = np.nonzero((found[..., 2] == dimension) & (persistence > 0))
    return patch, found[patch, place, 0], persistence[patch, place]
