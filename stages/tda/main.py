"""tda: patches to topological features, two persistence images per band on one fixed grid."""

from pathlib import Path

from shared import cli, lcz, patches
from shared.errors import StageError
from stages.tda import grids, workers


def run(
    *,
    src: Path,
    dst: Path,
    modality: str = "sen2",
    grid: Path | None = None,
    bins: int = 30,
    sigma: float = 0.5,
    essential: bool = False,
    batch: int = 128,
    jobs: int = 0,
    shard: str = "1/1",
) -> None:
    """Write the persistence images of every band of every patch, in row order.

    Args:
        src: patch file with `label` and the modality.
        dst: features file to write.
        modality: sen1, sen2 or rgb, the images to look at.
        grid: features file whose grid is used again; without it one is fitted on src.
        bins: cells along each axis of a persistence image, 2 to 200.
        sigma: standard deviation of the Gaussian on every point, in units of the band
            scaled to 0 … 255.
        essential: keep the component that never dies, as (minimum, maximum) of the band; without
            it the homology is reduced, as in giotto-tda's default and the published setting.
        batch: patches computed between two writes.
        jobs: processes; 0 takes every core, 1 stays in this process.
        shard: i/n, to make only the i-th of n runs of rows.
    """
    _check(modality, bins, sigma, batch, jobs)
    with patches.read(src, modality, "label") as source, workers.pool(jobs) as pool:
        source.labels()  # refused now, not after hours
        layout = source[modality].layout or lcz.PRESETS[modality]
        setting = grids.Setting(modality, layout, bins, sigma, essential)
        if grid is None:
            table = grids.fit(source[modality], setting, pool)
        else:
            table = grids.load(grid, setting)
        constants = {"grid": patches.Constant(table, setting.attributes())}
        width = len(layout.bands) * 2 * bins * bins
        field = patches.Field((width,), "float16")
        with patches.Writer(
            dst, source.total, shard, like=source, constants=constants, features=field
        ) as sink:
            for rows in sink.todo(batch):
                scaled = setting.scale(source[modality][rows])
                sink.put(rows, features=workers.features(scaled, table, setting, pool))


def _check(modality: str, bins: int, sigma: float, batch: int, jobs: int) -> None:
    """StageError for a parameter out of its range."""
    if modality not in lcz.PRESETS:
        raise StageError(f"--modality: expected one of {sorted(lcz.PRESETS)}, found {modality!r}")
    if not 2 <= bins <= 200:
        raise StageError(f"--bins: expected 2 to 200, found {bins}")
    if not 0.01 <= sigma <= 100:
        raise StageError(f"--sigma: expected 0.01 to 100, found {sigma}")
    if batch < 1:
        raise StageError(f"--batch: expected 1 or more, found {batch}")
    if jobs < 0:
        raise StageError(f"--jobs: expected 0 or more, found {jobs}")


if __name__ == "__main__":
    cli.main(run)
