"""What a registration network learns from, without any true flow: four terms."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from shared.registration.fields import compose, warp
from shared.registration.network import Size, normalise

TERMS = ("composition", "identity", "consistency", "image")
SHARP = 0.1  # pixels below which the error of a flow counts by its square (smooth L1)


def margin(max_offset: float) -> int:
    """Pixels around what is learned from that a simulated warp may look at."""
    return math.ceil(max_offset) + 3


def sum_terms(
    network: Callable[[Tensor], Tensor], pairs: Tensor, warps: Tensor, size: Size
) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of some pairs: the sum of four terms.

    With the flow u of a pair (reference, moving), and the reference looked at through a simulated
    warp w, which is then the reference of another pair:

    - composition: the flow of that pair is w and then u, w(x) + u(x + w(x)); where the image that
      moved is the reference itself, it is w;
    - identity: the flow of an image to itself is 0;
    - consistency: u and then the flow back is 0;
    - image: the image that moved, looked at through u, is the reference.

    Args:
        network: (N, 2, h, w) reflectance to a flow (N, 2, h, w).
        pairs: (N, 2, H, W) reflectance, with `margin` pixels around what the network sees.
        warps: (N, H, W, 2) simulated.
        size: of the network: flows that it cannot tell count nowhere.

    Returns:
        the loss, and each of `TERMS`.
    """
    edge = margin(size.max_offset)
    inside = slice(edge, -edge)
    warped = warp(pairs[:, :1], warps)[..., inside, inside]
    reference, moving = pairs[..., inside, inside].split(1, 1)
    step = warps[:, inside, inside]
    couples = (
        (reference, moving), (warped, moving), (reference, reference), (moving, reference),
        (warped, reference),
    )  # fmt: skip
    said = network(torch.cat([torch.cat(couple, 1) for couple in couples])).movedim(1, -1)
    flow, after, none, back, simulated = said.split(len(pairs))
    same = _apart(after, compose(step, flow), size.limit) + _apart(simulated, step, size.limit)
    seen = functional.smooth_l1_loss(warp(normalise(moving), flow), normalise(reference))
    nothing = torch.zeros_like(flow)
    terms = same, _apart(none, nothing), _apart(compose(flow, back), nothing), seen
    return torch.stack(terms).sum(), dict(zip(TERMS, terms, strict=True))


def _apart(found: Tensor, wanted: Tensor, limit: float = math.inf) -> Tensor:
    """Smooth L1 of flows (N, H, W, 2), 0 where an axis of the wanted one is not below a limit.

    A mean over all pixels, so that processes that share a step have a share of the loss each.
    """
    error = functional.smooth_l1_loss(found, wanted, reduction="none", beta=SHARP)
    return (error * (wanted.abs() < limit).all(-1, keepdim=True)).mean()
