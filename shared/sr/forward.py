"""Single bands of patches through a network of one channel in and out."""

import ctypes
import os
from contextlib import suppress

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from shared.backend import devices
from shared.sr import bands, triplets

Array = NDArray[np.float32]
GPU_IMAGES = 320  # of 32 × 32 in one call: enough for its units, and ×4 features fit 24 GB
MALLOPT = {-3: 2**25, -1: 2**31 - 1}  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD of malloc.h


def prepare_device(device: str, precision: str = "float32") -> str:
    """ "cpu" or "cuda", where "auto" takes a GPU if there is one; results are then repeatable.

    Raises:
        StageError: no GPU where one is asked for, or float16 without one, which torch 2.1 ignores.
    """
    devices.choose_precision(precision, device)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # else cuBLAS may vary
    torch.use_deterministic_algorithms(True)
    with suppress(AttributeError):  # torch 2.1 neither has it nor does it
        torch.utils.deterministic.fill_uninitialized_memory = False  # twentieth of the time
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    keep_freed_memory()
    return devices.choose_device(device)


def keep_freed_memory() -> None:
    """Have glibc keep what is freed for the next layer instead of giving it back.

    Otherwise the pages of each large tensor are mapped and cleared anew, a sixth of the time.
    """
    with suppress(OSError, AttributeError):  # another C library
        for parameter, value in MALLOPT.items():
            ctypes.CDLL("libc.so.6").mallopt(parameter, value)


def prepare_network(network: nn.Module, device: str) -> nn.Module:
    """The network on its device, not learning, its convolutions stored channels last."""
    return network.eval().requires_grad_(False).to(device, memory_format=torch.channels_last)


def images_per_call(per_patch: int, pixels: int, device: str) -> int:
    """Images in one call: those of one patch on a CPU, of as many as a GPU has memory for."""
    fit = min(GPU_IMAGES, GPU_IMAGES * 32 * 32 // pixels)
    return per_patch if device == "cpu" else max(1, fit // per_patch) * per_patch


@torch.inference_mode()
def apply(
    network: nn.Module, images: Array, *, device: str, precision: str, per_patch: int
) -> Array:
    """Images through a network in calls of one shape.

    A call of another shape may round otherwise, so every call has the same: on a CPU one patch, on
    a GPU as many as keep it busy, the last one filled up. The result of an image then depends
    neither on its neighbours nor on the batch or the shard.

    Args:
        network: (M, K, H, W) to (M, L, s * H, s * W), from `prepare_network`.
        images: (M, K, H, W), M a multiple of ``per_patch``.
        device: "cpu" or "cuda".
        precision: "float32", or what autocast computes the large products in.
        per_patch: images of one patch.

    Returns:
        (M, L, s * H, s * W) float32.
    """
    size, outputs = images_per_call(per_patch, images.shape[2] * images.shape[3], device), []
    with torch.autocast(device, devices.TYPES.get(precision), enabled=precision in devices.TYPES):
        for part in torch.from_numpy(images).split(size):
            short = size - len(part)
            full = torch.cat([part, part[-1:].expand(short, -1, -1, -1)]) if short else part
            inputs = full.to(device, memory_format=torch.channels_last, non_blocking=True)
            outputs.append(network(inputs)[: len(part)].float().cpu().numpy())
    return np.ascontiguousarray(np.concatenate(outputs))


def enlarge_bands(network: nn.Module, sen2: Array, *, device: str, precision: str) -> Array:
    """Enlarge patches band by band, each in [0, 1] of its own.

    Args:
        network: one channel in and out, from `prepare_network`.
        sen2: (N, H, W, C) reflectance.
        device: "cpu" or "cuda".
        precision: as for `apply`.

    Returns:
        (N, H * scale, W * scale, C) reflectance, not clipped.
    """
    planes, count = bands.to_planes(sen2), sen2.shape[-1]
    low, span = bands.measure_ranges(planes)
    grey = bands.stretch(planes, low, span)
    large = apply(network, grey, device=device, precision=precision, per_patch=count)
    return bands.to_images(bands.restore(large, low, span), count)


def enlarge_triplets(
    network: nn.Module, sen2: Array, *, names: tuple[str, ...], device: str, precision: str
) -> Array:
    """Enlarge patches three bands at a time, each band in [0, 1] of its own.

    Args:
        network: three channels in and out, from `prepare_network`.
        sen2: (N, H, W, C) reflectance.
        names: of the C bands.
        device: "cpu" or "cuda".
        precision: as for `apply`.

    Returns:
        (N, H * scale, W * scale, C) reflectance, not clipped.
    """
    images = triplets.gather(sen2, names)
    low, span = bands.measure_ranges(images)
    unit, per_patch = bands.stretch(images, low, span), len(triplets.TRIPLETS)
    large = apply(network, unit, device=device, precision=precision, per_patch=per_patch)
    return triplets.scatter(bands.restore(large, low, span), names)
