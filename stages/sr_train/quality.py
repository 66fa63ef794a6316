"""What trained weights are worth: held-out patches restored, against bicubic interpolation."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from shared.progress import say
from stages.sr_train.pairs import Held

Array = NDArray[np.float32]
BATCH = 16  # patches in one call


def psnr(errors: NDArray[np.float64]) -> float:
    """Decibels of mean squared errors in reflectance, all pooled; the peak is reflectance 1."""
    return round(float(-10 * np.log10(np.maximum(errors.mean(), 1e-12))), 3)


def bicubic(sen2: Array, size: tuple[int, int]) -> Array:
    """(N, H, W, C) patches to another height and width; what has to be beaten."""
    moved = torch.from_numpy(np.ascontiguousarray(np.moveaxis(sen2, -1, 1)))
    large = functional.interpolate(moved, size=size, mode="bicubic")
    return np.moveaxis(large.numpy(), 1, -1)


def errors(restore: Callable[[Array], Array], held: Held) -> dict[str, NDArray[np.float64]]:
    """(N, C) mean squared errors in reflectance, of the network and of bicubic."""
    squares: dict[str, list[NDArray[np.float64]]] = {"network": [], "bicubic": []}
    for start in range(0, len(held.low), BATCH):
        low, high = (part[start : start + BATCH] for part in (held.low, held.high))
        made = {"network": restore(low), "bicubic": bicubic(low, high.shape[1:3])}
        for name, restored in made.items():
            squares[name].append(np.square(restored - high).mean((1, 2), np.float64))
    return {name: np.concatenate(blocks) for name, blocks in squares.items()}


def measure(
    restore: Callable[[Array], Array], held: Held, names: tuple[str, ...]
) -> dict[str, Any]:
    """PSNR over all held-out bands and for each band, of the network and of bicubic; also told."""
    squares = errors(restore, held)
    whole = {name: psnr(error) for name, error in squares.items()}
    single = {
        band: {name: psnr(error[:, i]) for name, error in squares.items()}
        for i, band in enumerate(names)
    }
    say(f"PSNR of held-out patches: {json.dumps(whole)} dB")
    return {"psnr": whole, "psnr_per_band": single}
