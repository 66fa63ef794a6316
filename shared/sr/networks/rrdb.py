"""RRDBNet, the generator of ESRGAN, BSRNet and Real-ESRGAN: from a file of weights, or untrained.

Wang et al. 2018, "ESRGAN"; Zhang et al. 2021, "Designing a Practical Degradation Model for Deep
Blind Image Super-Resolution"; Wang et al. 2021, "Real-ESRGAN", whose ×2 network begins with a pixel
unshuffle. The network is spandrel's.
"""

from pathlib import Path

import torch
from spandrel.architectures.ESRGAN import ESRGAN as RRDBNet
from torch import nn

from shared.backend import weights
from shared.errors import StageError
from shared.sr.networks import folding
from shared.sr.networks.naming import detect_naming, layer_names

__all__ = ["RRDBNet", "build", "keep_trunk_float32", "layer_names", "load", "read"]

UNSHUFFLE = {1: 1, 4: 2, 16: 4}  # side of the boxes, from input channels per output channel
GROWTH = 32  # the one size that spandrel fixes


def load(path: Path, scale: int, channel: str) -> RRDBNet:
    """The network of a file of weights for single bands.

    Args:
        path: RRDBNet weights, of any number of channels.
        scale: what they must enlarge by.
        channel: which output is the band when there are several: "first", "mean" or "luma".

    Returns:
        (M, 1, h, w) in 0 … 1 to (M, 1, scale * h, scale * w), for inference.

    Raises:
        StageError: as for `read`.
    """
    network = read(path, scale)
    model = network.model
    model[0] = folding.fold_first(model[0], model[-1].out_channels)
    model[-1] = folding.fold_last(model[-1], channel)
    return keep_trunk_float32(network)


def read(path: Path, scale: int) -> RRDBNet:
    """The network of a file of weights with all its channels; its sizes are those of the tensors.

    Args:
        path: RRDBNet weights in any of the three naming schemes.
        scale: what they must enlarge by.

    Raises:
        StageError: not RRDBNet weights (missing and extra keys are named), another scale, NaN.
    """
    tensors = weights.read(path)
    part = weights.main_part(tensors)
    naming = detect_naming(part)
    if naming is None:
        keys = "model.1.sub.0.RDB1…, RRDB_trunk.0.RDB1… or body.0.rdb1…"
        given = weights.list_keys(tensors)
        raise StageError(f"{path}: not RRDBNet weights: expected keys {keys}, found {given}")
    first, dense, *_, last = layer_names(naming.name, naming.blocks, naming.steps)
    channels = weights.size(part, last, 0, 1)
    unshuffle = UNSHUFFLE.get(weights.size(part, first, 1, channels) // channels, 1)
    with torch.device("meta"):  # neither memory nor random numbers before the sizes are right
        network = _network(2**naming.steps, weights.size(part, first, 0, 1), naming.blocks,
                           weights.size(part, dense, 0, 1), channels, unshuffle)  # fmt: skip
    names = naming.translate("old")
    wanted = network.state_dict()
    if fault := weights.misfit({name: wanted[names[name]] for name in names}, tensors):
        raise StageError(f"{path}: not RRDBNet weights: {fault}")
    if scale * unshuffle != 2**naming.steps:
        theirs = f"{2**naming.steps / unshuffle:g}"
        raise StageError(f"{path}: expected weights of --scale {scale}, found scale {theirs}")
    network.load_state_dict({names[n]: t.float() for n, t in tensors.items()}, assign=True)
    weights.say(path, tensors)
    return network


def build(scale: int, width: int, blocks: int, growth: int, channels: int) -> RRDBNet:
    """An untrained network; its random numbers come from torch's generator.

    Args:
        scale: 2, 4 or 8.
        width: features of the trunk; 64 as published.
        blocks: residual-in-residual dense blocks; 23 as published.
        growth: features that a convolution of a dense block adds; 32 as published.
        channels: in and out.

    Returns:
        (M, channels, h, w) in 0 … 1 to (M, channels, scale * h, scale * w); `read` takes its state
        dict, and `layer_names` has the names that other programs use.
    """
    return _network(scale, width, blocks, growth, channels, 1)


def _network(
    inner: int, width: int, blocks: int, growth: int, channels: int, unshuffle: int
) -> RRDBNet:
    """``inner`` is the scale after the unshuffle."""
    network = RRDBNet(
        in_nc=channels * unshuffle**2, out_nc=channels, num_filters=width, num_blocks=blocks,
        scale=inner, shuffle_factor=unshuffle if unshuffle > 1 else None,
    )  # fmt: skip
    if growth != GROWTH:
        trunk = network.model[1].sub
        for block in range(blocks):
            trunk[block] = type(trunk[block])(width, gc=growth, act_type="leakyrelu")
    return network


def keep_trunk_float32(network: RRDBNet) -> RRDBNet:
    """The network for inference: what 69 dense blocks add up stays float32 under autocast.

    In bfloat16 the sum would be rounded at each of them, which doubles the error of the output. The
    first layer begins the sum and the last one ends it, so both are float32. In float32 the numbers
    are spandrel's to rounding.
    """
    model = network.model
    model[0], model[-1] = folding.Float32(model[0]), folding.Float32(model[-1])
    for block in model[1].sub[:-1]:
        block.RDB1, block.RDB2, block.RDB3 = map(Dense, (block.RDB1, block.RDB2, block.RDB3))
    return network


class Dense(nn.Module):
    """Stands for a dense block of spandrel's RRDBNet and uses its layers.

    spandrel's own would join float32 with bfloat16 as float32 and cast the whole for every layer.
    """

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList(getattr(block, f"conv{place}") for place in range(1, 6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(M, width, h, w), computed in the type of the first layer, added in that of ``x``."""
        first, *middle, last = self.layers
        grown = first(x)
        parts = [x.to(grown.dtype), grown]
        for layer in middle:
            parts.append(layer(torch.cat(parts, 1)))
        return torch.add(x, last(torch.cat(parts, 1)), alpha=0.2)
