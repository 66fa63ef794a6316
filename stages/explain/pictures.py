"""The sheets of the product: all rows at a glance, best versus worst, each map by itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared import models
from shared.patches import Source
from stages.explain.canvas import INK, SOFT, WRONG, Pixels
from stages.explain.findings import Drawn, Finding, Looker
from stages.explain.sheet import Cell, Line, Sheet, draw

TRUE_COLOUR = ("B4", "B3", "B2")
GAMMA = 0.75  # lifts dark parts (trees, water) a little
LARGE = 300  # pixels of a patch in a picture of its own
NOTE = "Below a map: class said and score, red where wrong; ρ: rank correlation with occlusion."


def show_patches(source: Source, rows: Sequence[int], bands: tuple[str, ...]) -> dict[int, Pixels]:
    """(H, W, 3) pictures of rows: true colour, or the first three bands; stretched together.

    Args:
        source: patch file.
        rows: which.
        bands: of the first network, for files without true colour.
    """
    there = {b for n in ("sen1", "sen2", "rgb") if n in source and (y := source[n].layout)
             for b in y.bands}  # fmt: skip
    shown = TRUE_COLOUR if there.issuperset(TRUE_COLOUR) else bands[:3]
    shown = (shown + (shown[-1],) * 3)[:3]
    values = {row: models.read_scaled(source, shown, slice(row, row + 1))[0] for row in rows}
    if models.locate_bands(source, shown)[0][0] == "rgb":
        return {row: value.round().astype(np.uint8) for row, value in values.items()}
    ends = np.percentile(np.concatenate([v.reshape(-1, 3) for v in values.values()]), (1, 99), 0)
    return {row: stretch(value, ends) for row, value in values.items()}


def stretch(values: NDArray[np.float32], ends: NDArray[np.float64]) -> Pixels:
    """(H, W, C) between the (2, C) ends to 0 … 255; a channel without contrast is grey."""
    span = ends[1] - ends[0]
    share = np.where(span > 0, (values - ends[0]) / np.where(span > 0, span, 1), 0.5).clip(0, 1)
    return np.asarray((255 * share**GAMMA).round(), np.uint8)


@dataclass(frozen=True)
class Scene:
    """What all sheets show.

    Attributes:
        lookers: the networks.
        classes: (K,) names.
        opacity: of maps.
        patches: (H, W, 3) by row.
        findings: by row and name of the product.
    """

    lookers: list[Looker]
    classes: tuple[str, ...]
    opacity: float
    patches: dict[int, Pixels]
    findings: dict[tuple[int, str], Finding]

    def seen_by(self, looker: Looker, row: int) -> list[Cell]:
        """The maps of a network for a row."""
        finding = self.findings[row, looker.classifier.name]
        return [self.cell(finding, drawn) for drawn in finding.maps]

    def cell(self, finding: Finding, drawn: Drawn) -> Cell:
        """A map over its patch; what was said below it, in red where it is wrong."""
        alike = "" if drawn.correlation is None else f" · ρ {drawn.correlation:.2f}"
        caption = f"{self.classes[finding.predicted]}\n{finding.score:.2f}{alike}"
        colour = INK if finding.is_right else WRONG
        return Cell(self.patches[finding.row], caption, colour, drawn.values)

    def columns(self, looker: Looker) -> list[str]:
        """Headings of its maps; its name stands over all of them."""
        name = looker.classifier.name
        one = next(f for (_, n), f in self.findings.items() if n == name)
        last = f"{looker.occlusion} × {looker.occlusion} pixels"
        return [
            f"{'' if number else name}\n{d.method}\n{d.layer or last}"
            for number, d in enumerate(one.maps)
        ]


def overview(
    path: Path, scene: Scene, lines: list[tuple[str, list[int | None]]], groups: list[str]
) -> None:
    """All rows with the maps of all networks.

    Args:
        path: PNG to write.
        scene: what is shown.
        lines: label and rows, one a group; None leaves its place empty.
        groups: headings.
    """
    heads = ["\n\npatch", *(head for looker in scene.lookers for head in scene.columns(looker))]
    made = [
        Line(label, [[] if row is None else _patch_and_maps(scene, row) for row in rows])
        for label, rows in lines
    ]
    headings = [(group, heads) for group in groups]
    draw(path, Sheet("Where the networks look", NOTE, headings, made, scene.opacity))


def _patch_and_maps(scene: Scene, row: int) -> list[Cell]:
    patch = Cell(scene.patches[row], f"row {row}", SOFT)
    return [patch, *(cell for looker in scene.lookers for cell in scene.seen_by(looker, row))]


def versus(
    path: Path, scene: Scene, pair: tuple[Looker, Looker], rows: list[tuple[str, int]]
) -> None:
    """Rows that the best network gets right and the worst one wrong.

    Args:
        path: PNG to write.
        scene: what is shown.
        pair: best and worst.
        rows: class and number.
    """
    roles = ("best", "worst")
    headings = [(role, scene.columns(x)) for role, x in zip(roles, pair, strict=True)]
    made = [
        Line(name, [[Cell(scene.patches[row], f"row {row}", SOFT)],
                    *(scene.seen_by(looker, row) for looker in pair)])
        for name, row in rows
    ]  # fmt: skip
    headings = [("", ["\n\npatch"]), *headings]
    title = "Right by the best network, wrong by the worst"
    draw(path, Sheet(title, NOTE, headings, made, scene.opacity))


def single(path: Path, scene: Scene, finding: Finding, drawn: Drawn) -> None:
    """One patch beside one of its maps."""
    truth = scene.classes[finding.label]
    how = f"{drawn.method} of {drawn.layer}" if drawn.layer else drawn.method
    cells = [Cell(scene.patches[finding.row], "", SOFT), scene.cell(finding, drawn)]
    title = f"{truth}, row {finding.row}"
    note = f"{finding.looker.classifier.name}: {how}"
    heads = [("", ["patch", "map over the patch"])]
    draw(path, Sheet(title, note, heads, [Line("", [cells])], scene.opacity, LARGE))
