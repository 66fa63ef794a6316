"""Finer images in the geometry and the brightness of Sentinel-2, as the network should make them.

The corrections of torchsisr (CESBIO, hal-04723225).
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shared import registration, sisr
from shared.errors import StageError
from shared.sisr import sessions
from stages.sisr_train.bands import Image, Layout, Row, downscale

LOW_PASS = 1e-5  # modulation transfer, at the Nyquist frequency, of what brightness may change by
# (row, layout) to the (1, f·h, f·w, 2) flow on the finer grid.
Flows = Callable[[Row, Layout], Tensor]


def take_known_flow(row: Row, layout: Layout) -> Tensor:
    """The flow that the pair file tells; it is smooth already."""
    assert row.flow is not None  # `choose_flows` has looked
    return registration.enlarge_flow(torch.from_numpy(row.flow)[None], layout.factor)


def find_flow(registrar: sessions.Registrar, row: Row, layout: Layout) -> Tensor:
    """The flow that a registration network sees, smoothed, on the finer grid.

    The network compares the input with the finer image at the input's resolution, in one band.
    """
    band = layout.names.index(registrar.band)
    names = (registrar.band,)
    seen = downscale(row.high[..., band : band + 1], layout.factor, names)
    ours, other = (image.astype(np.float32)[None] for image in (row.low[..., band], seen[..., 0]))
    flow = torch.from_numpy(registrar.flow(ours, other, row.number))
    return registration.enlarge_flow(registration.smooth_flow(flow), layout.factor)


def choose_flows(folder: Path | None, known: bool, pairs: sisr.Pairs) -> Flows | None:
    """Who says where things are; None where nobody is asked.

    Raises:
        StageError: a file without flow, or a registration network of a band that is not on the
            grid of the input.
    """
    if known and not pairs.form.simulated:
        expected = "expected the flow, which drawn pairs have"
        raise StageError(f"{pairs.path}: --known_flow: {expected}, found none; use --registration")
    if known:
        return take_known_flow
    if folder is None:
        return None
    registrar = sessions.Registrar(folder)
    low = pairs.form.bands["low"]
    registrar.check(dict.fromkeys(low.names, low.metres), pairs.path)
    return lambda row, layout: find_flow(registrar, row, layout)


def move(high: Image, flow: Tensor) -> Image:
    """What the finer image (H, W, C) shows at place + flow (1, H, W, 2), in float32."""
    planes = torch.from_numpy(high.astype(np.float32)).permute(2, 0, 1)[None]
    moved: NDArray[np.float32] = registration.warp(planes, flow)[0].permute(1, 2, 0).numpy()
    return moved.astype(np.float64)


def match_brightness(target: Image, row: Row, layout: Layout) -> Image:
    """A finer image with the brightness of the input, as far as it differs smoothly.

    Args:
        target: (f·h, f·w, C') in the geometry of the input.
        row: whose input it is.
        layout: its bands.

    Returns:
        (f·h, f·w, C'): plus the low-passed, enlarged difference of the input and of the target as
        Sentinel-2 would see it. Bands of larger pixels are compared at their own resolution.
    """
    fine = len(layout.low)
    made = [_brighten(target[..., :fine], row.low, layout.factor, layout.low)]
    if target.shape[-1] > fine:
        rest = target[..., fine:]
        coarse = row.coarse[..., : rest.shape[-1]]
        names = layout.coarse[: rest.shape[-1]]
        made.append(_brighten(rest, coarse, 2 * layout.factor, names))
    return np.concatenate(made, -1)


def _brighten(target: Image, seen: Image, factor: int, names: tuple[str, ...]) -> Image:
    apart = seen[..., : target.shape[-1]] - downscale(target, factor, names[: target.shape[-1]])
    sigma = sisr.spread(LOW_PASS, 1)
    down, across = (sisr.weigh(cells, cells, 1, sigma) for cells in apart.shape[:2])
    return target + sisr.enlarge(sisr.apply(apart, down, across), factor)


def correct(row: Row, layout: Layout, mode: str, flows: Flows | None) -> Image:
    """(f·h, f·w, C') what the network should make of a row, in one of the three modes."""
    target = row.high
    if flows is not None:
        target = move(target, flows(row, layout))
    return match_brightness(target, row, layout) if "radiometric" in mode else target
