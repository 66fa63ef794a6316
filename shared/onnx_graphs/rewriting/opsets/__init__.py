"""From other opsets to the one that all stages have."""

from shared.onnx_graphs.rewriting.opsets.newer import OPSET, downgrade
from shared.onnx_graphs.rewriting.opsets.older import upgrade

__all__ = ["OPSET", "downgrade", "upgrade"]
