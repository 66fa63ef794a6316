"""Three ways to look at restored patches, each with bicubic interpolation beside them."""

import dataclasses
import itertools
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from shared import lcz, patches
from shared.progress import bar
from shared.sr import wald
from stages.sr_eval import quality, tables
from stages.sr_eval.files import ENLARGED, WALD, Restored

Array = NDArray[np.float32]
Key = tuple[str, int, str]  # way, scale, method
RUN = 16  # rows read together
RING = 2  # pixels of the low resolution that are border


def runs(total: int, rows: int) -> list[slice]:
    """Short runs of rows, evenly spread, that hold at most ``rows`` of ``total`` rows."""
    count = -(-min(rows, total) // RUN)
    starts = np.arange(count + 1) * total // count
    stops = starts[1:] if rows >= total else starts[:-1] + rows // count
    return [slice(*ends) for ends in zip(starts[:-1].tolist(), stops.tolist(), strict=True)]


def bicubic(sen2: Array, scale: int, layout: lcz.Layout) -> Array:
    """(N, H, W, C) to (N, s * H, s * W, C), clipped as the stages clip.

    Cubic convolution with a = -0.75, as torch has it: it restores degraded Sentinel-2 patches
    better than a = -0.5, so it is the harder one to beat.
    """
    low = torch.from_numpy(np.ascontiguousarray(np.moveaxis(sen2, -1, 1)))
    large = functional.interpolate(low, scale_factor=scale, mode="bicubic").numpy()
    return np.moveaxis(large, 1, -1).clip(layout.low, layout.high)


def degrade_as_stored(sen2: Array, scale: int, layout: lcz.Layout) -> Array:
    """(N, H, W, C) to (N, H // s, W // s, C): what `sr-degrade` makes of it, rounded alike."""
    low = wald.degrade(wald.crop(sen2, scale), layout.bands, scale)
    kept = dataclasses.replace(layout, per_unit=lcz.SEN2.per_unit)
    return kept.decode(kept.encode(low.clip(layout.low, layout.high), np.dtype("uint16")))


def pairs(
    sen2: Array, rows: slice, files: list[Restored], scale: int, layout: lcz.Layout
) -> Iterator[tuple[str, str, Array, Array]]:
    """Way, method, (N, H, W, C) restored and (N, H, W, C) reference for the files of one scale."""
    restored = [file for file in files if file.kind == WALD]
    if restored:
        original = wald.crop(sen2, scale)
        yield (
            WALD,
            "bicubic",
            bicubic(degrade_as_stored(sen2, scale, layout), scale, layout),
            original,
        )
    for file in restored:
        yield WALD, file.method, file.rows[rows], original
    enlarged = [file for file in files if file.kind == ENLARGED]
    if enlarged:
        cubic = bicubic(sen2, scale, layout)
        yield "consistency", "bicubic", wald.degrade(cubic, layout.bands, scale), sen2
    for file in enlarged:
        large = file.rows[rows]
        yield "consistency", file.method, wald.degrade(large, layout.bands, scale), sen2
        yield "departure", file.method, large, cubic


def measure(
    truth: patches.Source, files: list[Restored], *, rows: int, peak: float
) -> tuple[tables.Results, NDArray[np.intp], NDArray[np.float64]]:
    """Figures of every file, and of bicubic interpolation, over the same rows.

    Args:
        truth: prepared patches that the files were made from.
        files: opened ones, in the order of their scales.
        rows: how many rows are looked at, at most.
        peak: reflectance that PSNR and SSIM take for the full range.

    Returns:
        Figures by way, scale and method, then by band; (M,) rows looked at; (M,) mean absolute
        step between neighbouring pixels of those rows.
    """
    torch.set_num_threads(1)  # two wait for each other more than they help, and may round otherwise
    layout = truth["sen2"].layout or lcz.SEN2
    total: dict[Key, quality.Sums] = {}
    chosen, steps = runs(truth.total, rows), []
    with bar(sum(run.stop - run.start for run in chosen), "compare") as progress:
        for run in chosen:
            sen2 = truth["sen2"][run]
            steps.append(np.abs(np.diff(sen2, axis=1)).mean((1, 2, 3), np.float64))
            for scale, group in itertools.groupby(files, lambda file: file.scale):
                for way, method, restored, wanted in pairs(sen2, run, [*group], scale, layout):
                    ring = RING * (1 if way == "consistency" else scale)
                    block = quality.sums(restored, wanted, ring, peak)
                    key = (way, scale, method)
                    total[key] = quality.add(total.get(key, {}), block)
            progress.update(len(sen2))
    results = {key: quality.figures(sums, peak, layout.bands) for key, sums in total.items()}
    seen = np.concatenate([np.arange(run.start, run.stop) for run in chosen])
    return results, seen, np.concatenate(steps)
