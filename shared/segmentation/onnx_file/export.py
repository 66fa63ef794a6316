"""A segmentation network as an ONNX file that takes any number of pictures of any size.

The form of one fixed size, which an accelerator wants, is made from it by the stage `export`.
"""

import copy
import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import nn
from torchvision.models.swin_transformer import ShiftedWindowAttention

from shared.names import open_by_name
from shared.segmentation.onnx_file.window_attention import SizelessAttention

IMAGE, LOGITS = "image", "logits"
AXES = {0: "batch", 2: "height", 3: "width"}
TOLERANCE = 1e-4  # of the largest magnitude of the logits, or of 1
EXAMPLE = (2, 3, 68, 100)  # no whole strides: nothing that depends on the size may be left out
# (N, H, W) that a file is compared on: smaller than a window, whole strides, neither.
SHAPES = ((1, 20, 36), (3, 64, 64), (2, 97, 130))


class ParityError(AssertionError):
    """The written file says something else than the network: a bug in this room, not a mistake."""


def make_sizeless(network: nn.Module) -> nn.Module:
    """A copy of a network in evaluation mode on the CPU, without sizes in its attention.

    It computes the same, and it can be traced.
    """
    made = copy.deepcopy(network).cpu().eval()
    for module in list(made.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, ShiftedWindowAttention):
                setattr(module, name, SizelessAttention(child))
    return made.eval()


def export_network(network: nn.Module, path: Path) -> float:
    """Write opset 17, one self-contained file, and compare it with the network.

    Args:
        network: (N, 3, H, W) to logits (N, K, H, W) for any H and W, such as a `Segmenter`; in any
            mode and on any device; it is not changed.
        path: ONNX file to write: `image` to `logits`.

    Returns:
        Largest difference of onnxruntime's logits from torch's on noise of several sizes, over the
        largest magnitude among them or 1.

    Raises:
        ParityError: that is more than TOLERANCE.
    """
    given = copy.deepcopy(network).cpu().eval()
    with (
        warnings.catch_warnings(),
        torch.no_grad(),
        path.open("wb") as file,  # given by name, it would have to be UTF-8
    ):
        warnings.simplefilter("ignore")  # of what may depend on the size: it is compared below
        torch.onnx.export(
            make_sizeless(network),
            (torch.zeros(EXAMPLE),),
            file,
            input_names=[IMAGE],
            output_names=[LOGITS],
            dynamic_axes={IMAGE: AXES, LOGITS: AXES},
            opset_version=17,
            dynamo=False,  # the default exporter writes opset 18 or more and external data
        )
    apart = max(_compare(given, path, one) for one in SHAPES)
    if not apart <= TOLERANCE:
        raise ParityError(f"{path}: differs from its network by {apart:.3g}")
    return apart


def _compare(network: nn.Module, path: Path, shape: tuple[int, int, int]) -> float:
    """Largest difference on noise of this shape, over the largest magnitude or 1."""
    count, height, width = shape
    noise = np.random.default_rng(0).standard_normal((count, 3, height, width), np.float32)
    with torch.no_grad():
        expected: NDArray[np.float32] = network(torch.from_numpy(noise)).numpy()
    found = run_onnx(path, noise)
    if found.shape != expected.shape:
        return float("inf")
    return float(np.abs(found - expected).max() / max(1.0, np.abs(expected).max()))


def run_onnx(path: Path, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, K, H, W) logits of a file for (N, 3, H, W) on the CPU."""
    session = onnxruntime.InferenceSession(open_by_name(path), providers=["CPUExecutionProvider"])
    logits: NDArray[np.float32] = session.run([LOGITS], {IMAGE: images})[0]
    return logits
