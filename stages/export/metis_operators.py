"""Which operators Metis compiles, and with which attributes, by version of the SDK.

From the SDK's public documents: ``docs/reference/onnx-opset14-support.md`` of release 1.2.5, and
the table of the 1.6 series. A rule gets a node and yields (attribute, what is expected of it).
"""

from collections.abc import Callable, Iterator

from onnx import NodeProto

from stages.export.graph_index import GraphIndex, Shape, attributes

Found = Iterator[tuple[str, str]]
Rule = Callable[[NodeProto, GraphIndex, str], Found]
OLD, NEW = "1.2", "1.6"
VERSIONS = (OLD, NEW)
CLIPS = ((0.0, 6.0), (-1.0, 1.0))
ALPHA = {OLD: 0.16666, NEW: 1 / 6}  # of HardSigmoid, to 5e-6: 0.1666667 is not what 1.2 asks for


def free(_node: NodeProto, _facts: GraphIndex, _version: str) -> Found:
    """Supported as it is."""
    yield from ()


def elementwise(node: NodeProto, facts: GraphIndex, version: str) -> Found:
    """Both the same shape, or one of them [1, C, 1, 1] or a scalar."""
    one, other = (facts.shapes.get(name, ("?",)) for name in node.input)
    if not (one == other or _spread(one, other) or _spread(other, one)):
        yield "shape", f"{list(one)} and {list(other)}: expected the same, [1, C, 1, 1] or a scalar"
    if version == NEW and node.op_type == "Mul" and node.input[0] == node.input[1]:
        yield "input", "a product of a tensor with itself"


def _spread(small: Shape, large: Shape) -> bool:
    """Whether the small one is a scalar, or one value per channel of the large one."""
    return all(size == 1 for size in small) or (
        len(large) == 4 and len(small) == 4 and small[1:] == (large[1], 1, 1)
    )


def explicit_pads(node: NodeProto, _facts: GraphIndex, _version: str) -> Found:
    """Pads are written out."""
    auto_pad = attributes(node).get("auto_pad", "NOTSET")
    if auto_pad != "NOTSET":
        yield "auto_pad", f"{auto_pad}: expected explicit pads"


def conv(node: NodeProto, facts: GraphIndex, version: str) -> Found:
    """Explicit pads; group 1, or depthwise (1.6: any group) with a square kernel."""
    yield from explicit_pads(node, facts, version)
    kernel, group = facts.shapes.get(node.input[1], ()), attributes(node).get("group", 1)
    if len(kernel) != 4:
        yield "kernel_shape", f"{list(kernel)}: expected two dimensions of space"
    elif group != 1:
        if version == OLD and kernel[:2] != (group, 1):
            yield "group", f"{group}: expected 1 or as many as channels"
        if kernel[2] != kernel[3]:
            yield "kernel_shape", f"{list(kernel[2:])}: expected a square kernel with group {group}"


def clip(node: NodeProto, facts: GraphIndex, _version: str) -> Found:
    """0 to 6, or -1 to 1."""
    values = [facts.constant(name) for name in node.input[1:]]
    limits = tuple(None if v is None or v.size != 1 else float(v.item()) for v in values)
    if limits not in CLIPS:
        yield "min, max", f"{limits}: expected 0 to 6 or -1 to 1"


def concat(node: NodeProto, facts: GraphIndex, version: str) -> Found:
    """Four dimensions, along channels (1.6: also height and width)."""
    axis, rank = attributes(node)["axis"], len(facts.shapes.get(node.output[0], ()))
    axes = (1,) if version == OLD else (1, 2, 3)
    if rank != 4 or axis % 4 not in axes:
        yield "axis", f"{axis} of {rank} dimensions: expected one of {list(axes)} of 4"


def gemm(node: NodeProto, _facts: GraphIndex, _version: str) -> Found:
    """First factor not transposed."""
    if attributes(node).get("transA", 0):
        yield "transA", "1: expected 0"


def hard_sigmoid(node: NodeProto, _facts: GraphIndex, version: str) -> Found:
    """The slope and offset of MobileNet, in the digits that the version compares with."""
    given = {"alpha": 0.2, "beta": 0.5} | attributes(node)
    if abs(given["alpha"] - ALPHA[version]) >= 5e-6:
        yield "alpha", f"{given['alpha']:.7g}: expected {ALPHA[version]:.7g}"
    if given["beta"] != 0.5:
        yield "beta", f"{given['beta']:.7g}: expected 0.5"


def pad(node: NodeProto, _facts: GraphIndex, _version: str) -> Found:
    """With a constant."""
    mode = attributes(node).get("mode", "constant")
    if mode != "constant":
        yield "mode", f"{mode}: expected constant"


def transpose(node: NodeProto, _facts: GraphIndex, _version: str) -> Found:
    """Only one that changes nothing."""
    order = list(attributes(node).get("perm", ()))
    if not order or order != sorted(order):
        yield "perm", f"{order}: expected the identity"


def flatten(node: NodeProto, facts: GraphIndex, version: str) -> Found:
    """Axis 1, before a Gemm or (1.6) at the end.

    1.2 does not list it, but the ResNets of its zoo end in Flatten and Gemm, and compile.
    """
    axis, users = attributes(node).get("axis", 1), facts.users[node.output[0]]
    last = version == NEW and node.output[0] in facts.outputs
    if axis != 1:
        yield "axis", f"{axis}: expected 1"
    if not last and [user.op_type for user in users] != ["Gemm"]:
        yield "output", "expected one Gemm after it" + " or the end" * (version == NEW)


def reshape(node: NodeProto, facts: GraphIndex, _version: str) -> Found:
    """One that changes nothing, or drops axes of size 1."""
    sizes = [facts.shapes.get(name, ("?",)) for name in (node.input[0], node.output[0])]
    before, after = ([size for size in shape if size != 1] for shape in sizes)
    if before != after or len(sizes[1]) > len(sizes[0]):
        yield "shape", f"{list(sizes[0])} to {list(sizes[1])}: expected only axes of 1 to go"


def erf(node: NodeProto, facts: GraphIndex, _version: str) -> Found:
    """As the part of a GELU that it is."""
    maker = facts.makers.get(node.input[0])
    users = [user.op_type for user in facts.users[node.output[0]]]
    if maker is None or maker.op_type not in ("Div", "Mul") or users != ["Add"]:
        yield "input", "expected the Erf of a GELU"


def gelu_division(node: NodeProto, facts: GraphIndex, _version: str) -> Found:
    """As the part of a GELU that it is: exporters divide by the root of 2 before the Erf."""
    if [user.op_type for user in facts.users[node.output[0]]] != ["Erf"]:
        yield "output", "expected the Erf of a GELU after it"


def softplus(node: NodeProto, facts: GraphIndex, _version: str) -> Found:
    """As the part of a Mish that it is, x * tanh(softplus(x)): an operator from opset 18 on."""
    users = facts.users[node.output[0]]
    after = [user.op_type for tanh in users for user in facts.users[tanh.output[0]]]
    if [user.op_type for user in users] != ["Tanh"] or after != ["Mul"]:
        yield "output", "expected the Tanh and Mul of a Mish after it"


def attention(_node: NodeProto, _facts: GraphIndex, _version: str) -> Found:
    """Such a product compiles in one known pattern, which is not looked for here."""
    yield "input", "supported only in attention of the kind that YOLO11 has"


FREE = (
    "BatchNormalization", "ConvTranspose", "GlobalAveragePool", "GlobalMaxPool", "LeakyRelu",
    "MaxPool", "PRelu", "Relu", "Resize", "Selu", "Sigmoid", "Slice", "Split", "Tanh",
)  # fmt: skip
LISTED: dict[str, Rule] = dict.fromkeys(FREE, free) | {
    "Add": elementwise, "Sub": elementwise, "Mul": elementwise, "AveragePool": explicit_pads,
    "Clip": clip, "Concat": concat, "Conv": conv, "Gemm": gemm, "HardSigmoid": hard_sigmoid,
    "Pad": pad, "Transpose": transpose, "Flatten": flatten,
}  # fmt: skip
ADDED: dict[str, Rule] = {
    "HardSwish": free, "Softmax": free, "Unsqueeze": free, "LayerNormalization": free,
    "Reshape": reshape, "Erf": erf, "Div": gelu_division, "Softplus": softplus, "MatMul": attention,
}  # fmt: skip
RULES: dict[str, dict[str, Rule]] = {OLD: LISTED, NEW: LISTED | ADDED}
UNLISTED = {
    OLD: "not among the operators that Metis compiles",
    NEW: "not among the operators that Metis compiles; the host runs it, if first or last",
}
