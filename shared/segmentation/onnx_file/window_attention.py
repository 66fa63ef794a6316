"""Shifted window attention without sizes in it, so that its ONNX file takes pictures of any size.

torchvision decides by Python how far a map is padded, whether windows are shifted and which pixels
may see each other; an exporter writes down what was decided for the example. Here all of this is
computed from the size of the map by operators that stay in the file. Source: Liu et al. 2021 (Swin)
and 2022 (Swin V2), as torchvision implements them.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.swin_transformer import ShiftedWindowAttention, ShiftedWindowAttentionV2

APART = -100.0  # added to the attention of pixels that are no neighbours, as torchvision does
LARGEST_SCALE = math.log(100.0)  # of cosine attention


class SizelessAttention(nn.Module):
    """What a trained attention computes, in evaluation mode, for maps of any size.

    What depends on weights alone, such as the bias by distance, is computed once.

    Args:
        trained: a layer of torchvision, of either version of Swin; its tensors are shared.
    """

    bias: Tensor
    scale: Tensor

    def __init__(self, trained: ShiftedWindowAttention) -> None:
        super().__init__()
        self.sides: tuple[int, int] = (trained.window_size[0], trained.window_size[1])
        self.shifts: tuple[int, int] = (trained.shift_size[0], trained.shift_size[1])
        self.heads = trained.num_heads
        self.is_cosine = isinstance(trained, ShiftedWindowAttentionV2)
        self.qkv, self.proj = nn.Linear(1, 1), trained.proj
        with torch.no_grad():
            self.register_buffer("bias", trained.get_relative_position_bias().detach())
            if self.is_cosine:
                scale = trained.logit_scale.clamp(max=LARGEST_SCALE).exp()
            else:
                width = trained.qkv.in_features // self.heads
                scale = torch.tensor(float(width**-0.5))
            self.register_buffer("scale", scale.detach())
            self.qkv.weight = trained.qkv.weight
            self.qkv.bias = self._entry_bias(trained.qkv.bias)

    def _entry_bias(self, bias: Tensor | None) -> nn.Parameter | None:
        """(3 * C,) of queries, keys and values; keys of cosine attention have none."""
        if bias is None:
            return None
        kept = bias.detach().clone()
        if self.is_cosine:
            third = len(kept) // 3
            kept[third : 2 * third] = 0
        return nn.Parameter(kept)

    def forward(self, maps: Tensor) -> Tensor:
        """(N, H, W, C) to the same."""
        batch, height, width, channels = maps.shape
        high, wide = self.sides
        below, right = (-height) % high, (-width) % wide
        padded = functional.pad(maps, (0, 0, 0, right, 0, below))
        rows, columns = (height + below) // high, (width + right) // wide
        down, across = (
            shift * _is_more_than_one(count)
            for shift, count in zip(self.shifts, (rows, columns), strict=True)
        )
        moved = self._is_shifted()
        if moved:
            padded = roll(roll(padded, 1, rows * high, down), 2, columns * wide, across)
        tokens = padded.view(batch, rows, high, columns, wide, channels)
        tokens = tokens.permute(0, 1, 3, 2, 4, 5).reshape(-1, high * wide, channels)
        mask = self._separate(rows, columns, down, across) if moved else None
        tokens = self._attend(tokens, mask)
        padded = tokens.view(batch, rows, columns, high, wide, channels)
        padded = padded.permute(0, 1, 3, 2, 4, 5)
        padded = padded.reshape(batch, rows * high, columns * wide, channels)
        if moved:
            padded = roll(roll(padded, 1, rows * high, -down), 2, columns * wide, -across)
        return padded[:, :height, :width]

    def _is_shifted(self) -> bool:
        return any(self.shifts)

    def _attend(self, tokens: Tensor, mask: Tensor | None) -> Tensor:
        """(N * windows, T, C) tokens, those of each window among each other.

        Args:
            tokens: windows of one picture after the other.
            mask: (windows, T, T) is added to the attention; None where all tokens are neighbours.
        """
        count, length, channels = tokens.shape
        heads = self.qkv(tokens).reshape(count, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        query, key, value = heads[0], heads[1], heads[2]
        if self.is_cosine:
            query, key = functional.normalize(query, dim=-1), functional.normalize(key, dim=-1)
            attention = query @ key.transpose(-2, -1) * self.scale
        else:
            attention = (query * self.scale) @ key.transpose(-2, -1)
        attention = attention + self.bias
        if mask is not None:
            windows = attention.view(-1, mask.shape[0], self.heads, length, length)
            attention = (windows + mask.unsqueeze(1)).view(-1, self.heads, length, length)
        mixed = attention.softmax(-1) @ value
        said: Tensor = self.proj(mixed.transpose(1, 2).reshape(count, length, channels))
        return said

    def _separate(self, rows: int, columns: int, down: int, across: int) -> Tensor:
        """(windows, T, T) 0 for pixels of one region and APART for others.

        A roll brings the first rows and columns behind the last ones, which are no neighbours.
        """
        high, wide = self.sides
        regions = 3 * number_regions(rows * high, high, down, self.bias).unsqueeze(1)
        regions = regions + number_regions(columns * wide, wide, across, self.bias)
        windows = regions.view(rows, high, columns, wide).permute(0, 2, 1, 3)
        windows = windows.reshape(-1, high * wide)
        differs = (windows.unsqueeze(1) - windows.unsqueeze(2)).abs()
        return APART * differs.clamp(max=1)


def number_regions(length: int, side: int, shift: int, like: Tensor) -> Tensor:
    """(length,) 0, 1 or 2 along an axis: before the last window, in it, and what the roll brought.

    Args:
        length: of the padded axis, a multiple of `side`.
        side: of a window.
        shift: by how much the axis was rolled.
        like: a tensor of the type and device wanted.
    """
    places = torch.arange(length, device=like.device)
    last, brought = places >= length - side, places >= length - shift
    return last.to(like.dtype) + brought.to(like.dtype)


def roll(maps: Tensor, axis: int, length: int, shift: int) -> Tensor:
    """A map whose place p along an axis holds what was at p + shift, counted around.

    torch.roll would write the shift of the example into the file.
    """
    places = torch.arange(length, device=maps.device) + shift
    return maps.index_select(axis, torch.remainder(places + length, length))


def _is_more_than_one(count: int | Tensor) -> int | Tensor:
    """1 where there are several windows along an axis, else 0: then none is shifted."""
    if isinstance(count, Tensor):  # while it is traced, sizes are tensors
        return (count - 1).clamp(min=0, max=1)
    return min(max(count - 1, 0), 1)
