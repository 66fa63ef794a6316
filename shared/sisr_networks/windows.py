"""Attention within windows of pixels (Swin), every second layer of which has them moved by a half.

Windows lie on a grid that begins at the corner of an image. So what a network with such layers
makes of a part is what it makes of the whole only where the part begins on that grid.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

NEVER = float("-inf")  # added to the score of two pixels that were no neighbours
SPREAD = 0.02  # deviation of first weights, as published


class Attention(nn.Module):
    """Attention among the pixels of a window, each pair with a bias by how it lies.

    Args:
        width: features.
        heads: that share them.
        window: pixels of a side.
    """

    index: Tensor

    def __init__(self, width: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads, self.window, self.scale = heads, window, (width // heads) ** -0.5
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        steps = 2 * window - 1
        self.relative_position_bias_table = nn.Parameter(torch.empty(steps**2, heads))
        nn.init.trunc_normal_(self.relative_position_bias_table, std=SPREAD)
        row, column = torch.meshgrid(*[torch.arange(window)] * 2, indexing="ij")
        place = steps * row.flatten() + column.flatten()
        # Of pixels (window², window²); it follows from the window, so files do without it.
        index = place[:, None] - place + (steps**2 - 1) // 2
        self.register_buffer("index", index, persistent=False)

    def forward(self, x: Tensor, apart: tuple[Tensor, Tensor] | None) -> Tensor:
        """(N, H, W, width) to the same.

        Args:
            x: H and W are multiples of the window.
            apart: what is added to scores, (H / window, 1, 1, P, P) and (W / window, 1, P, P) for
                the P pixels of a window; None where all of its pixels are neighbours.
        """
        count, height, wide, width = x.shape
        side, heads = self.window, self.heads
        grid = (count, height // side, side, wide // side, side)
        qkv = self.qkv(x).reshape(*grid, 3, heads, width // heads)
        shape = (3, count, height // side, wide // side, heads, side**2, width // heads)
        q, k, v = qkv.permute(5, 0, 1, 3, 6, 2, 4, 7).reshape(shape).unbind(0)
        scores = (q * self.scale) @ k.transpose(-1, -2)
        bias = self.relative_position_bias_table[self.index].permute(2, 0, 1)
        scores = scores + (bias if apart is None else bias + apart[1])
        if apart is not None:
            scores = scores + apart[0]
        made = (scores.softmax(-1) @ v).reshape(*shape[1:5], side, side, -1)
        whole: Tensor = self.proj(made.permute(0, 1, 4, 2, 5, 3, 6).reshape(x.shape))
        return whole


class Mlp(nn.Module):
    """Two layers of single pixels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(…, width) to the same."""
        made: Tensor = self.fc2(functional.gelu(self.fc1(x)))
        return made


class Layer(nn.Module):
    """Attention, then single pixels, each behind a norm and added to what came in.

    Args:
        width: features.
        heads: of the attention.
        window: pixels of a side.
        shift: pixels by which the windows lie beside the grid.
    """

    def __init__(self, width: int, heads: int, window: int, shift: int) -> None:
        super().__init__()
        self.shift = shift
        self.norm1, self.attn = nn.LayerNorm(width), Attention(width, heads, window)
        self.norm2, self.mlp = nn.LayerNorm(width), Mlp(width)

    def forward(self, x: Tensor) -> Tensor:
        """(N, H, W, width) to the same; H and W are multiples of the window."""
        grid, shift, apart = self.norm1(x), self.shift, None
        if shift:
            grid = grid.roll((-shift, -shift), (1, 2))
            apart = part_edges(x, self.attn.window, shift)
        made = self.attn(grid, apart)
        x = x + (made.roll((shift, shift), (1, 2)) if shift else made)
        whole: Tensor = x + self.mlp(self.norm2(x))
        return whole


def part_edges(x: Tensor, window: int, shift: int) -> tuple[Tensor, Tensor]:
    """What keeps the first and the last pixels of a rolled image apart, for `Attention`.

    Args:
        x: (N, H, W, width).
        window: pixels of a side; H and W are multiples of it.
        shift: pixels by which the image was rolled.
    """
    height, wide = x.shape[1:3]
    late = torch.arange(height, device=x.device) >= height - shift
    rows = late.reshape(height // window, window, 1).expand(-1, -1, window)
    late = torch.arange(wide, device=x.device) >= wide - shift
    columns = late.reshape(wide // window, 1, window).expand(-1, window, -1)
    down, across = (_keep_apart(of.reshape(-1, window**2), x) for of in (rows, columns))
    return down[:, None, None], across[:, None]


def _keep_apart(late: Tensor, like: Tensor) -> Tensor:
    """(windows, P, P) of (windows, P): nothing between equals, else what no score outweighs."""
    none = torch.zeros((), dtype=like.dtype, device=like.device)
    return torch.where(late[:, None] == late[:, :, None], none, none + NEVER)


def complete(x: Tensor, window: int) -> Tensor:
    """(N, C, h, w) up to whole windows: behind the last row and column all are mirrored.

    Args:
        x: sides of two pixels or more; the outermost one is not repeated.
        window: pixels of a side.
    """
    for axis in (2, 3):
        size = x.shape[axis]
        place = torch.arange((size + window - 1) // window * window, device=x.device)
        last = size - 1
        x = x.index_select(axis, last - (last - place % (2 * last)).abs())
    return x


def find_reach(blocks: int, layers: int, window: int) -> int:
    """Pixels from an edge inwards on which what lies outside of a part has an influence.

    A convolution of 3 × 3 carries it one pixel further; a layer of windows, to the next end of a
    window. The upper and left edge of a part lie on the grid, the others anywhere.

    Args:
        blocks: of layers, a convolution before each one.
        layers: of each block; those of odd numbers are moved by half a window.
        window: pixels of a side.
    """

    def follow(start: int, shift: int) -> int:
        front = start
        for _ in range(blocks):
            front += 1
            for layer in range(layers):
                front += (layer % 2 * shift - front) % window
        return front + 3 - start  # behind the last block, behind all of them, to the bands

    shift = window // 2
    # Upwards from the far edge, windows end at the other side of their grid.
    return max(follow(0, shift), *(follow(place, -shift) for place in range(window)))
