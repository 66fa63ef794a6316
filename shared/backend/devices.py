"""The device and the precision that a stage computes with, by one vocabulary for all of them.

It works with torch 2.1, which one stage needs, and imports nothing but torch.
"""

import torch

from shared.errors import StageError

# What autocast computes the large products in; float32 is computed as it is.
TYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def choose_device(device: str) -> str:
    """ "cpu" or "cuda" for --device, where "auto" takes a GPU if there is one.

    Raises:
        StageError: no GPU where one is asked for.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise StageError("--device: expected a CUDA device, found none; use --device cpu")
    return "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"


def choose_precision(precision: str, device: str) -> str:
    """ "float32", "bfloat16" or "float16" for --precision.

    Args:
        precision: one of these, or "auto": bfloat16 on a GPU that has it, float32 otherwise.
        device: as --device says it.

    Raises:
        StageError: float16 without a GPU.
    """
    place = choose_device(device)
    if precision == "float16" and place == "cpu":
        raise StageError("--precision: float16 needs a CUDA device; use bfloat16 on a CPU")
    if precision != "auto":
        return precision
    return "bfloat16" if place == "cuda" and torch.cuda.is_bf16_supported(False) else "float32"
