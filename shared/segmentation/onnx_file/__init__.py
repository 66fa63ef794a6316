"""Segmentation networks as ONNX files that take pictures of any size. Needs torch, torchvision."""

from shared.segmentation.onnx_file.export import (
    ParityError,
    export_network,
    make_sizeless,
    run_onnx,
)
from shared.segmentation.onnx_file.window_attention import SizelessAttention

__all__ = ["ParityError", "SizelessAttention", "export_network", "make_sizeless", "run_onnx"]
