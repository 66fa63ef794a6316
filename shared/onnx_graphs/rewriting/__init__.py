"""Rewriting of ONNX graphs into the common form; works on `onnx.ModelProto` alone."""

from shared.onnx_graphs.rewriting.common_form import OPSET, Form, rewrite, widen
from shared.onnx_graphs.rewriting.ends import IMAGE, LOGITS, name_picture
from shared.onnx_graphs.rewriting.picture import BORDER

__all__ = ["BORDER", "IMAGE", "LOGITS", "OPSET", "Form", "name_picture", "rewrite", "widen"]
