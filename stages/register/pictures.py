"""A pair before and after registration, its flow, and the true flow where it is known."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import hsv_to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from shared import registration

SQUARES = 8  # along a side of a checkerboard
ARROWS = 12  # along a side of a flow
Array = NDArray[np.floating]


def draw(path: Path, both: Tensor, found: Tensor, true: Tensor | None, title: str) -> None:
    """A PNG: checkerboards before and after, the flow found, the true one and what lies between.

    Args:
        path: PNG to write.
        both: (2, h, w) low, and high on its grid.
        found: (h, w, 2) flow of the network.
        true: (h, w, 2) likewise, if it is known.
        title: which pair it is.
    """
    low, high = registration.normalise(both[None])[0].numpy()
    after = registration.warp(registration.normalise(both[None])[:, 1:], found[None])[0, 0].numpy()
    figure = Figure(figsize=(12 if true is None else 19.5, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 3 if true is None else 5)
    for axes, image, name in zip(panels, (high, after), ("before", "after"), strict=False):
        axes.imshow(_checker(low, image), cmap="gray", vmin=-2, vmax=2)
        axes.set_title(f"low and high in turn, {name}")
    flows = [found] if true is None else [found, true]
    most = max(float(flow.norm(dim=-1).max()) for flow in flows)
    for axes, flow, name in zip(panels[2:], flows, ("found", "true"), strict=False):
        _show_flow(axes, flow.numpy(), most)
        axes.set_title(f"flow {name}, up to {float(flow.norm(dim=-1).max()):.2f} pixels")
    if true is not None:
        error = (found - true).norm(dim=-1).numpy()
        shown = panels[4].imshow(error, cmap="magma", vmin=0, vmax=0.5)
        panels[4].set_title(f"end-point error, {error.mean():.3f} on average")
        figure.colorbar(shown, ax=panels[4], shrink=0.8, label="pixels of low")
    for axes in panels:
        axes.set(xticks=[], yticks=[])
    figure.suptitle(title)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def _checker(one: Array, other: Array) -> Array:
    """Squares of two images (h, w) in turn."""
    down, right = (np.arange(cells) * SQUARES // cells for cells in one.shape)
    mixed: Array = np.where((down[:, None] + right[None]) % 2, one, other)
    return mixed


def _show_flow(axes: Axes, flow: Array, most: float) -> None:
    """Direction as hue and length as saturation, with arrows."""
    length = np.hypot(flow[..., 0], flow[..., 1])
    hue = (np.arctan2(flow[..., 0], flow[..., 1]) / (2 * np.pi)) % 1
    colour = (length / max(most, 1e-6)).clip(0, 1)
    shown = hsv_to_rgb(np.stack([hue, colour, np.ones_like(hue)], -1))
    axes.imshow(shown.clip(0, 1))  # rounding leaves numbers just below 0
    step = max(1, len(flow) // ARROWS)
    some = slice(step // 2, None, step)
    places = (np.arange(cells)[some] for cells in flow.shape[:2])
    down, right = np.meshgrid(*places, indexing="ij")
    arrows = flow[some, some]
    scale = 0.8 * step / max(most, 1e-6)
    axes.quiver(
        right, down, arrows[..., 1] * scale, arrows[..., 0] * scale,
        angles="xy", scale_units="xy", scale=1, width=0.004,
    )  # fmt: skip
