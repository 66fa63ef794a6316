"""The end of a network that has no activation in it, as one convolution before one pixel shuffle.

EDSR's is linear: convolutions to s * s times the features, pixel shuffles, and a convolution at the
full size, most of whose work goes into features that the last layer sums up again. Every pixel of
the output is a weighted sum of 5 × 5 low pixels, so that is what is computed: for the scale 4 it
saves a third of the whole network. At the border, where layers pad with zeros, the weights differ;
they are kept for the first and last row and column, so the result is the same to rounding.
"""

import torch
from torch import nn
from torch.nn import functional

SIZE, CENTRE = 5, 2  # of the kernel: what two low pixels away has no influence
SIDE = 2  # least height and width, of an image with a first and a last row
PLACES = (4, 1, 3, 5, 7, 0, 2, 6, 8)  # of 3 × 3: all pixels, then the sides, then the corners
EDGES = (  # for first, all and last along an axis: what they depend on, and they themselves
    (slice(CENTRE + 1), slice(1)),
    (slice(None), slice(None)),
    (slice(-CENTRE - 1, None), slice(-1, None)),
)


class Tail(nn.Module):
    """What `tail` does, in float32 also under autocast; for inference.

    Args:
        tail: affine, (M, width, H, W) to (M, 1, scale * H, scale * W), of zero-padded convolutions
            that reach two low pixels far and none that is outside from a second row or column.
        width: its features.
        scale: factor on height and width.
    """

    def __init__(self, tail: nn.Module, width: int, scale: int) -> None:
        super().__init__()
        self.scale = scale
        kernels, biases = compose_kernels(tail, width, scale)
        self.convolutions = nn.ModuleList(map(_convolution, kernels, biases))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(M, width, H, W) to (M, 1, scale * H, scale * W), sides of 2 or more."""
        with torch.autocast(x.device.type, enabled=False):
            x = x.float()
            made = self.convolutions[4](x)
            for place in PLACES[1:]:
                (rows, top), (columns, left) = (EDGES[i] for i in divmod(place, 3))
                part = self.convolutions[place](x[:, :, rows, columns])
                made[:, :, top, left] = part[:, :, top, left]
            return functional.pixel_shuffle(made, self.scale)


def _convolution(kernel: torch.Tensor, bias: torch.Tensor) -> nn.Conv2d:
    made = nn.Conv2d(kernel.shape[1], len(kernel), SIZE, padding=CENTRE)
    made.load_state_dict({"weight": kernel, "bias": bias})
    return made


def compose_kernels(tail: nn.Module, width: int, scale: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Kernels and biases of an affine tail, read off its gradients.

    Returns:
        (9, scale ** 2, width, 5, 5) and (9, scale ** 2): first, middle and last row by first,
        middle and last column; in each the pixels of a block in a row.
    """
    pixels = scale * scale
    with torch.enable_grad():
        x = torch.zeros(9 * pixels, width, SIZE, SIZE, requires_grad=True)
        blocks = functional.pixel_unshuffle(tail(x), scale).view(9, pixels, pixels, SIZE, SIZE)
        own = torch.stack([block.diagonal() for block in blocks])  # (9, 5, 5, pixels)
        values = torch.stack([own[k, 2 * (k // 3), 2 * (k % 3)] for k in range(9)])
        (slopes,) = torch.autograd.grad(values.sum(), x)
    kernels = slopes.view(9, pixels, width, SIZE, SIZE)
    turns = [(CENTRE - 2 * (k // 3), CENTRE - 2 * (k % 3)) for k in range(9)]
    turned = [kernels[k].roll(turn, (2, 3)) for k, turn in enumerate(turns)]
    return torch.stack(turned), values.detach()
