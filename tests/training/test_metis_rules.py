"""The rules of the compiler: for each a network that keeps it and one that breaks it."""

import json
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from stages.export import metis_rules
from stages.export.metis_conditions import KINDS
from stages.export.metis_lint import judge
from stages.export.metis_report import as_json

Weights = dict[str, Any]
Example = tuple[str, Weights, dict[str, Any]]  # inputs in ONNX's order, stored ones, attributes
ONE, CHANNELS = np.float32(2), np.ones((1, 4, 1, 1), np.float32)
PLANE, SAME = np.ones((1, 4, 8, 8), np.float32), {"auto_pad": "SAME_UPPER"}
ROI = {"roi": np.array([0, 0, 0, 0, 1, 1, 1, 1], np.float32)}


def kernel(*shape: int) -> Weights:
    return {"k": np.ones(shape, np.float32)}


def scaled(*factors: float) -> Weights:
    return {"s": np.array((1, 1, *factors), np.float32)}


def pads(*numbers: int) -> Weights:
    return {"p": np.array(numbers)}


def cut(axis: int, step: int = 1) -> Weights:
    return {"a": np.array([0]), "b": np.array([4]), "c": np.array([axis]), "d": np.array([step])}


SQUARE, POOL = kernel(4, 4, 3, 3), {"kernel_shape": [3, 3]}
NEAREST = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
LINEAR = {"mode": "linear"}
# By rule and operator: one that passes and one that fails; "t" is a tensor (1, 4, 8, 8), "u" too.
EXAMPLES: dict[tuple[str, str], tuple[Example, Example]] = {
    ("explicit-pads", "AveragePool"): (("t", {}, POOL), ("t", {}, POOL | SAME)),
    ("explicit-pads", "MaxPool"): (("t", {}, POOL), ("t", {}, POOL | SAME)),
    ("explicit-pads", "Conv"): (("t k", SQUARE, {}), ("t k", SQUARE, SAME)),
    ("explicit-pads", "ConvTranspose"): (("t k", SQUARE, {}), ("t k", SQUARE, SAME)),
    ("row-major", "MaxPool"): (("t", {}, POOL), ("t", {}, POOL | {"storage_order": 1})),
    ("four-pads", "AveragePool"): (
        ("t", {}, POOL | {"pads": [1] * 4, "count_include_pad": 1}),
        ("line", {}, {"kernel_shape": [3], "pads": [1, 1], "count_include_pad": 1}),
    ),
    ("half-pads", "AveragePool"): (
        ("t", {}, POOL | {"pads": [1] * 4, "count_include_pad": 1}),
        ("t", {}, POOL | {"pads": [2, 1, 2, 1], "count_include_pad": 1}),
    ),
    ("counted-pads", "AveragePool"): (
        ("t", {}, POOL | {"pads": [1] * 4, "count_include_pad": 1}),
        ("t", {}, POOL | {"pads": [1] * 4}),
    ),
    **{
        ("elementwise", kind): (("t c", {"c": CHANNELS}, {}), ("t c", {"c": np.ones(8)}, {}))
        for kind in ("Add", "Mul", "Sub")
    },
    **{
        ("sum", kind): (("t c", {"c": ONE}, {}), ("t c", {"c": PLANE}, {}))
        for kind in ("Add", "Mul")
    },
    ("difference", "Sub"): (("t c", {"c": CHANNELS}, {}), ("t u", {}, {})),
    ("own-product", "Mul"): (("t u", {}, {}), ("t t", {}, {})),
    ("clip", "Clip"): (
        ("t a b", {"a": np.float32(0), "b": np.float32(6)}, {}),
        ("t a b", {"a": np.float32(0), "b": np.float32(1)}, {}),
    ),
    ("concat-channels", "Concat"): (("t u", {}, {"axis": 1}), ("t u", {}, {"axis": 2})),
    ("concat-axes", "Concat"): (("t u", {}, {"axis": 2}), ("t u", {}, {"axis": 0})),
    ("spatial-kernel", "Conv"): (("t k", SQUARE, {}), ("line k", kernel(4, 4, 3), {})),
    ("depthwise", "Conv"): (
        ("t k", kernel(4, 1, 3, 3), {"group": 4}), ("t k", kernel(4, 2, 3, 3), {"group": 2}),
    ),
    ("square-kernel", "Conv"): (
        ("t k", kernel(4, 1, 3, 3), {"group": 4}), ("t k", kernel(4, 1, 3, 1), {"group": 4}),
    ),
    ("grouped-square", "Conv"): (
        ("t k", kernel(4, 2, 3, 3), {"group": 2, "strides": [2, 2]}),
        ("t k", kernel(4, 2, 3, 3), {"group": 2, "strides": [2, 1]}),
    ),
    ("grouped-area", "Conv"): (
        ("t k", kernel(4, 1, 3, 3), {"group": 4, "dilations": [5, 5], "pads": [5] * 4}),
        ("t k", kernel(4, 1, 3, 3), {"group": 4, "dilations": [6, 6], "pads": [6] * 4}),
    ),
    ("transposed-groups", "ConvTranspose"): (
        ("t k", SQUARE, {}), ("t k", kernel(4, 1, 3, 3), {"group": 2}),
    ),
    ("transposed-pads", "ConvTranspose"): (
        ("t k", SQUARE, {"pads": [1, 0, 1, 0]}), ("t k", SQUARE, {"pads": [1, 0, 0, 0]}),
    ),
    ("transposed-shape", "ConvTranspose"): (
        ("t k", SQUARE, {}), ("t k", SQUARE, {"output_shape": [10, 10]}),
    ),
    ("first-factor", "Gemm"): (
        ("f m", {"m": np.ones((4, 2), np.float32)}, {}),
        ("f m", {"m": np.ones((1, 2), np.float32)}, {"transA": 1}),
    ),
    ("hard-sigmoid-beta", "HardSigmoid"): (("t", {}, {"beta": 0.5}), ("t", {}, {"beta": 0.4})),
    ("slopes", "PRelu"): (
        ("t c", {"c": CHANNELS[0]}, {}), ("t c", {"c": np.ones(8, np.float32)}, {}),
    ),
    ("pad-mode", "Pad"): (
        ("t p", pads(0, 0, 1, 1, 0, 0, 1, 1), {}),
        ("t p", pads(0, 0, 1, 1, 0, 0, 1, 1), {"mode": "edge"}),
    ),
    ("pad-axes", "Pad"): (
        ("t p", pads(0, 0, 1, 1, 0, 0, 1, 1), {}), ("t p", pads(0, 0, 0, 0, 0, 1, 0, 0), {}),
    ),
    ("pad-alike", "Pad"): (
        ("t p", pads(0, 0, 1, 1, 0, 0, 0, 0), {}), ("t p", pads(0, 0, 1, 0, 0, 0, 0, 0), {}),
    ),
    ("pad-batch", "Pad"): (
        ("t p", pads(0, 0, 1, 2, 0, 0, 0, 0), {}), ("t p", pads(0, 0, 0, 0, 1, 0, 0, 0), {}),
    ),
    ("pad-channels", "Pad"): (
        ("t p", pads(0, 64, 0, 0, 0, 0, 0, 0), {}), ("t p", pads(0, 0, 0, 0, 0, 60, 0, 0), {}),
    ),
    ("pad-zeros", "Pad"): (
        ("t p c", pads(0, 0, 1, 1, 0, 0, 1, 1) | {"c": np.float32(0)}, {}),
        ("t p c", pads(0, 0, 1, 1, 0, 0, 1, 1) | {"c": np.float32(1)}, {}),
    ),
    ("resize-region", "Resize"): (
        ("t  s", scaled(2, 2), NEAREST), ("t roi s", scaled(2, 2) | ROI, NEAREST),
    ),
    ("resize-mode", "Resize"): (
        ("t  s", scaled(2, 2), LINEAR), ("t  s", scaled(2, 2), {"mode": "cubic"}),
    ),
    ("resize-linear", "Resize"): (("t  s", scaled(2, 3), LINEAR), ("t  s", scaled(2, 2.5), LINEAR)),
    ("resize-coordinates", "Resize"): (
        ("t  s", scaled(2, 2), LINEAR),
        ("t  s", scaled(2, 2), LINEAR | {"coordinate_transformation_mode": "align_corners"}),
    ),
    ("resize-rounding", "Resize"): (
        ("t  s", scaled(2, 2), NEAREST), ("t  s", scaled(2, 2), {"nearest_mode": "ceil"}),
    ),
    ("resize-pairs", "Resize"): (
        ("t  s", scaled(2, 2), NEAREST), ("t  s", scaled(2, 2), {"nearest_mode": "floor"}),
    ),
    ("resize-square", "Resize"): (("t  s", scaled(2, 2), LINEAR), ("t  s", scaled(2, 3), LINEAR)),
    ("resize-factors", "Resize"): (
        ("t  s", scaled(2, 1.125), NEAREST), ("t  s", scaled(2, 1.25), NEAREST),
    ),
    ("selu", "Selu"): (("t", {}, {}), ("t", {}, {"alpha": 1.6})),
    ("slice-axes", "Slice"): (
        ("t a b c", cut(1), {}), ("t a b", {"a": np.array([0]), "b": np.array([1])}, {}),
    ),
    ("slice-steps", "Slice"): (("t a b c d", cut(2), {}), ("t a b c d", cut(2, 2), {})),
    ("slice-channels", "Slice"): (("many a b c", cut(2), {}), ("t a b c", cut(2), {})),
    ("split-axis", "Split"): (("t", {}, {"axis": 1}), ("t", {}, {"axis": -3})),
    ("split-first", "Split"): (("t", {}, {"axis": 1}), ("x", {}, {"axis": 1})),
    ("identity", "Transpose"): (
        ("t", {}, {"perm": [0, 1, 2, 3]}), ("t", {}, {"perm": [0, 1, 3, 2]}),
    ),
    ("flatten-axis", "Flatten"): (("g", {}, {"axis": 1}), ("g", {}, {"axis": -3})),
    ("reshape", "Reshape"): (
        ("g s", {"s": np.array([1, 4])}, {}), ("g s", {"s": np.array([1, 2, 2])}, {}),
    ),
}  # fmt: skip
BY_VERSION: dict[tuple[str, str], tuple[Example, Example]] = {
    ("1.2", "hard-sigmoid-alpha"): (("t", {}, {"alpha": 0.16666}), ("t", {}, {"alpha": 1 / 6})),
    ("1.6", "hard-sigmoid-alpha"): (("t", {}, {"alpha": 1 / 6}), ("t", {}, {"alpha": 0.16666})),
    ("1.8", "hard-sigmoid-alpha"): (("t", {}, {"alpha": 1 / 6}), ("t", {}, {"alpha": 0.16666})),
}
# Rules about what is around a node: nodes that keep them and nodes that do not.
GEMM = "Gemm a m b"
AROUND: dict[tuple[str, str], tuple[list[str], list[str]]] = {
    ("flatten-place", "Flatten"): (["Flatten g a", GEMM], ["Flatten g a", "Relu a b"]),
    ("flatten-place", "Squeeze"): (["Squeeze g axes a", GEMM], ["Squeeze g axes a", "Relu a b"]),
    ("gelu", "Erf"): (["Div t c a", "Erf a b", "Add b c d"], ["Erf t b", "Add b c d"]),
    ("gelu-division", "Div"): (["Div t c a", "Erf a b"], ["Div t c a", "Relu a b"]),
    ("mish", "Softplus"): (
        ["Softplus t a", "Tanh a b", "Mul t b d"], ["Softplus t a", "Tanh a b", "Add t b d"],
    ),
}  # fmt: skip
ATTENTION = [
    "Reshape h s0 r", "Split r parts q,key,v", "Transpose q qt", "MatMul qt key m", "Mul m c ms",
    "Softmax ms w", "Transpose w wt", "MatMul v wt o", "Reshape o s1 z",
]  # fmt: skip
for operator in ("MatMul", "Softmax"):
    AROUND["attention", operator] = (ATTENTION, [*ATTENTION[:6], "MatMul v w o", ATTENTION[8]])


def network(body: list[onnx.NodeProto], weights: Weights, opset: int = 17) -> onnx.ModelProto:
    """Nodes behind tensors of several shapes, which are not the picture itself."""
    sizes = {"x": [1, 4, 8, 8], "l": [1, 4, 8], "y": [1, 64, 8, 8], "z0": [1, 4, 1, 1],
             "f0": [1, 4], "h0": [1, 8, 4, 2]}  # fmt: skip
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in sizes.items()]
    before = {"t": "x", "u": "x", "line": "l", "many": "y", "g": "z0", "f": "f0", "h": "h0"}
    relus = [helper.make_node("Relu", [old], [new]) for new, old in before.items()]
    stored = {
        "m": np.ones((4, 2), np.float32), "c": ONE, "axes": np.array([2, 3]),
        "s0": np.array([1, 2, 8, 4]), "s1": np.array([1, 8, 2, 2]), "parts": np.array([2, 2, 4]),
    } | weights  # fmt: skip
    last = helper.make_tensor_value_info(body[-1].output[0], TensorProto.FLOAT, None)
    tensors = [numpy_helper.from_array(np.asarray(v), name) for name, v in stored.items()]
    graph = helper.make_graph([*relus, *body], "graph", ends, [last], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def parse(line: str) -> onnx.NodeProto:
    """A node from its operator, inputs and outputs."""
    kind, *given, made = line.split(" ")
    known: dict[str, dict[str, Any]] = {"Transpose": {"perm": [0, 1, 3, 2]}, "Split": {"axis": 2}}
    settings = known.get(kind, {})
    return helper.make_node(kind, given, made.split(","), **settings)


def build(version: str, rule: str, operator: str, right: bool, opset: int) -> onnx.ModelProto:
    place = 0 if right else 1
    if (rule, operator) in AROUND:
        return network([parse(line) for line in AROUND[rule, operator][place]], {}, opset)
    pair = BY_VERSION.get((version, rule)) or EXAMPLES[rule, operator]
    given, weights, settings = pair[place]
    made = ["o", "p"] if operator == "Split" else ["o"]
    return network([helper.make_node(operator, given.split(" "), made, **settings)], weights, opset)


RULES = [
    (version, name, operator)
    for version in metis_rules.VERSIONS
    for name, rule in metis_rules.load(version).rules.items()
    for operator in rule.operators
]


@pytest.mark.parametrize("opset", [14, 17])
@pytest.mark.parametrize(("version", "name", "operator"), RULES)
def test_each_rule_is_kept_and_broken(version: str, name: str, operator: str, opset: int) -> None:
    kept, broken = (
        [v for v in judge(model, version).violations if (v.name, v.operator) == (name, operator)]
        for model in (build(version, name, operator, right, opset) for right in (True, False))
    )
    assert kept == []
    assert broken[0].verdict == ("refused" if version == "1.2" else "host")
    assert broken[0].remedy.endswith(".")
    assert "{" not in broken[0].rule


@pytest.mark.parametrize("version", metis_rules.VERSIONS)
@pytest.mark.parametrize("opset", [13, 18])
def test_a_file_of_another_opset_is_refused_once(version: str, opset: int) -> None:
    model = build(version, "explicit-pads", "Conv", True, opset)
    of_opset = [v for v in judge(model, version).violations if v.attribute == "opset" or v.operator]
    assert [(v.attribute, v.operator, v.verdict) for v in of_opset] == [("opset", "", "refused")]


@pytest.mark.parametrize("kind", ["Add", "Mul", "Sub"])
def test_of_one_channel_the_constant_is_a_number_without_axes(kind: str) -> None:
    body = [parse("Conv t k p"), parse(f"{kind} p c o")]
    for constant, verdict in ((ONE, "accelerated"), (CHANNELS[:, :1], "host")):
        model = network(body, kernel(1, 4, 1, 1) | {"c": constant})
        assert judge(model, "1.8").nodes[-1].verdict == verdict


def test_examples_are_of_rules() -> None:
    known = {(name, operator) for _, name, operator in RULES}
    assert {*EXAMPLES, *AROUND} <= known


@pytest.mark.parametrize("version", metis_rules.VERSIONS)
def test_operators_without_rules_are_accelerated(version: str) -> None:
    profile = metis_rules.load(version)
    free = [kind for kind in profile.operators if not profile.rules_of(kind)]
    assert {"BatchNormalization", "GlobalAveragePool", "Relu", "Sigmoid"} <= {*free}
    for kind in free:
        more = [f"n{place}" for place in range(4)] if kind == "BatchNormalization" else []
        more = {"Unsqueeze": ["axes"], "LayerNormalization": ["n0"]}.get(kind, more)
        weights = {name: np.ones(4, np.float32) for name in more if name != "axes"}
        judgement = judge(network([helper.make_node(kind, ["t", *more], ["o"])], weights), version)
        assert judgement.nodes[-1].verdict == "accelerated", kind


@pytest.mark.parametrize(
    ("version", "verdict"), [("1.2", "refused"), ("1.6", "host"), ("1.8", "host")]
)
def test_what_is_not_listed(version: str, verdict: str) -> None:
    """An operator of the host takes its multiplications with it: here 8 of 16."""
    body = ["Flatten g a", "Gemm a m b", "Softsign b d", "MatMul d w o"]
    model = network([parse(line) for line in body], {"w": np.ones((2, 4), np.float32)})
    judgement = judge(model, version)
    assert [node.verdict for node in judgement.nodes[-2:]] == [verdict, verdict]
    assert [node.macs for node in judgement.nodes[-3:]] == [8, 0, 8]
    assert judgement.share() == 0.5
    assert judgement.count() == {"accelerated": 9, "host": 0, "refused": 0} | {verdict: 2}
    assert json.loads(json.dumps(as_json(judgement)))["accelerated_macs"] == 0.5


def test_an_operator_that_is_listed_from_opset_15_on() -> None:
    body = [helper.make_node("Unsqueeze", ["t", "axes"], ["o"])]
    verdicts = [judge(network(body, {}, opset), "1.6").nodes[-1].verdict for opset in (14, 15)]
    assert verdicts == ["host", "accelerated"]


def test_every_kind_of_condition_is_used() -> None:
    used: set[str] = set()
    todo = [
        condition
        for version in metis_rules.VERSIONS
        for rule in metis_rules.load(version).rules.values()
        for some in rule.alternatives
        for condition in some
    ]
    while todo:
        ((kind, argument),) = todo.pop().items()
        used.add(kind)
        todo += [argument] if kind == "not" else []
    assert used == {*KINDS}
