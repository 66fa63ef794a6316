"""Other ways to the same diagrams and images, each as its library is meant to be called."""

import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

# tcripser is in no stage's lock: make bench-tda puts it here.
sys.path.append(str(Path(__file__).resolve().parents[2] / ".venvs" / "bench_tda"))

Work = Callable[[], object]


def slow(band: np.ndarray) -> dict[str, tuple[Work, Work]]:
    """giotto-tda: way to finding the diagrams of (N, H, W), and to drawing both images.

    `reference` is what the thesis code does: one 2-D patch where a collection is expected, and a
    grid of its own for each band. `giotto per band` is the same loop with the patch as one image.
    """
    from gtda.diagrams import PersistenceImage
    from gtda.homology import CubicalPersistence

    warnings.filterwarnings("ignore", category=DeprecationWarning)

    def find(patches: np.ndarray) -> Any:
        return CubicalPersistence(homology_dimensions=(0, 1), n_jobs=1).fit_transform(patches)

    def draw(diagram: Any) -> Any:
        return PersistenceImage(sigma=0.5, n_bins=30, n_jobs=1).fit_transform(diagram)

    wrong = [find(patch) for patch in band]
    right = [find(patch[None]) for patch in band]
    batch = find(band)
    return {
        "reference": (
            lambda: [find(patch) for patch in band],
            lambda: [draw(diagram) for diagram in wrong],
        ),
        "giotto per band": (
            lambda: [find(patch[None]) for patch in band],
            lambda: [draw(diagram) for diagram in right],
        ),
        "giotto batched": (lambda: find(band), lambda: draw(batch)),
    }


def fast() -> dict[str, Callable[[np.ndarray], object] | None]:
    """Diagrams alone of (N, H, W); None where the library is not there."""
    import gudhi
    from gudhi.sklearn.cubical_persistence import CubicalPersistence

    def general(band: np.ndarray) -> None:
        for patch in band:
            cells = gudhi.CubicalComplex(top_dimensional_cells=patch)
            cells.compute_persistence()
            for dimension in (0, 1):
                cells.persistence_intervals_in_dimension(dimension)

    return {
        "gudhi general complex": general,
        "gudhi rectangle": CubicalPersistence(homology_dimensions=(0, 1)).fit_transform,
        "tcripser": _tcripser(),
    }


def _tcripser() -> Callable[[np.ndarray], object] | None:
    try:
        import tcripser
    except ImportError:
        return None
    return lambda band: [tcripser.computePH(patch, maxdim=1) for patch in band]
