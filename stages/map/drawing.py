"""Everything that is drawn of scores: GeoTIFFs, tables, picture, page, STAC item."""

import math
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shared import patches, tiles
from shared.progress import bar
from shared.scenes import Grid
from stages.map import cells as grids
from stages.map import measures, page, product, quicklook, stac, thinning
from stages.map.geotiff import DRAFT, Form, GeoTiff, read_crs
from stages.map.orthophotos import Ground, Orthophoto
from stages.map.palette import read_colours
from stages.map.rendering import Block, render
from stages.map.settings import Cells, Drawing
from stages.map.tables import Tally, read_truth, write_area

QUICKLOOK = 1200  # cells of the longer side of the picture, at most
ITEM = "item.json"
WUDAPT = ("lcz", "lczFilter", "classProbability")  # as the LCZ Generator names its bands
CONFIDENCE = ("probability", "entropy", "margin")


@dataclass(frozen=True)
class Sheet:
    """What all drawings of one map have in common.

    Attributes:
        scene: open scene or orthophoto.
        shape: rows and columns of cells.
        grid: where they lie.
        classes, colours: K names and "#rrggbb".
        drawing: what was asked for.
    """

    scene: Ground
    shape: tuple[int, int]
    grid: Grid
    classes: tuple[str, ...]
    colours: tuple[str, ...]
    drawing: Drawing

    def files(self, folder: Path) -> dict[str, GeoTiff]:
        """The GeoTIFFs, by what `values` calls them."""
        names = ("no data", *self.classes)
        main = Form(("class",), "uint8", names, self.colours, 1)
        if self.drawing.form == "wudapt":
            main = Form(WUDAPT, "uint8", names, self.colours, 2)
        forms = {"classes": main, "confidence": Form(CONFIDENCE, "float32")}
        if self.drawing.probabilities:
            forms["probabilities"] = Form(self.classes, "float32")
        return {
            name: GeoTiff(folder / f"{name}.tif", self.shape, self.grid, form)
            for name, form in forms.items()
        }

    @property
    def square_kilometres(self) -> float | None:
        """Area of a cell; None where the grid is not in metres."""
        crs = read_crs(self.grid)
        if crs is None or not crs.is_projected or crs.linear_units not in ("metre", "meter"):
            return None
        return self.grid.pixel[0] * self.grid.pixel[1] / 1e6


def values(block: Block, drawing: Drawing) -> dict[str, tuple[Any, ...]]:
    """(R, S) bands of each GeoTIFF that is wanted."""
    scores = block.scores
    main: tuple[Any, ...] = (block.final,)
    if drawing.form == "wudapt":
        main = (block.raw, block.final, measures.percent(scores))
    sure = (measures.probability(scores), measures.entropy(scores), measures.margin(scores))
    bands = {"classes": main, "confidence": sure}
    if drawing.probabilities:
        bands["probabilities"] = tuple(np.moveaxis(measures.blank(scores), -1, 0))
    return bands


def draw(scene: Ground, dst: Path, cells: Cells, drawing: Drawing) -> None:
    """Draw the map of the scores that lie in a folder beside them, block by block of rows.

    Args:
        scene: open scene or orthophoto.
        dst: folder with its scores.
        cells: windows and grid; of an orthophoto each pixel is one.
        drawing: what is wanted.
    """
    with patches.read(dst / product.SCORES, grids.NAME) as source:
        tiling = grids.tile(scene, cells)
        classes = source.classes
        sheet = Sheet(
            scene, tiling.shape, tiling.grid(scene.grid), classes, read_colours(source), drawing
        )
        tally = Tally(classes)
        large = thinning.Thinned(sheet.shape, QUICKLOOK, len(classes))
        small = thinning.Thinned(sheet.shape, thinning.PAGE, len(classes))
        files = sheet.files(dst)
        with ExitStack() as stack, bar(sheet.shape[0], "map") as progress:
            for file in files.values():
                stack.callback(file.close)
            for block in render(source, drawing):
                bands = values(block, drawing)
                for name, file in files.items():
                    file.put(block.rows, *bands[name])
                tally.add(block, read_truth(scene, cells, block.rows))
                large.add(block)
                small.add(block)
                progress.update(block.rows.stop - block.rows.start)
        for file in files.values():
            file.finish()
        finish(dst, sheet, cells, tally, (large, small))


def finish(
    dst: Path,
    sheet: Sheet,
    cells: Cells,
    tally: Tally,
    thinned: tuple[thinning.Thinned, thinning.Thinned],
) -> None:
    """Write tables, picture, page and STAC item."""
    facts = describe(sheet, cells, tally)
    product.write_json(dst / "map.json", facts | {"classes": list(sheet.classes)})
    write_area(dst / "area.csv", tally, sheet.colours, sheet.square_kilometres)
    large, small = thinned
    shares = tally.cells[1:] / max(1, int(tally.cells[1:].sum()))
    quicklook.draw(
        dst / "quicklook.png", large.classes, sheet.classes, sheet.colours, shares=shares,
        grid=sheet.grid.coarser(large.every), title=facts["scene"],
    )  # fmt: skip
    page.write(
        dst / "map.html", thinning.true_colour(sheet.scene), small, place_on(sheet, cells, small),
        classes=sheet.classes, colours=sheet.colours, shares=shares, facts=facts,
    )  # fmt: skip
    named = [path.name for path in sorted(dst.iterdir()) if is_listed(path)]
    item = stac.make_item(
        sheet.scene, sheet.grid, sheet.shape, named, classes=sheet.classes, colours=sheet.colours
    )
    product.write_json(dst / ITEM, item)


def is_listed(path: Path) -> bool:
    """Whether the STAC item names a file: not itself nor a draft, which a stopped run may leave."""
    mine = path.name == ITEM or path.name.startswith(DRAFT)
    return path.suffix in stac.KINDS and not mine


def describe(sheet: Sheet, cells: Cells, tally: Tally) -> dict[str, Any]:
    """What is said of a map beside its pixels."""
    header = sheet.scene.header
    seen = int(tally.cells[1:].sum())
    facts = {
        "scene": " ".join(filter(None, (header.product or sheet.scene.path.stem, header.date))),
        "level": header.level, "epsg": sheet.grid.epsg, "rows": sheet.shape[0],
        "columns": sheet.shape[1], "cell": sheet.grid.pixel[0], "step": cells.step,
        "window": cells.window, "filter": sheet.drawing.applied, "cells_with_data": seen,
        **tally.agreement(),
    }  # fmt: skip
    if isinstance(sheet.scene, Orthophoto):
        facts = {name: facts[name] for name in facts if name not in ("level", "step", "window")}
        facts |= describe_overlap(tally)
    return facts


def describe_overlap(tally: Tally) -> dict[str, Any]:
    """Intersection over union of each class with the known mask, and their mean; {} without one."""
    if not tally.final.any():
        return {}
    each = tiles.intersect_over_union(tally.final)
    told = zip(tally.classes, each.tolist(), strict=True)
    return {
        "mean_iou": tiles.mean_iou(tally.final),
        "iou": {name: value for name, value in told if not math.isnan(value)},
    }


def place_on(
    sheet: Sheet, cells: Cells, thinned: thinning.Thinned
) -> tuple[float, float, float, float]:
    """Left, top, width and height of the map on its scene, as shares of the scene."""
    height, width = sheet.scene.shape
    inset = (cells.window - cells.step) / 2
    rows, columns = (count * thinned.every * cells.step for count in thinned.classes.shape)
    return inset / width, inset / height, columns / width, rows / height
