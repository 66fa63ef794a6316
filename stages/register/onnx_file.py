"""A registration network as an ONNX file that takes pairs of any size."""

import copy
import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from shared import registration
from shared.sisr import sessions

IMAGES, FLOW = "images", "flow"
AXES = {0: "batch", 2: "height", 3: "width"}
EXAMPLE = (2, 2, 52, 68)  # no whole strides: nothing that depends on the size may be left out
SHAPES = ((1, 20, 37), (3, 64, 64), (2, 97, 130))  # that a file is compared on
TOLERANCE = 1e-3  # pixels


class ParityError(AssertionError):
    """The written file says something else than the network: a bug, not a mistake."""


def export_network(network: nn.Module, path: Path) -> float:
    """Write opset 17, one file, `images` (N, 2, h, w) to `flow` (N, 2, h, w), and compare it.

    Args:
        network: in any mode and on any device; it is not changed.
        path: file to write.

    Returns:
        Largest difference of onnxruntime's flow from torch's, in pixels, on land that is drawn.

    Raises:
        ParityError: that is more than TOLERANCE.
    """
    given = copy.deepcopy(network).cpu().eval()
    with warnings.catch_warnings(), torch.no_grad(), path.open("wb") as file:
        warnings.simplefilter("ignore")  # of what may depend on the size: it is compared below
        torch.onnx.export(
            given, (draw_pairs(EXAMPLE[0], *EXAMPLE[2:]),), file, input_names=[IMAGES],
            output_names=[FLOW], dynamic_axes={IMAGES: AXES, FLOW: AXES}, opset_version=17,
            dynamo=False,  # the default exporter writes opset 18 or more and external data
        )  # fmt: skip
    session = sessions.open_session(path)
    apart = max(_compare(given, session, path, draw_pairs(*shape)) for shape in SHAPES)
    if not apart <= TOLERANCE:
        raise ParityError(f"{path}: differs from its network by {apart:.3g} pixels")
    return apart


def draw_pairs(count: int, high: int, wide: int) -> Tensor:
    """(N, 2, h, w) noise as smooth as land is, and itself behind a warp."""
    noise = torch.from_numpy(
        np.random.default_rng(0).standard_normal((count, 1, high, wide), np.float32)
    )
    land = 0.25 + 0.1 * nn.functional.avg_pool2d(noise, 3, 1, 1)
    extent = registration.Extent(count, high, wide)
    flow = registration.draw_warps(extent, 1.0, 0, torch.device("cpu"))
    return torch.cat([registration.warp(land, flow), land], 1)


@torch.no_grad()
def _compare(
    network: nn.Module, session: onnxruntime.InferenceSession, path: Path, pairs: Tensor
) -> float:
    """Largest difference in pixels."""
    found = sessions.run_session(session, pairs.numpy(), path, 0)
    expected = network(pairs).numpy()
    if found.shape != expected.shape:
        return float("inf")
    return float(np.abs(found - expected).max())
