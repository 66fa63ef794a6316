"""Random weights in the layouts and sizes of the published files, and the reference way with them.

Runs under a stage's own interpreter, as SwinIR's layout and the plain networks are its libraries'.
"""

from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from shared.backend import weights
from shared.sr.networks import edsr, vdsr
from shared.sr.networks.naming import layer_names

Tensors = dict[str, torch.Tensor]
INPUTS = {"vdsr": 1}  # channels of a call; 3 equal ones, or for ESRGAN three bands, otherwise
NAMINGS = {"esrgan": "old", "bsrnet": "trunk", "realesrgan": "body"}
LAST = {"vdsr": "output", "edsr": "tail.1", "swinir": "conv_last", "bsrnet": "conv_last",
        "realesrgan": "conv_last", "esrgan": "model.7"}  # fmt: skip
MEAN = torch.tensor(edsr.DIV2K)
CONTRAST = {"vdsr": 0.05}  # deviation of what the network makes; an image's 0.25 otherwise


def convolution(name: str, inputs: int, outputs: int, bias: bool = True) -> Tensors:
    """Tensors of a random 3 × 3 convolution that about keeps the size of its values."""
    made = {f"{name}.weight": torch.randn(outputs, inputs, 3, 3) / (9 * inputs) ** 0.5}
    return made | ({f"{name}.bias": 0.01 * torch.randn(outputs)} if bias else {})


def vdsr_tensors() -> Tensors:
    """The common PyTorch port: 20 layers of 64 without bias, 664,704 parameters."""
    made = convolution("input", 1, 64, False) | convolution("output", 64, 1, False)
    for place in range(18):
        made |= convolution(f"residual_layer.{place}.conv", 64, 64, False)
    return made


def edsr_tensors(scale: int) -> Tensors:
    """EDSR-base as torchSR's files have it, its shift of 0 … 255 by the DIV2K mean included."""
    made = convolution("head.0", 3, 64) | convolution("body.16", 64, 64)
    for place in range(16):
        for inner in (0, 2):
            made |= convolution(f"body.{place}.body.{inner}", 64, 64)
    for step in range(scale // 2):
        made |= convolution(f"tail.0.{2 * step}", 64, 256)
    for name, sign in (("sub_mean", -1), ("add_mean", 1)):
        made[f"{name}.weight"] = torch.eye(3).view(3, 3, 1, 1)
        made[f"{name}.bias"] = sign * 255 * MEAN
    return made | convolution("tail.1", 64, 3)


def rrdb_tensors(naming: str, scale: int) -> Tensors:
    """RRDBNet, 23 blocks of 64 features, 32 more by each convolution of a dense block."""
    names = layer_names(naming, 23, scale // 2)
    made = convolution(names[0], 3, 64) | convolution(names[-1], 64, 3)
    for name in names[1:-1]:
        made |= convolution(name, 64, 64)
    for place in range(23 * 3):
        for inner in range(5):
            outputs = 32 if inner < 4 else 64
            made |= convolution(names[1 + 5 * place + inner], 64 + 32 * inner, outputs)
    return made


def swinir_tensors(scale: int) -> Tensors:
    """SwinIR-M with its buffers."""
    from spandrel.architectures.SwinIR import SwinIR

    sizes = {"embed_dim": 180, "depths": [6] * 6, "num_heads": [6] * 6, "mlp_ratio": 2.0}
    network = SwinIR(
        img_size=64, window_size=8, upscale=scale, upsampler="pixelshuffle", **sizes
    )  # fmt: skip
    return network.state_dict()


def write(method: str, scale: int, path: Path) -> None:
    """Weights whose last layer is scaled so that images come out with an image's contrast."""
    torch.manual_seed(42)
    makers: dict[str, Callable[[], Tensors]] = {
        "vdsr": vdsr_tensors, "edsr": lambda: edsr_tensors(scale),
        "swinir": lambda: swinir_tensors(scale),
    }  # fmt: skip
    made = makers.get(method, lambda: rrdb_tensors(NAMINGS[method], scale))()
    save_file({name: tensor.contiguous() for name, tensor in made.items()}, path)
    grey = nn.functional.interpolate(torch.rand(1, 1, 8, 8), scale_factor=4, mode="bicubic")
    with torch.inference_mode():
        out = reference(method, scale, path)(grey.expand(-1, INPUTS.get(method, 3), -1, -1))
        if method == "vdsr":
            out -= vdsr.resize_bicubic(grey, scale)
    for part in ("weight", "bias"):
        if (name := f"{LAST[method]}.{part}") in made:
            made[name] = made[name] * (CONTRAST.get(method, 0.25) / out.std())
    save_file({name: tensor.contiguous() for name, tensor in made.items()}, path)


def reference(method: str, scale: int, path: Path) -> nn.Module:
    """The plain network as its library has it, float32, contiguous, from images in 0 … 1."""
    tensors: weights.Tensors = weights.read(path)
    if method == "vdsr":
        plain: nn.Module = vdsr.VDSR(scale=scale)
    elif method == "edsr":
        plain = Shifted(edsr.EDSR(scale, channels=3))
        own = [name for name in tensors if "mean" not in name]
        tensors = {f"network.{name}": tensors[name] for name in own}
    elif method == "swinir":
        from spandrel.architectures.SwinIR import SwinIRArch

        plain = SwinIRArch().load(dict(tensors)).model
    elif method == "realesrgan":
        from basicsr.archs.rrdbnet_arch import RRDBNet

        plain = RRDBNet(3, 3, scale, 64, 23, 32)
    else:
        from shared.sr.networks import rrdb

        return rrdb.read(path, scale).eval().requires_grad_(False)
    plain.load_state_dict(tensors)
    return plain.eval().requires_grad_(False)


class Shifted(nn.Module):
    """EDSR in the unit of its files, 0 … 255 less the mean, as torchSR calls it."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(M, 3, H, W) in 0 … 1."""
        shift = 255 * MEAN.to(x).view(1, 3, 1, 1)
        return (self.network(255 * x - shift) + shift) / 255
