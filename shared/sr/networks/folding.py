"""A network of three channels made one of a single channel, exactly.

A band goes into a network for photographs as three equal channels, and one channel is made of the
three that come out. Both are linear, so the first and last convolution can do them: a third of the
work at these two layers, no copies, and the same numbers to rounding.
"""

from collections.abc import Sequence

import torch
from torch import nn

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def channel_weights(channel: str, channels: int) -> torch.Tensor:
    """(channels,) weights that make the band of the outputs: "first", "mean" or "luma"."""
    if channel == "luma" and channels == 3:
        return torch.tensor(LUMA)
    if channel == "first" or channels == 1:
        return torch.eye(channels)[0]
    return torch.full((channels,), 1 / channels)


@torch.no_grad()
def fold_first(
    convolution: nn.Conv2d, channels: int, mean: Sequence[float] | None = None
) -> nn.Module:
    """A first convolution that takes a band for ``channels`` equal ones.

    Args:
        convolution: takes ``channels`` channels, or after a pixel unshuffle by f the f * f pixels
            of each channel in a row.
        channels: of the network's images.
        mean: (channels,) what the network subtracts from its images before this layer, in the unit
            that this layer sees; the result does it itself, also at the border.

    Returns:
        (M, 1, H, W), or (M, f * f, H, W), to the convolution's output.
    """
    kernels = convolution.weight.view(
        len(convolution.weight), channels, -1, *convolution.kernel_size
    )
    if mean is None:
        return _copy_convolution(convolution, kernels.sum(1), convolution.bias)
    offset = -torch.einsum("kcpyx,c->kyx", kernels, kernels.new_tensor(mean))[:, None]
    return Centred(
        _copy_convolution(convolution, torch.cat([kernels.sum(1), offset], 1), convolution.bias)
    )


class Centred(nn.Module):
    """A convolution whose last input is a plane of ones.

    It carries what a mean subtracted before comes to: a bias would be wrong at the border, where
    the zero padding is of centred values.
    """

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.convolution = convolution

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(M, K, H, W) for a convolution of K + 1 inputs."""
        return self.convolution(torch.cat([x, torch.ones_like(x[:, :1])], 1))


@torch.no_grad()
def fold_last(
    convolution: nn.Conv2d, channel: str, channels: int | None = None,
    mean: Sequence[float] | None = None,
) -> nn.Conv2d:  # fmt: skip
    """A last convolution that gives the one channel of the network's images that is wanted.

    Args:
        convolution: gives ``channels`` channels, or before a pixel shuffle by s the s * s pixels of
            each channel in a row.
        channel: "first", "mean" or "luma".
        channels: of the network's images; by default all outputs.
        mean: (channels,) what the network adds to its images after this layer.

    Returns:
        To one channel, or to s * s before a shuffle.
    """
    channels = channels or convolution.out_channels
    mix = channel_weights(channel, channels).to(convolution.weight)
    kernels = convolution.weight.unflatten(0, (channels, -1))
    bias = convolution.bias
    if bias is None:
        bias = kernels.new_zeros(convolution.out_channels)
    shift = mix @ kernels.new_tensor(mean) if mean is not None else 0
    return _copy_convolution(
        convolution,
        torch.einsum("c,cpkyx->pkyx", mix, kernels),
        mix @ bias.view(channels, -1) + shift,
    )


def _copy_convolution(
    like: nn.Conv2d, weight: torch.Tensor, bias: torch.Tensor | None
) -> nn.Conv2d:
    made = nn.Conv2d(
        weight.shape[1], weight.shape[0], like.kernel_size, like.stride, like.padding,
        bias=bias is not None,
    )  # fmt: skip
    state = {"weight": weight} if bias is None else {"weight": weight, "bias": bias}
    made.load_state_dict(state)
    return made


class Float32(nn.Module):
    """A layer that computes in float32 also under autocast: the last one, whose output is the band.

    bfloat16 has 8 bits for it, which would cost more than all layers before.
    """

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Whatever the layer does."""
        with torch.autocast(x.device.type, enabled=False):
            return self.layer(x.float())
