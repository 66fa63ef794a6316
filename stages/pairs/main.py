"""Pairs of images of the same land by two sensors, as one pair file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray

from shared import cli, patches, progress
from shared.errors import StageError
from stages.pairs.settings import Held

if TYPE_CHECKING:
    from stages.pairs.samples import Layout, Row, Sample

BATCH = 4  # rows that are read, then written: up to 9 MB


def measure(sample: "Sample", bands: dict[str, tuple[str, ...]], factor: int) -> dict[str, Any]:
    """What a row holds beside its images: sums of values, and how well the sensors agree.

    Args:
        sample: its images, (H, W, C) each.
        bands: names of the channels of each image.
        factor: pixels of high along one of low.
    """
    from shared import sisr

    told: dict[str, Any] = {
        f"{name}_moments": sisr.sum_values(sample[name])
        for name in ("low", "coarse", "high")
        if name in sample
    }
    common = [bands["high"].index(name) for name in bands["low"]]
    told["correlation"] = sisr.correlate(sample["low"], sample["high"][..., common], factor)
    return told


def read_row(layout: "Layout", row: "Row", nodata: str) -> tuple[dict[str, Any], bool]:
    """All that is stored of a row, and whether it counts.

    Raises:
        StageError: pixels are missing, and such rows are refused.
    """
    from stages.pairs.samples import count_missing

    sample = layout.read(row)
    missing = count_missing(sample)
    if missing and nodata == "refuse":
        found = f"expected no pixel that was not seen, found {missing:,}"
        cure = "--nodata leave keeps such pairs out of all splits"
        raise StageError(f"{layout.name(row)}: {found}; {cure}")
    names = {name: bands.names for name, bands in layout.form.bands.items()}
    return {**sample, **measure(sample, names, layout.form.factor)}, not missing


def write(
    dst: Path, layout: "Layout", split: NDArray[np.uint8], *, nodata: str, shard: str
) -> None:
    """One pair file; rows that an earlier run wrote are kept."""
    from shared import sisr

    sites = sorted({row.site for row in layout.rows})
    fields: dict[str, Any] = {**sisr.fields(layout.form)}
    writer = patches.Writer(
        dst, len(layout.rows), shard, constants=sisr.constants(layout.form, sites), **fields
    )
    with writer as sink:
        for block in sink.todo(BATCH):
            here = layout.rows[block]
            read = [read_row(layout, row, nodata) for row in here]
            counts = np.array([whole for _, whole in read])
            values = {name: np.stack([row[name] for row, _ in read]) for name in read[0][0]}
            sink.put(
                block,
                site=np.array([sites.index(row.site) for row in here], np.int32),
                date=np.array([row.date for row in here], np.int32),
                split=np.where(counts, split[block], np.uint8(sisr.LEFT_OUT)),
                **values,
            )


def tell(dst: Path, note: str) -> None:
    """Say what is in the file, by split, and what is not."""
    from shared import sisr

    with sisr.Pairs(dst) as made:
        for name, told in made.describe().items():
            counts = f"pairs: {told['rows']}, sites: {told['sites']}"
            progress.say(f"{name}: {counts}, median correlation: {told['correlation']}")
        if left := int((made.split == sisr.LEFT_OUT).sum()):
            progress.say(f"left out, as pixels were not seen: pairs: {left}")
    if note:
        progress.say(note)


def run(
    *,
    src: Path,
    dst: Path,
    bands: Literal["10m", "20m", "all"] = "10m",
    scale: Literal[2, 4] | None = None,
    max_delta: Annotated[int, cli.at_least(1)] = 5,
    mtf: Annotated[float, cli.between(0.01, 0.9)] = 0.1,
    held: Held = Held(),
    nodata: Literal["refuse", "leave"] = "refuse",
    shard: str = "1/1",
) -> None:
    """Read a data set of image pairs, hold out whole sites, and say how well the sensors agree.

    Args:
        src: folder of a data set: Sen2Venµs version 2 or 1 (a folder per site), what two-sensors
            draws, or WorldStrat (hr_dataset, lr_dataset_l2a or lr_dataset, and the table of
            splits); or a patch file, whose sen2 is high, and low what a coarser Sentinel-2 sees.
        dst: pair file to write: low (N, h, w, C) and high (N, f * h, f * w, C), with sites, dates,
            splits, correlations, and, where two-sensors drew them, the truth.
        bands: of Sen2Venµs: 10m (B2 B3 B4 B8 to 5 m), 20m (B5 B6 B7 B8A to 5 m), or all (both, with
            the 20 m bands, B11 and B12 among them, as an image of their own); of WorldStrat and of
            patches: 10m.
        scale: factor from low to high; 4 or 2 of WorldStrat (to 2.5 m or 5 m), 2 or 4 of patches
            (from 20 m or 40 m), else what the bands make it.
        max_delta: of WorldStrat: the nearest date of Sentinel-2 must be fewer days than this from
            that of SPOT.
        mtf: of WorldStrat: modulation transfer, at the Nyquist frequency of the finer image, of the
            filter that brings SPOT from 1.5 m to it.
        nodata: what becomes of pairs with pixels that were not seen: refuse, or leave (them out of
            all splits; the rows stay in the file).
        shard: "i/n" does the i-th of n equal runs of rows; merge joins them.
    """
    from shared import gdal_files
    from stages.pairs import layouts, rasters, sites

    with gdal_files.environment(rasters.CACHE):
        layout = layouts.open_layout(src, bands, scale, max_delta, mtf)
        split = sites.decide(layout.rows, held)
        write(dst, layout, split, nodata=nodata, shard=shard)
    if shard == "1/1":
        tell(dst, layout.note)


if __name__ == "__main__":
    cli.main(run)
