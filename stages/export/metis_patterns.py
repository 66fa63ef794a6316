"""Groups of nodes that the accelerator knows as one: GELU, Mish, and the attention of YOLO11."""

from onnx import NodeProto

from stages.export.graph_index import GraphIndex, attributes


def find_patterns(facts: GraphIndex) -> dict[str, set[str]]:
    """First outputs of the nodes of each pattern."""
    found: dict[str, set[str]] = {"gelu": set(), "mish": set(), "attention": set()}
    rules = {"Erf": ("gelu", _gelu), "Softplus": ("mish", _mish), "Softmax": ("attention", _attend)}
    for node in {node.output[0]: node for node in facts.makers.values()}.values():
        if node.op_type in rules:
            name, rule = rules[node.op_type]
            found[name] |= {part.output[0] for part in rule(node, facts)}
    return found


def _gelu(erf: NodeProto, facts: GraphIndex) -> list[NodeProto]:
    """As exporters write it up to opset 19: x / √2 or x * √½ before, and 1 + after it."""
    before, after = facts.makers.get(erf.input[0]), _user(erf, facts)
    if before is None or before.op_type not in ("Div", "Mul") or not _is(after, "Add"):
        return []
    return [before, erf]


def _mish(softplus: NodeProto, facts: GraphIndex) -> list[NodeProto]:
    """As exporters write it up to opset 17: x * tanh(softplus(x))."""
    tanh = _user(softplus, facts)
    if tanh is None or tanh.op_type != "Tanh" or not _is(_user(tanh, facts), "Mul"):
        return []
    return [softplus, tanh]


def _attend(softmax: NodeProto, facts: GraphIndex) -> list[NodeProto]:
    """A Reshape is split in three; softmax(qᵀ k · scale) is turned, and v multiplied by it.

    The result, and v, are shaped back to pictures.
    """
    scale = facts.makers.get(softmax.input[0])
    scores = _maker(scale, facts, "MatMul")
    turned = _maker(scores, facts, "Transpose", 0)
    split = _maker(turned, facts, "Split")
    shaped = _maker(split, facts, "Reshape")
    weights = _user(softmax, facts)
    product = _user(weights, facts)
    back = _user(product, facts)
    parts = [scale, scores, turned, split, shaped, softmax, weights, product, back]
    kinds = ["Mul", "MatMul", "Transpose", "Split", "Reshape", "Softmax", "Transpose", "MatMul",
             "Reshape"]  # fmt: skip
    nodes = [part for part in parts if part is not None]
    if [part.op_type for part in nodes] != kinds or turned is None or weights is None:
        return []
    orders = [attributes(turned).get("perm"), attributes(weights).get("perm")]
    made = set(split.output) if split else set()
    fits = orders == [[0, 1, 3, 2]] * 2 and {nodes[1].input[1], nodes[7].input[0]} <= made
    values = [user for user in facts.users[nodes[7].input[0]] if user.op_type == "Reshape"]
    return [*nodes, *values] if fits and nodes[7].input[1] == weights.output[0] else []


def _user(node: NodeProto | None, facts: GraphIndex) -> NodeProto | None:
    """The one node that reads what this one makes."""
    users = facts.users[node.output[0]] if node is not None else []
    return users[0] if len(users) == 1 else None


def _is(node: NodeProto | None, kind: str) -> bool:
    return node is not None and node.op_type == kind


def _maker(
    node: NodeProto | None, facts: GraphIndex, kind: str, place: int | None = None
) -> NodeProto | None:
    """The node of a kind that makes an input of this one: the input at a place, or any."""
    names = [] if node is None else node.input if place is None else node.input[place : place + 1]
    makers = (facts.makers.get(name) for name in names)
    return next((maker for maker in makers if maker is not None and maker.op_type == kind), None)
