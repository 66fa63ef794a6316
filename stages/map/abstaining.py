"""Prediction sets of a map: how many classes a cell may be, and its class where that is one."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared import conformal, patches
from shared.errors import StageError
from shared.scenes import Scene, open_scene
from stages.map import cells as grids
from stages.map import measures, product
from stages.map.geotiff import Form, GeoTiff
from stages.map.palette import choose_colours
from stages.map.rendering import Block, render
from stages.map.settings import Cells, Drawing
from stages.map.tables import read_truth

UNDECIDED, GREY = "undecided", "#d9d9d9"


def decide(
    scores: NDArray[np.float32], sets: NDArray[np.bool_]
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Class and size of each set.

    Args:
        scores: (…, K) probabilities, all 0 without data.
        sets: (…, K) which classes each set holds.

    Returns:
        (…,) the only class of the set, 1 … K; K + 1 where it has none or several, 0 without data.
        (…,) number of classes in the set, NaN without data.
    """
    there, sizes = measures.is_data(scores), sets.sum(-1)
    single = np.where(sizes == 1, sets.argmax(-1) + 1, scores.shape[-1] + 1)
    classes = np.where(there, single, measures.NODATA).astype(np.uint8)
    return classes, np.where(there, sizes, np.nan).astype(np.float32)


def check(calibration: Path | None, coverage: float) -> None:
    """Refuse one of the two flags without the other.

    Raises:
        StageError: names the one that is missing.
    """
    if calibration and not coverage:
        raise StageError("--coverage: expected a share such as 0.9 with --calibration, found none")
    if coverage and not calibration:
        raise StageError(
            "--calibration: expected the file that calibrate makes of this network, with "
            "--coverage, found none"
        )


def draw(src: Path, dst: Path, calibration: Path, cells: Cells, coverage: float) -> None:
    """Write certain.tif, set_size.tif and coverage.json beside the scores of a map.

    Args:
        src: scene file.
        dst: folder of the map, with its scores.
        calibration: JSON of calibrate.
        cells: windows and grid.
        coverage: promised share of the cells whose set holds the true class.

    Raises:
        StageError: not a calibration, or one for other classes.
    """
    known = conformal.load(calibration)
    with open_scene(src) as scene, patches.read(dst / product.SCORES, grids.NAME) as source:
        if known.classes != source.classes:
            raise StageError(
                f"{calibration}: expected a calibration for {len(source.classes)} classes "
                f"{', '.join(source.classes[:3])} …, found {len(known.classes)}: "
                f"{', '.join(known.classes[:3])} …"
            )
        facts = _write(scene, source, dst, cells, known, coverage)
    product.write_json(dst / "coverage.json", facts)


def _write(
    scene: Scene,
    source: patches.Source,
    dst: Path,
    cells: Cells,
    known: conformal.Calibration,
    coverage: float,
) -> dict[str, Any]:
    tiling = grids.tile(scene, cells)
    counts = np.zeros(len(source.classes) + 1, np.int64)
    hits = judged = 0
    with ExitStack() as stack:
        files = list(_files(dst, tiling.shape, tiling.grid(scene.grid), source.classes))
        for file in files:
            stack.callback(file.close)
        for block in render(source, Drawing()):
            sets = known.sets(block.scores, coverage)
            classes, sizes = decide(block.scores, sets)
            files[0].put(block.rows, classes)
            files[1].put(block.rows, sizes)
            there = sizes[~np.isnan(sizes)].astype(np.int64)
            counts += np.bincount(there, minlength=len(counts))
            found = _judge(block, sets, read_truth(scene, cells, block.rows))
            hits, judged = hits + found[0], judged + found[1]
    for file in files:
        file.finish()
    total = max(1, int(counts.sum()))
    facts = {
        "coverage": coverage, "method": known.method, "calibrated_on": len(known.strange),
        "cells_with_data": int(counts.sum()), "sizes": counts.tolist(),
        "undecided": 1 - int(counts[1]) / total,
        "mean_size": float(counts @ np.arange(len(counts)) / total),
    }  # fmt: skip
    return facts | ({"cells_with_truth": judged, "reached": hits / judged} if judged else {})


def _files(
    dst: Path, shape: tuple[int, int], grid: Any, classes: tuple[str, ...]
) -> Iterator[GeoTiff]:
    names, colours = ("no data", *classes, UNDECIDED), (*choose_colours(classes), GREY)
    yield GeoTiff(dst / "certain.tif", shape, grid, Form(("class",), "uint8", names, colours, 1))
    yield GeoTiff(dst / "set_size.tif", shape, grid, Form(("set_size",), "float32"))


def _judge(
    block: Block, sets: NDArray[np.bool_], truth: NDArray[np.uint8] | None
) -> tuple[int, int]:
    """In how many sets the true class is, and of how many cells it is known."""
    if truth is None:
        return 0, 0
    judged = (truth > 0) & (truth <= sets.shape[-1]) & measures.is_data(block.scores)
    true = np.maximum(truth, 1).astype(np.intp)[..., None] - 1
    inside = np.take_along_axis(sets, true, -1)[..., 0]
    return int((inside & judged).sum()), int(judged.sum())
