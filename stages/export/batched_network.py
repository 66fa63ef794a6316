"""A bundle's network on the CPU with several rows a call, where it takes them."""

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from shared.errors import StageError
from shared.terminal import join_line
from stages.export import inference, static_graph

ALIKE = 1e-4  # share of the largest logit by which one call and several may differ


class BatchedNetwork:
    """An ONNX file that was written for one row; calls may run beside each other.

    Args:
        path: file with one input (1, C, H, W) and one output (1, K).
        rows: of one call.

    Attributes:
        rows: of one call: 1 where the network mixes rows or does not take several.

    Raises:
        StageError: no usable file.
    """

    def __init__(self, path: Path, rows: int) -> None:
        self.path = path
        try:
            content = path.read_bytes()
            self.session = inference.open_session(content)
            first = self.session.get_inputs()[0]
            self.name, self.shape = first.name, tuple(first.shape)
        except Exception as error:  # onnxruntime has a class of its own for every reason
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise StageError(f"{path}: not a usable ONNX file ({reason})") from None
        several = self._free(content)
        self.rows, self.session = (rows, several) if several else (1, self.session)

    def _free(self, content: bytes) -> inference.onnxruntime.InferenceSession | None:
        """The network for any number of rows, if two together are what they are alone."""
        try:
            given = static_graph.with_dynamic_batch(onnx.load_from_string(content))
            session = inference.open_session(given.SerializeToString())
            noise = np.random.default_rng(0).standard_normal((2, *self.shape[1:]))
            images = noise.astype(np.float32)
            alone = [self.session.run(None, {self.name: image[None]})[0] for image in images]
            both, expected = session.run(None, {self.name: images})[0], np.concatenate(alone)
        except Exception:  # it was written for one row: then it gets one
            return None
        if both.shape != expected.shape:
            return None
        return session if np.abs(both - expected).max() <= ALIKE * np.abs(expected).max() else None

    def __call__(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, C, H, W) input to (N, K) logits.

        Raises:
            StageError: the network wants another input.
        """
        try:
            parts = [
                self.session.run(None, {self.name: images[start : start + self.rows]})[0]
                for start in range(0, len(images), self.rows)
            ]
        except Exception as error:  # as above
            size = f"{images.shape[2]} x {images.shape[3]} pixels"
            reason = f"{size} ({join_line(str(error))[:200]})"
            raise StageError(
                f"{self.path}: does not take what the YAML prepares, {reason}"
            ) from None
        return np.concatenate(parts)
