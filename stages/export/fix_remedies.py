"""Which remedy is tried against which violation of the lint."""

from collections.abc import Callable

from onnx import NodeProto

from stages.export import fix_activations as activations
from stages.export import fix_arithmetic as arithmetic
from stages.export import fix_kernels as kernels
from stages.export import fix_shapes as shapes
from stages.export import fix_windows as windows
from stages.export.fix_site import Instead, Site
from stages.export.metis_lint import Violation

Remedy = Callable[[NodeProto, Site], Instead]
BY_RULE: dict[str, Remedy] = {
    "clip": activations.clip,
    "hard-sigmoid-alpha": activations.hard_sigmoid,
    "hard-sigmoid-beta": activations.hard_sigmoid,
    "elementwise": arithmetic.constants,
    "sum": arithmetic.constants,
    "difference": arithmetic.subtract,
    "gelu-division": arithmetic.divide,
    "counted-pads": windows.uncounted,
    "half-pads": windows.pad_before,
    "row-major": windows.without_order,
    "pad-alike": windows.into_users,
    "depthwise": kernels.one_group,
    "transposed-groups": kernels.one_group,
    "square-kernel": kernels.square,
    "grouped-square": kernels.square,
    "reshape": shapes.view,
    "identity": shapes.view,
    "flatten-axis": shapes.view,
    "flatten-place": shapes.view,
    "split-axis": shapes.count_axis,
    "slice-axes": shapes.cut_in_turn,
    "slice-steps": shapes.cut_in_turn,
    "resize-region": shapes.whole_region,
    "resize-coordinates": shapes.nearest,
    "resize-rounding": shapes.nearest,
    "resize-pairs": shapes.nearest,
}
BY_OPERATOR: dict[str, Remedy] = {  # of those that are not listed
    "HardSwish": activations.hard_swish,
    "Max": activations.limit_of_two,
    "Min": activations.limit_of_two,
    "Div": arithmetic.divide,
    "Neg": arithmetic.negate,
    "Sum": arithmetic.add_up,
    "Reshape": shapes.view,
    "Squeeze": shapes.view,
    "Unsqueeze": shapes.view,
}


def remedy_of(violation: Violation) -> Remedy | None:
    """What `metis_fixes.fix` tries against a violation; None for operators of others, too."""
    if violation.attribute == "domain":
        return None
    known = BY_RULE if violation.name else BY_OPERATOR
    return known.get(violation.name or violation.operator)
