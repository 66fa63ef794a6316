"""Files read and checked, and sessions whose products of eight bits are the same everywhere."""

import functools
from pathlib import Path

import onnx
import onnxruntime

from shared.errors import StageError
from shared.onnx_graphs.nodes import call, find_loop, first_line

CPU = ["CPUExecutionProvider"]


def load(path: Path) -> onnx.ModelProto:
    """Read an ONNX file, with its external data if it has some.

    Raises:
        StageError: not ONNX, not a valid graph, external data missing, or a loop, whose rounds may
            never end.
    """
    try:
        model = onnx.load(path, "protobuf")
        onnx.checker.check_model(model)
    except Exception as error:  # of protobuf, of the checker, of the file system
        raise StageError(f"{path}: not a usable ONNX file ({first_line(error)})") from None
    _refuse_loops(path, model)
    return model


def check_rounds(path: Path) -> None:
    """Refuse a file whose session may never end, and nothing else that onnxruntime takes.

    Raises:
        StageError: not ONNX, external data missing, or a loop.
    """
    try:
        model = onnx.load(path, "protobuf")
    except Exception as error:  # of protobuf, of the file system
        raise StageError(f"{path}: not a usable ONNX file ({first_line(error)})") from None
    _refuse_loops(path, model)


def _refuse_loops(path: Path, model: onnx.ModelProto) -> None:
    if loop := find_loop(model):
        raise StageError(f"{path}: expected a network without loops, found {call(loop)}")


def make_options(threads: int = 0) -> onnxruntime.SessionOptions:
    """Options of a session whose 8-bit products are the same on all processors.

    Args:
        threads: 0 for onnxruntime's own choice; with 1, numbers do not depend on how many run at
            once.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.x64quantprecision", str(int(int8_saturates())))
    return options


@functools.cache
def int8_saturates() -> bool:
    """Whether this processor's 8-bit products overflow in onnxruntime's fast way: x86, no VNNI.

    The exact way gives the numbers that VNNI gives, but takes longer, so it is taken only there.
    """
    info = Path("/proc/cpuinfo")
    return "vnni" not in info.read_text() if info.exists() else True


def open_session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    """A session on the CPU that says nothing but its errors."""
    options = make_options()
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=CPU)
