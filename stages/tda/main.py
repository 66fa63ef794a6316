"""tda: patches to topological features, two persistence images per band on one fixed grid."""

import contextlib
import functools
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray

from shared import cli, lcz, patches
from stages.tda import diagrams, grids, settings, vectors, workers


def run(
    *,
    src: Path,
    dst: Path,
    modality: Literal["sen1", "sen2", "rgb"] = "sen2",
    grid: Path | None = None,
    features: settings.Kind = "image",
    bins: Annotated[int, cli.between(2, 200)] = 30,
    sigma: Annotated[float, cli.between(0.01, 100)] = 0.5,
    layers: Annotated[int, cli.between(1, 20)] = 1,
    power: Annotated[float, cli.between(0.1, 8)] = 1.0,
    essential: bool = False,
    backend: diagrams.Backend = "gudhi",
    batch: Annotated[int, cli.at_least(1)] = 64,
    jobs: Annotated[int, cli.at_least(0)] = 0,
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
        bins: cells along each axis of an image, levels of a curve.
        sigma: standard deviation of the Gaussian on every point, in units of the band
            scaled to 0 … 255; of images.
        layers: of a landscape.
        power: of the persistence as a weight in a silhouette.
        essential: keep the component that never dies, as (minimum, maximum) of the band; without
            it the homology is reduced, as in giotto-tda's default and the published setting.
        backend: gudhi, or giotto: the reference, some 25 times slower.
        batch: patches of one task: read together, computed by one process, written together.
        jobs: processes; 0 takes every core, 1 stays in this process.
        shard: i/n, to make only the i-th of n runs of rows.
    """
    with patches.read(src, modality, "label") as source, workers.open_pool(jobs) as pool:
        source.labels()  # refused now, not after hours
        images = source[modality]
        layout = images.layout or lcz.PRESETS[modality]
        setting = settings.Setting(
            modality, layout, bins=bins, sigma=sigma, essential=essential, kind=features,
            layers=layers, power=power, backend=backend,
        )  # fmt: skip
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
    item: tuple[slice, NDArray[np.float32]], table: NDArray[np.float64], setting: settings.Setting
) -> tuple[slice, NDArray[np.float16]]:
    """One task: source rows and their patches to the same rows and their features."""
    rows, block = item
    return rows, vectors.features(block, table=table, setting=setting)


if __name__ == "__main__":
    cli.main(run)
