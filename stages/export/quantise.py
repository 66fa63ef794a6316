"""Static INT8 quantisation by onnxruntime, to foretell what eight bits cost on the accelerator."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from shared import model, progress
from shared.model import Card
from shared.source import Source


def choose(labels: NDArray[np.integer], per_class: int, seed: int) -> NDArray[np.intp]:
    """Sorted row numbers: `per_class` of each class, or all of it where a class has fewer.

    Args:
        labels: (N,) zero-based classes.
        per_class: rows of each class.
        seed: of the choice; a class's choice does not depend on the other classes.
    """
    taken = []
    for number in np.unique(labels):
        rows = np.flatnonzero(labels == number)
        taken.append(np.random.default_rng((seed, int(number))).permutation(rows)[:per_class])
    return np.sort(np.concatenate(taken))


class Calibration(CalibrationDataReader):
    """Hands onnxruntime one prepared row after the other."""

    def __init__(self, source: Source, card: Card, rows: NDArray[np.intp]) -> None:
        self.images = self._images(source, card, rows)

    def _images(
        self, source: Source, card: Card, rows: NDArray[np.intp]
    ) -> Iterator[dict[str, NDArray[np.float32]]]:
        with progress.bar(len(rows), "calibrate") as bar:
            for row in rows.tolist():
                values = model.scaled(source, card.bands, slice(row, row + 1))
                yield {"input": model.prepare(values, card)}
                bar.update()

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """The next row, or None after the last."""
        return next(self.images, None)


def quantise(fp32: Path, int8: Path, calibration: CalibrationDataReader) -> None:
    """Write the QDQ form: weights 8 bit per output channel, activations 8 bit per tensor (min-max).

    Batch normalisation is folded and constants are computed first, as onnxruntime advises.

    Args:
        fp32: static graph of `graph.fit`.
        int8: ONNX file to write.
        calibration: inputs whose ranges decide the scales.
    """
    with tempfile.TemporaryDirectory() as folder:
        folded = Path(folder) / "folded.onnx"
        # Shapes are static already; the symbolic inference would need sympy.
        quant_pre_process(fp32, folded, skip_symbolic_shape=True)
        quantize_static(
            folded,
            int8,
            calibration,
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )
