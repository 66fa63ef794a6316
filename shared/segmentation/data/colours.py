"""Brightness, contrast, saturation and hue of images, on any device, each by its own factor.

The same numbers as torchvision's `adjust_*` on tensors, whole batches at a time. The hue needs no
way through HSV and back: largest and smallest channel stay as they are.
"""

import torch
from torch import Tensor

TINY = 1e-12
GREY = (0.2989, 0.587, 0.114)  # shares of red, green, blue in what torchvision calls grey


def jitter_colours(images: Tensor, factors: Tensor, order: Tensor) -> Tensor:
    """Images in other light.

    Args:
        images: (N, 3, H, W) float32, 0 … 1; changed in place.
        factors: (N, 4) of brightness, contrast, saturation, 1 for none; what is added to the hue,
            -0.5 … 0.5, 0 for none. On the CPU, as is the order.
        order: (N, 4) which of the four comes first, second, …

    Returns:
        The same tensor.
    """
    for step in range(order.shape[1]):
        for change, function in enumerate(CHANGES):
            rows = (order[:, step] == change).nonzero()[:, 0]
            if len(rows) and (factors[rows, change] != (change < 3)).any():
                by = factors[rows, change].to(images).view(-1, 1, 1, 1)
                if len(rows) == len(images):
                    images.copy_(function(images, by))
                else:
                    rows = rows.to(images.device)
                    images[rows] = function(images[rows], by)
    return images


def _brighten(images: Tensor, by: Tensor) -> Tensor:
    return (images * by).clamp_(0, 1)


def _contrast(images: Tensor, by: Tensor) -> Tensor:
    mean = _grey(images).mean((1, 2, 3), keepdim=True)
    return (images * by).add_((1 - by) * mean).clamp_(0, 1)


def _saturate(images: Tensor, by: Tensor) -> Tensor:
    return (images * by).add_((1 - by) * _grey(images)).clamp_(0, 1)


def _grey(images: Tensor) -> Tensor:
    """(N, 3, H, W) to (N, 1, H, W)."""
    red, green, blue = images.split(1, 1)
    return (red * GREY[0]).add_(green, alpha=GREY[1]).add_(blue, alpha=GREY[2])


def _turn_hue(images: Tensor, by: Tensor) -> Tensor:
    """In the words of HSV: V and the chroma C stay, each channel follows from the hue H alone.

    Source: A. R. Smith 1978; a channel is V - C · max(0, min(k, 4 - k, 1)) with k = (n + 6 H) mod 6
    and n = 5, 3, 1 for red, green, blue. That is V - C · clamp(2 - 6 d, 0, 1), where d is how far
    H + (n - 2) / 6 is from the next whole number.
    """
    red, green, blue = images.split(1, 1)
    largest = torch.maximum(torch.maximum(red, green), blue)
    chroma = largest - torch.minimum(torch.minimum(red, green), blue)
    divisor = chroma.clamp_min(TINY)  # of grey pixels, whose chroma of 0 forgets the hue
    first, second = (green - blue).div_(divisor), (blue - red).div_(divisor).add_(2)
    third = (red - green).div_(divisor).add_(4)
    sixths = torch.where(largest == red, first, torch.where(largest == green, second, third))
    places = torch.tensor([3.0, 1.0, -1.0], device=images.device).view(1, 3, 1, 1) / 6
    turned = sixths.div_(6).add_(by) + places
    away = (turned - turned.round()).abs_()
    fall = away.mul_(-6).add_(2).clamp_(0, 1)
    return torch.addcmul(largest, fall, chroma, value=-1).clamp_(0, 1)


CHANGES = (_brighten, _contrast, _saturate, _turn_hue)
