"""The figures: one patch with its diagrams and images, the mean images of all classes."""

import re
import textwrap
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray

from stages.tda_plot import homology, panels
from stages.tda_plot.files import Pair

plt.rcParams["text.parse_math"] = False  # a $ in a name is a $
LINE_HEIGHT = 0.145  # inches, of a caption
LEAST_WIDTH = 7.5  # inches; titles want as much
BRIGHT = 99.5  # percentile of the cells that is drawn white; a few cells stand out
ACROSS = 9  # classes in a line
SPOTS = """\
Let water rise over the band. H0 is a dark spot: born at its darkest level, dead when it joins one
that is darker still (the darkest of all never does and {}). H1 is a bright spot:
born when the dark pixels around it close to a ring, dead when its brightest pixel is under water.
Persistence = death − birth says how much a spot stands out. Levels are in units of the band,
0 … 255."""
PATCH = """\
The five that stand out most are marked in band and diagram. Images: the points (small rings; at the
border if beyond the grid), smoothed. Grid and colours (points per squared unit, by square root)
are the same for all patches drawn together."""


def title(name: str) -> str:
    """ "03_CompactLowRise" to "03 Compact Low Rise"."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).replace("_", " ")


def spots(both: Pair) -> str:
    """What birth and persistence are, for a caption."""
    return SPOTS.format("dies at the brightest level" if both.essential else "is left out")


def tops(both: Pair, rows: list[int]) -> NDArray[np.float64]:
    """(C, 2) value drawn brightest, per band and dimension, over all patches that are shown."""
    if not rows:
        return np.ones((len(both.layout.bands), 2))
    shown = np.stack([both.images(slice(row, row + 1))[0] for row in rows])
    return np.maximum(np.percentile(shown, BRIGHT, (0, 3, 4)), 1e-6)


def patch(
    path: Path, both: Pair, row: int, bands: list[int], tops: NDArray[np.float64], name: str
) -> None:
    """One line per band: the band, both diagrams in one panel, the image of H0, that of H1.

    Args:
        path: PNG to write.
        both: the files.
        row: the patch.
        bands: numbers of the bands.
        tops: from `tops`.
        name: title of the figure.
    """
    caption = f"{spots(both)} {PATCH}"
    figure, grid = _panels(len(bands), 4, 1.9, (0.75, 0.58), (0.35, 0.62), caption)
    images = both.images(slice(row, row + 1))[0]
    for axes, band in zip(grid, bands, strict=True):
        pixels = both.band(row, band)
        points = [
            homology.diagram(pixels, 0, both.essential),
            homology.diagram(pixels, 1),
        ]
        panels.band(axes[0], pixels, points, both.layout.bands[band])
        panels.diagram(axes[1], points)
        for d in (0, 1):
            panels.image(axes[2 + d], images[band, d], both.grid[band, d], tops[band, d])
            panels.rings(axes[2 + d], points[d], both.grid[band, d])
            heading = f"{panels.NAMES[d]} ({len(points[d])})"
            axes[2 + d].set_title(heading, fontsize=8, color=panels.COLOURS[d])
            axes[2 + d].set(xlabel="birth", ylabel="persistence")
    _save(figure, path, name, 11)


def classes(
    path: Path, both: Pair, band: int, means: NDArray[np.float64], counts: NDArray[np.intp]
) -> None:
    """Mean images of the classes that have rows, H0 above H1, one colour scale for each.

    Args:
        path: PNG to write.
        both: the files.
        band: number of the band.
        means: (K, 2, bins, bins).
        counts: (K,) rows of each class.
    """
    there = np.flatnonzero(counts)
    across = min(ACROSS, len(there))
    down = 2 * -(-len(there) // across)
    figure, grid = _panels(down, across, 1.35, (0.15, 0.66), (0.6, 0.85), spots(both))
    scale = [max(float(np.percentile(means[there, d], BRIGHT)), 1e-6) for d in (0, 1)]
    for axes in grid.flat:
        axes.set_axis_off()
    for place, k in enumerate(there):
        column = grid[2 * (place // across) :, place % across]
        column[0].set_title(f"{title(both.features.classes[k])}\n{counts[k]} patches", fontsize=7)
        for d in (0, 1):
            column[d].set_axis_on()
            panels.image(column[d], means[k, d], both.grid[band, d], scale[d])
            column[d].tick_params(labelleft=place % across == 0)
            if place % across == 0:
                label = f"{panels.NAMES[d]}\npersistence"
                column[d].set_ylabel(label, fontsize=7, color=panels.COLOURS[d])
        column[1].set_xlabel("birth", fontsize=7)
    name = (
        f"{both.layout.bands[band]}: mean persistence image of each class, from dark (no point) to "
        "light (many);\naxes and colours are the same for all classes"
    )
    _save(figure, path, name, 9)


def _panels(
    down: int,
    across: int,
    side: float,
    gaps: tuple[float, float],
    corner: tuple[float, float],
    caption: str,
) -> tuple[Any, Any]:
    """A figure of (down, across) square panels above a caption, and the panels; inches.

    Every place is given: matplotlib's own layout measures all texts of all panels three times.

    Args:
        down: lines of panels.
        across: panels in a line.
        side: of a panel.
        gaps: between panels, beside and above each other.
        corner: room left of the first panel and above it.
        caption: words below, which are wrapped to the width.
    """
    (beside, above), (left, top) = gaps, corner
    panels_end = left + across * (side + beside)
    width = max(panels_end, LEAST_WIDTH)
    lines = textwrap.wrap(caption, int(16.4 * width))
    bottom = 0.5 + LINE_HEIGHT * len(lines)
    height = top + down * (side + above) - above + bottom
    places = {
        "left": left / width, "right": (panels_end - beside) / width, "wspace": beside / side,
        "top": 1 - top / height, "bottom": bottom / height, "hspace": above / side,
    }  # fmt: skip
    figure, grid = plt.subplots(
        down, across, figsize=(width, height), squeeze=False, gridspec_kw=places
    )
    below = "\n".join(lines)
    figure.supxlabel(below, fontsize=7.5, x=0.1 / width, y=0.08 / height, ha="left", va="bottom")
    return figure, grid


def _save(figure: Any, path: Path, name: str, size: float) -> None:
    """The figure under its title, as a PNG."""
    figure.suptitle(name, fontsize=size, y=1 - 0.08 / figure.get_figheight(), va="top")
    figure.savefig(path, dpi=90, metadata={"Software": None})
    plt.close(figure)
