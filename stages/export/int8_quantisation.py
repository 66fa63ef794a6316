"""Static INT8 quantisation by onnxruntime, to foretell what eight bits cost on the accelerator."""

import tempfile
from pathlib import Path

import onnx
from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.calibrate import TensorsData, save_tensors_data
from onnxruntime.quantization.quant_utils import add_pre_process_metadata

from shared import int8
from shared.int8 import Scheme, TensorObserver
from stages.export import channel_ranges

Observers = dict[str, TensorObserver]


def quantise(fp32: Path, target: Path, *, observers: Observers, scheme: Scheme) -> None:
    """Write the QDQ form: weights 8 bit per output channel, activations 8 bit by the scheme.

    Args:
        fp32: graph from `static_graph.make_static`, with constants and batch norms folded.
        target: ONNX file to write.
        observers: what was seen of each tensor, from `calibration.observe_tensors`.
        scheme: how ranges are chosen.
    """
    with tempfile.TemporaryDirectory() as folder:
        part = Path(folder) / "int8.onnx"
        _quantise_per_tensor(fp32, part, observers, scheme)
        network = onnx.load(part)
        if scheme == int8.HYBRID:
            ranges = {name: seen.choose(scheme) for name, seen in observers.items()}
            channel_ranges.split_depthwise_inputs(network, ranges)
        target.write_bytes(network.SerializeToString(deterministic=True))


def _quantise_per_tensor(fp32: Path, target: Path, observers: Observers, scheme: Scheme) -> None:
    ranges = {name: seen.choose_per_tensor(scheme) for name, seen in observers.items()}
    data = {name: (one.low[()], one.high[()]) for name, one in ranges.items()}
    network = onnx.load(fp32)
    add_pre_process_metadata(network)  # else a warning: what it advises is done
    chosen = target.with_name("ranges.json")
    save_tensors_data(TensorsData(CalibrationMethod.MinMax, data), chosen)
    quantize_static(
        network,
        target,
        None,
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,  # the same numbers, shifted: VNNI wants it so
        weight_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod.MinMax,  # of the file: plain ends
        calibration_cache_path=chosen,
    )
