"""Operators of other opsets as opset 17 writes them: every rule, against numpy by hand."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from onnx import defs

from shared.onnx_graphs.nodes import UnconvertibleError, attributes
from shared.onnx_graphs.rewriting.opsets import downgrade, upgrade
from shared.onnx_graphs.rewriting.opsets.older import CHANGED, RULES
from tests.graphs import kinds, network, pictures, run

X = pictures()
ROW = np.arange(4, dtype=np.float32).reshape(1, 1, 1, 4)


def softmax(x: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    powers = np.exp(x)
    return np.asarray(powers / powers.sum(axes, keepdims=True))


def hardmax(x: np.ndarray) -> np.ndarray:
    flat = x.reshape(len(x), -1)
    return np.asarray((flat == flat.max(1, keepdims=True)).astype(np.float32).reshape(x.shape))


TWO = softmax(np.concatenate([X, X]), (1, 2, 3))
OLD = {
    "clip": (7, "y = Clip <min=-0.5, max=0.25> (x)", X.clip(-0.5, 0.25)),
    "clip-above": (10, "y = Clip <max=0.25> (x)", X.clip(None, 0.25)),
    "clip-below": (10, "y = Clip <min=0.25> (x)", X.clip(0.25, None)),
    "clip-nothing": (10, "y = Clip (x)", X),
    "pad": (
        10, "y = Pad <pads=[0,0,1,0,0,0,0,2], value=1.5> (x)",
        np.pad(X, ((0, 0), (0, 0), (1, 0), (0, 2)), constant_values=1.5),
    ),
    "pad-zeros": (7, "y = Pad <pads=[0,0,0,1,0,0,0,0]> (x)", np.pad(X, [(0, 0)] * 3 + [(1, 0)])),
    "slice": (9, "y = Slice <starts=[1,-2], ends=[4,9], axes=[2,3]> (x)", X[:, :, 1:4, -2:]),
    "slice-first-axes": (9, "y = Slice <starts=[0,1], ends=[1,2]> (x)", X[:1, 1:2]),
    "top": (9, "y, z = TopK <k=2, axis=3> (x)", -np.sort(-X, 3)[..., :2]),
    "unsqueeze": (12, "y = Unsqueeze <axes=[1]> (x)", X[:, None]),
    "squeeze": (12, "y = Squeeze <axes=[0]> (x)", X[0]),
    "squeeze-all": (12, "y = Squeeze (x)", X[0]),
    "sum": (12, "y = ReduceSum <axes=[2], keepdims=0> (x)", X.sum(2)),
    "sum-all": (12, "y = ReduceSum (x)", X.sum((0, 1, 2, 3), keepdims=True)),
    "split": (12, "z, y = Split <axis=2, split=[2,4]> (x)", X[:, :, 2:]),
    "split-halves": (12, "z, y = Split <axis=2> (x)", X[:, :, 3:]),
    "dropout": (11, "y = Dropout <ratio=0.5> (x)", X),
    "softmax": (12, "y = Softmax (x)", softmax(X, (1, 2, 3))),
    "softmax-two": (12, "a = Concat <axis=0> (x, x)\ny = Softmax (a)", TWO),
    "softmax-axis": (12, "y = Softmax <axis=2> (x)", softmax(X, (2, 3))),
    "softmax-negative": (11, "y = Softmax <axis=-2> (x)", softmax(X, (2, 3))),
    "softmax-last": (12, "y = Softmax <axis=3> (x)", softmax(X, (3,))),
    "logarithms": (12, "y = LogSoftmax <axis=1> (x)", np.log(softmax(X, (1, 2, 3)))),
    "hardmax": (12, "y = Hardmax (x)", hardmax(X)),
}  # fmt: skip


@pytest.mark.parametrize("name", OLD)
def test_old_operators(name: str) -> None:
    opset, text, expected = OLD[name]
    graph = network(text, opset)
    upgrade(graph)
    said = run(graph, X, 17)
    assert said.shape == expected.shape
    np.testing.assert_allclose(said, expected, atol=1e-6)


ENLARGED: dict[str, tuple[int, str, list[float]]] = {
    "upsample-7": (7, 'y = Upsample <scales=[1.0,1.0,1.0,2.0]> (x)', [0, 0, 1, 1, 2, 2, 3, 3]),
    "upsample-9": (9, 'y = Upsample (x, s)', [0, 0, 1, 1, 2, 2, 3, 3]),
    "linear": (9, 'y = Upsample <mode="linear"> (x, s)', [0, 0.5, 1, 1.5, 2, 2.5, 3, 3]),
    "bilinear": (
        7, 'y = Upsample <mode="bilinear", scales=[1.0,1.0,1.0,2.0]> (x)',
        [0, 0.5, 1, 1.5, 2, 2.5, 3, 3],
    ),
    "resize": (10, "y = Resize (x, t)", [0, 0, 1, 2, 2, 3]),
    "resize-linear": (10, 'y = Resize <mode="linear"> (x, s)', [0, 0.5, 1, 1.5, 2, 2.5, 3, 3]),
}  # fmt: skip


@pytest.mark.parametrize("name", ENLARGED)
def test_old_ways_to_enlarge_begin_at_the_first_corner(name: str) -> None:
    opset, text, expected = ENLARGED[name]
    scales = {"s": [1.0, 1.0, 1.0, 2.0], "t": [1.0, 1.0, 1.0, 1.5]}
    graph = network(text, opset, ROW.shape, **scales)
    upgrade(graph)
    np.testing.assert_allclose(run(graph, ROW, 17).ravel(), expected, atol=1e-6)


def test_only_limits_that_were_given_are_inputs() -> None:
    for text, inputs in (("<min=0.5>", 2), ("<max=0.5>", 3), ("", 1)):
        graph = network(f"y = Clip {text} (x)", 10)
        upgrade(graph)
        assert len(graph.graph.node[0].input) == inputs


def test_batch_norms_keep_one_output() -> None:
    for spatial in ("", ", spatial=1"):
        text = f"y, m, v = BatchNormalization <epsilon=0.0{spatial}> (x, two, one, none, two)"
        graph = network(text, 8, two=[2.0, 4.0], one=[1.0, 1.0], none=[0.0, 0.0])
        upgrade(graph)
        assert list(graph.graph.node[0].output) == ["y"]
        scale = np.sqrt([2, 4]).reshape(1, 2, 1, 1)
        np.testing.assert_allclose(run(graph, X, 17), X * scale + 1, atol=1e-5)


def test_a_softmax_of_the_last_axis_stays_one_node() -> None:
    """Also where only axes of one come after it, and where nobody knows how many do."""
    for text, shape, count in (
        ("y = Softmax <axis=3> (x)", (2, 2, 6, 4), 1), ("y = Softmax (x)", (2, 3, 1, 1), 1),
        ("y = Softmax <axis=2> (x)", (2, 2, 6, 4), 4),
        ("y = Softmax <axis=2> (x)", (2, 2, 6, 2), 4),
        ("u = com.microsoft.Unknown (x)\ny = Softmax (u)", (2, 2, 6, 4), 2),
    ):  # fmt: skip
        graph = network(text, 12, shape)
        upgrade(graph)
        assert len(graph.graph.node) == count, text


# What an operator has since an opset, or has no longer: so its rule ends there.
GONE = {
    "Clip": "min", "Pad": "pads", "Slice": "starts", "TopK": "k", "Squeeze": "axes",
    "Unsqueeze": "axes", "Split": "split", "ReduceSum": "axes", "Dropout": "ratio",
}  # fmt: skip
CAME = {
    "BatchNormalization": "training_mode", "Resize": "coordinate_transformation_mode",
}  # fmt: skip


@pytest.mark.parametrize("kind", RULES)
def test_rules_end_where_opsets_say(kind: str) -> None:
    since, _ = RULES[kind]
    if kind == "Upsample":  # no longer an operator of 17
        assert since == 17
        return
    old, new = (defs.get_schema(kind, opset).attributes for opset in (since - 1, since))
    if kind in GONE:
        assert GONE[kind] in old.keys() - new.keys()
    elif kind in CAME:
        assert CAME[kind] in new.keys() - old.keys()
    else:
        assert (old["axis"].default_value.i, new["axis"].default_value.i) == (1, -1)


def test_what_an_opset_writes_as_17_does_is_left_alone() -> None:
    """The first opset after each rule; `Pad` would lose its widths."""
    for kind, opset, inputs in (
        ("Pad", 11, "x, n"),
        ("Slice", 10, "x, b, e"),
        ("TopK", 10, "x, k"),
    ):
        graph = network(f"y, z = {kind} ({inputs})", opset, n=[0] * 8, b=[0], e=[1], k=[1])
        upgrade(graph)
        assert kinds(graph) == [kind]
        assert not graph.graph.node[0].attribute
        assert len(graph.graph.node[0].input) == len(inputs.split(","))


@pytest.mark.parametrize(
    ("opset", "text", "message"),
    [
        (13, "y = RoiAlign (x, r, b)", "RoiAlign 'RoiAlign-0': does not convert from opset 13 to"),
        (10, "y = Scatter (x, b, x)", "Scatter 'Scatter-0': does not convert from opset 10"),
        (
            11, "y = If <then_branch = g () => (float v) { v = Relu(x) }> (c)",
            "If 'If-0': does not convert from opset 11 to 17",
        ),
        (
            13, "y = BatchNormalization <spatial=0> (x, m, m, m, m)",
            "BatchNormalization 'BatchNormalization-0': spatial=0: expected one mean a channel",
        ),
    ],
)  # fmt: skip
def test_old_operators_that_do_not_convert(opset: int, text: str, message: str) -> None:
    with pytest.raises(UnconvertibleError, match=message):
        upgrade(network(text, opset))


def test_operators_of_others_are_left_alone() -> None:
    """A Pad of another domain means what that domain says."""
    for change, opset in ((upgrade, 9), (downgrade, 18)):
        graph = network("y = com.microsoft.Pad <pads=[1]> (x)", opset)
        change(graph)
        assert attributes(graph.graph.node[0]) == {"pads": [1]}


def test_an_operator_that_converts_since_its_own_opset() -> None:
    for kind, opset in CHANGED.items():
        graph = network(f"y = {kind} (x, r, b)", opset)
        upgrade(graph)
        assert kinds(graph) == [kind]


REDUCED: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "L1": lambda x: np.abs(x).sum((1, 3)),
    "L2": lambda x: np.sqrt((x**2).sum((1, 3))),
    "LogSum": lambda x: np.log(x.sum((1, 3))),
    "LogSumExp": lambda x: np.log(np.exp(x).sum((1, 3))),
    "Max": lambda x: x.max((1, 3)),
    "Mean": lambda x: x.mean((1, 3)),
    "Min": lambda x: x.min((1, 3)),
    "Prod": lambda x: x.prod((1, 3)),
    "SumSquare": lambda x: (x**2).sum((1, 3)),
}


@pytest.mark.parametrize("name", REDUCED)
def test_new_reductions(name: str) -> None:
    graph = network(f"y = Reduce{name} <keepdims=0> (x, a)", 18, a=[1, -1])
    downgrade(graph)
    images = np.abs(X)
    np.testing.assert_allclose(run(graph, images, 17), REDUCED[name](images), rtol=1e-5)


MEANS = X.mean(1, keepdims=True)
NONE = [(0, 0), (0, 0)]
NEW = {
    "all": (18, "y = ReduceMax (x)", X.max(keepdims=True)),
    "all-empty": (18, "y = ReduceMax (x, none)", X.max(keepdims=True)),
    "none": (18, "y = ReduceMax <noop_with_empty_axes=1> (x)", X),
    "none-empty": (18, "y = ReduceMax <noop_with_empty_axes=1> (x, none)", X),
    "axes-count": (18, "y = ReduceMean <noop_with_empty_axes=1> (x, one)", MEANS),
    "pad": (
        18, "y = Pad (x, widths, value, axes)",
        np.pad(X, ((0, 0), (3, 5), (2, 4), (0, 0)), constant_values=1.5),
    ),
    "pad-negative": (
        19, 'y = Pad <mode="edge"> (x, widths, "", under)',
        np.pad(X, ((0, 0), (0, 0), (2, 4), (3, 5)), mode="edge"),
    ),
    "pad-computed": (
        18, "a = Identity (eight)\ny = Pad (x, a)", np.pad(X, [*NONE, (1, 0), (0, 2)]),
    ),
    "pad-all": (18, "y = Pad (x, eight)", np.pad(X, [*NONE, (1, 0), (0, 2)])),
    "split": (18, "z, v, w, y = Split <axis=2, num_outputs=4> (x)", X[:, :, 6:]),
    "split-smaller": (18, "z, v, w, y = Split <axis=-1, num_outputs=4> (seven)", None),
    "split-sizes": (18, "z, y = Split <axis=2> (x, parts)", X[:, :, 2:]),
    "split-first": (18, "y, z = Split <num_outputs=2, axis=3> (x)", X[..., :2]),
    "cast": (19, "y = Cast <to=1, saturate=1> (x)", X),
    "resize": (18, 'y = Resize <mode="nearest", antialias=0, nearest_mode="floor", '
        'coordinate_transformation_mode="asymmetric"> (x, "", twice)', X.repeat(2, 3)),
    "pool": (19, "y = AveragePool <kernel_shape=[6,4], dilations=[1,1]> (x)",
        X.mean((2, 3), keepdims=True)),
    "mish": (18, "y = Mish (x)", X * np.tanh(np.log1p(np.exp(X)))),
    "swish": (24, "y = Swish (x)", X / (1 + np.exp(-X))),
    "swish-alpha": (24, "y = Swish <alpha=2.0> (x)", X / (1 + np.exp(-2 * X))),
    "gelu": (20, "y = Gelu (x)", X * (1 + np.vectorize(math.erf)(X / math.sqrt(2))) / 2),
    "gelu-tanh": (
        20, 'y = Gelu <approximate="tanh"> (x)',
        X / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (X + 0.044715 * X**3))),
    ),
    "groups": (21, "y = GroupNormalization <num_groups=1, epsilon=0.25> (x, two, shift)", None),
    "groups-usual": (21, "y = GroupNormalization <num_groups=2> (x, two, shift)", None),
}  # fmt: skip


def normalised(x: np.ndarray, axes: tuple[int, ...], least: float) -> np.ndarray:
    scale, shift = (np.array(v, float).reshape(1, 2, 1, 1) for v in ([2, 3], [-1, 5]))
    means, spread = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    return np.asarray((x - means) / np.sqrt(spread + least) * scale + shift)


@pytest.mark.parametrize("name", NEW)
def test_new_operators(name: str) -> None:
    opset, text, expected = NEW[name]
    stored = {
        "none": np.zeros(0, np.int64), "one": [1], "widths": [2, 3, 4, 5], "value": 1.5,
        "axes": [2, 1], "under": [-2, 3], "eight": [0, 0, 1, 0, 0, 0, 0, 2], "parts": [2, 4],
        "twice": [1.0, 1.0, 1.0, 2.0], "two": [2.0, 3.0], "shift": [-1.0, 5.0],
        "seven": np.arange(7, dtype=np.float32),
    }  # fmt: skip
    if name == "split-smaller":
        expected = np.array([6], np.float32)
    elif name.startswith("groups"):
        usual = name == "groups-usual"
        expected = normalised(X, (2, 3), 1e-5) if usual else normalised(X, (1, 2, 3), 0.25)
    graph = network(text, opset, **stored)
    downgrade(graph)
    said = run(graph, X, 17)
    assert expected is not None
    assert said.shape == expected.shape
    np.testing.assert_allclose(said, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("opset", "text", "message"),
    [
        (18, "y = ReduceMax (x, a)", "ReduceMax 'ReduceMax-1': axes: expected a constant"),
        (18, 'y = Pad (x, a, "", s)', "Pad 'Pad-1': pads: expected a constant"),
        (18, 'y = Pad (x, w, "", a)', "Pad 'Pad-1': axes: expected a constant"),
        (18, 'y = Pad (b, w, "", s)', "Pad 'Pad-1': axes of an unknown number of axes"),
        (18, "y, z = Split <axis=1, num_outputs=2> (b)", "Split 'Split-1': axis 1: expected a kn"),
        (18, 'y = Resize <antialias=1> (x, "", s)', "Resize 'Resize-1': antialias=1: opset 17 can"),
        (19, "y = AveragePool <kernel_shape=[2,2], dilations=[1,2]> (x)", r"dilations=\[1, 2\]: o"),
        (18, "y = CenterCropPad <axes=[2]> (x, s)", "has no such operator, found 18"),
        (19, "y = Cast <to=1, saturate=0> (x)", "Cast 'Cast-1': saturate=0: opset 17 cannot"),
    ],
)  # fmt: skip
def test_new_operators_that_do_not_convert(opset: int, text: str, message: str) -> None:
    graph = network(f"a = Shape (x)\n{text}", opset, s=[2], w=[1, 1])
    with pytest.raises(UnconvertibleError, match=message):
        downgrade(graph)


def test_groups_that_opset_18_scales_are_left_to_who_knows_them() -> None:
    """There scale and bias were of the groups: two numbers for one group of two channels."""
    graph = network("y = GroupNormalization <num_groups=1> (x, one, one)", 18, one=[1.0])
    with pytest.raises(UnconvertibleError, match="opset 17 has no such operator, found 18"):
        downgrade(graph)
