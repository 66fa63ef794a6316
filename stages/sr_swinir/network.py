"""SwinIR from a file of weights, and patches through it."""

import os
import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from spandrel.architectures.SwinIR import SwinIR, SwinIRArch

from shared import sr_bands
from shared.errors import StageError
from stages.sr_swinir.attention import fuse

warnings.filterwarnings("ignore", "torch.meshgrid")  # spandrel calls it in the old way
WRAPPERS = ("params_ema", "params", "state_dict", "model")
# Bands in one call. Small blocks stay in a CPU's cache, and every call has more than one band, as a
# single one takes another way through the matrix library and differs in the last bits.
PLANES = {"cpu": 40, "cuda": 2560}


def place(device: str) -> str:
    """ "cpu" or "cuda", where "auto" takes a GPU if there is one; results are then repeatable."""
    if device == "cuda" and not torch.cuda.is_available():
        raise StageError("--device: expected a CUDA device, found none; use --device cpu")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # else cuBLAS may vary
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.allow_tf32 = False
    return "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"


def state(path: Path) -> dict[str, torch.Tensor]:
    """Tensors by name from .safetensors or a .pth of tensors, out of their wrapper key if any.

    Raises:
        StageError: neither of the two, cut short, or with more in it than tensors.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, RuntimeError, OSError, EOFError, ValueError, KeyError,
            pickle.UnpicklingError) as error:  # fmt: skip
        reason = str(error).strip().partition("\n")[0][:120] or type(error).__name__
        expected = "expected weights (.safetensors, or .pth with nothing but tensors)"
        raise StageError(f"{path}: {expected}, found neither ({reason})") from None
    wrapped = [found[key] for key in WRAPPERS if isinstance(found, Mapping) and key in found]
    inner = wrapped[0] if wrapped else found
    if not isinstance(inner, Mapping) or not all(map(torch.is_tensor, inner.values())):
        raise StageError(f"{path}: expected a state dict, found {type(inner).__name__}")
    return dict(inner)


def load(path: Path, scale: int) -> SwinIR:
    """The network of a file of weights, all its sizes read from the shapes in the file.

    Raises:
        StageError: not SwinIR weights (missing and extra keys are named), another scale, NaN.
    """
    tensors = state(path)
    try:
        found = SwinIRArch().load(dict(tensors))
    except KeyError as error:
        raise StageError(f"{path}: not SwinIR weights: no key {error}") from None
    except (RuntimeError, ValueError, IndexError, ZeroDivisionError, AssertionError) as error:
        raise StageError(f"{path}: not SwinIR weights: {_misfit(str(error))}") from None
    if found.scale != scale:
        raise StageError(f"{path}: expected weights of --scale {scale}, found scale {found.scale}")
    if bad := [name for name, tensor in tensors.items() if not tensor.isfinite().all()]:
        raise StageError(f"{path}: NaN or infinite values in {bad[0]}")
    return fuse(found.model.eval())


def _misfit(error: str) -> str:
    """What torch says of a state dict that does not fit, without its first line, shortened."""
    lines = [line.strip() for line in error.splitlines() if line.strip()]
    return " ".join(line[:160] for line in (lines[1:] or lines)[:3])


def one(output: torch.Tensor, channel: str) -> torch.Tensor:
    """(M, K, H, W) to (M, 1, H, W): the channel of a grey band that went in as K equal ones."""
    if channel == "first" or output.shape[1] == 1:
        return output[:, :1]
    if channel == "luma" and output.shape[1] == 3:
        weights = output.new_tensor((0.299, 0.587, 0.114))  # ITU-R BT.601
        return torch.einsum("mkhw,k->mhw", output, weights)[:, None]
    return output.mean(1, keepdim=True)


@torch.inference_mode()
def upsample(
    network: SwinIR, sen2: NDArray[np.float32], *, channel: str, device: str, bfloat16: bool = False
) -> NDArray[np.float32]:
    """Enlarge patches band by band, all of them in as few calls as the device likes.

    Args:
        network: on the device.
        sen2: (N, H, W, C) reflectance.
        channel: "first", "mean" or "luma".
        device: "cpu" or "cuda".
        bfloat16: compute the large products in bfloat16.

    Returns:
        (N, H * scale, W * scale, C) reflectance, not clipped.
    """
    planes = sr_bands.planes(sen2)
    low, span = sr_bands.ranges(planes)
    grey = torch.from_numpy(sr_bands.stretch(planes, low, span))
    inputs, made = network.conv_first.in_channels // network.start_unshuffle**2, []
    with torch.autocast(device, torch.bfloat16, enabled=bfloat16):
        for part in grey.split(PLANES[device]):
            output = network(part.to(device).expand(-1, inputs, -1, -1))
            made.append(one(output.float(), channel).cpu().numpy())
    return sr_bands.images(sr_bands.restore(np.concatenate(made), low, span), sen2.shape[-1])
