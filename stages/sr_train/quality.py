"""What trained weights are worth: held-out patches restored, against bicubic interpolation."""

import json
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from shared.progress import say
from stages.sr_train.pairs import Pairs

PLANES = 40  # bands in one call


def psnr(errors: NDArray[np.float64]) -> float:
    """Decibels of mean squared errors in reflectance, all pooled; the peak is reflectance 1."""
    return round(float(-10 * np.log10(np.maximum(errors.mean(), 1e-12))), 3)


@torch.inference_mode()
def errors(network: nn.Module, pairs: Pairs, device: str) -> dict[str, NDArray[np.float64]]:
    """(M,) mean squared error of each band in reflectance, of the network and of bicubic."""
    network = network.to(device).eval()
    found: dict[str, list[NDArray[np.float64]]] = {"network": [], "bicubic": []}
    for start in range(0, len(pairs.low), PLANES):
        part = [getattr(pairs, name)[start : start + PLANES] for name in ("low", "high", "span")]
        low, high, span = (torch.from_numpy(array).to(device) for array in part)
        bicubic = functional.interpolate(low, size=high.shape[2:], mode="bicubic")
        for name, restored in (("network", network(low)), ("bicubic", bicubic)):
            off = ((restored - high) * span).square().mean((1, 2, 3))
            found[name].append(off.double().cpu().numpy())
    return {name: np.concatenate(blocks) for name, blocks in found.items()}


def measure(
    network: nn.Module, pairs: Pairs, bands: tuple[str, ...], device: str
) -> dict[str, Any]:
    """PSNR over all held-out bands and for each band, of the network and of bicubic; also told."""
    found = {n: e.reshape(-1, len(bands)) for n, e in errors(network, pairs, device).items()}
    whole = {name: psnr(error) for name, error in found.items()}
    single = {
        band: {name: psnr(error[:, i]) for name, error in found.items()}
        for i, band in enumerate(bands)
    }
    say(f"PSNR of held-out patches: {json.dumps(whole)} dB")
    return {"psnr": whole, "psnr_per_band": single}
