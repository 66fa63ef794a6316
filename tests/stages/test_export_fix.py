"""export --fix: each remedy makes a network of hand-made nodes compile, and it says the same."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper, shape_inference

from shared import cli, models
from stages.export import fix_activations, fix_remedies, main, metis_fixes
from stages.export.metis_lint import judge
from tests import networks

Weights = dict[str, Any]
RNG = np.random.default_rng(3)
SIZES = {"x": [1, 4, 9, 9], "w": [1, 64, 9, 9]}  # w: as wide as Slice wants it
ONES = np.ones((1, 4, 9, 9), np.float32)
SIX, CHANNELS = np.float32(6), RNG.uniform(1, 2, (1, 4, 1, 1)).astype(np.float32)
MATRIX = RNG.standard_normal((4, 3)).astype(np.float32)


def kernel(*shape: int) -> Weights:
    return {"k": RNG.standard_normal(shape).astype(np.float32)}


def numbers(**values: Any) -> Weights:
    return {name: np.asarray(value) for name, value in values.items()}


def single(*values: float) -> Weights:
    return {name: np.float32(value) for name, value in zip("ab", values, strict=False)}


def pool(**given: Any) -> dict[str, Any]:
    return {"kernel_shape": [3, 3], **given}


PADS = {"p": np.array([0, 0, 1, 0, 0, 0, 2, 3])}
NEAR = {"mode": "nearest", "coordinate_transformation_mode": "half_pixel"}
TWICE = {"s": np.array([1, 1, 2, 2], np.float32)}
ROI = {"roi": np.zeros(8, np.float32)} | TWICE
# version: lines of operator, inputs and output; constants; attributes; operators afterwards
Case = tuple[str, str, Weights, dict[str, Any], str]
CASES: dict[str, Case] = {
    "hard-swish": ("1.2", "HardSwish t y", {}, {}, "Add Clip Mul Mul"),
    "hard-sigmoid": ("1.2", "HardSigmoid t y", {}, {"alpha": 1 / 6}, "Add Clip Mul"),
    "hard-sigmoid-slope": ("1.8", "HardSigmoid t y", {}, {"alpha": 0.2}, "Mul Add Clip Mul"),
    "hard-sigmoid-offset": (
        "1.6", "HardSigmoid t y", {}, {"alpha": 0.3, "beta": 0.4}, "Mul Add Clip Mul",
    ),
    "clip-unit": ("1.8", "Clip t a b y", single(0, 1), {}, "Mul Clip Mul"),
    "clip-even": ("1.8", "Clip t a b y", single(-0.5, 0.5), {}, "Mul Clip Mul"),
    "clip-odd": ("1.2", "Clip t a b y", single(-0.5, 1), {}, "Add Mul Clip Mul Add"),
    "clip-below": ("1.8", "Clip t a y", single(0), {}, "Relu"),
    "clip-low": ("1.6", "Clip t a y", single(-0.25), {}, "Add Relu Add"),
    "clip-high": ("1.8", "Clip t  b y", {"b": np.float32(0.5)}, {}, "Mul Add Relu Mul Add"),
    "clip-all": ("1.8", "Clip t a b y", single(-np.inf, np.inf), {}, ""),
    "max": ("1.8", "Max t a y", single(0), {}, "Relu"),
    "min-max": ("1.2", "Min t b m;Max m a y", single(0, 6), {}, "Clip"),
    "constant-whole": ("1.8", "Add t a y", {"a": 2 * ONES}, {}, "Add"),
    "constant-channels": ("1.8", "Mul a t y", {"a": CHANNELS * ONES}, {}, "Mul"),
    "constant-short": ("1.8", "Mul t a y", {"a": CHANNELS[0]}, {}, "Mul"),
    "subtract-whole": ("1.8", "Sub t u y", {}, {}, "Mul Add"),
    "subtract-channels": ("1.8", "Sub t a y", {"a": CHANNELS * ONES}, {}, "Add"),
    "subtract-from": ("1.8", "Sub a t y", {"a": CHANNELS[0]}, {}, "Mul Add"),
    "divide": ("1.8", "Div t a y", single(3), {}, "Mul"),
    "divide-channels": ("1.6", "Div t a y", {"a": CHANNELS}, {}, "Mul"),
    "negate": ("1.2", "Neg t y", {}, {}, "Mul"),
    "sum": ("1.8", "Sum t u t y", {}, {}, "Add Add"),
    "mean-inside": (
        "1.8", "AveragePool t y", {}, pool(pads=[0, 0, 1, 1], strides=[2, 2]), "AveragePool",
    ),
    "mean-whole": ("1.2", "AveragePool t y", {}, {"kernel_shape": [11, 11], "pads": [1] * 4},
                   "GlobalAveragePool"),
    "mean-border": (
        "1.8", "AveragePool v y", {}, pool(pads=[1] * 4),
        " ".join(["Slice", *["Slice AveragePool"] * 3, "Concat"] * 3 + ["Concat"]),
    ),
    "mean-rows": (
        "1.8", "AveragePool v y", {}, pool(pads=[1, 0, 1, 0], strides=[2, 1]),
        "Slice AveragePool Slice AveragePool Slice AveragePool Concat",
    ),
    "mean-far": (
        "1.8", "AveragePool t y", {}, pool(pads=[2] * 4, count_include_pad=1), "Pad AveragePool",
    ),
    "maximum-order": ("1.8", "MaxPool t y", {}, pool(storage_order=1), "MaxPool"),
    "groups": ("1.2", "Conv t k y", kernel(6, 2, 3, 3), {"group": 2}, "Conv"),
    "transposed-groups": (
        "1.8", "ConvTranspose t k y", kernel(4, 3, 3, 3), {"group": 2, "pads": [1] * 4},
        "ConvTranspose",
    ),
    "square": ("1.2", "Conv t k y", kernel(4, 1, 3, 1), {"group": 4, "pads": [1, 0, 1, 0]}, "Conv"),
    "square-wide": (
        "1.8", "Conv t k y", kernel(4, 2, 1, 4),
        {"group": 2, "dilations": [1, 2], "strides": [2, 2], "pads": [0, 1, 0, 2]}, "Conv",
    ),
    "pad-convolution": ("1.2", "Pad t p m;Conv m k y", PADS | kernel(5, 4, 3, 3), {}, "Conv"),
    "pad-mean": ("1.2", "Pad t p m;AveragePool m y", {"p": np.array([0, 0, 1, 0, 0, 0, 1, 1])},
                 pool(), "AveragePool"),
    "reshape": (
        "1.8", "GlobalAveragePool t g;Reshape g s m;Squeeze m e f;Gemm f q y",
        numbers(s=[1, 4, 1], e=[2]) | {"q": MATRIX}, {}, "GlobalAveragePool Flatten Gemm",
    ),
    "reshape-idle": ("1.2", "Reshape t s y", numbers(s=[0, 0, 9, 9]), {}, ""),
    "turn-of-one": (
        "1.2", "GlobalAveragePool t g;Transpose g m;Reshape m s f;Gemm f q y",
        numbers(s=[1, 4]) | {"q": MATRIX}, {"perm": [0, 2, 3, 1]}, "GlobalAveragePool Flatten Gemm",
    ),
    "flatten": (
        "1.8", "GlobalMaxPool t g;Flatten g f;Gemm f q y", {"q": MATRIX}, {"axis": -3},
        "GlobalMaxPool Flatten Gemm",
    ),
    "split": ("1.2", "Split t y,z", {}, {"axis": -3}, "Split"),
    "slice": (
        "1.2", "Slice t a b c y", numbers(a=[1, 0, 0], b=[3, 99, 7], c=[1, 2, -1]), {},
        "Slice Slice",
    ),
    "slice-idle": ("1.2", "Slice t a b y", numbers(a=[0, 0], b=[1, 4]), {}, ""),
    "region": ("1.8", "Resize t roi s y", ROI, NEAR, "Resize"),
    "nearest": ("1.8", "Resize t  s y", TWICE, NEAR | {"nearest_mode": "ceil"} | {
        "coordinate_transformation_mode": "asymmetric", "nearest_mode": "round_prefer_floor",
    }, "Resize"),
}  # fmt: skip


def network(lines: str, weights: Weights, given: dict[str, Any]) -> onnx.ModelProto:
    """Nodes behind ReLUs, as from `static_graph.make_static`; attributes go where they belong."""
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in SIZES.items()]
    body = [helper.make_node("LeakyRelu", [old], [new], alpha=0.5) for old, new in ("xt", "wv")]
    body.append(helper.make_node("Tanh", ["t"], ["u"]))
    for line in lines.split(";"):
        kind, *names, made = line.split(" ")
        known = onnx.defs.get_schema(kind, 17).attributes
        own = {key: value for key, value in given.items() if key in known}
        body.append(helper.make_node(kind, names, made.split(","), kind.lower(), **own))
    # What the graph ends with is another node, so that any of those above may be left out.
    body.append(helper.make_node("Sigmoid", ["y"], ["out"]))
    last = helper.make_tensor_value_info("out", TensorProto.FLOAT, None)
    tensors = [numpy_helper.from_array(np.asarray(v), name) for name, v in weights.items()]
    graph = helper.make_graph(body, "graph", ends, [last], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return shape_inference.infer_shapes(model, data_prop=True, strict_mode=True)


def outputs(model: onnx.ModelProto) -> np.ndarray:
    rng = np.random.default_rng(4)
    fed = {name: 2 * rng.standard_normal(size).astype(np.float32) for name, size in SIZES.items()}
    fed = {value.name: fed[value.name] for value in model.graph.input}
    return np.asarray(onnxruntime.InferenceSession(model.SerializeToString()).run(None, fed)[0])


def broken(model: onnx.ModelProto, version: str) -> list[tuple[str, str]]:
    """Violations of nodes: operator and verdict."""
    found = judge(model, version).violations
    return [(v.operator, v.verdict) for v in found if v.operator]


@pytest.mark.parametrize("name", CASES)
def test_each_remedy(name: str) -> None:
    version, lines, weights, given, kinds = CASES[name]
    before = network(lines, weights, given)
    assert {verdict for _, verdict in broken(before, version)} == {
        "refused" if version == "1.2" else "host"
    }
    after, fixes = metis_fixes.fix(before, version)
    assert broken(after, version) == []
    assert fixes
    body = [node.op_type for node in after.graph.node]
    assert [kind for kind in body if kind not in ("LeakyRelu", "Tanh", "Sigmoid")] == kinds.split()
    onnx.checker.check_model(after, full_check=True)
    np.testing.assert_allclose(outputs(after), outputs(before), atol=2e-6)
    assert broken(before, version)  # the given network stays as it was


# What is left as it is: nothing would be gained, or the outputs might be others.
LEFT: dict[str, tuple[str, str, Weights, dict[str, Any]]] = {
    "slices of few channels": ("1.8", "AveragePool t y", {}, pool(pads=[1] * 4)),
    "no axes but that of channels": ("1.2", "AveragePool v y", {}, pool(pads=[1] * 4)),
    "computed limits": ("1.8", "ReduceMax u m;Clip t m y", {}, {"keepdims": 0}),
    "limits the wrong way round": ("1.8", "Clip t a b y", single(1, -1), {}),
    "a constant that differs in every place": (
        "1.8", "Mul t a y", {"a": RNG.standard_normal((1, 4, 9, 9)).astype(np.float32)}, {},
    ),
    "division by zero": ("1.8", "Div t a y", single(0), {}),
    "division by a tensor": ("1.8", "Div t u y", {}, {}),
    "padding other than zero": ("1.2", "Pad t p a m;Conv m k y",
                                PADS | kernel(5, 4, 3, 3) | single(1), {}),
    "padding that another node reads": ("1.2", "Pad t p m;Conv m k n;Relu m y",
                                        PADS | kernel(5, 4, 3, 3), {}),
    "other neighbours": ("1.8", "Resize t  s y", TWICE, NEAR | {"nearest_mode": "ceil"}),
    "padding before a convolution that pads itself": (
        "1.2", "Pad t p m;Conv m k y", PADS | kernel(5, 4, 3, 3), {"auto_pad": "SAME_UPPER"},
    ),
    "padding as wide as a pool": (
        "1.2", "Pad t p m;AveragePool m y", PADS, {"kernel_shape": [3, 3], "strides": [2, 2]},
    ),
    "a window beyond all values": (
        "1.8", "AveragePool w y", {},
        {"kernel_shape": [2, 2], "strides": [3, 3], "pads": [0, 0, 1, 1], "ceil_mode": 1},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LEFT)
def test_what_is_left_as_it_is(name: str) -> None:
    version, lines, weights, given = LEFT[name]
    before = network(lines, weights, given)
    assert broken(before, version)
    after, fixes = metis_fixes.fix(before, version)
    assert fixes == []
    assert [node.op_type for node in after.graph.node] == [n.op_type for n in before.graph.node]
    assert broken(after, version) == broken(before, version)


def test_positions_that_are_asked_for_keep_their_order() -> None:
    model = network("MaxPool t y,m", {}, pool(storage_order=1))
    places = helper.make_tensor_value_info("m", TensorProto.INT64, [1, 4, 7, 7])
    model.graph.output.append(places)
    assert metis_fixes.fix(model, "1.8")[1] == []


def test_a_picture_that_is_turned_stays_so() -> None:
    """Only the Reshape behind it is a Flatten."""
    matrix = RNG.standard_normal((324, 3)).astype(np.float32)
    given = {"perm": [0, 2, 3, 1]}
    lines = "Transpose t m;Reshape m s f;Gemm f q y"
    before = network(lines, numbers(s=[1, 324]) | {"q": matrix}, given)
    after, _ = metis_fixes.fix(before, "1.8")
    assert broken(after, "1.8") == [("Transpose", "host")]
    np.testing.assert_allclose(outputs(after), outputs(before), atol=2e-6)


def test_two_rules_that_one_node_breaks() -> None:
    """1.2: the groups are joined; a kernel that is not square is none of its rules then."""
    given = {"group": 2, "pads": [1, 0, 1, 0]}
    before = network("Conv t k y", kernel(4, 2, 3, 1), given)
    assert len(broken(before, "1.2")) == 2
    after, _ = metis_fixes.fix(before, "1.2")
    assert broken(after, "1.2") == []
    np.testing.assert_allclose(outputs(after), outputs(before), atol=2e-6)


def test_operators_of_other_domains_are_not_those_of_onnx() -> None:
    model = network("HardSwish t y", {}, {})
    model.graph.node[-2].domain = "custom"
    model.opset_import.append(helper.make_opsetid("custom", 1))
    violations = [v for v in judge(model, "1.2").violations if v.operator]
    assert [(v.attribute, fix_remedies.remedy_of(v)) for v in violations] == [("domain", None)]


# The product.


@pytest.fixture
def student(tmp_path: Path, prepared: Path, prepared_test: Path) -> Path:
    """A trained network with HardSwish, and the logits that its trainer would have stored."""
    folder = networks.student(tmp_path / "distill", prepared, prepared_test)
    network = onnx.load(folder / "student.onnx")
    (relu,) = (node for node in network.graph.node if node.op_type == "Relu")
    relu.op_type = "HardSwish"
    onnx.save(network, folder / "student.onnx")
    (card,) = models.load(folder)
    values, _ = networks.images(folder.parent / "prepare" / "testing.h5", card)
    np.save(folder / "test_logits.npy", networks.run(network, values))
    return folder


def command(src: Path, dst: Path, *flags: str) -> Path:
    files = [f"--{n}={src.parent / 'prepare' / n}ing.h5" for n in ("train", "test")]
    more = (
        "--latency_runs=2",
        "--calibration_per_class=2",
        "--scheme=per_tensor_min_max",
        "--blame_per_class=1",
    )
    cli.main(main.run, [f"--src={src}", *files, f"--dst={dst}", *more, *flags])
    return dst


def test_product(student: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    product = command(student, tmp_path / "out", "--metis=1.2", "--fix")
    said = json.loads((product / "fix.json").read_text())
    assert said == json.loads((product / "report.json").read_text())["fix"]
    assert said["violations"] == {"before": 1, "after": 0}
    assert said["rewritten"] == [
        {"node": "relu", "operator": "HardSwish", "rule": "",
         "instead": ["Add", "Clip", "Mul", "Mul"]},
    ]  # fmt: skip
    model = onnx.load(product / "model.onnx")
    assert judge(model, "1.2").violations == []
    assert "HardSwish" not in {node.op_type for node in model.graph.node}
    stored = np.load(student / "test_logits.npy")
    apart = float(np.abs(np.load(product / "test_logits.npy") - stored).max())
    parity = said["parity"]
    assert (parity["agreement"], parity["rows"], parity["tolerance"]) == (1, len(stored), 1e-3)
    allowed = 2e-6 * float(np.abs(stored).max())  # sums of another order, by processor
    assert 0 < parity["largest_logit_difference"] < allowed < parity["tolerance"]
    assert apart < allowed
    told = capsys.readouterr().err
    assert "--fix rewrote 1 × HardSwish: 1 violations of Metis 1.2 before, 0 after" in told


def test_product_with_nothing_to_do(student: Path, tmp_path: Path) -> None:
    """1.8 takes HardSwish, so both commands write one network."""
    plain, fixed = (command(student, tmp_path / n, *f) for n, f in (("a", ()), ("b", ("--fix",))))
    assert (plain / "model.onnx").read_bytes() == (fixed / "model.onnx").read_bytes()
    assert json.loads((fixed / "fix.json").read_text())["rewritten"] == []
    assert not (plain / "fix.json").exists()


def test_a_remedy_that_changes_outputs_is_refused(
    student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    wrong = {"HardSwish": fix_activations.hard_sigmoid}
    monkeypatch.setattr(fix_remedies, "BY_OPERATOR", wrong)
    with pytest.raises(SystemExit, match="2"):
        command(student, tmp_path / "out", "--metis=1.2", "--fix")
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert "--fix: expected the same outputs" in line
    assert "rewritten was 1 × HardSwish; leave --fix out" in line
    assert not list(tmp_path.glob("out*"))


def test_the_refusal_names_the_flag(
    student: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        command(student, tmp_path / "out", "--metis=1.2")
    told = capsys.readouterr().err.splitlines()
    assert told[-1].endswith("(--fix rewrites what it can, --nostrict goes on all the same)")
    assert any(line.endswith("Or let export --fix try.") for line in told)
