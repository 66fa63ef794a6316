"""How near one set of patches is to another: the figures of restored images, by torchmetrics.

Sums of blocks are added up, so any number of patches takes the memory of one block.
"""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torchmetrics.functional.image import (
    spectral_angle_mapper,
    structural_similarity_index_measure,
)

from stages.sr_eval.tables import Figures

Array = NDArray[np.float32]
Sums = dict[str, NDArray[np.float64]]
CACHED = 2**17  # values in one call: what follows stays in the processor's cache
EXACT = 100.0  # dB at which a patch without error enters the mean of patches


def sums(restored: Array, reference: Array, ring: int, peak: float) -> Sums:
    """What one block of patches adds.

    Args:
        restored: (N, H, W, C) reflectance.
        reference: (N, H, W, C) what it should be.
        ring: pixels from the edge that count as border.
        peak: reflectance that PSNR and SSIM take for the full range.

    Returns:
        patches (1,); border and inside: (C,) squared errors; border_pixels, inside_pixels (1,);
        psnr (C + 1,) sums over patches, the last of all bands together; ssim (C,) sums over
        patches; angle (1,) degrees and angles (1,) pixels they were summed over.
    """
    count, height, width, bands = restored.shape
    step = max(1, CACHED // (height * width * bands))
    total: Sums = {}
    for start in range(0, count, step):
        some = [
            torch.from_numpy(np.ascontiguousarray(np.moveaxis(x[start : start + step], -1, 1)))
            for x in (restored, reference)
        ]
        total = add(total, _sums(*some, ring, peak))
    return total


@torch.inference_mode()
def _sums(restored: torch.Tensor, wanted: torch.Tensor, ring: int, peak: float) -> Sums:
    """As `sums`, of few (N, C, H, W) patches."""
    count, _, height, width = restored.shape
    squares = (restored - wanted).square()
    inside = squares[..., ring : height - ring, ring : width - ring]
    whole, within = (part.sum((2, 3), dtype=torch.float64).numpy() for part in (squares, inside))
    pixels = inside.shape[2] * inside.shape[3]
    errors = np.column_stack([whole, whole.mean(1)]) / (height * width)
    _, image = structural_similarity_index_measure(
        restored, wanted, data_range=peak, reduction="none", return_full_image=True
    )
    return {
        "patches": np.array([float(count)]),
        "inside": within.sum(0),
        "inside_pixels": np.array([float(count * pixels)]),
        "border": (whole - within).clip(0).sum(0),
        "border_pixels": np.array([float(count * (height * width - pixels))]),
        "psnr": decibels(errors, peak).clip(max=EXACT).sum(0),
        "ssim": image.mean((2, 3), dtype=torch.float64).sum(0).numpy(),
        **_angles(restored, wanted),
    }


def decibels(errors: Any, peak: float) -> NDArray[np.float64]:
    """Mean squared errors as peak signal-to-noise ratios; infinite where there is no error."""
    with np.errstate(divide="ignore"):
        return 10 * np.log10(peak**2 / errors)


def _angles(restored: torch.Tensor, wanted: torch.Tensor) -> Sums:
    """Spectral angles; a pixel that is zero in all bands has none and is left out.

    In double precision: the angle of equal spectra would else come out as 0.02 degrees. With the
    bands innermost, because sums over them are seven times as fast there.
    """
    if restored.shape[1] < 2:
        return {"angle": np.zeros(1), "angles": np.zeros(1)}
    spectra = [x.to(torch.float64, memory_format=torch.channels_last) for x in (restored, wanted)]
    radians = spectral_angle_mapper(*spectra, reduction="none")
    seen = radians.isfinite()
    return {
        "angle": np.degrees([float(radians[seen].sum())]),
        "angles": np.array([float(seen.sum())]),
    }


def add(total: Sums, block: Sums) -> Sums:
    """Sums of both; ``total`` may be empty."""
    return {name: total.get(name, 0) + value for name, value in block.items()}


def figures(total: Sums, peak: float, bands: tuple[str, ...]) -> dict[str, Figures]:
    """What the sums of all blocks say, for "all" bands and for each.

    Returns:
        By band: rmse in reflectance; psnr in dB of the mean squared error of all pixels, None when
        there is no error; psnr_of_patches, the mean of the patches' own; ssim; border, the RMSE of
        the border over that inside, None without an error inside; for "all" also angle in degrees.
    """
    count, whole = float(total["patches"][0]), len(bands)
    choices = {"all": slice(0, whole)} | {b: slice(i, i + 1) for i, b in enumerate(bands)}
    made = {}
    for band, chosen in choices.items():
        border, inside = (_mean(total, name, chosen) for name in ("border", "inside"))
        pixels = [total[f"{name}_pixels"][0] for name in ("border", "inside")]
        square = (border * pixels[0] + inside * pixels[1]) / sum(pixels)
        mean = total["psnr"][whole if band == "all" else chosen.start] / count
        made[band] = {
            "psnr": float(decibels(np.float64(square), peak)) if square else None,
            "psnr_of_patches": float(mean),
            "ssim": float(total["ssim"][chosen].mean() / count),
            "rmse": math.sqrt(square),
            "border": math.sqrt(border / inside) if inside and pixels[0] else None,
        }
    if total["angles"][0]:
        made["all"]["angle"] = float(total["angle"][0] / total["angles"][0])
    return made


def _mean(total: Sums, name: str, bands: slice) -> float:
    """Mean squared error of a part of the pixels, over these bands."""
    pixels = float(total[f"{name}_pixels"][0])
    return float(total[name][bands].mean() / pixels) if pixels else 0.0
