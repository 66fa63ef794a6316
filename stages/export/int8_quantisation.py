"""Static INT8 quantisation by onnxruntime, to foretell what eight bits cost on the accelerator."""

import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.calibrate import TensorsData, save_tensors_data
from onnxruntime.quantization.quant_utils import add_pre_process_metadata

from stages.export.activation_ranges import METHODS, Histogram


def quantise(fp32: Path, int8: Path, *, histograms: dict[str, Histogram], method: str) -> None:
    """Write the QDQ form: weights 8 bit per output channel, activations 8 bit per tensor.

    Args:
        fp32: graph from `static_graph.make_static`, with constants and batch norms folded.
        int8: ONNX file to write.
        histograms: values of each tensor, from `calibration.observe_tensors`.
        method: how their ranges are chosen, one of `activation_ranges.METHODS`.
    """
    ends = {name: METHODS[method](values) for name, values in histograms.items()}
    data = {name: (np.float32(low), np.float32(high)) for name, (low, high) in ends.items()}
    network = onnx.load(fp32)
    add_pre_process_metadata(network)  # else a warning: what it advises is done
    with tempfile.TemporaryDirectory() as folder:
        chosen = Path(folder) / "ranges.json"
        save_tensors_data(TensorsData(CalibrationMethod.MinMax, data), chosen)
        quantize_static(
            network,
            int8,
            None,
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,  # the same numbers, shifted: VNNI wants it so
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,  # of the file: plain ends
            calibration_cache_path=chosen,
        )
