"""From a picture of a bundle to logits, by the bundle's own YAML, without the SDK.

What is not of the contract's packages (pillow, onnxruntime) is imported where it is needed.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared import models
from shared.names import open_by_name


def preprocess(
    pictures: NDArray[np.uint8], steps: Mapping[str, Mapping[str, Any]]
) -> NDArray[np.float32]:
    """(N, H, W, 3) pictures to (N, 3, size, size) by the operators of the YAML (`Bundle.steps`).

    The resize works on 8 bits, as in the SDK: with half_pixel_centers as OpenCV does (no
    antialias), otherwise as Pillow does.
    """
    resize = steps["resize"]
    width, height = resize["width"], resize["height"]
    if not all(type(side) is int and 0 < side <= models.LARGEST for side in (width, height)):
        raise ValueError(f"resize: expected 1 to {models.LARGEST} pixels per side")
    if resize["half_pixel_centers"]:
        images = np.moveaxis(pictures, -1, 1)
        planes = models.resize_levels(images, height, width, resize["interpolation"])
    else:
        from PIL import Image

        method = Image.Resampling[resize["interpolation"].upper()]
        enlarged = [Image.fromarray(p).resize((width, height), method) for p in pictures]
        planes = np.moveaxis(np.stack([np.asarray(p) for p in enlarged]), -1, 1)
    tensor = planes.astype(np.float32) / np.float32(255)
    mean, std = (_numbers(steps["normalize"][key]) for key in ("mean", "std"))
    return np.ascontiguousarray((tensor - mean[:, None, None]) / std[:, None, None], np.float32)


def _numbers(text: object) -> NDArray[np.float32]:
    return np.array([float(part) for part in str(text).split(",")], np.float32)


class Network:
    """An ONNX file on the CPU, several rows beside each other.

    Args:
        path: file with one input (1, C, H, W) and one output (1, K).
        threads: rows at once; changes time, not numbers.
    """

    def __init__(self, path: Path, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            open_by_name(path), options, ["CPUExecutionProvider"]
        )
        self.name = self.session.get_inputs()[0].name
        self.pool = ThreadPoolExecutor(threads)

    def __call__(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, C, H, W) input to (N, K) logits."""
        return np.concatenate(list(self.pool.map(self._one, images)))

    def _one(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        row: NDArray[np.float32] = self.session.run(None, {self.name: image[None]})[0]
        return row
