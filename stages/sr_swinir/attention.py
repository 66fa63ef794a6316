"""SwinIR's blocks for inference: same parameters, same numbers to rounding, fewer passes."""

from functools import lru_cache
from typing import Any

import torch
from torch import nn
from torch.nn import functional


class Pointwise(nn.Module):
    """A linear layer, on a CPU computed as a convolution of 1 × 1.

    Convolutions go to oneDNN, which is fast on every CPU; float32 products go to MKL, which takes
    more than twice as long on those of AMD. Tokens (…, width) are an image stored channels last.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.weight, self.bias = linear.weight, linear.bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(…, inputs) to (…, outputs)."""
        if x.device.type != "cpu":
            return functional.linear(x, self.weight, self.bias)
        row = x.reshape(1, 1, -1, x.shape[-1]).permute(0, 3, 1, 2)
        made = functional.conv2d(row, self.weight[:, :, None, None], self.bias)
        return made.permute(0, 2, 3, 1).reshape(*x.shape[:-1], -1)


class Attention(nn.Module):
    """Stands for a window attention of spandrel's SwinIR; its position bias is gathered once."""

    def __init__(self, attention: Any) -> None:
        super().__init__()
        self.qkv, self.proj = Pointwise(attention.qkv), Pointwise(attention.proj)
        self.heads, self.scale = attention.num_heads, attention.scale
        self.window: int = attention.window_size[0]
        table, index = attention.relative_position_bias_table, attention.relative_position_index
        bias = table[index.view(-1)].view(*index.shape, -1).permute(2, 0, 1)
        self.register_buffer("bias", bias.contiguous())  # (heads, pixels, pixels)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """(images, H, W, width), and a mask (windows, pixels, pixels) or None."""
        count, height, width, _ = x.shape
        side = self.window
        grid = (count, height // side, side, width // side, side)
        qkv = self.qkv(x).view(*grid, 3, self.heads, -1).permute(5, 0, 1, 3, 6, 2, 4, 7)
        windows = grid[1] * grid[3]
        bias = self.bias.repeat(windows, 1, 1)
        if mask is not None:
            bias += mask.repeat_interleave(self.heads, 0)
        q, k, v = qkv.reshape(3, count, windows * self.heads, side * side, -1)
        out = attend(q, k, v, bias.to(q.dtype), self.scale)
        out = out.view(count, grid[1], grid[3], self.heads, side, side, -1)
        return self.proj(out.permute(0, 1, 4, 2, 5, 3, 6).reshape(x.shape))


def attend(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, bias: torch.Tensor, scale: float
) -> torch.Tensor:
    """softmax(q kᵀ · scale + bias) v for q, k, v (images, windows, pixels, d), bias without images.

    On a CPU torch's fused kernel has no use for bfloat16 units, but its plain products have.
    """
    if q.device.type != "cpu" or q.dtype == torch.float32:
        return functional.scaled_dot_product_attention(q, k, v, bias[None], scale=scale)
    scores = (q * scale) @ k.transpose(-1, -2)
    return scores.add_(bias).softmax(-1) @ v


class Block(nn.Module):
    """Stands for a block of spandrel's SwinIR and takes its parameters."""

    def __init__(self, block: Any) -> None:
        super().__init__()
        self.norm1, self.norm2, self.attn = block.norm1, block.norm2, Attention(block.attn)
        self.fc1, self.fc2 = Pointwise(block.mlp.fc1), Pointwise(block.mlp.fc2)
        self.shift: int = block.shift_size

    def forward(self, x: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """(images, H * W, width) tokens, size is (H, W)."""
        shift, mask = self.shift, None
        grid = low(self.norm1(x)).unflatten(1, size)
        if shift:
            grid = grid.roll((-shift, -shift), (1, 2))
            mask = shift_mask(*size, self.attn.window, shift).to(x.device)
        made = self.attn(grid, mask)
        if shift:
            made = made.roll((shift, shift), (1, 2))
        x = x + made.flatten(1, 2)
        return x + self.fc2(functional.gelu(self.fc1(self.norm2(x))))


def low(x: torch.Tensor) -> torch.Tensor:
    """In the type that autocast computes products in, so that what only moves values is cheap."""
    kind = x.device.type
    return x.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else x


@lru_cache(8)
def shift_mask(height: int, width: int, window: int, shift: int) -> torch.Tensor:
    """(windows, pixels, pixels): -100 between pixels of a rolled image that were no neighbours."""
    sides = [
        torch.bucketize(torch.arange(length), torch.tensor([length - window, length - shift]),
                        right=True)
        for length in (height, width)
    ]  # fmt: skip
    part = (sides[0][:, None] * 3 + sides[1]).view(height // window, window, width // window, -1)
    part = part.transpose(1, 2).reshape(-1, window * window)
    return torch.where(part[:, None] == part[:, :, None], 0.0, -100.0)


def fuse(network: nn.Module) -> None:
    """Put `Block` into every layer; for inference, as the parameters get other names."""
    for layer in network.layers:
        group = layer.residual_group
        group.blocks = nn.ModuleList(map(Block, group.blocks))
