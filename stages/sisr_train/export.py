"""The trained network as an ONNX file that takes reflectance of any size, compared with it."""

import copy
import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shared.sisr import sessions
from stages.sisr_train.objective import Scale

INPUT, OUTPUT = "input", "output"
AXES = {
    INPUT: {0: "batch", 2: "height", 3: "width"},
    OUTPUT: {0: "batch", 2: "output_height", 3: "output_width"},
}
TOLERANCE = 1e-4  # of the largest magnitude of the output, or of 1
EXAMPLE = (2, 12, 20)
SHAPES = ((1, 9, 14), (3, 32, 21), (1, 16, 40))  # (N, h, w) that a file is compared on


class ParityError(AssertionError):
    """The written file says something else than the network: a bug here, not a mistake."""


class Reflectance(nn.Module):
    """A network of standardised bands for reflectance.

    Args:
        network: (N, C, h, w) standardised to (N, C, f·h, f·w).
        scale: of the bands.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, scale: Scale) -> None:
        super().__init__()
        self.network = network
        for name, values in vars(scale).items():
            self.register_buffer(name, torch.tensor(values).view(1, -1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) to (N, C, f·h, f·w) reflectance."""
        made: Tensor = self.network((x - self.mean) / self.std)
        return made * self.std + self.mean


def export_network(network: nn.Module, scale: Scale, path: Path) -> float:
    """Write opset 17, one self-contained file, and compare it with the network.

    Args:
        network: for standardised bands; it is not changed.
        scale: of the bands.
        path: ONNX file to write: `input` to `output`.

    Returns:
        Largest difference of onnxruntime's reflectance from torch's on noise of some sizes, over
        the largest magnitude of it or 1.

    Raises:
        ParityError: that is more than TOLERANCE.
    """
    whole = Reflectance(copy.deepcopy(network).cpu(), scale).eval()
    count, high, wide = EXAMPLE
    with (
        warnings.catch_warnings(),
        torch.no_grad(),
        path.open("wb") as file,  # given by name, it would have to be UTF-8
    ):
        warnings.simplefilter("ignore")  # of what may depend on the size: it is compared below
        torch.onnx.export(
            whole,
            (torch.zeros(count, len(scale.mean), high, wide),),
            file,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_axes=AXES,
            opset_version=17,
            dynamo=False,  # the default exporter writes opset 18 or more and external data
        )
    session = sessions.open_session(path)
    apart = max(_compare(whole, session, path, scale, shape) for shape in SHAPES)
    if not apart <= TOLERANCE:
        raise ParityError(f"{path}: differs from its network by {apart:.3g}")
    return apart


def _compare(
    whole: nn.Module,
    session: onnxruntime.InferenceSession,
    path: Path,
    scale: Scale,
    shape: tuple[int, int, int],
) -> float:
    """Largest difference on noise with the statistics of the bands."""
    count, high, wide = shape
    noise = np.random.default_rng(0).standard_normal((count, len(scale.mean), high, wide))
    mean, std = (np.reshape(of, (1, -1, 1, 1)) for of in (scale.mean, scale.std))
    images = (noise * std + mean).astype(np.float32)
    with torch.no_grad():
        expected: NDArray[np.float32] = whole(torch.from_numpy(images)).numpy()
    found = sessions.run_session(session, images, path, 0)
    if found.shape != expected.shape:
        return float("inf")
    return float(np.abs(found - expected).max() / max(1.0, np.abs(expected).max()))
