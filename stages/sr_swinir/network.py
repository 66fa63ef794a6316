"""SwinIR from a file of weights, as a network of one band in and out."""

import warnings
from pathlib import Path

import torch
from spandrel.architectures.SwinIR import SwinIR, SwinIRArch
from torch import nn

from shared.backend import weights
from shared.errors import StageError
from shared.sr.networks import folding
from stages.sr_swinir.attention import fuse

warnings.filterwarnings("ignore", "torch.meshgrid")  # spandrel calls it in the old way

KINDS = ("weight", "bias", "relative_position_bias_table", "relative_position_index", "attn_mask",
         "absolute_pos_embed")  # fmt: skip


def load(path: Path, scale: int, channel: str) -> nn.Module:
    """The network of a file of weights, all its sizes read from the shapes in the file.

    Args:
        path: .safetensors or .pth, of three channels or of one.
        scale: what the weights must be for.
        channel: which output of a network of three channels is the band.

    Returns:
        (M, 1, H, W) in [0, 1] to (M, 1, H * scale, W * scale).

    Raises:
        StageError: not SwinIR weights (missing and extra keys are named), another scale, NaN.
    """
    tensors = weights.read(path)
    part = weights.main_part(tensors)
    if fault := incomplete(part):
        raise StageError(f"{path}: not SwinIR weights: {fault}")
    try:
        descriptor = SwinIRArch().load(dict(part))
    except KeyError as error:
        keys = f"missing: {error.args[0]}; found: {weights.list_keys(tensors)}"
        raise StageError(f"{path}: not SwinIR weights: {keys}") from None
    except (RuntimeError, ValueError, IndexError, ZeroDivisionError, AssertionError) as error:
        raise StageError(f"{path}: not SwinIR weights: {_misfit(str(error))}") from None
    if fault := weights.misfit(descriptor.model.state_dict(), tensors):
        raise StageError(f"{path}: not SwinIR weights: {fault}")
    if descriptor.scale != scale:
        raise StageError(
            f"{path}: expected weights of --scale {scale}, found scale {descriptor.scale}"
        )
    weights.say(path, tensors)
    fold(descriptor.model, channel)
    fuse(descriptor.model)
    descriptor.model.register_forward_pre_hook(_has_a_window)
    return descriptor.model


def incomplete(tensors: weights.Tensors) -> str:
    """Keys that are missing or extra as every layer has a weight and a bias; "" where none are.

    spandrel tells one kind of SwinIR from another by single keys. Without one of them it would
    find a network of another kind, and that nearly all keys misfit.
    """
    kinds = {name: name.rpartition(".")[2] for name in tensors}
    layers = {name.rpartition(".")[0] for name in tensors if kinds[name] in ("weight", "bias")}
    layers |= set() if "conv_first.1" in layers else {"conv_first"}
    wanted = [f"{layer}.{kind}" for layer in sorted(layers) for kind in ("weight", "bias")]
    lost = [name for name in wanted if name not in tensors]
    faults = {"missing": lost, "extra": [name for name in tensors if kinds[name] not in KINDS]}
    return "; ".join(
        f"{kind}: {weights.list_keys(names)}" for kind, names in faults.items() if names
    )


def _has_a_window(network: SwinIR, given: tuple[torch.Tensor]) -> None:
    height, width = given[0].shape[2:]
    if min(height, width) < network.window_size:
        expected = f"at least the {network.window_size} pixels a side of the weights' window"
        raise StageError(f"sen2: expected {expected}, found {height} x {width}")


def _misfit(error: str) -> str:
    """What torch says of a state dict that does not fit, without its first line, shortened."""
    lines = [line.strip() for line in error.splitlines() if line.strip()]
    return " ".join(line[:160] for line in (lines[1:] or lines)[:3])


def fold(network: SwinIR, channel: str) -> None:
    """Make a network of three channels one of a single band, its mean included.

    The last layer stays in float32 whatever the precision: its output is the band. So does the
    first, whose output begins the sum that all blocks add to: in bfloat16 that sum would be rounded
    at each of them, which costs 7 to 20 dB and saves a twentieth of the time.
    """
    channels = network.conv_first.in_channels // network.start_unshuffle**2
    mean = None
    if network.mean.any():
        mean = (network.mean.flatten() * network.img_range).tolist()
        network.mean = torch.zeros(1, 1, 1, 1)
    network.conv_first = folding.Float32(folding.fold_first(network.conv_first, channels, mean))
    if network.upsampler == "pixelshuffledirect":
        end = folding.fold_last(network.upsample[0], channel, channels, mean)
        network.upsample[0] = folding.Float32(end)
    else:
        network.conv_last = folding.Float32(
            folding.fold_last(network.conv_last, channel, channels, mean)
        )
