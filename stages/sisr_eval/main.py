"""What networks for super-resolution across sensors restore, invent, displace and discolour."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from numpy.typing import NDArray

from shared import cli, progress

if TYPE_CHECKING:
    from stages.sisr_eval.contest import Contest
    from stages.sisr_eval.results import Totals
    from stages.sisr_eval.samples import Sample

BLOCK = 4  # rows in memory at once


def measure(
    read: Callable[[int], "Sample"], rows: NDArray[np.intp], contest: "Contest", threads: int
) -> "Totals":
    """All rows, several at a time; the sums have one order whatever the number of threads.

    Args:
        read: gives the row of a number.
        rows: their numbers.
        contest: what is measured of each.
        threads: 0 for one per core.
    """
    from stages.sisr_eval.results import Totals

    totals, workers = Totals(), threads or len(os.sched_getaffinity(0))
    step = max(BLOCK, workers)
    with ThreadPoolExecutor(workers) as pool, progress.bar(len(rows), "evaluation") as bar:
        for first in range(0, len(rows), step):
            samples = [read(int(row)) for row in rows[first : first + step]]
            for found in pool.map(contest.examine, samples):
                totals.add(found)
                bar.update(1)
    return totals


def run(
    *,
    src: Path,
    networks: tuple[Path, ...],
    dst: Path,
    registration: Path | None = None,
    split: Literal["training", "validation", "testing"] = "testing",
    rows: Annotated[int, cli.at_least(1)] = 256,
    min_correlation: Annotated[float, cli.between(0.0, 1.0)] = 0.0,
    margin: Annotated[int, cli.between(0, 1000)] = 8,
    panel: Annotated[int, cli.between(1, 20)] = 4,
    threads: Annotated[int, cli.at_least(0)] = 0,
) -> None:
    """Compare networks for super-resolution across sensors with each other and with a cubic.

    Args:
        src: pair file.
        networks: folders of sisr-train, all for the bands, the resolution and the factor of src.
        dst: folder to write: metrics.csv, metrics.json, table.tex, mosaic.png, fft_profiles.png,
            fft_profiles.npy, fft_freqs.npy.
        registration: folder of register, whose network measures the geometric distortion.
        split: whose rows are taken.
        rows: how many of them at most, evenly spread.
        min_correlation: rows whose two images agree less are left out.
        margin: finer pixels along the border of each image that are measured nowhere.
        panel: patches in the mosaic.
        threads: rows at once, 0 for one per core; changes time, not results.
    """
    from shared import sisr
    from stages.sisr_eval import files, samples
    from stages.sisr_eval.contest import Contest

    with sisr.Pairs(src) as pairs:
        frame = samples.frame(pairs, margin)
        contest = Contest.of(pairs, frame, networks, registration)
        chosen = pairs.choose(split, rows, min_correlation)
        files.check_varied(pairs, frame, chosen)
        totals = measure(lambda row: samples.read(pairs, frame, row), chosen, contest, threads)
        dst.mkdir(exist_ok=True)
        facts = {"split": split, "rows": len(chosen), "min_correlation": min_correlation}
        files.write_tables(dst, totals, contest, facts)
        places = np.linspace(0, len(chosen) - 1, min(panel, len(chosen))).round().astype(int)
        shown = [samples.read(pairs, frame, int(row)) for row in chosen[places]]
        files.write_pictures(dst, totals, contest, shown)


if __name__ == "__main__":
    cli.main(run)
