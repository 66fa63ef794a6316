"""How near flows are: to the true ones, and, where nobody knows these, by what they make alike."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shared import progress, registration
from stages.register import baselines
from stages.register.images import Images

MEASURED = 256  # rows of a split that are measured, evenly spread
NETWORK, SMOOTH = "network", "network, smoothed"
DIGITS = 4
Flow = NDArray[np.float32]


def measure(images: Images, found: Tensor, size: registration.Size, what: str) -> dict[str, object]:
    """Every method on the rows of a split.

    Args:
        images: of the split.
        found: (N, h, w, 2) flows of the network.
        size: of the network.
        what: name of the split, beside the progress bar.

    Returns:
        rows, and by method its end-point errors where the true flow is known, and the median
        correlation of low and of high looked at through the flow.
    """
    told: dict[str, object] = {"rows": len(images.both)}
    methods = dict(_compute(images.both, found, size, what))
    for name, flows in methods.items():
        entry: dict[str, object] = {}
        if images.flow is not None:
            entry["epe"] = summarise((flows - images.flow).double().norm(dim=-1).numpy())
        entry["correlation"] = round(float(np.median(correlate(images.both, flows))), DIGITS)
        told[name] = entry
    return told


def _compute(
    both: Tensor, found: Tensor, size: registration.Size, what: str
) -> Iterator[tuple[str, Tensor]]:
    """(N, h, w, 2) flows by method."""
    yield "no registration", torch.zeros_like(found)
    classic: dict[str, Callable[..., Flow]] = {
        "phase correlation": baselines.shift_whole,
        "local phase correlation": baselines.shift_windows,
    }
    for name, method in classic.items():
        with progress.bar(len(both), f"{what}, {name}") as bar:
            flows = []
            for low, high in both.numpy():
                flows.append(method(low, high, size.limit))
                bar.update(1)
        yield name, torch.from_numpy(np.stack(flows))
    yield "least squares", guess(both, size)
    yield NETWORK, found
    yield SMOOTH, registration.smooth_flow(found)


@torch.inference_mode()
def guess(both: Tensor, size: registration.Size) -> Tensor:
    """(N, h, w, 2) what the network begins with."""
    some = [
        registration.guess_flow(registration.normalise(pairs), size.limit)[:, 2:4]
        for pairs in both.split(8)
    ]
    return torch.cat(some).movedim(1, -1)


def summarise(errors: NDArray[np.float64]) -> dict[str, float]:
    """Mean, median and 95th percentile of end-point errors over all pixels, in pixels of low."""
    values = {
        "mean": errors.mean(), "median": np.median(errors), "p95": np.percentile(errors, 95),
    }  # fmt: skip
    return {name: round(float(value), DIGITS) for name, value in values.items()}


@torch.inference_mode()
def correlate(both: Tensor, flows: Tensor) -> NDArray[np.float64]:
    """(N,) Pearson correlation of low with high looked at through a flow."""
    low = both[:, 0].double().flatten(1)
    seen = torch.cat(
        [
            registration.warp(high, flow)
            for high, flow in zip(both[:, 1:].split(8), flows.split(8), strict=True)
        ]
    )
    high = seen[:, 0].double().flatten(1)
    low, high = (each - each.mean(1, keepdim=True) for each in (low, high))
    size = low.norm(dim=1) * high.norm(dim=1)
    return ((low * high).sum(1) / size.clamp(min=1e-12)).numpy()
