"""tda: patches to topological features, two persistence images per band on one fixed grid."""

import contextlib
import functools
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared import cli, lcz, patches
from shared.errors import StageError
from stages.tda import diagrams, grids, vectors, workers


def run(
    *,
    src: Path,
    dst: Path,
    modality: str = "sen2",
    grid: Path | None = None,
    features: str = "image",
    bins: int = 30,
    sigma: float = 0.5,
    layers: int = 1,
    power: float = 1.0,
    essential: bool = False,
    backend: str = "gudhi",
    batch: int = 64,
    jobs: int = 0,
    shard: str = "1/1",
) -> None:
    """Write the topological features of every band of every patch, in row order.

    Args:
        src: patch file with `label` and the modality.
        dst: features file to write.
        modality: sen1, sen2 or rgb, the images to look at.
        grid: features file whose grid is used again; without it one is fitted on src.
        features: image (bins * bins numbers per band and dimension), landscape (layers * bins),
            silhouette or betti (bins) or stats (9).
        bins: cells along each axis of an image, levels of a curve, 2 to 200.
        sigma: standard deviation of the Gaussian on every point, in units of the band
            scaled to 0 … 255; of images.
        layers: of a landscape, 1 to 20.
        power: of the persistence as a weight in a silhouette, 0.1 to 8.
        essential: keep the component that never dies, as (minimum, maximum) of the band; without
            it the homology is reduced, as in giotto-tda's default and the published setting.
        backend: gudhi, or giotto: the reference, some 25 times slower.
        batch: patches of one task: read together, computed by one process, written together.
        jobs: processes; 0 takes every core, 1 stays in this process.
        shard: i/n, to make only the i-th of n runs of rows.
    """
    _check(modality, features, backend)
    _check_range(bins=(bins, 2, 200), sigma=(sigma, 0.01, 100), layers=(layers, 1, 20))
    _check_range(power=(power, 0.1, 8), batch=(batch, 1, None), jobs=(jobs, 0, None))
    with patches.read(src, modality, "label") as source, workers.pool(jobs) as pool:
        source.labels()  # refused now, not after hours
        images = source[modality]
        layout = images.layout or lcz.PRESETS[modality]
        setting = grids.Setting(
            modality, layout, bins, sigma, essential, features, layers, power, backend
        )
        table = grids.load(grid, setting) if grid else grids.fit(images, setting, pool)
        constants = {"grid": patches.Constant(table, setting.attributes())}
        field = patches.Field((len(layout.bands) * 2 * vectors.width(setting),), "float16")
        writer = patches.Writer(
            dst, source.total, shard, like=source, constants=constants, features=field
        )
        # Closed when a block is refused, as a progress bar waits in it.
        with writer as sink, contextlib.closing(sink.todo(batch)) as todo:
            blocks = ((rows, images[rows]) for rows in todo)
            compute = functools.partial(_compute, table=table, setting=setting)
            for rows, block in pool(compute, blocks):
                sink.put(rows, features=block)


def _compute(
    item: tuple[slice, NDArray[np.float32]], table: NDArray[np.float64], setting: grids.Setting
) -> tuple[slice, NDArray[np.float16]]:
    """One task: source rows and their patches to the same rows and their features."""
    rows, block = item
    return rows, vectors.features(block, table=table, setting=setting)


def _check(modality: str, features: str, backend: str) -> None:
    """StageError for a word that is not one of those known."""
    for name, value, known in (
        ("modality", modality, tuple(sorted(lcz.PRESETS))),
        ("features", features, vectors.KINDS),
        ("backend", backend, diagrams.BACKENDS),
    ):
        if value not in known:
            raise StageError(f"--{name}: expected one of {list(known)}, found {value!r}")


def _check_range(**limits: tuple[float, float, float | None]) -> None:
    """StageError for a number outside low … high; each as (value, low, high or None)."""
    for name, (value, low, high) in limits.items():
        if value < low or (high is not None and value > high):
            expected = f"{low} or more" if high is None else f"{low} to {high}"
            raise StageError(f"--{name}: expected {expected}, found {value}")


if __name__ == "__main__":
    cli.main(run)
