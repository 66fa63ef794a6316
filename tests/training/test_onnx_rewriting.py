"""What each rewriting of a graph does, and where it keeps its hands off: listed forms, the picture.

Numbers are those of onnxruntime for the graph as it was; sizes and pads are by hand.
"""

from typing import Any

import numpy as np
import pytest

from shared.onnx_graphs.nodes import attributes
from shared.onnx_graphs.rewriting import listed, picture
from tests.graphs import kinds, network, pictures, run

KERNEL = pictures((3, 2, 3, 2), 1)
KERNELS = {"k": KERNEL, "b": pictures((3,), 2), "four": pictures((4, 1, 3, 2), 3)}

# --- pads -----------------------------------------------------------------------------------------
PADS = {  # of a picture of 6 x 4
    'Conv <auto_pad="SAME_UPPER"> (x, k)': [1, 0, 1, 1],  # 3 x 2
    'Conv <auto_pad="SAME_LOWER"> (x, k)': [1, 1, 1, 0],
    'Conv <auto_pad="SAME_UPPER", strides=[4,3]> (x, k)': [0, 0, 1, 1],  # reads 0-2, 4-6; 0-1, 3-4
    'Conv <auto_pad="SAME_LOWER", strides=[4,3]> (x, k)': [1, 1, 0, 0],
    'Conv <auto_pad="VALID"> (x, k, b)': [0, 0, 0, 0],
    'Conv <auto_pad="VALID", dilations=[2,2], strides=[1,2]> (x, k)': [0, 0, 0, 0],
    'MaxPool <auto_pad="SAME_UPPER", kernel_shape=[3,2], strides=[2,2]> (x)': [0, 0, 1, 0],
    'MaxPool <auto_pad="SAME_LOWER", kernel_shape=[1,2], strides=[5,1]> (x)': [0, 1, 0, 0],
    'AveragePool <auto_pad="SAME_UPPER", kernel_shape=[2,3]> (x)': [0, 1, 1, 1],
    'AveragePool <auto_pad="VALID", kernel_shape=[2,3]> (x)': [0, 0, 0, 0],
    'Conv <auto_pad="NOTSET", pads=[1,2,3,4]> (x, k)': [1, 2, 3, 4],
}


@pytest.mark.parametrize("text", PADS)
def test_pads_are_written_out(text: str) -> None:
    graph = network(f"y = {text}", **KERNELS)
    before = run(graph)
    listed.write_pads(graph)
    said = attributes(graph.graph.node[0])
    assert said["pads"] == PADS[text]
    assert said.get("auto_pad", "NOTSET") == "NOTSET"
    np.testing.assert_allclose(run(graph), before, atol=1e-6)


def test_pads_of_a_dilated_kernel() -> None:
    """Which onnxruntime does not run: 3 x 2 reaches over 5 x 4."""
    graph = network('y = Conv <auto_pad="SAME_LOWER", dilations=[2,3]> (x, k)', **KERNELS)
    listed.write_pads(graph)
    assert attributes(graph.graph.node[0])["pads"] == [2, 2, 2, 1]


@pytest.mark.parametrize(
    "text",
    [
        'y = com.microsoft.Conv <auto_pad="VALID"> (x, k)',
        'y = ConvTranspose <auto_pad="VALID"> (x, k)',
        'v = com.microsoft.Unknown (x)\ny = Conv <auto_pad="SAME_UPPER"> (v, k)',
        'k2 = com.microsoft.Unknown (k)\ny = Conv <auto_pad="SAME_UPPER"> (x, k2)',
    ],
)
def test_pads_that_nobody_knows_are_left(text: str) -> None:
    graph = network(text, **KERNELS)
    listed.write_pads(graph)
    assert "auto_pad" in attributes(graph.graph.node[-1])


# --- classifiers ----------------------------------------------------------------------------------
ROWS = "r = Flatten (x)\n"
MATRIX = {
    "m": pictures((48, 3), 3), "b": pictures((3,), 4), "row": pictures((1, 3), 5), "one": [2.0],
    "cube": pictures((2, 48, 3), 6), "column": pictures((3, 1), 7), "three": pictures((3, 3), 8),
}  # fmt: skip
GEMMS = {
    "p = MatMul (r, m)\ny = Add (p, b)": ["Flatten", "Gemm"],
    "p = MatMul (r, m)\ny = Add (b, p)": ["Flatten", "Gemm"],
    "p = MatMul (r, m)\ny = Add (p, row)": ["Flatten", "Gemm"],
    "p = MatMul (r, m)\nq = Add (p, b)\ny = Relu (q)": ["Flatten", "Gemm", "Relu"],
    "y = MatMul (r, m)": ["Flatten", "Gemm"],
    "p = MatMul (r, m)\ny = Add (p, one)": ["Flatten", "Gemm", "Add"],  # as wide as one
    "p = MatMul (r, m)\ny = Add (p, column)": ["Flatten", "Gemm", "Add"],  # not along the row
    "p = MatMul (r, m)\ny = Add (p, three)": ["Flatten", "Gemm", "Add"],
    "p = MatMul (r, m)\ny = Mul (p, b)": ["Flatten", "Gemm", "Mul"],
    "p = MatMul (r, m)\ny = Add (p, p)": ["Flatten", "Gemm", "Add"],
    "p = MatMul (r, m)\nq = Add (p, b)\ny = Mul (p, q)": ["Flatten", "Gemm", "Add", "Mul"],
    "p = MatMul (r, m)\nq = Relu (p)\ny = Add (p, q)": ["Flatten", "Gemm", "Relu", "Add"],
    "y = MatMul (r, cube)": ["Flatten", "MatMul"],
    "s = Transpose <perm=[1,0]> (r)\ny = MatMul (r, s)": ["Flatten", "Transpose", "MatMul"],
}


@pytest.mark.parametrize("text", GEMMS)
def test_products_of_rows_are_gemms(text: str) -> None:
    graph = network(ROWS + text, **MATRIX)
    before = run(graph)
    listed.write_gemms(graph)
    assert kinds(graph) == GEMMS[text]
    np.testing.assert_allclose(run(graph), before, atol=1e-5)


def test_products_that_are_no_gemms() -> None:
    wide, cube = network("y = MatMul (x, m)", m=pictures((4, 3))), pictures((48, 3)).astype(int)
    whole = network(
        "r = Flatten (x)\nn = Cast <to=7> (r)\np = MatMul (n, m)\ny = Cast <to=1> (p)", m=cube
    )
    for graph in (wide, whole):
        listed.write_gemms(graph)
        assert "MatMul" in kinds(graph)


def test_the_output_is_no_part_of_a_sum() -> None:
    """The product itself is asked for, so a sum of it that nobody reads takes nothing away."""
    graph = network(ROWS + "y = MatMul (r, m)\nz = Add (y, b)", **MATRIX)
    before = run(graph)
    listed.write_gemms(graph)
    assert kinds(graph) == ["Flatten", "Gemm", "Add"]
    np.testing.assert_allclose(run(graph), before, atol=1e-5)


def test_a_gemm_has_the_name_of_what_it_was() -> None:
    graph = network(ROWS + "p = MatMul (r, m)\ny = Add (p, b)", **MATRIX)
    graph.graph.node[1].name = ""
    listed.write_gemms(graph)
    assert graph.graph.node[1].name == "Add-2"


WHOLE = {
    "w": pictures((3, 2, 6, 4), 1), "b": pictures((3,), 2), "half": pictures((4, 1, 6, 4), 3),
    "part": pictures((3, 2, 5, 4), 4), "flat": [-1, 3], "places": [2, 3],
}  # fmt: skip
CONVOLUTIONS = {
    "c = Conv (x, w, b)\ny = Flatten (c)": ["Flatten", "Gemm"],
    "c = Conv (x, w)\ny = Reshape (c, flat)": ["Flatten", "Gemm"],
    "v = Relu (x)\nc = Conv <pads=[0,0,0,0]> (v, w)\ns = Squeeze (c, places)\ny = Neg (s)": [
        "Relu", "Flatten", "Gemm", "Neg",
    ],
    "c = Conv <pads=[0,0,1,0]> (x, w)\ny = Flatten (c)": ["Conv", "Flatten"],
    "c = Conv <group=2> (x, half)\ny = Flatten (c)": ["Conv", "Flatten"],
    "c = Conv (x, part)\ny = Flatten (c)": ["Conv", "Flatten"],
    "c = Conv (x, w)\ny = Squeeze (c, places)": ["Flatten", "Gemm"],
    "c = Conv (x, w)\ny = Relu (c)": ["Conv", "Relu"],
    "c = Conv (x, w)\ny = Flatten <axis=4> (c)": ["Conv", "Flatten"],
    "c = Conv (x, w)\nf = Flatten (c)\ng = Reshape (c, flat)\ny = Add (f, g)": [
        "Conv", "Flatten", "Reshape", "Add",
    ],
}  # fmt: skip


@pytest.mark.parametrize("text", CONVOLUTIONS)
def test_convolutions_as_large_as_what_they_read_are_gemms(text: str) -> None:
    graph = network(text, **WHOLE)
    before = run(graph)
    listed.write_gemms(graph)
    assert kinds(graph) == CONVOLUTIONS[text]
    np.testing.assert_allclose(run(graph), before, atol=1e-5)


# --- the picture ----------------------------------------------------------------------------------
def widths(*values: int) -> list[int]:
    """Begins, then ends, of the four axes; those of height and width are given."""
    top, left, bottom, right = values
    return [0, 0, top, left, 0, 0, bottom, right]


PADDED = {
    "p = Pad (x, w)\ny = Conv (p, k)": [1, 2, 3, 4],
    "p = Pad (x, w, zero)\ny = Conv <pads=[5,6,7,8]> (p, k)": [6, 8, 10, 12],
    'p = Pad <mode="constant"> (x, w, "")\ny = Conv <strides=[2,1]> (p, k)': [1, 2, 3, 4],
    "p = Pad (x, w, one)\ny = Conv (p, k)": None,
    'p = Pad <mode="edge"> (x, w)\ny = Conv (p, k)': None,
    "p = Pad (x, cut)\ny = Conv (p, k)": None,
    "p = Pad (x, more)\ny = Conv (p, wide)": None,
    'p = Pad (x, w)\ny = Conv <auto_pad="SAME_UPPER"> (p, k)': None,
    "p = Pad (x, w)\nc = Conv (p, k)\nd = Conv (p, k)\ny = Add (c, d)": None,
    "n = Identity (w)\np = Pad (x, n)\ny = Conv (p, k)": None,
    "n = Identity (zero)\np = Pad (x, w, n)\ny = Conv (p, k)": None,
    "p = Pad (x, w)\ny = MaxPool <kernel_shape=[5,5]> (p)": None,
}


@pytest.mark.parametrize("text", PADDED)
def test_a_pad_with_zeros_goes_into_the_convolution(text: str) -> None:
    stored: dict[str, Any] = {
        "w": widths(1, 2, 3, 4), "cut": widths(1, -1, 0, 0), "more": [0, 1, 0, 0, 0, 0, 0, 0],
        "zero": 0.0, "one": 1.0, "k": KERNEL, "wide": pictures((3, 3, 3, 2)),
    }  # fmt: skip
    graph = network(text, **stored)
    before, expected = run(graph), PADDED[text]
    picture.merge_pads(graph)
    np.testing.assert_allclose(run(graph), before, atol=1e-5)
    assert ("Pad" in kinds(graph)) == (expected is None)
    if expected:
        assert attributes(graph.graph.node[-1])["pads"] == expected


CONV = "Conv <pads=[1,0,0,1], strides=[1,1]>"
BEFORE = {
    "a = Mul (x, two)\ny = Conv (a, k, b)": ["Conv"],
    "a = Mul (two, x)\nc = Add (a, each)\ny = Conv (c, k)": ["Conv"],
    "a = Sub (x, each)\nc = Div (a, two)\ny = Conv (c, k, b)": ["Conv"],
    "a = Sub (each, x)\ny = Conv (a, k)": ["Conv"],
    "a = Sub (flat, x)\nc = Mul (a, each)\ny = Conv (c, k, b)": ["Conv"],
    "a = Add (x, map)\ny = Conv (a, k)": ["Conv", "Add"],  # other at each place
    f"a = Mul (x, two)\ny = {CONV} (a, k, b)": ["Conv"],  # zero stays zero
    f"a = Add (x, each)\ny = {CONV} (a, k, b)": ["Conv", "Add"],  # less at the border
    "a = Add (x, each)\nc = Conv (a, k)\ny = Relu (c)": ["Conv", "Relu"],
    "a = Add (x, each)\nc = Conv <pads=[1,1,1,1]> (a, k)\ny = Relu (c)": ["Conv", "Add", "Relu"],
    "a = Div (two, x)\ny = Conv (a, k)": ["Div", "Conv"],
    "a = Mul (x, map)\ny = Conv (a, k)": ["Mul", "Conv"],
    "a = Mul (x, many)\ny = Conv (a, k)": ["Mul", "Conv"],  # three pictures of one
    "a = Add (x, once)\ny = Conv (a, k)": ["Conv"],
    "a = Mul (x, x)\ny = Conv (a, k)": ["Mul", "Conv"],
    "a = Mul (x, five)\nr = Squeeze (a, zero)\ny = Conv (r, k)": ["Mul", "Squeeze", "Conv"],
    "a = Relu (x)\ny = Conv (a, k)": ["Relu", "Conv"],
    "y = Conv (x, k)": ["Conv"],
    "a = Mul (x, two)\ny = Conv <group=2> (a, pair)": ["Mul", "Conv"],
    "a = Mul (x, two)\ny = Relu (a)": ["Mul", "Relu"],
    "a = Mul (x, two)\nc = Conv (a, k)\nd = Conv (a, k)\ny = Add (c, d)": [
        "Mul", "Conv", "Conv", "Add",
    ],
    "a = Mul (x, two)\nn = Relu (k)\ny = Conv (a, n)": ["Mul", "Relu", "Conv"],
    "a = Mul (x, two)\nn = Relu (b)\ny = Conv (a, k, n)": ["Mul", "Relu", "Conv"],
}  # fmt: skip


@pytest.mark.parametrize("text", BEFORE)
def test_steps_before_the_first_convolution_go_into_it(text: str) -> None:
    stored: dict[str, Any] = {
        "two": 2.0, "each": np.array([3, -4], np.float32).reshape(1, 2, 1, 1), "flat": [0.5],
        "map": pictures((6, 4), 6), "k": KERNEL, "b": pictures((3,), 2), "zero": [0],
        "many": pictures((3, 1, 1, 1), 7), "once": pictures((1, 1, 1, 1), 8),
        "pair": pictures((4, 1, 2, 2), 3), "five": pictures((1, 1, 2, 1, 1), 4),
    }  # fmt: skip
    graph = network(text, **stored)
    before = run(graph)
    picture.fold_into_convolution(graph)
    assert kinds(graph) == BEFORE[text]
    np.testing.assert_allclose(run(graph), before, atol=1e-4)


def test_a_border_is_named_as_computed_and_the_middle_is_a_bias() -> None:
    """x + 3 under a kernel of ones with pads of 1: 9 · 3 in the middle, 6 · 3 at edges."""
    graph = network(
        "a = Add (x, three)\ny = Conv <pads=[1,1,1,1]> (a, k)",
        three=3.0, k=np.ones((1, 2, 3, 3), np.float32),
    )  # fmt: skip
    picture.fold_into_convolution(graph)
    conv, add = graph.graph.node
    bias, border = graph.constant(conv.input[2]), graph.constant(add.input[1])
    assert bias is not None
    assert border is not None
    np.testing.assert_allclose(bias, [54])
    assert add.input[1].endswith(picture.BORDER)
    assert border.shape == (1, 1, 6, 4)
    assert (border[0, 0, 0, 0], border[0, 0, 0, 1], border[0, 0, 2, 2]) == (-30, -18, 0)
