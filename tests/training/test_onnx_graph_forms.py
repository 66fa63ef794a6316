"""Constants, the two ends, the order of axes, the number of pictures; names and look-ups."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from shared.onnx_graphs import network as networks
from shared.onnx_graphs.nodes import UnconvertibleError, attributes, call, first_line, take
from shared.onnx_graphs.rewriting import batch, constants, ends, layout
from tests.graphs import kinds, network, pictures, run

# --- constants ------------------------------------------------------------------------------------
FOLDED = {
    "c = Add (w, w)\ny = Add (x, c)": ["Add"],
    "c = Constant <value_float=2.0> ()\ny = Add (x, c)": ["Add"],
    "c = Exp (w)\nd = Exp (c)\ny = Add (x, d)": ["Add"],
    'p = Clip (w, "", one)\ny = Add (x, p)': ["Add"],
    "c = Shape (x)\nd = Cast <to=1> (c)\ny = Add (x, d)": ["Shape", "Cast", "Add"],
    "c = com.microsoft.Gelu (w)\ny = Add (x, c)": ["Gelu", "Add"],
    "c = RandomNormal <shape=[4]> ()\ny = Add (x, c)": ["RandomNormal", "Add"],
    "c = RandomNormalLike (w)\ny = Add (x, c)": ["RandomNormalLike", "Add"],
    "y = Add (w, w)": ["Add"],  # the output itself
}


@pytest.mark.parametrize("text", FOLDED)
def test_what_hangs_on_constants_is_stored(text: str) -> None:
    graph = network(text, w=pictures((4,)), one=1.0)
    before = None if "Random" in text else run(graph)
    constants.store_constants(graph)
    assert kinds(graph) == FOLDED[text]
    if before is not None:
        np.testing.assert_allclose(run(graph), before, atol=1e-6)


@pytest.mark.parametrize(("sizes", "left"), [([2048, 2048], []), ([2048, 2049], ["Expand"])])
def test_constants_are_not_blown_up(sizes: list[int], left: list[str]) -> None:
    """Up to 4 Mi numbers; what is as large already may be computed with."""
    graph = network("c = Expand (one, s)\nd = ReduceSum (c)\ny = Add (x, d)", one=[1.0], s=sizes)
    constants.store_constants(graph)
    assert kinds(graph) == [*left, *(["ReduceSum"] if left else []), "Add"]
    large = network("c = Neg (w)\ny = Add (x, c)", w=np.ones((2048, 2049), np.float32))
    constants.store_constants(large)
    assert kinds(large) == ["Add"]


def test_stored_tensors_are_no_inputs() -> None:
    graph = network("y = Add (x, w)", w=[1.0])
    graph.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [1]))
    constants.store_constants(graph)
    assert [value.name for value in graph.graph.input] == ["x"]


def test_sparse_tensors_are_refused_by_name() -> None:
    graph = network("y = Relu (x)")
    values = numpy_helper.from_array(np.ones(1, np.float32), "thin")
    graph.graph.sparse_initializer.append(onnx.SparseTensorProto(values=values, dims=[4]))
    with pytest.raises(UnconvertibleError, match="sparse tensor 'thin': expected dense tensors"):
        constants.store_constants(graph)


SIZES = {  # of (3, 2, 6, 4): the first one is that of the pictures
    "s = Shape (x)\nn = Gather (s, two)\ny = Expand (x, n)": [6],
    "s = Shape (x)\nn = Gather (s, last)\ny = Expand (x, n)": [6, 4],
    "s = Shape (x)\nn = Gather (s, first)\ny = Expand (x, n)": None,
    "s = Shape (x)\nn = Gather (s, pictures)\ny = Expand (x, n)": None,
    "s = Shape <start=1> (x)\nn = Gather (s, two)\ny = Expand (x, n)": None,
    "s = Identity (w)\nn = Gather (s, two)\ny = Expand (x, n)": None,
}


@pytest.mark.parametrize("text", SIZES)
def test_known_sizes_are_stored(text: str) -> None:
    stored: dict[str, Any] = {"two": [2], "last": [-2, 3], "first": [0, 1], "pictures": [-4]}
    graph = network(text, 17, (3, 2, 6, 4), w=[1, 2, 3], **stored)
    constants.fold_sizes(graph, 3)
    sizes = graph.constant("n")
    assert (None if sizes is None else sizes.tolist()) == SIZES[text]


WIDTHS = (TensorProto.FLOAT16, TensorProto.DOUBLE)


@pytest.mark.parametrize("kind", WIDTHS)
def test_other_precisions_become_float32(kind: int) -> None:
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    text = f"c = Constant ()\nd = Cast <to={kind}> (x)\ne = Cast <to=7> (d)\ny = Add (d, c)"
    graph = network(text, w=np.array([1.5], dtype), i=[3])
    value = numpy_helper.from_array(np.array([2.5], dtype))
    graph.graph.node[0].attribute.append(helper.make_attribute("value", value))
    for end in (graph.input, graph.output):
        end.type.tensor_type.elem_type = kind
    graph.graph.value_info.append(helper.make_tensor_value_info("d", kind, [4]))
    constants.to_float32(graph)
    stored = {name: graph.constant(name) for name in "wi"}
    assert [v.dtype for v in stored.values() if v is not None] == [np.float32, np.int64]
    assert stored["w"] == 1.5
    first, second, third, _ = graph.graph.node
    assert attributes(first)["value"].data_type == TensorProto.FLOAT
    assert (attributes(second)["to"], attributes(third)["to"]) == (1, TensorProto.INT64)
    types = [end.type.tensor_type.elem_type for end in (graph.input, graph.output)]
    assert types == [TensorProto.FLOAT] * 2
    assert not graph.graph.value_info


@pytest.mark.parametrize("inner", ["tensor", "constant", "cast", "none"])
def test_graphs_inside_have_to_be_float32(inner: str) -> None:
    half = numpy_helper.from_array(np.ones(1, np.float16), "h")
    node, tensors = helper.make_node("Relu", ["x"], ["v"]), []
    if inner == "tensor":
        tensors = [half]
    elif inner == "constant":
        node = helper.make_node("Constant", [], ["v"], value=half)
    elif inner == "cast":
        node = helper.make_node("Cast", ["x"], ["v"], to=TensorProto.FLOAT16)
    body = helper.make_graph([node], "g", [], [helper.make_empty_tensor_value_info("v")], tensors)
    graph = network("y = Relu (x)")
    chosen = helper.make_node("If", ["c"], ["w"], "choice", then_branch=body, else_branch=body)
    graph.set_nodes([chosen, *graph.graph.node])
    if inner == "none":
        constants.to_float32(graph)
        return
    with pytest.raises(UnconvertibleError, match="If 'choice': holds a graph that is not float32"):
        constants.to_float32(graph)


IDLE = {
    "a = Identity (x)\ny = Relu (a)": ["Relu"],
    "a = Dropout (x)\ny = Relu (a)": ["Relu"],
    "a, m = Dropout (x)\ny = Relu (a)": ["Relu"],
    "a, m = Dropout (x)\nc = Cast <to=1> (m)\ny = Add (a, c)": ["Dropout", "Cast", "Add"],
    "a = Cast <to=1> (x)\ny = Relu (a)": ["Relu"],
    "a = Cast <to=6> (x)\ny = Cast <to=1> (a)": ["Cast", "Cast"],
    "a = com.microsoft.Dropout (x)\ny = Relu (a)": ["Dropout", "Relu"],
    "a = Relu (x)\ny = Identity (a)": ["Relu"],
}


@pytest.mark.parametrize("text", IDLE)
def test_nodes_that_do_nothing_go(text: str) -> None:
    graph = network(text)
    constants.drop_idle(graph)
    assert kinds(graph) == IDLE[text]


# --- the two ends ---------------------------------------------------------------------------------
LOGITS = "r = Flatten (x)\ns = MatMul (r, m)\n"  # (rows, 3)
TAILS = {  # text, whether probabilities are said: operators that stay, whether a softmax was cut
    ("y = Softmax (s)", True): (["Flatten", "MatMul"], True),
    ("y = Softmax (s)", False): (["Flatten", "MatMul", "Softmax"], False),
    ("y = LogSoftmax (s)", True): (["Flatten", "MatMul"], True),
    ("p = Softmax (s)\ny = Log (p)", True): (["Flatten", "MatMul"], True),
    ("p = Softmax (s)\nq = Max (p, least)\ny = Log (q)", True): (["Flatten", "MatMul"], True),
    ("y = Relu (s)", True): (["Flatten", "MatMul", "Relu"], False),
    ("y = Identity (s)", False): (["Flatten", "MatMul"], False),
    ("p = Softmax (s)\ny = Reshape (p, four)", True): (["Flatten", "MatMul"], True),
    ("f = Reshape (s, four)\ny = Softmax <axis=1> (f)", True): (["Flatten", "MatMul"], True),
    ("f = Reshape (s, four)\ny = Transpose <perm=[0,2,3,1]> (f)", False): (
        ["Flatten", "MatMul"], False,
    ),
    ("f = Reshape (s, four)\nt = Transpose <perm=[1,0,2,3]> (f)\ny = Relu (t)", False): (
        ["Flatten", "MatMul", "Reshape", "Transpose", "Relu", "Flatten"], False,
    ),
    ("y = Log (s)", True): (["Flatten", "MatMul", "Log"], False),  # of no softmax
    ("e = Exp (s)\nt = ReduceSum (e, last)\ny = Div (e, t)", True): (["Flatten", "MatMul"], True),
    ("e = Exp (s)\nt = ReduceSum (e, last)\ny = Div (e, t)", False): (
        ["Flatten", "MatMul", "Exp", "ReduceSum", "Div"], False,
    ),
    (
        "h = ReduceMax <axes=[1]> (s)\nl = Sub (s, h)\ne = Exp (l)\nt = ReduceSum (e, last)\n"
        "y = Div (e, t)", True,
    ): (["Flatten", "MatMul"], True),
    (
        "h = ReduceMin <axes=[1]> (s)\nl = Sub (s, h)\ne = Exp (l)\nt = ReduceSum (e, last)\n"
        "y = Div (e, t)", True,
    ): (["Flatten", "MatMul", "ReduceMin", "Sub"], True),
    (
        "v = Neg (s)\nh = ReduceMax <axes=[1]> (v)\nl = Sub (s, h)\ne = Exp (l)\n"
        "t = ReduceSum (e, last)\ny = Div (e, t)", True,
    ): (["Flatten", "MatMul", "Neg", "ReduceMax", "Sub"], True),
    ("e = Exp (s)\nf = Exp (s)\nt = ReduceSum (f, last)\ny = Div (e, t)", True): (
        ["Flatten", "MatMul", "Exp", "Exp", "ReduceSum", "Div"], False,
    ),
    ("e = Relu (s)\nt = ReduceSum (e, last)\ny = Div (e, t)", True): (
        ["Flatten", "MatMul", "Relu", "ReduceSum", "Div"], False,
    ),
    ("e = Exp (s)\nt = ReduceMax <axes=[1]> (e)\ny = Div (e, t)", True): (
        ["Flatten", "MatMul", "Exp", "ReduceMax", "Div"], False,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "soft"), TAILS)
def test_what_is_cut_off_at_the_end(text: str, soft: bool) -> None:
    stored = {"m": pictures((48, 3), 3), "least": 1e-30, "four": [2, 3, 1, 1], "last": [1]}
    graph = network(LOGITS + text, 17, (2, 2, 6, 4), **stored)
    cut = ends.cut_tail(graph, 2, 3, soft)
    assert (kinds(graph), cut) == TAILS[text, soft]
    assert run(graph, pictures((2, 2, 6, 4))).size == 2 * 3


def test_the_logarithm_of_probabilities() -> None:
    """Nothing is a probability of 0: it counts as 1e-30."""
    graph = network("y = Relu (x)")
    ends.add_logarithm(graph)
    images = np.array([0, 0.5, 1, -1], np.float32).reshape(1, 1, 1, 4)
    graph.input.type.tensor_type.ClearField("shape")
    said = run(graph, images).ravel()
    np.testing.assert_allclose(said, np.log([1e-30, 0.5, 1, 1e-30]), rtol=1e-5)


def test_both_ends_get_our_names() -> None:
    """Inner tensors and stored ones that have them get others."""
    graph = network(
        "logits = Relu (x)\ninput = Add (logits, image)\nr = Flatten (input)\ny = Identity (r)",
        image=[1.0],
    )
    before = run(graph)
    ends.name_ends(graph, (2, 6, 4), 48)
    np.testing.assert_array_equal(run(graph), before)
    for value, name, sizes in ((graph.input, "image", [2, 6, 4]), (graph.output, "logits", [48])):
        assert value.name == name
        first, *others = value.type.tensor_type.shape.dim
        assert first.dim_param == "batch"
        assert [dim.dim_value for dim in others] == sizes
    assert [value.name for value in graph.graph.input] == ["image"]
    assert [node.output[0] for node in graph.graph.node][-1] == "logits"


def test_a_picture_is_renamed_where_an_inner_tensor_has_its_name() -> None:
    graph = network("image = Relu (x)\ny = Add (image, x)")
    before = run(graph)
    named = ends.name_picture(graph.model)
    assert named.graph.input[0].name == "image"
    assert graph.model.graph.input[0].name == "x"  # a copy
    np.testing.assert_array_equal(run(networks.Network(named)), before)
    assert ends.name_picture(named) is named


# --- channels last --------------------------------------------------------------------------------
TURN, BACK = "t = Transpose <perm=[0,2,3,1]> (x)\n", "\ny = Transpose <perm=[0,3,1,2]> (v)"
MOVED = {
    **{f"v = {kind} (t)": [kind] for kind in ("Relu", "Sigmoid", "Tanh")},
    "v = Clip (t, one, two)": ["Clip"],
    "v = Add (t, each)": ["Add"],
    "v = Mul (each, t)": ["Mul"],
    "v = Sub (t, one)": ["Sub"],
    "v = Div (t, map)": ["Div"],
    "u = Relu (t)\nv = Add (t, u)": ["Relu", "Add"],
    "v = Concat <axis=3> (t, t)": ["Concat"],
    "v = Concat <axis=-2> (t, t)": ["Concat"],
    "v = Pad (t, widths)": ["Pad"],
    "v = ReduceSum (t, rows)": ["ReduceSum"],
    "v = ReduceMean <axes=[1,-1]> (t)": ["ReduceMean"],
    "v = PRelu (t, each)": ["PRelu"],
}


@pytest.mark.parametrize("text", MOVED)
def test_transposes_meet(text: str) -> None:
    stored: dict[str, Any] = {
        "one": 1.0, "two": 2.0, "each": [3.0, -4.0], "map": pictures((6, 4, 1), 3),
        "widths": [0, 1, 2, 3, 0, 4, 0, 1], "rows": [1],
    }  # fmt: skip
    graph = network(TURN + text + BACK, **stored)
    before = run(graph)
    layout.sink_transposes(graph)
    assert kinds(graph) == MOVED[text]
    np.testing.assert_allclose(run(graph), before, atol=1e-6)


WEIGHED = {
    "r = Flatten (t)\ny = MatMul (r, m)": ["Flatten", "MatMul"],
    "r = Reshape (t, flat)\ny = Gemm (r, m)": ["Flatten", "Gemm"],
    "r = Reshape (t, flat)\ny = Gemm <transB=1> (r, turned, b)": ["Flatten", "Gemm"],
    "r = Flatten (t)\nu = MatMul (r, m)\nv = MatMul (r, other)\ny = Add (u, v)": [
        "Flatten", "MatMul", "MatMul", "Add",
    ],
    "r = Flatten (t)\nu = MatMul (r, m)\nv = Relu (r)\nw = MatMul (v, other)\ny = Add (u, w)": None,
    "y = Flatten (t)": None,
    "r = Flatten (t)\ny = Gemm <transA=1> (r, once)": None,
    "r = Flatten (t)\nn = Neg (m)\ny = MatMul (r, n)": None,
    "r = Flatten (t)\ny = MatMul (once2, r)": None,
    "r = Reshape (t, pairs)\ny = MatMul (r, two)": None,
    "v = ReduceMean <axes=[1,2], keepdims=0> (t)\ny = Relu (v)": ["ReduceMean", "Relu"],
    "v = ReduceMean <axes=[1], keepdims=0> (t)\ny = Relu (v)": None,
    "v = ReduceSum <keepdims=0> (t, places)\ny = Relu (v)": ["ReduceSum", "Relu"],
    "v = ReduceMean <axes=[1,2]> (t)\nw = Squeeze (v, places)\ny = Relu (w)": [
        "ReduceMean", "Squeeze", "Relu",
    ],
    "v = ReduceMean <axes=[1,2]> (t)\nr = Flatten (v)\ny = Relu (r)": [
        "ReduceMean", "Flatten", "Relu",
    ],
    "v = ReduceMean <axes=[3]> (t)\nr = Flatten (v)\ny = Relu (r)": [
        "ReduceMean", "Flatten", "Relu",
    ],
    "v = ReduceMean (t)\ny = Relu (v)": None,
    "v = Softmax (t)\ny = Relu (v)": None,
    "v = Add (t, x2)\ny = Relu (v)": None,
}  # fmt: skip


@pytest.mark.parametrize("text", WEIGHED)
def test_transposes_before_a_classifier(text: str) -> None:
    stored: dict[str, Any] = {
        "m": pictures((48, 3), 3), "turned": pictures((3, 48), 4), "b": pictures((3,), 5),
        "other": pictures((48, 3), 6), "once": pictures((1, 3), 7), "once2": pictures((2, 1), 8),
        "flat": [1, -1], "pairs": [-1, 2], "two": pictures((2, 3), 9), "places": [1, -2],
        "x2": pictures((2, 1, 6, 4, 2), 1),
    }  # fmt: skip
    graph = network(TURN + text, **stored)
    before = run(graph)
    layout.sink_transposes(graph)
    assert ("Transpose" in kinds(graph)) == (WEIGHED[text] is None)
    if WEIGHED[text]:
        assert kinds(graph) == WEIGHED[text]
    np.testing.assert_allclose(run(graph), before, atol=1e-5)


def test_other_transposes_stay() -> None:
    text = "t = Transpose <perm=[0,2,1,3]> (x)\nv = Relu (t)\ny = Transpose <perm=[0,3,1,2]> (v)"
    graph = network(text)
    layout.sink_transposes(graph)
    assert kinds(graph) == ["Transpose", "Relu", "Transpose"]


def test_a_picture_with_channels_last_is_turned_once() -> None:
    graph = network("y = Relu (x)", 17, (1, 5, 5, 2))
    layout.put_channels_first(graph, 2, 5)
    dims = graph.input.type.tensor_type.shape.dim
    assert [dim.dim_value for dim in dims] == [1, 2, 5, 5]
    images = pictures((1, 2, 5, 5))
    np.testing.assert_array_equal(run(graph, images), images.clip(0).transpose(0, 2, 3, 1))


# --- the number of pictures -----------------------------------------------------------------------
FREED = {
    "y = Reshape (x, rows)": (1, 48),
    "y = Reshape <allowzero=1> (x, rows)": (1, 48),
    "m = ReduceMean <axes=[2,3]> (x)\ny = Squeeze (m)": (2,),
    "m = ReduceMean <axes=[1]> (x)\ny = Expand (m, sizes)": (2, 6, 4),
    "r = Reshape (x, three)\ny = Concat <axis=1> (token, r)": (3, 24),
    "r = Reshape (x, three)\ny = Concat <axis=2> (r, side)": (2, 25),
}


@pytest.mark.parametrize("text", FREED)
@pytest.mark.parametrize("rows", [1, 3])
def test_any_number_of_pictures(text: str, rows: int) -> None:
    token, side = pictures((1, 1, 24), 2), pictures((1, 2, 1), 3)
    stored: dict[str, Any] = {
        "rows": [rows, 48], "sizes": [rows, 2, 6, 4], "three": [rows, 2, 24],
        "token": np.repeat(token, rows, 0), "side": np.repeat(side, rows, 0),
    }  # fmt: skip
    graph = network(text, 17, (rows, 2, 6, 4), **stored)
    images = pictures((6, 2, 6, 4))
    expected = np.concatenate(
        [run(graph, images[k : k + rows]).reshape(rows, -1) for k in range(0, 6, rows)]
    )
    batch.free_batch(graph, rows)
    for value in (graph.input, graph.output):
        value.type.tensor_type.ClearField("shape")
    said = run(graph, images)
    assert said.shape[0] == 6
    np.testing.assert_allclose(said.reshape(6, -1), expected, atol=1e-6)


HELD = {
    "y = Reshape (x, other)": "other",  # not the pictures first
    "y = Expand (x, five)": "five",  # of another number of axes
    "y = com.microsoft.Reshape (x, rows)": "rows",
    "m = Reshape (x, merged)\ny = Reshape (m, back)": "merged",
}


@pytest.mark.parametrize("text", HELD)
def test_constants_that_are_none_of_the_pictures_stay(text: str) -> None:
    stored: dict[str, Any] = {
        "rows": [2, 48], "other": [4, 24], "five": [1, 2, 2, 6, 4], "merged": [12, 8],
        "back": [2, 48],
    }  # fmt: skip
    graph = network(text, 17, (2, 2, 6, 4), **stored)
    batch.free_batch(graph, 2)
    assert HELD[text] in graph.graph.node[0].input


@pytest.mark.parametrize(
    "text",
    [
        "y = Concat <axis=0> (x, t)",  # more pictures
        "y = Concat <axis=1> (u, x)",  # another one for each picture
    ],
)
def test_what_is_not_repeated(text: str) -> None:
    same = np.repeat(pictures((1, 2, 6, 4), 1), 2, 0)
    graph = network(text, 17, (2, 2, 6, 4), t=same, u=pictures((2, 2, 6, 4), 2))
    batch.free_batch(graph, 2)
    assert kinds(graph) == ["Concat"]


# --- a graph --------------------------------------------------------------------------------------
def test_look_ups() -> None:
    graph = network("a, b = Split <axis=1> (x)\nc = Add (a, w)\ny = Add (c, a)", w=[1.0])
    assert graph.opset == 17
    assert [node.output[0] for node in graph.users["a"]] == ["c", "y"]
    assert graph.makers["b"] is graph.makers["a"]
    assert graph.shapes["b"] == (1, 1, 6, 4)
    assert (graph.kinds["w"], graph.shapes["w"]) == (TensorProto.FLOAT, (1,))
    assert graph.constant("a") is None
    assert [graph.fresh(name) for name in ("new", "a", "x", "w")] == ["new", "a_1", "x_1", "w_1"]
    assert graph.store("w", np.zeros((2, 3))) == "w_1"
    assert graph.fresh("w") == "w_2"
    assert graph.shapes["w_1"] == (2, 3)


def test_a_graph_of_no_opset_has_opset_0() -> None:
    """And so is older than any; that of another domain says nothing."""
    graph = network("y = Relu (x)")
    del graph.model.opset_import[0]
    assert graph.opset == 0
    graph.model.opset_import.append(helper.make_opsetid("ai.onnx", 9))
    assert graph.opset == 9


def test_sizes_of_any_number_of_pictures() -> None:
    graph = network("y = Relu (x)", 17, (3, 2, 6, 4))
    graph.infer(None)
    assert graph.shapes == {"x": (None, 2, 6, 4), "y": (None, 2, 6, 4)}
    graph.infer(5)
    assert graph.shapes["y"] == (5, 2, 6, 4)


def test_sizes_that_cannot_be_inferred_are_told_in_one_line() -> None:
    """Operators of a domain that the file does not name."""
    graph = network("y = Relu (x)")
    graph.graph.node[0].domain = "else.where"
    with pytest.raises(UnconvertibleError, match=r"^shapes cannot be inferred \(.+where.*\)$"):
        graph.infer(1)


def test_what_nobody_needs_goes_and_what_is_read_inside_stays() -> None:
    graph = network("a = Relu (x)\nb = Neg (x)\nc = Exp (w)\ny = Abs (a)", w=[1.0], u=[2.0])
    body = helper.make_graph([helper.make_node("Add", ["b", "u"], ["v"])], "g", [], [graph.output])
    inner = helper.make_node("If", ["a"], ["z"], then_branch=body, else_branch=body)
    graph.set_nodes([*graph.graph.node, inner])
    graph.output.name = "z"
    graph.drop_unused()
    assert kinds(graph) == ["Relu", "Neg", "If"]
    assert set(graph.weights) == {"u"}


def test_nodes_are_sorted_and_circles_are_refused() -> None:
    graph = network("a = Relu (x)\nb = Neg (a)\ny = Add (a, b)")
    graph.set_nodes(reversed(list(graph.graph.node)))
    assert [node.op_type for node in networks.sort_nodes(graph.graph)] == ["Relu", "Neg", "Add"]
    graph.makers["a"].input[0] = "y"
    with pytest.raises(UnconvertibleError, match="Add-2': reads what is made after it"):
        networks.sort_nodes(graph.graph)


def test_redirected_readers() -> None:
    graph = network("a = Relu (x)\nb = Neg (x)\ny = Add (a, a)")
    graph.redirect("a", "b")
    assert list(graph.graph.node[2].input) == ["b", "b"]
    graph.redirect("y", "b")
    assert graph.output.name == "b"


def test_attributes_are_plain_and_can_be_taken() -> None:
    node = helper.make_node("Pad", ["x"], ["y"], mode="edge", pads=[1, 2])
    assert attributes(node) == {"mode": "edge", "pads": [1, 2]}
    assert (take(node, "mode"), take(node, "mode"), take(node, "value", 3)) == ("edge", None, 3)
    assert attributes(node) == {"pads": [1, 2]}
    assert call(node) == "Pad 'y'"
    assert first_line(ValueError("\n one\ntwo")) == "one"
    assert first_line(KeyError()) == "KeyError"
