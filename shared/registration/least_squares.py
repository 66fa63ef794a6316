"""A first guess of a flow by least squares on gradients, from which the network goes on.

Lucas and Kanade 1981: where an image has moved by a small step d, moving - reference is about
gradient · d, which each window of pixels solves for d; a second round starts where the first one
led. Nothing in it is learned.
"""

import torch
from torch import Tensor
from torch.nn import functional

from shared.registration.fields import compose, warp

WINDOWS = (3.0, 5.0, 8.0)  # deviations in pixels of the Gaussian windows of the second round
FIRST = 1  # the one of them that the first round has, and that the network goes on from
AROUND = 12.0  # pixels over which brightness and contrast are made alike
REACH = 2.5  # deviations at which a window ends
FLAT = 0.05  # contrast, in deviations of the whole image, below which nothing is stretched
RIDGE = 1e-3  # added to the squares of gradients: what is flat does not move


def guess_flow(images: Tensor, limit: float) -> Tensor:
    """A flow for each window size.

    Args:
        images: (N, 2, H, W) with mean 0 and deviation 1: the reference, and the image that moved.
        limit: pixels along each axis that the first round does not exceed.

    Returns:
        (N, 2 * len(WINDOWS), H, W) pixels down and to the right, one window after another.
    """
    reference, moving = level(images).split(1, 1)
    first = _solve(_multiply(reference, moving), WINDOWS[FIRST]).clamp(-limit, limit)
    first = first.permute(0, 2, 3, 1)  # what an exporter makes of movedim is no ONNX
    there = _multiply(reference, warp(moving, first))
    rounds = [_solve(there, window).clamp(-limit, limit) for window in WINDOWS]
    whole = [compose(one.permute(0, 2, 3, 1), first) for one in rounds]
    return torch.cat([one.permute(0, 3, 1, 2) for one in whole], 1)


def level(images: Tensor) -> Tensor:
    """Images (N, C, H, W) with local mean 0 and local deviation 1, but where they are flat."""
    apart = images - blur(images, AROUND)
    return apart / (blur(apart.square(), AROUND) + FLAT**2).sqrt()


def blur(images: Tensor, sigma: float) -> Tensor:
    """Images (N, C, H, W) through a Gaussian of `sigma` pixels; they go on beyond their edges."""
    reach = round(REACH * sigma)
    place = torch.arange(-reach, reach + 1, dtype=images.dtype, device=images.device)
    weight = torch.exp(-0.5 * (place / sigma) ** 2)
    weight = weight / weight.sum()
    count, channels, high, wide = images.shape
    planes = images.reshape(count * channels, 1, high, wide)
    planes = functional.pad(planes, [reach] * 4, mode="replicate")
    planes = functional.conv2d(planes, weight.view(1, 1, -1, 1))
    planes = functional.conv2d(planes, weight.view(1, 1, 1, -1))
    return planes.reshape(count, channels, high, wide)


def _multiply(reference: Tensor, moving: Tensor) -> Tensor:
    """(N, 5, H, W) products of gradients with each other and with the difference."""
    middle = functional.pad((reference + moving) / 2, [1] * 4, mode="replicate")
    down = (middle[:, :, 2:, 1:-1] - middle[:, :, :-2, 1:-1]) / 2
    right = (middle[:, :, 1:-1, 2:] - middle[:, :, 1:-1, :-2]) / 2
    apart = moving - reference
    return torch.cat([down * down, down * right, right * right, down * apart, right * apart], 1)


def _solve(products: Tensor, window: float) -> Tensor:
    """(N, 2, H, W) the step that explains the products of each window best."""
    down, both, right, fall, drift = blur(products, window).split(1, 1)
    down, right = down + RIDGE, right + RIDGE
    divisor = down * right - both * both
    steps = [(both * drift - right * fall) / divisor, (both * fall - down * drift) / divisor]
    return torch.cat(steps, 1)
