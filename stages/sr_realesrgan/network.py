"""RRDBNet of the realesrgan package, as a network of one band in and out."""

import warnings
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from shared.backend import weights
from shared.errors import StageError
from shared.sr.networks import folding

# What this old torch and torchvision say of themselves, and nobody here can change.
warnings.filterwarnings("ignore", "The torchvision.transforms.functional_tensor module")
warnings.filterwarnings("ignore", "TypedStorage is deprecated")
from basicsr.archs.rrdbnet_arch import RRDBNet  # noqa: E402  (it imports that module)

SCALES = {1: 4, 4: 2, 16: 1}  # of inputs for each output: ×2 and ×1 unshuffle their images first
TELLING = ("conv_first.weight", "body.0.rdb1.conv1.weight", "conv_last.weight")


def load(path: Path, scale: int, channel: str) -> nn.Module:
    """The network of a file of weights, all its sizes read from the shapes in the file.

    Args:
        path: .pth or .safetensors, of three channels or of one.
        scale: what the weights must be for, 2 or 4.
        channel: which output of a network of three channels is the band.

    Returns:
        (M, 1, H, W) in [0, 1] to (M, 1, H * scale, W * scale).

    Raises:
        StageError: not Real-ESRGAN weights (missing and extra keys are named), another scale, NaN.
    """
    tensors = weights.read(path)
    network = build(path, weights.main_part(tensors))
    weights.fit(path, network, tensors, "Real-ESRGAN")
    if network.scale != scale:
        actual = f"found scale {network.scale}"
        raise StageError(f"{path}: expected weights of --scale {scale}, {actual}")
    return Even(fold(network, channel)) if scale == 2 else fold(network, channel)


def build(path: Path, tensors: weights.Tensors) -> RRDBNet:
    """A network of the sizes that a state dict under BasicSR's names has.

    Raises:
        StageError: a tensor that tells a size is missing or no convolution's.
    """
    absent = [
        n for n in TELLING if n not in tensors or tensors[n].ndim != 4 or not tensors[n].numel()
    ]
    if absent:
        missing, present = ", ".join(absent), weights.list_keys(tensors)
        raise StageError(f"{path}: not Real-ESRGAN weights: missing: {missing}; found: {present}")
    first, growth, last = (tensors[name].shape for name in TELLING)
    scale = SCALES.get(first[1] // last[0], 0)
    if not scale:
        raise StageError(f"{path}: not Real-ESRGAN weights: {first[1]} inputs, {last[0]} outputs")
    blocks = weights.length(tensors, r"body\.(\d+)\.")
    return RRDBNet(last[0], last[0], scale, first[0], blocks, growth[0])


def fold(network: RRDBNet, channel: str) -> RRDBNet:
    """Make a network of three channels one of a single band, its last layer always in float32."""
    channels = network.conv_last.out_channels
    network.conv_first = folding.fold_first(network.conv_first, channels)
    network.conv_last = folding.Float32(folding.fold_last(network.conv_last, channel))
    return network


class Even(nn.Module):
    """A network of scale 2, for odd sides too: they are mirrored by a pixel, as in RealESRGANer."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(M, 1, H, W) to (M, 1, 2 * H, 2 * W)."""
        height, width = x.shape[-2:]
        even = functional.pad(x, (0, width % 2, 0, height % 2), "reflect")
        return self.network(even)[..., : 2 * height, : 2 * width]
