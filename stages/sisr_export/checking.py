"""All checks of a pair, in order."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from shared import names, progress
from shared.errors import StageError
from stages.sisr_export import geometry, values
from stages.sisr_export.case import Case, Image, Result, compare
from stages.sisr_export.geometry import ONE
from stages.sisr_export.settings import LEAST, MOST, PER_UNIT

ALWAYS: dict[str, Callable[[Case], Result]] = {
    "types": values.check_types,
    "sizes": geometry.check_sizes,
    "bands": values.check_bands,
    "margin": geometry.check_margin,
    "tiles": geometry.check_tiles,
    "region": geometry.check_region,
    "shift": geometry.check_shift,
    "hole": values.check_hole,
    "empty": values.check_empty,
    "saturation": values.check_saturation,
    "whole numbers": values.check_whole_numbers,
}

WINDOWED = {"off grid": geometry.check_off_grid}  # of networks whose tiles lie on a grid


class Trainer:
    """The trainer's own network, on the CPU.

    Args:
        path: its ONNX file: reflectance in and out.
        threads: processors, 0 for all.
    """

    def __init__(self, path: Path, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level, options.intra_op_num_threads = 4, threads
        self.session = onnxruntime.InferenceSession(
            names.open_by_name(path), options, providers=["CPUExecutionProvider"]
        )

    def run(self, image: Image) -> NDArray[np.float64]:
        """(C, H, W) digital numbers as they should be stored, of (C, h, w)."""
        given = image[None] / np.float32(PER_UNIT)
        made = np.asarray(self.session.run(None, {"input": given})[0][0], np.float64)
        return np.rint(PER_UNIT * made).clip(LEAST, MOST)


def check_parity(images: list[tuple[Image, Image]], trainer: Trainer, what: str) -> Result:
    """The exported network gives what the trainer's gives.

    Args:
        images: (C, h, w) inputs and what the exported network makes of them.
        trainer: the trainer's network.
        what: what the images show.
    """
    found = [compare(trainer.run(low), made)[0] for low, made in images]
    said = (
        f"{what}: the exported network and the trainer's differ by at most {max(found):g} digital "
        f"numbers; at most {ONE:g} may"
    )
    return Result("parity", max(found) <= ONE, max(found), ONE, "digital numbers", said)


def try_check(name: str, check: Callable[[Case], Result], case: Case) -> Result:
    """A check; one in which the network does not run has failed."""
    try:
        return check(case)
    except StageError as error:
        return Result(name, False, math.inf, 0, "", str(error))


def check_all(case: Case, rows: list[Image] | None, trainer: Trainer | None) -> list[Result]:
    """Every check, with a bar.

    Args:
        case: network and land.
        rows: (C, h, w) digital numbers of real land, for fidelity and parity; else the drawn one.
        trainer: the trainer's network, if there is one to compare with.
    """
    what = "rows of the pair file" if rows else "drawn land"
    told, checks = [], ALWAYS | (WINDOWED if case.network.grid > 1 else {})
    with progress.bar(len(checks) + 1 + bool(trainer), "checks", unit="checks") as bar:
        for name, check in checks.items():
            told.append(try_check(name, check, case))
            bar.update(1)
        made = [(row, case.network.run(row)) for row in rows or []] or [(case.land, case.whole)]
        told.append(values.check_fidelity(case, made, what))
        bar.update(1)
        if trainer:
            told.append(check_parity(made, trainer, what))
            bar.update(1)
    return told
