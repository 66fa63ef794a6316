"""Flow fields of pixels: images looked at through them, their composition, smoothing, enlarging.

A flow (N, H, W, 2) is in pixels of its grid, down and to the right: what one image shows at a
place, another one shows at place + flow. It is the convention of a pair file.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

SMOOTHING = 1e-6  # modulation transfer, at the Nyquist frequency, of the Gaussian on a flow
TAPS = 15  # of it


def warp(image: Tensor, flow: Tensor) -> Tensor:
    """What an image shows at place + flow, at every place; differentiable in both.

    By cubic convolution with Keys' parameter -1/2, as everywhere in this toolchain: that of
    torch's own, -3/4, moves the values of a plain slope by up to 0.016 pixels.

    Args:
        image: (N, C, H, W), mirrored at its outer edges.
        flow: (N, h, w, 2) pixels of the image, down and to the right; usually h, w are H, W.

    Returns:
        (N, C, h, w).
    """
    return _sample(image, *_locate(flow))


def _sample(image: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """(N, C, h, w) values between the pixels of (N, C, H, W), at places (N, h, w) each."""
    count, channels, high, wide = image.shape
    cells = image.reshape(count, channels, high * wide)
    rows, columns = _weigh(down, high), _weigh(right, wide)
    total = torch.zeros((count, channels, *down.shape[1:]), dtype=image.dtype, device=image.device)
    for row, share in rows:
        line = torch.zeros_like(total)
        for column, part in columns:
            place = (row * wide + column).view(count, 1, -1).expand(-1, channels, -1)
            line = line + part[:, None] * cells.gather(2, place).view_as(total)
        total = total + share[:, None] * line
    return total


def _weigh(place: Tensor, cells: int) -> list[tuple[Tensor, Tensor]]:
    """The four cells around a place along an axis, mirrored at its ends, and their weights.

    A place that is no number has cells, too: torch's own sampling reads outside the image there.
    """
    first = place.detach().floor()
    found = []
    for step in range(-1, 3):
        cell = (first.long() + step) % (2 * cells)
        found.append((torch.minimum(cell, 2 * cells - 1 - cell), _cubic(first + step - place)))
    return found


def _cubic(apart: Tensor) -> Tensor:
    """Weight of a cell at a distance of up to two cells (Keys 1981, a = -1/2)."""
    apart = apart.abs()
    near = (1.5 * apart - 2.5) * apart**2 + 1
    far = ((-0.5 * apart + 2.5) * apart - 4) * apart + 2
    return torch.where(apart <= 1, near, torch.where(apart < 2, far, torch.zeros_like(far)))


def compose(first: Tensor, second: Tensor) -> Tensor:
    """The flow of one step after another: first(x) + second(x + first(x)).

    The plain sum of both is right only where the second one is the same everywhere.

    Args:
        first: (N, H, W, 2) what A shows at x, B shows at x + first(x).
        second: (N, H, W, 2) what B shows at y, C shows at y + second(y).

    Returns:
        (N, H, W, 2) what A shows at x, C shows at x + this.
    """
    # Beyond the edges, where nothing is known, the second flow goes on as it is at the edge: a
    # flow that is mirrored would turn back.
    high, wide = first.shape[1:3]
    down, right = _locate(first)
    places = down.clamp(0, high - 1), right.clamp(0, wide - 1)
    return first + _sample(second.permute(0, 3, 1, 2), *places).permute(0, 2, 3, 1)


def _locate(flow: Tensor) -> tuple[Tensor, Tensor]:
    """(N, H, W) rows and columns that a flow (N, H, W, 2) leads to."""
    high, wide = flow.shape[1:3]
    down = torch.arange(high, dtype=flow.dtype, device=flow.device)[:, None] + flow[..., 0]
    right = torch.arange(wide, dtype=flow.dtype, device=flow.device)[None] + flow[..., 1]
    return down, right


def smooth_flow(flow: Tensor) -> Tensor:
    """A flow (N, H, W, 2) without its finest detail: a Gaussian of 15 × 15 taps, MTF 1e-6.

    The flow goes on beyond an edge as it is there.
    """
    sigma = math.sqrt(-2 * math.log(SMOOTHING)) / math.pi
    place = torch.arange(TAPS, dtype=flow.dtype, device=flow.device) - TAPS // 2
    weight = torch.exp(-0.5 * (place / sigma) ** 2)
    weight = weight / weight.sum()
    count, high, wide, _ = flow.shape
    planes = flow.movedim(-1, 1).reshape(count * 2, 1, high, wide)
    planes = functional.pad(planes, [TAPS // 2] * 4, mode="replicate")
    planes = functional.conv2d(planes, weight.view(1, 1, -1, 1))
    planes = functional.conv2d(planes, weight.view(1, 1, 1, -1))
    return planes.view(count, 2, high, wide).movedim(1, -1)


def enlarge_flow(flow: Tensor, factor: int) -> Tensor:
    """The same flow on pixels `factor` times as small, in those pixels.

    Args:
        flow: (N, H, W, 2).
        factor: whole number; centres of pixels stay half a pixel from the corner.

    Returns:
        (N, factor * H, factor * W, 2), by cubic convolution.
    """
    count, high, wide, _ = flow.shape
    down, right = (
        (torch.arange(factor * cells, dtype=flow.dtype, device=flow.device) + 0.5) / factor - 0.5
        for cells in (high, wide)
    )
    down, right = torch.meshgrid(down, right, indexing="ij")
    places = (each.expand(count, -1, -1) for each in (down, right))
    return factor * _sample(flow.movedim(-1, 1), *places).movedim(1, -1)
