"""Outputs, sizes and inputs of networks of others: forms, orders of classes, MACs, layouts."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from shared import lcz, onnx_graphs
from shared.errors import StageError
from shared.models import Card
from shared.onnx_graphs import adoption, given, outputs
from tests.graphs import kinds, network, pictures, run

SOFT = np.array([[0.5, 0.25, 0.25], [0.1, 0.2, 0.7]], np.float32)
LOGITS = np.array([[1.0, 2.0, 3.0], [-1.0, 0.0, 4.0]], np.float32)


# --- forms ----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("rows", "form"),
    [
        (SOFT, "probabilities"), (np.log(SOFT), "logarithms"), (LOGITS, "logits"),
        (SOFT + 0.0003, "probabilities"), (SOFT + 0.0005, "logits"),  # 1.0009 and 1.0015
        (np.array([[1.0, 0.0]]), "probabilities"), (np.array([[0.0, -200.0]]), "logarithms"),
        (np.array([[1.1, -0.1]]), "logits"), (np.array([[0.1, -0.2]]), "logits"),
        (np.log(SOFT) - 0.0005, "logarithms"), (np.log(SOFT) - 0.002, "logits"),
        (np.array([[0.5, 0.5], [0.5, 0.4]]), "logits"),
    ],
)  # fmt: skip
def test_form_of_outputs(rows: np.ndarray, form: str) -> None:
    assert outputs.name_form(rows) == form


def test_logits_in_the_form_of_others() -> None:
    powers = np.exp(LOGITS)
    soft = powers / powers.sum(1, keepdims=True)
    np.testing.assert_allclose(outputs.in_form_of(SOFT, LOGITS), soft, rtol=1e-5)
    np.testing.assert_allclose(outputs.in_form_of(np.log(SOFT), LOGITS), np.log(soft), atol=1e-5)
    assert outputs.in_form_of(LOGITS, LOGITS + 1) is not LOGITS
    np.testing.assert_array_equal(outputs.in_form_of(LOGITS, LOGITS + 1), LOGITS + 1)
    large = outputs.in_form_of(np.log(SOFT), LOGITS * 1000)
    np.testing.assert_array_equal(large[0], [-2000, -1000, 0])
    assert (
        outputs.compare(LOGITS + np.array([[0, 0, 0], [0, -0.5, 0.25]], np.float32), LOGITS) == 0.5
    )


@pytest.mark.parametrize(
    ("names", "matched"),
    [
        (["b", "a"], ("b", "a")), ([2, 1], ("b", "a")), (["1", "2"], ("a", "b")), ([0, 1], ()),
        (["a"], ()), (["a", "a"], ()), (["a", "c"], ()), ([1, 3], ()), ([1, 2, 3], ()),
    ],
)  # fmt: skip
def test_names_of_outputs(names: list[object], matched: tuple[str, ...]) -> None:
    assert outputs.match_classes(names, ("a", "b")) == matched


ENDS = {
    "r = Flatten (x)\nlogits = Gemm (r, m, b)": ["Flatten", "Gemm"],
    "r = Flatten (x)\nlogits = Gemm (r, m)": ["Flatten", "Gemm"],
    "r = Flatten (x)\nlogits = Gemm <transB=1> (r, t, b)": ["Flatten", "Gemm"],
    "r = Flatten (x)\nlogits = Gemm (r, m, one)": ["Flatten", "Gemm"],
    "r = Flatten (x)\nlogits = Gemm (r, m, whole)": ["Flatten", "Gemm"],
    "r = Flatten (x)\nlogits = MatMul (r, m)": ["Flatten", "MatMul", "Gather"],
    "r = Flatten (x)\nn = Relu (b)\nlogits = Gemm (r, m, n)": [
        "Flatten", "Relu", "Gemm", "Gather",
    ],
}  # fmt: skip


@pytest.mark.parametrize("text", ENDS)
def test_columns_in_another_order(text: str) -> None:
    """In the weights of the last Gemm where they are stored, else by one more node."""
    matrix, order = pictures((48, 3), 1), (2, 0, 1)
    graph = network(
        text, 17, (1, 2, 6, 4), m=matrix, t=matrix.T.copy(), b=pictures((3,), 2), one=[2.0],
        whole=pictures((1, 3), 3),
    )  # fmt: skip
    graph.output.name = "logits"
    made = outputs.permute_outputs(graph.model, order)
    changed = type(graph)(made)
    assert kinds(changed) == ENDS[text]
    np.testing.assert_allclose(run(changed), run(graph)[:, list(order)], atol=1e-6)
    assert changed.output.name == "logits"


def test_an_output_that_is_read_inside_keeps_its_order_there() -> None:
    graph = network("logits = Flatten (x)\nz = Relu (logits)", 17, (1, 3, 1, 1))
    graph.output.name = "logits"
    made = outputs.permute_outputs(graph.model, (2, 1, 0))
    assert [list(node.input) for node in made.graph.node if node.op_type == "Relu"] == [
        ["unordered"]
    ]


# --- sizes ----------------------------------------------------------------------------------------
KERNELS = {
    "k": np.ones((5, 2, 3, 2), np.float32), "g": np.ones((4, 1, 3, 2), np.float32),
    "t": np.ones((2, 5, 3, 2), np.float32), "m": np.ones((48, 7), np.float32),
    "b": np.ones(5, np.float32), "c": np.ones((4, 9), np.float32), "one": 2.0, "ints": [1, 2],
    "two": np.ones(2, np.float32), "seven": np.ones((1, 7), np.float32),
}  # fmt: skip
COSTS = {  # parameters of all tensors that are stored; multiplications of a row of 2 x 6 x 4
    "y = Conv (x, k, b)": 5 * 4 * 3 * (2 * 3 * 2),
    "y = Conv <pads=[1,0,1,0]> (x, k)": 5 * 6 * 3 * (2 * 3 * 2),
    "y = Conv <group=2> (x, g)": 4 * 4 * 3 * (1 * 3 * 2),
    "y = ConvTranspose <strides=[2,2]> (x, t)": 2 * 6 * 4 * (5 * 3 * 2),
    "r = Flatten (x)\ny = Gemm (r, m)": 48 * 7,
    "r = Flatten (x)\ny = MatMul (r, m)": 48 * 7,
    "y = MatMul (x, c)": 2 * 6 * 9 * 4,
    "s = Flatten (x)\ny = Gemm <transA=1> (s, seven)": 48 * 7,
    "y = Relu (x)": 0,
    "y = BatchNormalization (x, two, two, mean, variance)": 0,
    "u = com.microsoft.Unknown (x)\ny = Conv (u, k)": 0,
}


@pytest.mark.parametrize("text", COSTS)
def test_multiplications_by_hand(text: str) -> None:
    """Numbers that are alone, whole numbers and measured means are no parameters."""
    stored = {"mean": np.zeros(2, np.float32), "variance": np.ones(2, np.float32)}
    graph = network(text, 17, (3, 2, 6, 4), **KERNELS, **stored)
    parameters, macs = onnx_graphs.count_cost(graph.model)
    learned = 60 + 24 + 60 + 336 + 5 + 36 + 2 + 7
    assert parameters == learned + (0 if "Batch" in text else 4)
    assert macs == COSTS[text]


# --- inputs ---------------------------------------------------------------------------------------
CARD = Card("a", "any", ("B4", "B3", "B2"), (0.0,) * 3, (1.0,) * 3, 8, "nearest", lcz.CLASSES)
LAYOUTS: dict[tuple[int | str, ...], list[tuple[int, bool]]] = {
    ("N", 3, 8, 8): [(0, False), (1, False)], (1, 3, 8, 8): [(1, False)], (4, 8, 8, 3): [(4, True)],
    ("N", "C", "H", "W"): [(0, False), (0, True), (1, False), (1, True)],
    (2, "C", "H", "W"): [(2, False), (2, True)], ("N", 8, 8, 3): [(0, True), (1, True)],
    ("N", 3, "H", 8): [(0, False), (1, False)],
}  # fmt: skip


@pytest.mark.parametrize("sizes", LAYOUTS)
def test_layouts_that_declared_sizes_allow(sizes: tuple[int | str, ...]) -> None:
    assert given._list_layouts(Path("a"), CARD, [*sizes]) == LAYOUTS[sizes]


@pytest.mark.parametrize(
    "sizes", [("N", 3, 8), ("N", 4, 8, 8), ("N", 3, 8, 9), ("N", 3, 8, 8, 1), ("N", 8, 8, 4)]
)
def test_layouts_that_are_none(sizes: tuple[int | str, ...]) -> None:
    with pytest.raises(StageError, match=r"expected input \(N, 3, 8, 8\) or \(N, 8, 8, 3\), found"):
        given._list_layouts(Path("a"), CARD, [*sizes])


@pytest.mark.parametrize(
    ("rows", "last"), [(0, False), (1, False), (2, False), (4, False), (0, True), (3, True)]
)
def test_pictures_in_pieces(rows: int, last: bool) -> None:
    """The last piece is filled up, and what fills it is left out."""
    graph = network("y = Flatten (x)", 17, (rows or 1, 4, 2, 3) if last else (rows or 1, 3, 4, 2))
    if not rows:
        graph.input.type.tensor_type.shape.dim[0].dim_param = "N"
        graph.output.type.tensor_type.ClearField("shape")
    images = pictures((5, 3, 4, 2))
    said = given.run_session(onnx_graphs.open_session(graph.model), images, rows, last)
    expected = np.moveaxis(images, 1, -1) if last else images
    np.testing.assert_array_equal(said, expected.reshape(5, -1))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "Non-zero status code returned while running Gemm node. Name:'a' Status Message: bad",
            "Gemm 'a': bad",
        ),
        (
            "while running Conv node. Name:'' Status Message: /x/y.cc:12 void f(int) Too small",
            "Conv '': Too small",
        ),
        ("while running Conv node. Name:'c' Status Message: /x.cc:3 f(int)", "Conv 'c': fails"),
        ("something else\nmore", "something else"),
    ],
)
def test_what_failed_in_few_words(text: str, said: str) -> None:
    assert given.explain_failure(RuntimeError(text)) == said


# --- our own form ---------------------------------------------------------------------------------
def ours(name: str = "image", output: str = "logits", opset: int = 17) -> onnx.ModelProto:
    graph = network("r = Flatten (x)\ny = Gemm (r, m)", m=pictures((48, 3)))
    model, ends = graph.model, (name, output)
    for node in model.graph.node:
        node.input[:] = [name if one == "x" else one for one in node.input]
        node.output[:] = [output if one == "y" else one for one in node.output]
    for value, end, sizes in zip(
        (graph.input, graph.output), ends, (["batch", 2, 6, 4], ["batch", 3]), strict=True
    ):
        value.CopyFrom(helper.make_tensor_value_info(end, TensorProto.FLOAT, sizes))
    del model.opset_import[1:]
    model.opset_import[0].version = opset
    return model


def test_files_that_are_as_ours() -> None:
    assert adoption.has_common_form(ours())
    assert adoption.has_common_form(ours("input"))
    others = [ours("x"), ours(output="y"), ours(opset=16), ours(), ours(), ours(), ours(), ours()]
    others[3].graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    others[4].graph.initializer[0].data_type = TensorProto.DOUBLE
    others[5].graph.node[-1].op_type = "Softmax"
    others[6].graph.input.append(others[6].graph.input[0])
    others[7].opset_import.append(helper.make_opsetid("com.microsoft", 1))
    assert [adoption.has_common_form(other) for other in others] == [False] * len(others)
    empty = ours()
    del empty.graph.node[:]
    assert not adoption.has_common_form(empty)
