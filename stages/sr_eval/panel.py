"""The same patches under every method, in true and false colour, as one picture."""

import itertools
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared import lcz, patches
from shared.comparisons import canvas
from shared.sr import wald
from stages.sr_eval import compare
from stages.sr_eval.files import ENLARGED, WALD, Restored
from stages.sr_eval.tables import Results, title

Array = NDArray[np.float32]
Column = tuple[str, str, Array]  # group, heading, (H, W, C) patch
COLOURS = {"true colour": lcz.TRUE_COLOUR, "false colour": ("B8", "B4", "B3")}


def choose_rows(rows: NDArray[np.intp], steps: NDArray[np.float64], count: int) -> list[int]:
    """Rows worth showing, from equal parts of those looked at: of every ten, one has more detail.

    Not the liveliest of all, which are clouds.
    """
    parts = np.array_split(np.arange(len(rows)), min(count, len(rows)))
    return [int(rows[part[np.argsort(steps[part])[int(0.9 * (len(part) - 1))]]]) for part in parts]


def columns(
    truth: patches.Source, files: list[Restored], row: int, results: Results
) -> list[Column]:
    """One patch under every method, group by group: degraded, bicubic, methods, original.

    Where a scale has no files of degraded patches: the patch itself, bicubic, methods.
    """
    layout, here = truth["sen2"].layout or lcz.SEN2, slice(row, row + 1)
    sen2, made = truth["sen2"][here], []
    for scale, group in itertools.groupby(files, lambda file: file.scale):
        kinds = {kind: [*part] for kind, part in itertools.groupby(group, lambda file: file.kind)}
        kind = WALD if WALD in kinds else ENLARGED
        low = compare.degrade_as_stored(sen2, scale, layout) if kind == WALD else sen2
        images = {"input": low, "bicubic": compare.bicubic(low, scale, layout)}
        images |= {file.method: file.rows[here] for file in kinds[kind]}
        images |= {"original": wald.crop(sen2, scale)} if kind == WALD else {}
        name = f"×{scale}, " + ("from a degraded copy" if kind == WALD else "enlarged")
        for method, image in images.items():
            heading = title(method) + _psnr_line(results, (kind, scale, method))
            made.append((name, heading, image[0]))
    return made


def _psnr_line(results: Results, key: tuple[str, int, str]) -> str:
    """A second line for a heading: PSNR of all rows looked at, where there is a truth."""
    value = results.get(key, {}).get("all", {}).get("psnr")
    return f"\n{value:.2f} dB" if value is not None else ""


def draw(
    path: Path, truth: patches.Source, files: list[Restored], rows: list[int], results: Results
) -> None:
    """Write the picture; a row of it has one stretch, that of the original, in all columns.

    Args:
        path: PNG to write.
        truth: where the patches are from.
        files: opened ones, in the order of their scales.
        rows: of the patches.
        results: figures for the headings.
    """
    layout = truth["sen2"].layout or lcz.SEN2
    colours = {name: lcz.indices(layout.bands, wanted) for name, wanted in COLOURS.items()
               if set(wanted) <= set(layout.bands)} or {layout.bands[0]: (0, 0, 0)}  # fmt: skip
    shown = [columns(truth, files, row, results) for row in rows]
    made: list[canvas.Row] = []
    for row, patch in zip(rows, shown, strict=True):
        original, lines = truth["sen2"][slice(row, row + 1)][0], []
        for colour, chosen in colours.items():
            ends = canvas.limits(original[..., chosen])
            cells = [canvas.stretch(image[..., chosen], ends) for _, _, image in patch]
            lines.append((colour, cells))
        made.append((_name(truth, row), lines))
    canvas.draw(path, [(group, heading) for group, heading, _ in shown[0]], made)


def _name(truth: patches.Source, row: int) -> str:
    """Class of a row, where there is one, and its number."""
    if "label" not in truth:
        return f"row {row}"
    name = truth.classes[int(truth.labels(slice(row, row + 1))[0])]
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).replace("_", " ") + f", row {row}"
