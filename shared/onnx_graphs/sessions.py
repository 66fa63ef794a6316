"""Sessions of onnxruntime whose numbers do not depend on the processor's way with eight bits."""

import functools
from pathlib import Path

import onnx
import onnxruntime

CPU = ["CPUExecutionProvider"]


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
