"""What the features are: the description, its resolution, and how its numbers are ordered."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from shared import lcz

Kind = Literal["image", "landscape", "silhouette", "betti", "stats"]
KINDS = get_args(Kind)
QUANTILE = 0.005  # this share of the points lies beyond each end of an axis, in its border cell
LEVELS = "level ascending, from birth low to birth high + persistence high"
ORDER = {
    "image": "persistence descending; birth ascending",
    "landscape": f"layer descending; {LEVELS}",
    "silhouette": LEVELS,
    "betti": LEVELS,
    "stats": "points, entropy in bits; mean, deviation of birth, death, persistence; its maximum",
}


@dataclass(frozen=True)
class Setting:
    """What features must have in common to be comparable.

    Attributes:
        modality: sen1, sen2 or rgb.
        layout: bands and the scaling to 0 … 255.
        bins: cells along each axis of an image, levels of a curve.
        sigma: of the Gaussian, in units of the scaled band.
        essential: whether the component that never dies is kept.
        kind: image, landscape, silhouette, betti or stats.
        layers: of a landscape.
        power: of the weights of a silhouette.
        backend: gudhi or giotto; not part of the identity, both find the same points.
    """

    modality: str
    layout: lcz.Layout
    bins: int
    sigma: float
    essential: bool
    kind: str = "image"
    layers: int = 1
    power: float = 1.0
    backend: str = "gudhi"

    def scale(self, values: NDArray[np.float32]) -> NDArray[np.float64]:
        """Physical values of any shape to 0 … 255."""
        return self.layout.scale(values.astype(np.float64)).astype(np.float64)

    def identity(self) -> dict[str, Any]:
        """What two files must share, as it is stored beside the grid."""
        own: dict[str, dict[str, Any]] = {
            "landscape": {"layers": self.layers},
            "silhouette": {"power": self.power},
        }
        return {
            "modality": self.modality,
            "kind": self.kind,
            "bands": list(self.layout.bands),
            "bins": self.bins,
            "sigma": self.sigma,
            "essential": self.essential,
            "low": self.layout.low,
            "high": self.layout.high,
            "clip": self.layout.clip,
        } | own.get(self.kind, {})

    def attributes(self) -> dict[str, Any]:
        """The identity and, in words, what the axes of grid and features are."""
        return self.identity() | {
            "axes": "band; homology dimension 0, 1; birth, persistence; low, high",
            "unit": "band scaled so that low … high is 0 … 255",
            "features": f"band; homology dimension 0, 1; {ORDER[self.kind]}",
            "quantile": QUANTILE,
        }
