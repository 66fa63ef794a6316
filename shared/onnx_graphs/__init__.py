"""Networks of others in ONNX files: read, brought to one form, and counted. Needs onnxruntime.

`adopt` gives every stage the same network from the same file. `descriptions` and what it needs can
be read without onnx.
"""

from shared.onnx_graphs.adoption import Adopted, adopt, adopt_model, read_pictures
from shared.onnx_graphs.descriptions import name_description, read_cards
from shared.onnx_graphs.nodes import first_line
from shared.onnx_graphs.opening import check_rounds, load, make_options, open_session
from shared.onnx_graphs.outputs import compare, in_form_of, match_classes
from shared.onnx_graphs.size import count_cost, count_macs

__all__ = [
    "Adopted", "adopt", "adopt_model", "check_rounds", "compare", "count_cost", "count_macs",
    "first_line", "in_form_of", "load", "make_options", "match_classes", "matlab_export",
    "name_description", "open_session", "read_cards", "read_pictures",
]  # fmt: skip
