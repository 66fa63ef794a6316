"""Window attention of SwinIR in one fused call: same numbers to rounding, no scores in memory."""

import torch
from spandrel.architectures.SwinIR import SwinIR
from torch import nn
from torch.nn import functional


class Fused(nn.Module):
    """Stands for a window attention of spandrel's SwinIR and uses its parameters.

    The position bias is gathered once, and bias and shift mask are added inside the fused kernel.
    """

    def __init__(self, attention: nn.Module) -> None:
        super().__init__()
        self.qkv, self.proj, self.heads = attention.qkv, attention.proj, attention.num_heads
        self.scale = attention.scale
        table, index = attention.relative_position_bias_table, attention.relative_position_index
        bias = table[index.view(-1)].view(*index.shape, -1).permute(2, 0, 1)
        self.register_buffer("bias", bias.contiguous()[None])  # (1, heads, pixels, pixels)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """(images * windows, pixels, width), and a mask (windows, pixels, pixels) or None."""
        count, pixels, width = x.shape
        windows = 1 if mask is None else len(mask)
        bias = self.bias if mask is None else self.bias + mask.unsqueeze(1).to(x)
        qkv = self.qkv(x).view(count // windows, windows, pixels, 3, self.heads, -1)
        q, k, v = qkv.permute(3, 0, 1, 4, 2, 5).flatten(
            2, 3
        )  # (images, windows * heads, pixels, d)
        bias = bias.flatten(0, 1)[None].to(q.dtype)
        out = functional.scaled_dot_product_attention(q, k, v, bias, scale=self.scale)
        out = out.unflatten(1, (windows, self.heads)).transpose(2, 3).reshape(count, pixels, width)
        return self.proj(out)


def fuse(network: SwinIR) -> SwinIR:
    """Put `Fused` into every block; for inference, as the parameters get other names."""
    for layer in network.layers:
        for block in layer.residual_group.blocks:
            block.attn = Fused(block.attn)
    return network
