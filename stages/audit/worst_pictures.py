"""The rows whose labels fit worst, in true colour, with the given and the suggested class."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray

from shared import lcz, patches
from shared.errors import StageError
from shared.models import label_audits

plt.rcParams["text.parse_math"] = False  # a $ in a name is a $
ACROSS, DPI = 5, 110
GAMMA = 0.75  # dark parts (trees, water) are lifted a little


def draw(
    path: Path, source: patches.Source, audit: label_audits.Audit, rows: NDArray[np.intp]
) -> None:
    """Draw the rows, the worst first; the same rows give the same bytes.

    A file without bands of true colour is shown in grey, by its first optical band.

    Args:
        path: PNG to write.
        source: training file, open.
        audit: of all its rows.
        rows: (R,) to draw.
    """
    down = -(-len(rows) // ACROSS)
    size = (2.2 * ACROSS, 2.7 * down)
    figure, panels = plt.subplots(down, ACROSS, figsize=size, squeeze=False, layout="constrained")
    for axes in panels.flat:
        axes.set_axis_off()
    for axes, row, picture in zip(panels.flat, rows.tolist(), colour(source, rows), strict=False):
        axes.imshow(picture, interpolation="nearest")
        names = [audit.classes[of[row]] for of in (audit.given, audit.suggested)]
        title = f"row {row}: {audit.score[row]:.3f}\ngiven {names[0]}\nlooks {names[1]}"
        axes.set_title(title, fontsize=6.5, loc="left")
    figure.savefig(path, dpi=DPI, metadata={"Software": None})
    plt.close(figure)


def colour(source: patches.Source, rows: NDArray[np.intp]) -> NDArray[np.uint8]:
    """(R, H, W, 3) pictures of single rows, all stretched alike."""
    name = next((name for name in ("sen2", "rgb", "sen1") if name in source), "")
    if not name:
        found = source.file.list_members()
        raise StageError(f"{source.path}: expected dataset sen2, rgb or sen1, found {found}")
    layout = source[name].layout
    bands = layout.bands if layout else ()
    known = set(lcz.TRUE_COLOUR) <= set(bands)
    channels = lcz.indices(bands, lcz.TRUE_COLOUR) if known else (0, 0, 0)
    blocks = [source[name][slice(row, row + 1)] for row in rows.tolist()]
    values = np.concatenate(blocks)[..., list(channels)].astype(np.float64)
    low, high = np.percentile(values.reshape(-1, 3), (1, 99), 0)
    share = ((values - low) / np.maximum(high - low, 1e-9)).clip(0, 1)
    return np.asarray((255 * share**GAMMA).round(), np.uint8)
