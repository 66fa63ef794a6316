"""The metrics of super-resolution themselves, under faults that are known."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from numpy.typing import NDArray

from shared import cli, progress
from shared.errors import StageError

if TYPE_CHECKING:
    from shared.sisr import Pairs

SMALLEST = 32  # pixels of a side, of which 8 on each are left out


def choose_rows(pairs: "Pairs", split: str, count: int) -> NDArray[np.intp]:
    """At most so many rows of a split, evenly spread.

    Raises:
        StageError: there are none, or their images are too small.
    """
    rows = pairs.choose(split, count)
    side = pairs.form.shape("high")[0]
    if side < SMALLEST:
        expected = f"expected {SMALLEST} pixels along a side of high or more"
        raise StageError(f"{pairs.path}: {expected}, found {side}")
    return rows


def read_images(pairs: "Pairs", rows: NDArray[np.intp]) -> Iterator[NDArray[np.float64]]:
    """(H, W, C) reflectance of the bands of high: of the truth where it is known.

    Raises:
        StageError: behind the last one: a band has one value everywhere, and so no spectrum.
    """
    from shared import sisr
    from stages.sisr_benchmark_metrics.faults import EDGE

    name, names = "truth" if pairs.form.simulated else "high", pairs.form.bands["high"].names
    varied = np.zeros(len(names), bool)
    with progress.bar(len(rows), "metrics") as bar:
        for row in rows:
            stored = pairs.source[name].raw(slice(int(row), int(row) + 1))[0]
            inside = stored[EDGE:-EDGE, EDGE:-EDGE, : len(names)]
            varied |= np.ptp(inside, (0, 1)) > 0
            yield stored[..., : len(names)] / sisr.PER_UNIT
            bar.update(1)
    if not varied.all():
        flat = ", ".join(np.array(names)[~varied])
        where = f"{pairs.path}: {name}: {flat}"
        raise StageError(f"{where}: expected more than one value, found one in all images")


def run(
    *,
    src: Path,
    dst: Path,
    split: Literal["training", "validation", "testing"] = "testing",
    rows: Annotated[int, cli.at_least(1)] = 16,
    mtf: Annotated[float, cli.between(0.01, 0.9)] = 0.3,
    seed: Annotated[int, cli.at_least(0)] = 42,
) -> None:
    """Spoil images in known ways, and tell which metric reacts to which fault.

    Args:
        src: pair file; its finer images are what should be restored (the truth, where it is known).
        dst: folder to write: metrics.csv, metrics.json, reaction.png.
        split: whose rows are taken.
        rows: how many of them at most, evenly spread.
        mtf: modulation transfer of the coarser sensor at the Nyquist frequency of its pixels; the
            input is made by it.
        seed: decides the noise.
    """
    from shared import sisr
    from stages.sisr_benchmark_metrics import files, measures

    with sisr.Pairs(src) as pairs:
        chosen = choose_rows(pairs, split, rows)
        scale = measures.Scale(pairs.form.factor, mtf)
        told = measures.measure(read_images(pairs, chosen), scale, seed)
    dst.mkdir(exist_ok=True)
    files.write_table(dst, told)
    files.write_json(dst, told, len(chosen))
    files.draw(dst, told)


if __name__ == "__main__":
    cli.main(run)
