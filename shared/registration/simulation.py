"""Warps that are drawn: waves, a shift and a fault line, the same from a seed on every device."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

WAVES = 3  # on each axis
LENGTHS = (16.0, 256.0)  # pixels of a wave; long ones are a shift of the whole patch
WIDTHS = (2.0, 10.0)  # pixels over which the ground moves along a fault line


@dataclass(frozen=True)
class Extent:
    """How many warps, and of what size.

    Attributes:
        count: N.
        height, width: H, W.
    """

    count: int
    height: int
    width: int


def draw_warps(extent: Extent, largest: float, seed: int, device: torch.device) -> Tensor:
    """Random smooth flows with a fault line.

    The numbers are drawn on the CPU, so that one seed means one warp on whatever device.

    Args:
        extent: how many and how large.
        largest: pixels that no flow exceeds; how far each one reaches is drawn, too.
        seed: decides everything.
        device: where the flows are made.

    Returns:
        (N, H, W, 2) pixels down and to the right.
    """
    rng = torch.Generator().manual_seed(seed)
    count = extent.count

    def draw(*shape: int) -> Tensor:
        return torch.rand((count, *shape), generator=rng).to(device)

    down = torch.arange(extent.height, device=device, dtype=torch.float32)[:, None]
    right = torch.arange(extent.width, device=device, dtype=torch.float32)[None]
    waves = _add_waves(
        down, right, (draw(2, WAVES), draw(2, WAVES), draw(2, WAVES)), draw(2, WAVES)
    )
    step, turn, place = draw(1)[:, 0], draw(2), draw(2)
    angle = 2 * math.pi * turn
    across = torch.stack([angle[:, 0].sin(), angle[:, 0].cos()], -1)
    middle = place * torch.tensor([extent.height, extent.width], device=device)
    far = (across * middle).sum(-1)[:, None, None]
    width = WIDTHS[0] + (WIDTHS[1] - WIDTHS[0]) * draw(1)[:, :, None]
    beyond = (across[:, 0, None, None] * down + across[:, 1, None, None] * right - far) / width
    slip = torch.stack([angle[:, 1].sin(), angle[:, 1].cos()], -1)[:, None, None]
    share = 0.5 * step[:, None, None, None]
    flow = (1 - share) * waves / math.sqrt(2) + share * slip * beyond.tanh()[..., None]
    reach = largest * draw(1)[:, :, None, None].sqrt()
    return reach * flow


def _add_waves(
    down: Tensor, right: Tensor, drawn: tuple[Tensor, Tensor, Tensor], heights: Tensor
) -> Tensor:
    """(N, H, W, 2) sums of cosines from -1 to 1.

    Args:
        down, right: (H, 1) and (1, W) places.
        drawn: (N, 2, WAVES) each, 0 to 1: directions, phases, lengths.
        heights: (N, 2, WAVES), 0 to 1.
    """
    angle, phase, length = drawn
    shortest, longest = (math.log(each) for each in LENGTHS)
    turn = 2 * math.pi / torch.exp(shortest + (longest - shortest) * length)
    down_turn = (turn * (2 * math.pi * angle).sin())[..., None, None]
    right_turn = (turn * (2 * math.pi * angle).cos())[..., None, None]
    phases = 2 * math.pi * phase[..., None, None]
    waves = (down_turn * down + right_turn * right + phases).cos()
    shares = heights / heights.sum(-1, keepdim=True)
    return (shares[..., None, None] * waves).sum(2).movedim(1, -1)
