"""export: graph, lint, calibration, the numbers, going on after a crash, refusals, the check."""

import csv
import dataclasses
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import yaml
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from shared import cli, int8, lcz, manifest, models, onnx_graphs, patches, terminal
from shared.errors import StageError
from shared.models import Card, scores
from shared.pictures import read_picture
from shared.voyager import open_bundle, preprocess
from stages.export import (
    batched_network,
    blame_picture,
    calibration,
    check,
    check_bundles,
    check_commands,
    comparison,
    given_network,
    graph_index,
    inference,
    int8_quantisation,
    layer_blame,
    main,
    metis_lint,
    metis_page,
    metis_rules,
    product_files,
    report_tables,
    static_graph,
)
from stages.export.metis_lint import lint
from tests import foreign, hostile, networks, odd_pictures
from tests.bench import edge_table

CARD = Card(
    "x.onnx", "tiny", ("B4", "B3", "B2"), (0.0,) * 3, (1.0,) * 3, 48, "bilinear", tuple("ab")
)


@pytest.fixture
def student(tmp_path: Path, prepared: Path, prepared_test: Path) -> Path:
    return networks.student(tmp_path / "distill", prepared, prepared_test)


def command(src: Path, dst: Path, *flags: str) -> Path:
    """Run the stage as its container does; its product."""
    files = [f"--{n}={src.parent / 'prepare' / n}ing.h5" for n in ("train", "test")]
    flags = ("--latency_runs=2", "--calibration_per_class=2", "--blame_per_class=1", *flags)
    cli.main(main.run, [f"--src={src}", *files, f"--dst={dst}", *flags])
    return dst


def content(folder: Path) -> dict[str, bytes]:
    """All files of a product but the timings."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "latency.json")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def small(**changes: Any) -> onnx.ModelProto:
    """A network of two classes without meaning."""
    rng = np.random.default_rng(1)
    shapes = {"kernel": (8, 3, 3, 3), "matrix": (8, 2), "bias": (2,)}
    weights = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
    weights |= {name: np.ones(8) for name in ("gain", "shift", "centre", "spread")}
    return networks.graph(weights, **changes)


# The graph.


@pytest.mark.parametrize("changes", [{}, {"batch": 1}])
def test_graph_is_static_named_and_says_the_same(changes: dict[str, object]) -> None:
    network = small(**changes)
    images = np.random.default_rng(2).standard_normal((1, 3, 48, 48)).astype(np.float32)
    before = networks.run(network, images)
    fitted = static_graph.make_static(network, CARD, Path("x.onnx"))
    assert lint(fitted) == []
    assert (graph_index.opset_version(fitted), fitted.graph.input[0].name) == (17, "input")
    session = onnxruntime.InferenceSession(fitted.SerializeToString())
    assert (session.get_inputs()[0].shape, session.get_outputs()[0].shape) == (
        [1, 3, 48, 48],
        [1, 2],
    )
    np.testing.assert_allclose(session.run(["logits"], {"input": images})[0], before, atol=1e-5)


def test_shared_weights_lose_their_identity_nodes() -> None:
    """torch's exporter writes equal weights once, and Identity nodes for the others."""
    network = small()
    before = networks.run(network, np.ones((1, 3, 48, 48), np.float32))
    node = helper.make_node("Identity", ["gain"], ["shift"])
    network.graph.node.insert(0, node)
    constants = [t for t in network.graph.initializer if t.name != "shift"]
    del network.graph.initializer[:]
    network.graph.initializer.extend(constants)
    fitted = static_graph.make_static(network, CARD, Path("x"))
    assert "Identity" not in static_graph.describe(fitted)["operators"]
    after = networks.run(fitted, np.ones((1, 3, 48, 48), np.float32))
    np.testing.assert_allclose(after, before, atol=1e-5)


def test_newer_ir_is_brought_down_to_what_the_sdk_opens() -> None:
    network = small()
    network.ir_version = 13
    assert static_graph.make_static(network, CARD, Path("x")).ir_version == static_graph.IR


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch": 4}, r"image|input: expected shape \(1, 3, 48, 48\), found \[4, 3, 48, 48\]"),
        ({"size": 32}, r"expected shape \(1, 3, 48, 48\)"),
    ],
)
def test_graph_that_does_not_fit(changes: dict[str, object], message: str) -> None:
    with pytest.raises(StageError, match=message):
        static_graph.make_static(small(**changes), CARD, Path("x"))


def test_second_input_is_refused() -> None:
    network = small()
    network.graph.input.append(helper.make_tensor_value_info("tda", TensorProto.FLOAT, ["N", 5]))
    with pytest.raises(StageError, match="expected one input and one output"):
        static_graph.make_static(network, CARD, Path("x"))


def nodes(*, batch: int = 1, outputs: int = 4, **weights: Any) -> Callable[..., onnx.ModelProto]:
    """A network of one picture (batch, 4, 8, 8) `x` to `y` (batch, outputs), from nodes."""

    def build(*body: onnx.NodeProto, opset: int = 17) -> onnx.ModelProto:
        ends = [("x", [batch, 4, 8, 8]), ("y", [batch, outputs])]
        image, scores = (helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in ends)
        stored = [numpy_helper.from_array(np.asarray(v), name) for name, v in weights.items()]
        whole = helper.make_graph(list(body), "graph", [image], [scores], stored)
        imports = [helper.make_opsetid("", opset)]
        return helper.make_model(whole, opset_imports=imports, ir_version=8)

    return build


def node(kind: str, given: str, made: str, **attributes: object) -> onnx.NodeProto:
    return helper.make_node(kind, given.split(), made.split(), f"{kind}-{made}", **attributes)


FIVE = CARD.__class__(
    "x.onnx", "tiny", ("B2", "B3", "B4", "B8"), (0.0,) * 4, (1.0,) * 4, 8, "bilinear", tuple("abcd")
)
TAIL = (node("GlobalAveragePool", "t", "p"), node("Flatten", "p", "y", axis=1))


def kinds(network: onnx.ModelProto) -> list[str]:
    return [item.op_type for item in network.graph.node]


def same(one: onnx.ModelProto, other: onnx.ModelProto) -> None:
    """Both say the same of a random picture."""
    image = np.random.default_rng(5).standard_normal((1, 4, 8, 8)).astype(np.float32)
    np.testing.assert_allclose(networks.run(other, image), networks.run(one, image), atol=1e-5)


def test_batch_normalisation_is_folded_only_behind_a_convolution() -> None:
    assert kinds(static_graph.make_static(small(), CARD, Path("x"))) == [
        "Conv", "Relu", "GlobalAveragePool", "Flatten", "Gemm",
    ]  # fmt: skip
    rng = np.random.default_rng(3)
    four: dict[str, Any] = {
        n: rng.uniform(0.5, 2, 4).astype(np.float32) for n in ("g", "b", "m", "v")
    }
    kernel = rng.standard_normal((4, 4, 3, 3)).astype(np.float32)
    norm = node("BatchNormalization", "c g b m v", "n")
    conv = node("Conv", "x k", "c", pads=[1, 1, 1, 1])
    twice = nodes(k=kernel, **four)(conv, norm, node("Add", "c n", "t"), *TAIL)
    alone = nodes(**four)(node("BatchNormalization", "x g b m v", "t"), *TAIL)
    for network in (twice, alone):
        before = onnx.ModelProto.FromString(network.SerializeToString())
        fitted = static_graph.make_static(network, FIVE, Path("x"))
        assert "BatchNormalization" in kinds(fitted)
        same(before, fitted)


def test_what_hangs_on_constants_alone_is_computed() -> None:
    """As a foreign exporter writes: sizes taken from a tensor, weights scaled in the graph."""
    build = nodes(k=np.full((4, 4, 1, 1), 0.5, np.float32), two=np.float32(2), i=np.array([0]),
                  minus=np.array([-1]), shape=np.array([1]))  # fmt: skip
    network = build(
        node("Mul", "k two", "kernel"), node("Conv", "x kernel", "t"),
        node("GlobalAveragePool", "t", "p"), node("Shape", "p", "s"),
        node("Gather", "s i", "n"), node("Concat", "n minus", "r", axis=0),
        node("Reshape", "p r", "y"),
    )  # fmt: skip
    before = onnx.ModelProto.FromString(network.SerializeToString())
    fitted = static_graph.make_static(network, FIVE, Path("x"))
    assert kinds(fitted) == ["Conv", "GlobalAveragePool", "Flatten"]
    assert [tensor.name for tensor in fitted.graph.initializer] == ["kernel"]
    same(before, fitted)
    assert static_graph.make_static(before, FIVE, Path("x")).SerializeToString(
        deterministic=True
    ) == (fitted.SerializeToString(deterministic=True))


def test_a_single_size_is_taken_and_put_beside_others() -> None:
    """As torch writes a class token: sizes without axes, which get one before they are joined."""
    scalar = helper.make_tensor("v", TensorProto.INT64, [], [0])
    build = nodes(axis=np.array([0]), minus=np.array([-1]), head=np.ones((4, 4), np.float32))
    network = build(
        node("Relu", "x", "t"), node("GlobalAveragePool", "t", "p"), node("Shape", "p", "s"),
        node("Constant", "", "i", value=scalar), node("Gather", "s i", "n"),
        node("Unsqueeze", "n axis", "u"), node("Concat", "u minus", "r", axis=0),
        node("Reshape", "p r", "f"), node("Gemm", "f head", "y"),
    )  # fmt: skip
    before = onnx.ModelProto.FromString(network.SerializeToString())
    fitted = static_graph.make_static(network, FIVE, Path("x"))
    assert kinds(fitted) == ["Relu", "GlobalAveragePool", "Flatten", "Gemm"]
    same(before, fitted)


@pytest.mark.parametrize("keepdims", [0, 1])
def test_means_of_pictures_are_pooled(keepdims: int) -> None:
    mean = node("ReduceMean", "x", "p" if keepdims else "y", axes=[2, 3], keepdims=keepdims)
    network = nodes()(mean, *TAIL[1:] if keepdims else ())
    before = onnx.ModelProto.FromString(network.SerializeToString())
    fitted = static_graph.make_static(network, FIVE, Path("x"))
    assert kinds(fitted) == ["GlobalAveragePool", "Flatten"]
    same(before, fitted)


def test_copy_to_measure_with_takes_any_number_of_rows() -> None:
    fitted = static_graph.make_static(small(), CARD, Path("x"))
    images = np.random.default_rng(4).standard_normal((3, 3, 48, 48)).astype(np.float32)
    one = np.concatenate([networks.run(fitted, image[None]) for image in images])
    np.testing.assert_allclose(
        networks.run(static_graph.with_dynamic_batch(fitted), images), one, atol=1e-5
    )
    assert fitted.graph.input[0].type.tensor_type.shape.dim[0].dim_value == 1


# The lint.

KERNEL = np.ones((4, 4, 3, 3), np.float32)
FLAT: dict[str, Any] = {"k": KERNEL, "w": np.ones((4, 4), np.float32)}
PADS = {"pads": [1, 1, 1, 1]}


def broken(how: str) -> onnx.ModelProto:
    """A fitted graph with one thing wrong."""
    network = static_graph.make_static(small(), CARD, Path("x"))
    if how == "dynamic":
        network.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "N"
    elif how == "batch":
        network.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 4
    elif how == "opset":
        network.opset_import[0].version = 18
    elif how == "ir":
        network.ir_version = 11
    elif how == "external":
        network.graph.initializer[0].data_location = TensorProto.EXTERNAL
    elif how == "double":
        network.graph.input[0].type.tensor_type.elem_type = TensorProto.DOUBLE
    elif how == "normalise":
        network.graph.node.insert(0, helper.make_node("Sub", ["input", "bias"], ["i"], "shift"))
    elif how == "resize":
        network.graph.node.insert(0, helper.make_node("Resize", ["input", "", "s"], ["i"]))
    elif how == "inputs":
        network.graph.input.append(helper.make_tensor_value_info("tda", TensorProto.FLOAT, [1, 5]))
    elif how == "outputs":
        network.graph.output.append(helper.make_tensor_value_info("f", TensorProto.FLOAT, [1, 8]))
    elif how == "domain":
        network.graph.node[1].domain = "com.microsoft"
    return network


@pytest.mark.parametrize("metis", ["1.2", "1.6", "1.8"])
@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("dynamic", "input: expected a static shape, found ['N', 3, 48, 48]"),
        ("batch", "input: expected batch 1, found [4, 3, 48, 48]"),
        ("opset", "opset: expected 14 to 17, found 18"),
        ("ir", "IR version: expected 10 or lower, found 11"),
        ("external", "external data: expected one file, found "),
        ("double", "input: expected float32, found DOUBLE"),
        ("normalise", "shift (Sub): input: prepares the picture, which the SDK does by its YAML"),
        ("resize", "i (Resize): input: prepares the picture"),
        ("inputs", "inputs: expected one, found ['input', 'tda']"),
        ("outputs", "outputs: expected one, found ['logits', 'f']"),
        ("domain", "relu (Relu): domain: expected a standard one, found 'com.microsoft'"),
    ],
)
def test_each_violation_of_the_file_is_named(how: str, message: str, metis: str) -> None:
    assert lint(broken("nothing"), metis) == []
    assert message in "; ".join(map(str, lint(broken(how), metis)))


# A tensor `t` from the picture, what 1.2 and what 1.6 say of it; "" for nothing.
LISTED: list[tuple[tuple[onnx.NodeProto, ...], str, str]] = [
    ((node("Conv", "x k", "t", **PADS),), "", ""),
    ((node("Conv", "x k", "t", auto_pad="SAME_UPPER"),), "auto_pad: SAME_UPPER", "auto_pad"),
    ((node("Conv", "x depth", "t", group=4, **PADS),), "", ""),
    ((node("Conv", "x pair", "t", group=2, **PADS),), "group: 2: expected 1 or as many", ""),
    ((node("Conv", "x wide", "t", group=4),), "kernel_shape: [1, 3]: expected a square", "square"),
    ((node("AveragePool", "x", "t", kernel_shape=[2, 2], auto_pad="VALID"),), "auto_pad", "auto"),
    ((node("AveragePool", "x", "t", kernel_shape=[2, 2]),), "", ""),
    ((node("Relu", "x", "r"), node("Clip", "r zero six", "t")), "", ""),
    ((node("Relu", "x", "r"), node("Clip", "r zero two", "t")), "(0.0, 2.0): expected 0 to 6", "0"),
    ((node("Relu", "x", "r"), node("Add", "r channels", "t")), "", ""),
    ((node("Relu", "x", "r"), node("Mul", "r two", "t")), "", ""),
    ((node("Relu", "x", "r"), node("Mul", "r r", "t")), "", "a product of a tensor with itself"),
    ((node("Relu", "x", "r"), node("Mul", "r columns", "t")), "shape: [1, 4, 8, 8] and", "shape"),
    ((node("Relu", "x", "r"), node("Concat", "r r", "t", axis=1)), "", ""),
    ((node("Relu", "x", "r"), node("Concat", "r r", "t", axis=2)), "axis: 2 of 4 dim", ""),
    ((node("HardSigmoid", "x", "t", alpha=0.16666, beta=0.5),), "", "alpha: 0.16666: expected 0.1"),
    ((node("HardSigmoid", "x", "t", alpha=1 / 6, beta=0.5),), "alpha: 0.1666667: expected", ""),
    ((node("HardSigmoid", "x", "t", alpha=0.166664, beta=0.4),), "beta: 0.4: exp", "beta"),
    ((node("HardSwish", "x", "t"),), "HardSwish-t (HardSwish): not among the operators", ""),
    ((node("Softmax", "x", "t", axis=1),), "(Softmax): not among", ""),
    ((node("Softsign", "x", "t"),), "(Softsign): not among", "the host runs it, if first or last"),
    ((node("Softplus", "x", "t"),), "(Softplus): not among", "the Tanh and Mul of a Mish after it"),
    ((node("Relu", "x", "r"), node("Div", "r two", "t")), "(Div): not among", "the Erf of a GELU"),
    ((node("Relu", "x", "r"), node("Reshape", "r same", "t")), "(Reshape): not among", ""),
    ((node("PRelu", "x slopes", "t"),), "", ""),
    ((node("Pad", "x sides", "t", mode="reflect"),), "mode: reflect: expected constant", "mode"),
    ((node("Relu", "x", "r"), node("Transpose", "r", "t", perm=[0, 1, 3, 2])), "perm", "perm"),
    ((node("Sigmoid", "x", "r"), node("Erf", "r", "t")), "(Erf): not among", "the Erf of a GELU"),
    ((node("Relu", "x", "r"), node("MatMul", "r r", "t")), "(MatMul): not among", "attention"),
]
WEIGHTS: dict[str, Any] = {
    "k": KERNEL, "depth": KERNEL[:, :1], "pair": KERNEL[:, :2], "wide": KERNEL[:, :1, :1],
    "zero": np.float32(0), "two": np.float32(2), "six": np.float32(6),
    "channels": np.ones((1, 4, 1, 1), np.float32), "columns": np.ones(8, np.float32),
    "sides": np.array([0, 0, 1, 1, 0, 0, 1, 1]), "w": np.ones((4, 4), np.float32),
    "w8": np.ones((8, 4), np.float32), "same": np.array([1, 4, 8, 8]),
    "slopes": np.ones((4, 1, 1), np.float32),
}  # fmt: skip


@pytest.mark.parametrize(("body", "old", "new"), LISTED)
def test_operators_and_attributes(body: tuple[onnx.NodeProto, ...], old: str, new: str) -> None:
    wide = any(item.op_type == "Concat" and item.attribute[0].i == 1 for item in body)
    tail = (node("GlobalAveragePool", "t", "p"), node("Flatten", "p", "f", axis=1))
    network = nodes(**WEIGHTS)(*body, *tail, node("Gemm", f"f {'w8' if wide else 'w'}", "y"))
    for metis, message in (("1.2", old), ("1.6", new)):
        violations = lint(network, metis)
        assert [message in str(violation) for violation in violations] == [True] * bool(message), (
            violations
        )


GELU = (
    node("Conv", "x k", "c", **PADS), node("Div", "c two", "d"), node("Erf", "d", "e"),
    node("Add", "e one", "a"), node("Mul", "c a", "m"), node("Mul", "m half", "t"),
)  # fmt: skip
MISH = (
    node("Conv", "x k", "c", **PADS), node("Softplus", "c", "s"), node("Tanh", "s", "h"),
    node("Mul", "c h", "t"),
)  # fmt: skip


@pytest.mark.parametrize(("body", "old"), [(GELU, ["Div", "Erf"]), (MISH, ["Softplus"])])
def test_activations_of_several_nodes(body: tuple[onnx.NodeProto, ...], old: list[str]) -> None:
    """As exporters spell GELU and Mish up to opset 17, where neither is an operator."""
    ones: dict[str, Any] = {"one": np.float32(1), "half": np.float32(0.5)}
    network = nodes(**WEIGHTS, **ones)(
        *body, node("GlobalAveragePool", "t", "p"), node("Flatten", "p", "f"),
        node("Gemm", "f w", "y"),
    )  # fmt: skip
    assert [violation.operator for violation in lint(network, "1.2")] == old
    assert lint(network, "1.6") == []


def test_reshape_may_drop_axes_and_not_add_some() -> None:
    """1.6 lists a Reshape that changes nothing or squeezes."""
    build = nodes(short=np.array([1, 4]), long=np.array([1, 4, 1, 1]), w=WEIGHTS["w"])
    pool, last = node("GlobalAveragePool", "x", "p"), node("Gemm", "s w", "y")
    assert lint(build(pool, node("Reshape", "p short", "s"), last), "1.6") == []
    back = node("Reshape", "s long", "u"), node("Flatten", "u", "g"), node("Gemm", "g w", "y")
    (violation,) = lint(build(pool, node("Reshape", "p short", "s"), *back), "1.6")
    assert "[1, 4] to [1, 4, 1, 1]: expected only axes of 1 to go" in str(violation)


def test_scores_of_four_dimensions_are_flagged() -> None:
    """As a network ends whose classifier is a convolution; the SDK's top-k takes (1, K)."""
    network = nodes()(node("GlobalAveragePool", "x", "y"))
    del network.graph.output[:]
    values = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4, 1, 1])
    network.graph.output.append(values)
    assert "y: expected 2 dimensions, found [1, 4, 1, 1]" in map(str, lint(network))


def test_flatten_is_let_pass_before_the_classifier() -> None:
    end = nodes(**FLAT)(node("Relu", "x", "t"), *TAIL)
    assert [v.operator for v in lint(end, "1.2")] == ["Flatten"]
    assert lint(end, "1.6") == []
    tail = (node("GlobalAveragePool", "t", "p"), node("Flatten", "p", "f"))
    before = nodes(**FLAT)(node("Relu", "x", "t"), *tail, node("Gemm", "f w", "y"))
    assert lint(before, "1.2") == lint(before, "1.6") == []
    turned = nodes(**FLAT)(node("Relu", "x", "t"), *tail, node("Gemm", "f w", "y", transA=1))
    (violation,) = lint(turned, "1.2")
    assert str(violation) == "Gemm-y (Gemm): transA: 1: expected 0"
    assert (violation.verdict, violation.name) == ("refused", "first-factor")


def test_the_page_of_rules_is_what_the_rules_say() -> None:
    said = (metis_rules.FOLDER / "README.md").read_text()
    assert said == metis_page.write(), "stages/export/metis_page.py says how to write it anew"


def test_the_page_names_every_rule_by_release_and_what_cannot_be_checked() -> None:
    page = metis_page.write()
    lines = [line.strip("| ").split(" | ") for line in page.splitlines() if "| " in line]
    for version in metis_rules.VERSIONS:
        profile = metis_rules.load(version)
        for name, rule in profile.rules.items():
            found = [line for line in lines if line[0] == name and version in line[-1].split(", ")]
            assert [line[1] for line in found] == [", ".join(rule.operators)]
        assert all(f"- SDK {version}: {text}" in page for text in profile.unchecked)
    assert "{" not in page.replace("opset{14,15,16,17}", "")


@pytest.mark.parametrize("version", metis_rules.VERSIONS)
def test_a_limit_that_is_computed_breaks_its_rule(version: str) -> None:
    """What is known only when the network runs cannot be checked, and is not taken on trust."""
    nodes = [
        helper.make_node("ReduceMin", ["x"], ["low"], keepdims=0),
        helper.make_node("Clip", ["x", "low", "six"], ["y"]),
    ]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 3, 8, 8]) for n in "xy"]
    six = numpy_helper.from_array(np.float32(6), "six")
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], [six])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    assert "clip" in {v.name for v in metis_lint.judge(model, version).violations}


def test_lint_of_a_version_without_rules() -> None:
    with pytest.raises(
        StageError, match=r"--metis: expected one of 1\.2, 1\.6, 1\.8, found '1\.3'"
    ):
        lint(small(), "1.3")


# Calibration, inference, comparison.


def test_calibration_rows_are_so_many_of_each_class() -> None:
    labels = np.repeat([0, 1, 2], [50, 5, 20])
    rows = calibration.choose_rows(labels, 10, seed=1)
    assert np.bincount(labels[rows]).tolist() == [10, 5, 10]
    assert len(set(rows)) == 25
    np.testing.assert_array_equal(rows, calibration.choose_rows(labels, 10, seed=1))
    assert not np.array_equal(rows, calibration.choose_rows(labels, 10, seed=2))


def test_rows_beside_each_other_equal_one_by_one(tmp_path: Path) -> None:
    onnx.save(static_graph.make_static(small(), CARD, Path("x")), tmp_path / "m.onnx")
    images = np.random.default_rng(3).standard_normal((7, 3, 48, 48)).astype(np.float32)
    one = inference.compute_logits(tmp_path / "m.onnx", [images], 7, 1)
    several = inference.compute_logits(tmp_path / "m.onnx", [images[:4], images[4:]], 7, 3)
    np.testing.assert_array_equal(one, several)
    np.testing.assert_allclose(one, networks.run(small(), images), atol=1e-5)


def test_fast_and_exact_products_say_the_same(
    student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the processor has VNNI, which the fast way needs; elsewhere both are the exact one."""
    out = command(student, tmp_path / "out", "--scheme=per_tensor_min_max")
    images = np.random.default_rng(6).standard_normal((5, 3, 48, 48)).astype(np.float32)
    logits = [inference.compute_logits(out / "model_int8.onnx", [images], 5, 1)]
    monkeypatch.setattr("shared.onnx_graphs.opening.int8_saturates", lambda: True)
    logits.append(inference.compute_logits(out / "model_int8.onnx", [images], 5, 1))
    np.testing.assert_array_equal(logits[0], logits[1])


def test_weights_are_8_bit_per_channel(student: Path, tmp_path: Path) -> None:
    network = onnx.load(command(student, tmp_path / "out") / "model_int8.onnx")
    sizes = {tensor.name: list(tensor.dims) for tensor in network.graph.initializer}
    kernel = next(name for name, dims in sizes.items() if dims == [8, 3, 3, 3])
    weights = next(tensor for tensor in network.graph.initializer if tensor.name == kernel)
    scale = next(n.input[1] for n in network.graph.node if kernel in n.input)
    assert (weights.data_type, sizes[scale]) == (TensorProto.INT8, [networks.FEATURES])
    kinds = {node.op_type for node in network.graph.node}
    assert "BatchNormalization" not in kinds  # folded
    assert network.ir_version <= static_graph.IR


def test_comparison_by_hand(tmp_path: Path) -> None:
    labels = np.array([0, 1, 1, 0])
    one = np.array([[2.0, 0], [0, 2], [0, 2], [0, 1]])
    other = np.array([[2.0, 0], [0, 2.5], [1, 0], [0, 1]])
    files = {"fp32": Path(__file__), "int8": Path(__file__)}
    report = comparison.compare_networks(
        tmp_path, labels, {"fp32": one, "int8": other}, files, ("a", "b")
    )
    assert report["models"]["fp32"]["overall_accuracy"] == 0.75
    assert report["models"]["int8"]["overall_accuracy"] == 0.5
    assert report["models"]["int8"]["points_lost"] == 25.0
    assert (report["agreement"], report["largest_logit_difference"]) == (0.75, 2.0)
    change = report["per_class_change"]
    assert change["recall"] == {"int8": {"a": 0.0, "b": -0.5}}
    # F1: "a" from 2 of 3 to 2 of 4 halves; "b" from 4 / 5 to 2 / 4
    assert change["f1"]["int8"] == pytest.approx({"a": 0.5 - 2 / 3, "b": 0.5 - 0.8})
    lines = report_tables.format_classes(report).splitlines()
    assert lines[0].startswith("| class | rows | recall fp32 % | recall int8 |")
    assert lines[3] == "| b | 2 | 100.0 | -50.0 | 80.0 | -30.0 |"
    assert report_tables.format_networks(report).splitlines()[3].endswith("| 75.00 | 2 |")


def test_top_places_by_hand() -> None:
    logits = np.array([[5.0, 4, 3, 2, 1, 0], [5, 4, 3, 2, 1, 0], [1, 1, 1, 1, 1, 1]])
    assert comparison.top_k_accuracy(np.array([4, 5, 5]), logits) == pytest.approx(1 / 3)
    assert comparison.top_k_accuracy(np.array([4, 5, 4]), logits) == pytest.approx(2 / 3)
    assert comparison.top_k_accuracy(np.array([0, 1, 0]), logits, 1) == pytest.approx(2 / 3)


def test_observed_values_are_those_of_the_rows(student: Path, tmp_path: Path) -> None:
    (card,) = models.load(student)
    fitted = static_graph.make_static(onnx_graphs.load(student / card.file), card, student)
    onnx.save(fitted, tmp_path / "m.onnx")
    rows = np.array([0, 5, 33])
    with patches.read(student.parent / "prepare" / "training.h5", "label") as source:
        observed = calibration.observe_tensors(tmp_path / "m.onnx", source, card, rows, 2)
        images = np.concatenate(list(calibration.iterate_blocks(source, card, rows)))
    assert {"input", "logits"} < set(observed)
    logits = np.concatenate([networks.run(fitted, image[None]) for image in images])
    for name, values in (("input", images), ("logits", logits)):
        seen = observed[name].histogram
        assert seen is not None
        ends = (seen.low, seen.high, seen.counts.sum())
        assert ends == pytest.approx((values.min(), values.max(), values.size), rel=1e-5)
        chosen = observed[name].choose(int8.MIN_MAX)
        assert [float(chosen.low), float(chosen.high)] == [float(seen.low), float(seen.high)]


def depthwise(gain: tuple[float, ...] = (100.0, 1.0, 1.0, 1.0)) -> onnx.ModelProto:
    """Four channels of very different size through a depthwise convolution, and added to it."""
    rng = np.random.default_rng(6)
    kernel = rng.standard_normal((4, 1, 3, 3)).astype(np.float32)
    spread = np.diag(gain).astype(np.float32)[:, :, None, None]
    head = (rng.standard_normal((4, 4)) / np.array(gain)[:, None]).astype(np.float32)
    network = nodes(k=kernel, s=spread, w=head)(
        node("Conv", "x s", "wide"), node("Conv", "wide k", "c", group=4, pads=[1] * 4),
        node("Add", "c wide", "t"), node("GlobalAveragePool", "t", "p"),
        node("Flatten", "p", "f", axis=1), node("Gemm", "f w", "y"),
    )  # fmt: skip
    return static_graph.make_static(network, FIVE, Path("x"))


def observed(network: onnx.ModelProto, folder: Path) -> tuple[Path, dict[str, Any], np.ndarray]:
    """Its file, what is seen of its tensors on some random pictures, and these."""
    path = folder / "depthwise.onnx"
    onnx.save(network, path)
    opened = calibration.InstrumentedNetwork(path, folder)
    images = np.random.default_rng(7).standard_normal((20, 4, 8, 8)).astype(np.float32)
    observers = opened.observers()
    for image in images:
        for observer, values in zip(observers.values(), opened(image), strict=True):
            observer.observe(values)
    return path, observers, images


def run_file(path: Path | bytes, images: np.ndarray) -> np.ndarray:
    session = inference.open_session(path)
    return np.concatenate([session.run(None, {"input": image[None]})[0] for image in images])


def test_hybrid_gives_each_channel_of_a_depthwise_convolution_its_own_range(tmp_path: Path) -> None:
    """One channel is a hundred times as large: on one grid for all, the others have few levels."""
    path, observers, images = observed(depthwise(), tmp_path)
    for scheme in int8.SCHEMES:
        target = tmp_path / f"{scheme}.onnx"
        int8_quantisation.quantise(path, target, observers=observers, scheme=scheme)
        onnx.checker.check_model(onnx.load(target))
        assert run_file(target, images).shape == (20, 4)
    network = onnx.load(tmp_path / f"{int8.HYBRID}.onnx")
    stored = {t.name: numpy_helper.to_array(t) for t in network.graph.initializer}
    (divided,) = (n for n in network.graph.node if n.op_type == "Div")
    values = np.concatenate([image[None] for image in images]) * np.reshape(
        [100, 1, 1, 1], (4, 1, 1)
    )
    low, high = values.min((0, 2, 3)).clip(max=0), values.max((0, 2, 3)).clip(min=0)
    np.testing.assert_allclose(stored[divided.input[1]].ravel(), (high - low) / 255, rtol=1e-5)
    (levels,) = (n for n in network.graph.node if n.input[0] == divided.output[0])
    assert levels.op_type == "QuantizeLinear"
    np.testing.assert_array_equal(stored[levels.input[2]], np.round(-low / ((high - low) / 255)))
    # What is added to the convolution's output keeps the one range of its tensor.
    histogram = onnx.load(tmp_path / f"{int8.HISTOGRAM}.onnx")
    assert kinds(histogram).count("QuantizeLinear") == kinds(network).count("QuantizeLinear") - 1


def test_weights_have_a_scale_per_output_channel_in_every_scheme(tmp_path: Path) -> None:
    path, observers, _ = observed(depthwise(), tmp_path)
    for scheme in int8.SCHEMES:
        int8_quantisation.quantise(path, tmp_path / "q.onnx", observers=observers, scheme=scheme)
        network = onnx.load(tmp_path / "q.onnx")
        stored = {t.name: numpy_helper.to_array(t) for t in network.graph.initializer}
        makers = {n.output[0]: n for n in network.graph.node}
        for layer in (n for n in network.graph.node if n.op_type in ("Conv", "Gemm")):
            back = makers[layer.input[1]]
            assert (back.op_type, stored[back.input[1]].shape) == ("DequantizeLinear", (4,))


# The blame of each layer.


def test_blame_is_that_of_one_layer_by_hand(tmp_path: Path) -> None:
    """The head alone: its matrix on 127 steps a column, its input on 255 levels."""
    network = depthwise()
    path, observers, images = observed(network, tmp_path)
    head = layer_blame.find_layers(network)[-1]
    made = layer_blame.isolate(network, head.output[0], observers[head.input[0]], int8.MIN_MAX)
    opened = calibration.InstrumentedNetwork(path, tmp_path)
    place = opened.names.index(head.input[0])
    pooled = np.concatenate([opened(image)[place] for image in images]).astype(np.float64)
    matrix = {t.name: numpy_helper.to_array(t) for t in network.graph.initializer}[head.input[1]]
    steps = np.abs(matrix).max(0) / 127
    low, high = min(pooled.min(), 0), max(pooled.max(), 0)
    level = (high - low) / 255
    zero = np.round(-low / level)
    rounded = (np.clip(np.round(pooled / level) + zero, 0, 255) - zero) * level
    expected = rounded @ (np.round(matrix / steps) * steps)
    np.testing.assert_allclose(run_file(made, images), expected, atol=1e-4)


def test_a_depthwise_layer_costs_less_channel_by_channel(tmp_path: Path) -> None:
    """Unequal channels cost much where they share one range, and little channel by channel."""
    network = depthwise()
    path, observers, images = observed(network, tmp_path)
    labels, lines = run_file(path, images).argmax(1), {}

    class Given(layer_blame.Rows):
        def __init__(self) -> None: ...

        def run(self, network: Path | bytes) -> np.ndarray:
            return run_file(network, images)

    for scheme in int8.SCHEMES:
        lines[scheme] = layer_blame.measure_layers(path, observers, scheme, Given(), labels)
    assert [line["depthwise"] for line in lines[int8.MIN_MAX]] == [False, True, False]
    worst = layer_blame.find_worst(lines[int8.MIN_MAX])
    assert [one["sqnr_db"] for one in worst] == sorted(
        one["sqnr_db"] for one in lines[int8.MIN_MAX]
    )
    decibels = {scheme: of[1]["sqnr_db"] for scheme, of in lines.items()}
    assert decibels[int8.HYBRID] > decibels[int8.MIN_MAX] + 6
    assert lines[int8.HYBRID][0] == lines[int8.HISTOGRAM][0]


def test_sqnr_and_points_by_hand() -> None:
    whole, rounded = np.array([[3.0, 4.0], [1.0, 0.0]]), np.array([[3.0, 4.0], [0.0, 1.0]])
    found = layer_blame.compare(whole, rounded, np.array([1, 0]))
    # power 9 + 16 + 1, noise 1 + 1
    assert found["sqnr_db"] == pytest.approx(10 * np.log10(26 / 2))
    assert (found["points_lost"], found["agreement"]) == (50.0, 0.5)
    assert layer_blame.compare(whole, whole, np.array([1, 0]))["sqnr_db"] is None


def test_picture_of_the_blame(tmp_path: Path) -> None:
    line = {"operator": "Conv", "depthwise": False, "points_lost": 1.0, "agreement": 1.0}
    lines = [{"layer": "a" * 80, "sqnr_db": 40.0, **line}, {"layer": "b", "sqnr_db": None, **line}]
    blame_picture.draw(tmp_path / "one.png", lines, ["b"], "title")
    blame_picture.draw(tmp_path / "two.png", lines, ["a" * 80], "title")
    pictures = [np.asarray(Image.open(tmp_path / f"{n}.png")) for n in ("one", "two")]
    bars = [(p == np.array(blame_picture.FINE)).all(-1).sum() for p in pictures]
    marked = [(p == np.array(blame_picture.WORST)).all(-1).sum() for p in pictures]
    assert bars[0] == marked[1] > 1000 > marked[0]


# The whole stage.


def test_product(student: Path, tmp_path: Path) -> None:
    out = command(student, tmp_path / "out")
    report = json.loads((out / "report.json").read_text())
    assert report["parity"]["largest_logit_difference"] < 1e-4
    assert report["models"]["fp32"]["overall_accuracy"] > 0.9
    assert report["models"]["int8"]["overall_accuracy"] > 0.7
    names = ["fp32", "int8", *(f"int8-{scheme}" for scheme in int8.SCHEMES[1:])]
    assert list(report["models"]) == names
    assert report["calibration"]["scheme"] == "per_tensor_histogram"
    assert json.loads((out / "model.json").read_text())["scheme"] == "per_tensor_histogram"
    blame = report["blame"]
    assert (blame["scheme"], blame["rows"]) == ("per_tensor_histogram", 17)
    assert {line["layer"] for line in blame["worst"]} == {"conv", "head"}
    with (out / "blame.csv").open(newline="") as file:
        assert [line["layer"] for line in csv.DictReader(file)] == ["conv", "head"]
    assert Image.open(out / "blame.png").format == "PNG"
    judged = json.loads((out / "lint.json").read_text())
    assert [entry["violations"] for entry in judged.values()] == [[], [], []]
    counts = {"accelerated": len(judged["1.8"]["nodes"]), "host": 0, "refused": 0}
    assert report["metis"] == {
        "version": "1.8",
        "input": "3 channels: the SDK's picture path feeds them as RGB or BGR",
        "violations": dict.fromkeys(judged, 0),
        "operators": dict.fromkeys(judged, counts),
        "accelerated_macs": dict.fromkeys(judged, 1.0),
    }
    assert report["graph"]["operators"]["Conv"] == 1
    (card,) = models.load(out)
    assert (card.file, card.classes) == ("model.onnx", models.load(student)[0].classes)
    for folder in (out, out / "int8", out / "int8-per_tensor_min_max"):
        scores = np.load(folder / "test_scores.npy")
        np.testing.assert_allclose(scores.sum(1), 1, atol=1e-5)
        assert np.load(folder / "test_logits.npy").shape == scores.shape == (17, 17)
    times = json.loads((out / "latency.json").read_text())
    assert set(times) == {*names, "threads", "runs"}
    assert list(times["int8"]["rows"]) == ["1", "8", "32"]
    assert 0 < times["fp32"]["median_ms"] <= times["fp32"]["p99_ms"]
    assert (out / "table.md").read_text().count("\n") == 2 + 4 + 1 + 2 + 17


def test_calibration_is_by_rows_of_the_training_split(
    student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of each class the row that the seed chooses; the test split has as many classes."""
    observe, seen = calibration.observe_tensors, []

    def spy(fp32: Path, source: patches.Source, card: Card, rows: np.ndarray, threads: int) -> Any:
        seen.append((source.path, rows.tolist()))
        return observe(fp32, source, card, rows, threads)

    monkeypatch.setattr(calibration, "observe_tensors", spy)
    training, testing = (student.parent / "prepare" / f"{name}ing.h5" for name in ("train", "test"))
    files = (f"--src={student}", f"--train={training}", f"--test={testing}")
    flags = ("--calibration_per_class=1", "--seed=5", "--scheme=per_tensor_min_max")
    cli.main(main.run, [*files, f"--dst={tmp_path / 'out'}", "--latency_runs=2", *flags])
    pairs = [[number, number + 17] for number in range(17)]  # rows of each class
    chosen = [int(np.random.default_rng((5, k)).permutation(two)[0]) for k, two in enumerate(pairs)]
    assert max(chosen) > 16  # rows that only the training split has
    assert seen == [(training, sorted(chosen))]


def test_the_tolerance_is_the_one_asked_for(student: Path, tmp_path: Path) -> None:
    """Logits that are off by 0.5 are refused by default (`test_refuses`)."""
    spoil(student, "logits")
    out = command(student, tmp_path / "out", "--tolerance=0.5", "--scheme=per_tensor_min_max")
    parity = json.loads((out / "report.json").read_text())["parity"]
    assert parity["tolerance"] == 0.5
    assert parity["largest_logit_difference"] == pytest.approx(0.5, abs=1e-3)


def test_schemes_make_different_networks(student: Path, tmp_path: Path) -> None:
    out = command(student, tmp_path / "out", "--scheme=per_tensor_min_max,per_tensor_histogram")
    chosen = content(out)
    assert chosen["model_int8.onnx"] != chosen["model_int8_per_tensor_histogram.onnx"]
    only = content(command(student, tmp_path / "only", "--scheme=per_tensor_min_max"))
    assert chosen["model_int8.onnx"] == only["model_int8.onnx"]
    assert "int8-per_tensor_histogram/metrics.json" not in only


def test_five_bands_of_two_sensors(
    tmp_path: Path, prepared: Path, prepared_test: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bands = ("B2", "B3", "B4", "B8", "VV")
    with patches.read(prepared, "label") as source:
        layout = source["sen1"].layout
        assert layout is not None
    bands = (*bands[:4], layout.bands[-1])
    src = networks.student(tmp_path / "distill", prepared, prepared_test, bands)
    out = command(src, tmp_path / "out", "--scheme=per_tensor_histogram")
    network = onnx.load(out / "model.onnx")
    assert graph_index.shape_of(network.graph.input[0]) == (1, 5, 48, 48)
    report = json.loads((out / "report.json").read_text())
    assert report["models"]["int8"]["agreement"] > 0.5
    said = "5 channels: the SDK's picture path feeds 1, 3 or 4 channels; others go in as tensors "
    assert report["metis"]["input"] == f"{said}through axelera.runtime alone"
    assert f"Metis: {said}" in capsys.readouterr().err


def hard(student: Path) -> None:
    """A student with an activation that 1.2 does not list."""
    network = onnx.load(student / "student.onnx")
    next(n for n in network.graph.node if n.op_type == "Relu").op_type = "HardSwish"
    onnx.save(network, student / "student.onnx")
    (card,) = models.load(student)
    values, _ = networks.images(student.parent / "prepare" / "testing.h5", card)
    np.save(student / "test_logits.npy", networks.run(network, values))


def test_hard_swish_is_refused_for_1_2_and_taken_for_1_6(
    student: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hard(student)
    with pytest.raises(SystemExit, match="2"):
        command(student, tmp_path / "out", "--metis=1.2")
    told = capsys.readouterr().err.splitlines()
    line = "Metis 1.2: relu (HardSwish): not among the operators that Metis compiles. Use SDK 1.6"
    assert any(each.startswith(line) for each in told)
    assert "Metis 1.2 does not compile it: 1 × HardSwish" in told[-1]
    assert not list(tmp_path.glob("out*"))
    with pytest.raises(SystemExit, match="2"):
        command(student, tmp_path / "out", "--metis=1.5")
    assert "--metis: expected 1.2, 1.6 or 1.8, found '1.5'" in capsys.readouterr().err
    command(student, tmp_path / "new", "--metis=1.6", "--scheme=per_tensor_min_max")
    flags = ("--metis=1.2", "--nostrict", "--scheme=per_tensor_min_max")
    judged = json.loads((command(student, tmp_path / "old", *flags) / "lint.json").read_text())
    (violation,) = judged["1.2"]["violations"]
    assert (violation["node"], violation["operator"]) == ("relu", "HardSwish")
    assert [entry["counts"]["refused"] for entry in judged.values()] == [1, 0, 0]


def test_same_again_bit_for_bit(student: Path, tmp_path: Path) -> None:
    one = command(student, tmp_path / "one", "--threads=1", "--batch=5")
    assert content(one) == content(command(student, tmp_path / "other", "--threads=2"))


def test_goes_on_after_a_crash(
    student: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    whole = content(command(student, tmp_path / "whole"))
    logits = inference.compute_logits

    def crash(path: Path, *rest: Any) -> np.ndarray:
        if path.name == main.INT8:
            raise KeyboardInterrupt
        return logits(path, *rest)

    monkeypatch.setattr(inference, "compute_logits", crash)
    with pytest.raises(SystemExit):
        command(student, tmp_path / "out")
    monkeypatch.setattr(inference, "compute_logits", logits)
    assert not (tmp_path / "out").exists()
    unfinished = tmp_path / "out.partial" / "int8" / "unfinished-test_logits.npy"
    unfinished.parent.mkdir(exist_ok=True)
    unfinished.write_bytes(b"half")  # as a kill in the middle of a write leaves it
    capsys.readouterr()
    assert content(command(student, tmp_path / "out")) == whole
    assert "model_int8.onnx: kept from the earlier run" in capsys.readouterr().err


def test_goes_on_after_a_stop_between_two_schemes(
    student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second INT8 network needs the calibration that was done for the first one."""
    schemes = "--scheme=per_tensor_min_max,per_tensor_histogram"
    whole = content(command(student, tmp_path / "whole", schemes))
    quantise = int8_quantisation.quantise

    def stop(*given: Any, scheme: int8.Scheme, **more: Any) -> None:
        if scheme == int8.HISTOGRAM:
            raise KeyboardInterrupt
        quantise(*given, scheme=scheme, **more)

    with monkeypatch.context() as patch:
        patch.setattr(int8_quantisation, "quantise", stop)
        with pytest.raises(SystemExit, match="130"):
            command(student, tmp_path / "out", schemes)
    assert (tmp_path / "out.partial" / main.INT8).exists()
    assert content(command(student, tmp_path / "out", schemes)) == whole


def spoil(student: Path, how: str) -> None:
    """Make one input of the stage wrong."""
    if how == "not onnx":
        (student / "student.onnx").write_bytes(b"\x80 no protobuf")
    elif how == "empty":
        (student / "student.onnx").write_bytes(b"")
    elif how == "logits":
        np.save(student / "test_logits.npy", np.load(student / "test_logits.npy") + 0.5)
    elif how == "rows":
        np.save(student / "test_labels.npy", np.load(student / "test_labels.npy")[:-1])
    elif how == "cut":
        file = student.parent / "prepare" / "testing.h5"
        file.write_bytes(file.read_bytes()[:2000])
    elif how == "bands":
        text = (student / "model.json").read_text()
        (student / "model.json").write_text(text.replace('"B4"', '"B99"'))
    elif how == "classes":
        text = (student / "model.json").read_text()
        (student / "model.json").write_text(text.replace("17_Water", "17_Sea"))
    elif how == "card":
        (student / "model.json").unlink()


@pytest.mark.parametrize(
    ("how", "flag", "message"),
    [
        ("not onnx", "", "student.onnx: not a usable ONNX file"),
        ("empty", "", "student.onnx: not a usable ONNX file"),
        ("logits", "", "the ONNX gives other logits than its trainer, by 0.5"),
        ("rows", "", "labels differ from"),
        ("cut", "", "testing.h5: not a complete HDF5 file"),
        ("bands", "", "expected band 'B99'"),
        ("classes", "", "expected the network's 17 classes"),
        ("card", "", "expected a model folder"),
        ("", "--batch=0", "--batch: expected at least 1, found 0"),
        ("", "--seed=-1", "--seed: expected at least 0, found -1"),
        ("", "--scheme=best", "expected per_tensor_histogram, per_tensor_min_max or "),
        (
            "",
            "--scheme=per_tensor_min_max,per_tensor_min_max",
            "found 'per_tensor_min_max, per_tensor_min_max'",
        ),
        ("", "--sed=1", "--sed: no such flag; did you mean --seed?"),
    ],
)
def test_refuses(
    student: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    how: str,
    flag: str,
    message: str,
) -> None:
    spoil(student, how)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(SystemExit, match="2"):
        command(student, tmp_path / "made" / "out", *filter(None, [flag]))
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ")
    assert message in error
    assert sorted(tmp_path.rglob("*")) == before  # nothing left behind


# Networks as other people's exporters write them.


def written(folder: Path, test: Path, dst: Path) -> given_network.GivenNetwork:
    """What was given; its FP32 network is written as the stage does."""
    with patches.read(test, "label") as source:
        network = given_network.read(folder, source, source)
        product_files.write_fp32(dst, network, source, metis="1.2", strict=False)
    return network


@pytest.mark.parametrize("name", foreign.STYLES)
def test_styles_of_other_exporters(prepared_test: Path, tmp_path: Path, name: str) -> None:
    style = foreign.STYLES[name]
    folder = foreign.folder(tmp_path / "given", style)
    network = written(folder, prepared_test, tmp_path / "model.onnx")
    images, labels = networks.images(prepared_test, network.card)
    np.testing.assert_array_equal(network.labels, labels)
    logits = inference.compute_logits(tmp_path / "model.onnx", [images], 17, 1)
    style.check(logits, images)
    with patches.read(prepared_test, "label") as source:
        where, outputs = network.stored_outputs(source, 5)
    assert where == folder / "a.onnx"
    assert comparison.check_parity(logits, outputs, where, 2e-3) >= 0


@pytest.mark.parametrize("name", foreign.LISTED)
def test_metis_takes_what_others_wrote(prepared_test: Path, tmp_path: Path, name: str) -> None:
    """No node of the picture, no transposes, no softmax, no Identity is left.

    A mean taken off before a padded convolution leaves a constant of the size of the picture, which
    differs at the border alone; 1.8 adds such a one on the host.
    """
    folder = foreign.folder(tmp_path / "given", foreign.STYLES[name])
    written(folder, prepared_test, tmp_path / "model.onnx")
    model = onnx.load(tmp_path / "model.onnx")
    assert lint(model, "1.2") == []
    left = [(v.node.rpartition("_at_")[2], v.operator, v.verdict) for v in lint(model, "1.8")]
    assert left == ([("border", "Add", "host")] if name in ("keras-scaled", "matlab") else [])


@pytest.mark.parametrize("name", foreign.REFUSED)
def test_networks_that_no_stage_takes(prepared_test: Path, tmp_path: Path, name: str) -> None:
    build, message = foreign.REFUSED[name]
    folder = foreign.folder(tmp_path / "given", foreign.Style(build))
    with pytest.raises(StageError) as caught:
        written(folder, prepared_test, tmp_path / "model.onnx")
    assert f"{folder}/a.onnx: " in str(caught.value)
    assert message in str(caught.value)


def test_a_folder_of_others_is_exported(
    prepared: Path, prepared_test: Path, tmp_path: Path
) -> None:
    """Probabilities of a file without stored rows are what its logits are held against."""
    assert prepared != prepared_test
    style, classes = foreign.STYLES["keras-batch-1"], list(lcz.CLASSES[::-1])
    folder = foreign.folder(tmp_path / "given", style, classes=classes)
    out = command(folder, tmp_path / "out", "--scheme=per_tensor_min_max")
    (card,) = models.load(out)
    images, _ = networks.images(prepared_test, card)
    assert card.classes == lcz.CLASSES
    right = style.logits(images).argmax(1)
    np.testing.assert_array_equal(np.load(out / "test_logits.npy").argmax(1), 16 - right)
    parity = json.loads((out / "report.json").read_text())["parity"]
    assert parity["largest_logit_difference"] < 1e-4


def test_a_range_is_fitted_to_a_network_of_others_alone(
    student: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its logits stay; a student that sees levels keeps those that it was trained with."""
    flags = ("--range=fitted", "--scheme=per_tensor_min_max")
    out = command(student, tmp_path / "out", *flags)
    (given,), (card,) = models.load(student), models.load(out)
    assert not given.low
    assert all(0 <= low < high < 0.2 for low, high in card.limits)
    report = json.loads((out / "report.json").read_text())
    assert report["parity"]["largest_logit_difference"] < 1e-3
    models.save(student, [dataclasses.replace(given, eight_bit=True)])
    with pytest.raises(SystemExit, match="2"):
        command(student, tmp_path / "other", *flags)
    expected = "--range: expected published, with which this network was trained, found fitted"
    assert expected in capfd.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "other").exists()


def test_stored_probabilities_count(prepared_test: Path, tmp_path: Path) -> None:
    """A softmax of the file is cut off, and the rows that its trainer stored have one."""
    style = foreign.STYLES["keras"]
    folder = foreign.folder(tmp_path / "given", style)
    (card,) = models.load(folder)
    images, labels = networks.images(prepared_test, card)
    np.save(folder / "test_labels.npy", labels)
    stored = scores.softmax(style.logits(images)).astype(np.float32)
    np.save(folder / "test_logits.npy", stored)
    network = written(folder, prepared_test, tmp_path / "model.onnx")
    logits = inference.compute_logits(tmp_path / "model.onnx", [images], 17, 1)
    with patches.read(prepared_test, "label") as source:
        where, outputs = network.stored_outputs(source, 5)
    assert where == folder / "test_logits.npy"
    assert comparison.check_parity(logits, outputs, where, 1e-5) < 1e-5
    with pytest.raises(StageError, match=r"test_logits\.npy: the ONNX gives other logits"):
        comparison.check_parity(logits, np.roll(outputs, 1, 1), where, 1e-3)


def test_logits_are_compared_by_their_size() -> None:
    """EfficientNet-B0 after four epochs says 262 where another sum says 262.002."""
    stored = np.array([[262.0, 1.0], [-0.5, 0.25]])
    where = Path("test_logits.npy")
    assert comparison.check_parity(stored + 0.002, stored, where, 1e-3) == pytest.approx(0.002)
    with pytest.raises(StageError, match=r"by 0\.3 in row 0, expected at most 0\.262 \(--tol"):
        comparison.check_parity(stored + 0.3, stored, where, 1e-3)
    with pytest.raises(StageError, match=r"by 0\.002 in row 0, expected at most 0\.001 \(--tol"):
        comparison.check_parity(stored[1:] + 0.002, stored[1:], where, 1e-3)
    with pytest.raises(StageError, match="gives other logits than its trainer, by nan in row 1"):
        comparison.check_parity(stored * [[1], [np.nan]], stored, where, 1e-3)


# The check of a shipped bundle, and of a network alone.


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle as voyager leaves it, of two classes: darker and lighter pictures."""
    folder = tmp_path_factory.mktemp("check") / "tiny"
    rng, sdk = np.random.default_rng(0), "$AXELERA_FRAMEWORK/customers/tiny"
    for k, name in enumerate(("a_dark", "b_light")):
        (folder / "val" / name).mkdir(parents=True)
        for i in range(4):
            tile = rng.integers(120 * k, 120 * k + 100, (16, 16, 3)).astype(np.uint8)
            Image.fromarray(tile).save(folder / "val" / name / f"{i}.png")
    kernel = np.ones((8, 3, 3, 3)) / 27
    weights = {"kernel": kernel, "matrix": np.ones((8, 1)) * [-1, 1], "bias": np.array([3.6, -3.6])}
    ones = dict.fromkeys(("gain", "spread"), np.ones(8)) | dict.fromkeys(
        ("shift", "centre"), np.zeros(8)
    )
    card = Card("", "t", ("B4", "B3", "B2"), (0.0,) * 3, (1.0,) * 3, 32, "bilinear", ("d", "l"))
    onnx.save(
        static_graph.make_static(networks.graph(weights | ones, size=32), card, Path("x")),
        folder / "model.onnx",
    )
    resize = {"width": 32, "height": 32, "half_pixel_centers": True, "interpolation": "bilinear"}
    steps = [{"resize": resize}, {"torch-totensor": None}]
    steps.append({"normalize": {"mean": "0, 0, 0", "std": "1, 1, 1"}})
    content = {
        "name": "tiny",
        "pipeline": [{"classification": {"model_name": "tiny", "preprocess": steps}}],
        "models": {"tiny": {"weight_path": f"{sdk}/model.onnx", "dataset": "d"}},
        "datasets": {"d": {"labels_path": f"{sdk}/labels.txt", "val_data": "val"}},
    }
    (folder / "tiny.yaml").write_text(yaml.safe_dump(content))
    (folder / "labels.txt").write_text("dark\nlight\n")
    stored = {"accuracy": {"png": {"overall_accuracy": 1.0}}}
    (folder / "readback.json").write_text(json.dumps(stored))
    return folder


@pytest.fixture
def bundle(shipped: Path, tmp_path: Path) -> Path:
    """A copy of its own, with a manifest."""
    folder = tmp_path / "bundle"
    shutil.copytree(shipped, folder)
    seal(folder)
    return folder


def seal(folder: Path) -> None:
    """MANIFEST.json of the files as they are."""
    (folder / "MANIFEST.json").unlink(missing_ok=True)
    files = {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }
    image = dict.fromkeys(("file", "id", "sha256", "tag"), "")
    content = {"files": files, "image": image}
    whole = {"sha256": manifest.seal(content), **content}
    (folder / "MANIFEST.json").write_text(json.dumps(whole))


def test_check_of_a_whole_bundle(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check.main([f"--bundle={bundle}", f"--dst={tmp_path / 'found.json'}"])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert (lines[0][:2], lines[0][-3:]) == (["8", "pictures"], ["rows", "per", "second"])
    assert lines[2:] == [
        ["dark", "4", "100.00"], ["light", "4", "100.00"],
        ["all", "8", "100.00", "stored:", "100.00"],
    ]  # fmt: skip
    assert json.loads((tmp_path / "found.json").read_text())["accuracy"] == 100


def test_check_says_which_releases_a_bundle_is_for(
    shipped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the manifest that voyager writes, without an image."""
    folder = shutil.copytree(shipped, tmp_path / "bundle")
    ranges = {"1.2": ("1.2.5", "1.3"), "1.8": ("1.8.0", "1.9")}
    sdk = {"profiles": {n: {"least": a, "below": b} for n, (a, b) in ranges.items()}}
    (folder / "MANIFEST.json").write_bytes(manifest.write(folder, None, None, sdk))
    check.main([f"--bundle={folder}"])
    _, first, second, *_ = capsys.readouterr().out.splitlines()
    assert first == "for SDK 1.2.5 to below 1.3, 1.8.0 to below 1.9"
    assert second.split() == ["class", "pictures", "right", "%"]
    assert manifest.verify(folder, image=False)["image"] is None
    with pytest.raises(manifest.RefusedError, match="expected the image that was sent along"):
        manifest.verify(folder)


def test_check_says_what_the_sdk_will_see_of_the_calibration_pictures(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (bundle / "repr").mkdir()
    for place in range(250):
        number = 0 if place >= 240 else place % 2  # of the second class there are 120
        (bundle / "repr" / f"{place:04d}_{number + 1:02d}_{place:06d}.png").write_bytes(b"")
    description = yaml.safe_load((bundle / "tiny.yaml").read_text())
    description["datasets"]["d"]["repr_imgs_dir_path"] = "$AXELERA_FRAMEWORK/customers/tiny/repr"
    (bundle / "tiny.yaml").write_text(yaml.safe_dump(description))
    seal(bundle)
    check.main([f"--bundle={bundle}"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:5] == [
        "calibration, the first --num-cal-images by name:",
        "  the first 100: 50 of each of 2 classes",
        "  the first 200: 100 of each of 2 classes",
        "  all 250: 120 to 130 of each of 2 classes",
    ]


def test_pictures_are_classified_into_a_table(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "images").mkdir()
    for name, grey, side in (("one.png", 200, 16), ("two.PNG", 30, 40)):
        Image.new("RGB", (side, side), (grey,) * 3).save(tmp_path / "images" / name)
    flags = [f"--images={tmp_path / 'images'}", f"--dst={tmp_path / 'out.csv'}"]
    check.main([f"--bundle={bundle}", *flags])
    rows = [line.split(",")[:2] for line in (tmp_path / "out.csv").read_text().split()]
    assert rows == [["file", "class"], ["one.png", "light"], ["two.PNG", "dark"]]
    speed, *counts = capsys.readouterr().out.splitlines()
    assert re.fullmatch(
        r"2 pictures in \d+\.\d\d s on (1 thread|\d+ threads): \d+ rows per second", speed
    )
    assert " ".join(counts).split() == ["dark", "1", "light", "1", "all", "2"]


def test_speed_by_hand() -> None:
    said = check_commands.describe_speed(300, 1.5, 4)
    assert said == "300 pictures in 1.50 s on 4 threads: 200 rows per second"


def test_neither_threads_nor_blocks_change_a_class(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seventy pictures of three sizes among each other, in blocks of 32 or one by one."""
    rng, folder = np.random.default_rng(0), tmp_path / "images"
    folder.mkdir()
    for place in range(70):
        tile = rng.integers(0, 256, ((16, 16, 23)[place % 3], 16, 3)).astype(np.uint8)
        Image.fromarray(tile).save(folder / f"{place:02d}.png")
    opened, paths = open_bundle(bundle), sorted(folder.iterdir())
    one = check_bundles.logits(opened, paths, 1)
    np.testing.assert_array_equal(check_bundles.logits(opened, paths, 3), one)
    pictures = [preprocess(read_picture(path)[None], opened.steps) for path in paths]
    alone = inference.open_session(bundle / "model.onnx")
    name = alone.get_inputs()[0].name
    expected = np.concatenate([alone.run(None, {name: picture})[0] for picture in pictures])
    np.testing.assert_allclose(one, expected, rtol=1e-5, atol=1e-5)
    monkeypatch.setattr(check_bundles, "BATCH", 1)
    np.testing.assert_allclose(check_bundles.logits(opened, paths, 2), expected, rtol=1e-6)


def test_a_network_that_mixes_rows_gets_one_at_a_time(tmp_path: Path) -> None:
    """Its mean is over all axes, those of the rows too; a reshape to one row does not take two."""
    mixing = node("ReduceMean", "x", "m", axes=[0, 2, 3], keepdims=1)
    rest = (node("Add", "x m", "t"), *TAIL)
    fixed = node("Reshape", "p shape", "y")
    for name, network in {
        "mixing": nodes()(mixing, *rest),
        "fixed": nodes(shape=np.array([1, 4]))(node("GlobalAveragePool", "x", "p"), fixed),
    }.items():
        onnx.save(network, tmp_path / f"{name}.onnx")
        opened = batched_network.BatchedNetwork(tmp_path / f"{name}.onnx", 32)
        images = np.random.default_rng(0).standard_normal((5, 4, 8, 8)).astype(np.float32)
        session = inference.open_session(tmp_path / f"{name}.onnx")
        expected = [session.run(None, {"x": image[None]})[0] for image in images]
        assert opened.rows == 1
        np.testing.assert_array_equal(opened(images), np.concatenate(expected))
    plain = nodes()(node("Relu", "x", "t"), *TAIL)
    onnx.save(plain, tmp_path / "plain.onnx")
    assert batched_network.BatchedNetwork(tmp_path / "plain.onnx", 32).rows == 32


def test_the_first_picture_that_cannot_be_read_is_named(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Though another thread meets a later one first, and the warnings are as they were."""
    (tmp_path / "images").mkdir()
    whole = (bundle / "val" / "a_dark" / "0.png").read_bytes()
    for place in range(200):
        cut = whole[:60] if place in (70, 190) else whole
        (tmp_path / "images" / f"{place:03d}.png").write_bytes(cut)
    before = list(warnings.filters)
    with pytest.raises(SystemExit, match="2"):
        check.main([f"--bundle={bundle}", f"--images={tmp_path / 'images'}", "--threads=4"])
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert "images/070.png: not a readable picture, or cut short" in line
    assert list(warnings.filters) == before


def damage(bundle: Path, how: str) -> None:
    """Make one thing of a bundle wrong."""
    picture = bundle / "val" / "a_dark" / "2.png"
    if how == "flipped":
        content = bytearray(picture.read_bytes())
        content[40] ^= 1
        picture.write_bytes(content)
    elif how == "missing":
        picture.unlink()
    elif how == "added":
        (bundle / "more.txt").write_text("")
    elif how == "manifest":
        text = (bundle / "MANIFEST.json").read_text()
        (bundle / "MANIFEST.json").write_text(text.replace('"tag": ""', '"tag": "x"'))
    elif how == "worse":
        shutil.move(picture, bundle / "val" / "b_light" / "9.png")
        seal(bundle)
    elif how == "no accuracy":
        (bundle / "readback.json").write_text("{}")
        seal(bundle)
    elif how == "no yaml":
        (bundle / "tiny.yaml").unlink()
        seal(bundle)
    elif how == "no class":
        shutil.rmtree(bundle / "val")
        seal(bundle)
    elif how == "network":
        (bundle / "model.onnx").write_bytes(b"\x08")
        seal(bundle)
    elif how == "fewer folders":
        shutil.rmtree(bundle / "val" / "a_dark")
        seal(bundle)
    elif how == "no labels":
        (bundle / "labels.txt").unlink()
        seal(bundle)
    elif how in ("size", "steps"):
        content = yaml.safe_load((bundle / "tiny.yaml").read_text())
        steps = content["pipeline"][0]["classification"]["preprocess"]
        steps[0] = {"resize": steps[0]["resize"] | {"width": 48}} if how == "size" else {}
        (bundle / "tiny.yaml").write_text(yaml.safe_dump(content))
        seal(bundle)
    elif how == "more labels":
        with (bundle / "labels.txt").open("a") as file:
            file.write("third\n")
        (bundle / "val" / "c").mkdir()
        seal(bundle)


@pytest.mark.parametrize(
    ("how", "flags", "message"),
    [
        ("flipped", (), "val/a_dark/2.png: expected SHA-256"),
        ("missing", (), "val/a_dark/2.png: missing"),
        ("added", (), "more.txt: not in the manifest"),
        ("manifest", (), "MANIFEST.json: expected a manifest with files and image"),
        ("worse", (), "accuracy 87.50 %, but readback.json says 100.00 %"),
        ("no accuracy", (), "readback.json: expected stored accuracies"),
        ("no yaml", (), "expected one YAML, found []"),
        ("no class", (), "not a bundle"),
        ("network", (), "model.onnx: not a usable ONNX file"),
        ("fewer folders", (), "val: expected a class folder for each of 2 labels, found 1"),
        ("no labels", (), "not a bundle ({}/bundle/labels.txt: No such file or directory)"),
        ("size", (), "model.onnx: does not take what the YAML prepares, 32 x 48 pixels"),
        ("steps", (), "bundle: not a bundle (no entry 'resize' where one is expected)"),
        ("more labels", (), "expected 2 classes as the network, 3 labels"),
        ("more labels", ("--images={}/bundle/val",), "expected 2 labels as the network has class"),
        ("", ("--images={}/bundle/tiny.yaml",), "expected a folder of pictures, found a file"),
        ("", ("--images={}/nowhere",), "--images: no such file or folder"),
        ("", ("--images={}/bundle/val/../../empty",), "expected pictures, found none"),
        ("", ("--dst={}/bundle/labels.txt",), "labels.txt exists; it is not overwritten"),
        ("", ("--model={}/bundle/model.onnx",), "expected --bundle, with or without --images"),
        ("", ("--bundl=x",), "--bundl: no such flag; did you mean --bundle?"),
    ],
)
def test_check_refuses(
    bundle: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    how: str,
    flags: tuple[str, ...],
    message: str,
) -> None:
    (tmp_path / "empty").mkdir()
    damage(bundle, how)
    with pytest.raises(SystemExit, match="2"):
        check.main([f"--bundle={bundle}", *(flag.format(tmp_path) for flag in flags)])
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ")
    assert message.format(tmp_path) in error


# Pictures and names as people have them, in the check.


def classify(bundle: Path, images: Path, *flags: str) -> None:
    check.main([f"--bundle={bundle}", f"--images={images}", *flags])


def one_picture(folder: Path, name: str = "one.png") -> Path:
    """A folder with one light picture."""
    folder.mkdir(exist_ok=True)
    Image.new("RGB", (16, 16), (200,) * 3).save(folder / name, "PNG")
    return folder


@pytest.mark.parametrize("kind", odd_pictures.REFUSED)
def test_check_refuses_a_picture_that_is_odd(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    write, reason = odd_pictures.REFUSED[kind]
    write(one_picture(tmp_path / "images") / "odd.png")
    with pytest.raises(SystemExit, match="2"):
        classify(bundle, tmp_path / "images", f"--dst={tmp_path / 'out.csv'}")
    *_, line = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {tmp_path}/images/odd.png: {reason}")
    assert not list(tmp_path.glob("out.csv*"))


@pytest.mark.parametrize("kind", odd_pictures.READ)
def test_check_takes_pictures_of_many_kinds(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    (tmp_path / "images").mkdir()
    odd_pictures.READ[kind](tmp_path / "images" / "a.jpeg")
    classify(bundle, tmp_path / "images")
    assert capsys.readouterr().out.split()[-2:] == ["all", "1"]


def test_check_counts_files_that_are_no_pictures(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = one_picture(tmp_path / "images")
    one_picture(images / "deeper")
    count = odd_pictures.add_clutter(images / "deeper")
    for name in ("__MACOSX", ".git"):
        one_picture(images / name)
    classify(bundle, images, f"--dst={tmp_path / 'out.csv'}")
    rows = [line.split(",")[0] for line in (tmp_path / "out.csv").read_text().splitlines()]
    assert rows == ["file", "deeper/one.png", "one.png"]
    (line,) = [x for x in capsys.readouterr().err.splitlines() if "skipped" in x]
    assert line.startswith(f"{images}: skipped {count + 2} entries that are no pictures: ")


def test_check_of_a_bundle_that_a_file_manager_opened(
    shipped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(shipped, tmp_path / "bundle")
    count = odd_pictures.add_clutter(tmp_path / "bundle" / "val" / "a_dark")
    (tmp_path / "bundle" / "val" / "__MACOSX").mkdir()
    (tmp_path / "bundle" / "._tiny.yaml").write_bytes(b"\0\5\26\7")
    check.main([f"--bundle={tmp_path / 'bundle'}"])
    told = capsys.readouterr()
    assert told.out.split()[-4:] == ["all", "8", "100.00", "stored:", "100.00"][-4:]
    (line,) = [x for x in told.err.splitlines() if "skipped" in x]
    assert line.startswith(f"{tmp_path}/bundle: skipped {count + 1} entries that are no pictures")
    assert line.endswith("; remove them before the bundle is deployed")


@pytest.mark.parametrize("name", hostile.NAMES.values(), ids=hostile.NAMES)
def test_check_of_pictures_with_hostile_names(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """The table holds them escaped, also those of folders; nothing else is left."""
    images = one_picture(tmp_path / name, f"{name}.png")
    one_picture(images / name, f"{name}.png")
    classify(bundle, images, f"--dst={tmp_path / 'out.csv'}")
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        rows = [row[:2] for row in csv.reader(file)]
    shown = terminal.escape(name)
    assert {tuple(row) for row in rows[1:]} == {
        (f"{shown}.png", "light"),
        (f"{shown}/{shown}.png", "light"),
    }
    assert hostile.is_calm((tmp_path / "out.csv").read_text("utf-8"))
    assert {path.name for path in tmp_path.glob("out*")} == {"out.csv"}
    (images / f"{name}.png").write_text("broken")
    capsys.readouterr()
    with pytest.raises(SystemExit, match="2"):
        classify(bundle, images)
    assert hostile.is_calm(capsys.readouterr().err)


@pytest.mark.parametrize("name", hostile.NAMES.values(), ids=hostile.NAMES)
def test_check_refuses_hostile_labels(
    shipped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    label = os.fsencode(name).replace(b"\n", b"\v")
    shutil.copytree(shipped, tmp_path / "bundle")
    (tmp_path / "bundle" / "labels.txt").write_bytes(label + b"\nlight\n")
    with pytest.raises(SystemExit, match="2"):
        classify(tmp_path / "bundle", one_picture(tmp_path / "images"))
    (line,) = capsys.readouterr().err.splitlines()
    assert re.match(f"error: {tmp_path}/bundle/labels.txt: .*expected .* UTF-8, found", line)
    assert hostile.is_calm(line)


@pytest.mark.parametrize("name", hostile.ODD.values(), ids=hostile.ODD)
def test_check_keeps_odd_labels(shipped: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(shipped, tmp_path / "bundle")
    (tmp_path / "bundle" / "labels.txt").write_text(f"dark\n{name}\n", "utf-8")
    images = one_picture(tmp_path / "images")
    classify(tmp_path / "bundle", images, f"--dst={tmp_path / 'out.csv'}")
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        assert [row[:2] for row in csv.reader(file)] == [["file", "class"], ["one.png", name]]


@pytest.mark.parametrize("name", hostile.NAMES.values(), ids=hostile.NAMES)
def test_check_of_a_bundle_in_a_hostile_folder(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    bundle.rename(tmp_path / name)
    check.main([f"--bundle={tmp_path / name}"])
    assert capsys.readouterr().out.split()[-1] == "100.00"


def test_a_table_that_cannot_be_written_leaves_nothing(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(draft: Path, _: Path) -> None:
        assert draft.exists()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(SystemExit, match="2"):
        check.main([f"--bundle={bundle}", f"--dst={tmp_path / 'out.json'}"])
    assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize(
    ("dst", "message"),
    [
        ("nowhere/out.csv", "--dst: no such folder: {}/nowhere"),
        ("gone", "--dst: {}/gone is a link to /no/such/file, which does not exist"),
        ("bundle/out.csv", "--dst: {0}/bundle/out.csv lies inside the input --bundle {0}/bundle"),
    ],
)
def test_check_refuses_a_place(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], dst: str, message: str
) -> None:
    (tmp_path / "gone").symlink_to("/no/such/file")
    with pytest.raises(SystemExit, match="2"):
        check.main([f"--bundle={bundle}", f"--dst={tmp_path / dst}"])
    told = capsys.readouterr()
    assert f"error: {message.format(tmp_path)}" in told.err
    assert (told.out, (tmp_path / "gone").is_symlink()) == ("", True)


def test_lint_of_a_model_folder_as_it_is(
    student: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        check.main([f"--model={student}"])
    told = capsys.readouterr()
    assert "student.onnx: image: expected a static shape, found ['N', 3, 48, 48]" in told.out
    assert "Metis 1.8 does not compile it: 2 violations" in told.err
    out = command(student, tmp_path / "out", "--scheme=per_tensor_min_max")
    check.main([f"--model={out}", f"--dst={tmp_path / 'lint.json'}", "--metis=1.6"])
    assert "nothing that Metis 1.6 would not compile" in capsys.readouterr().out
    report = json.loads((tmp_path / "lint.json").read_text())
    judged = report["networks"]["model.onnx"]
    assert (report["metis"], judged["violations"], judged["accelerated_macs"]) == ("1.6", [], 1.0)


def test_lint_says_how_several_inputs_get_to_metis(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As those of fusion: a picture and numbers."""
    network = nodes()(*TAIL[:1], node("Flatten", "p", "f", axis=1), node("Add", "f tda", "y"))
    network.graph.node[0].input[0] = "x"
    more = helper.make_tensor_value_info("tda", TensorProto.FLOAT, [1, 4])
    network.graph.input.append(more)
    onnx.save(network, tmp_path / "fusion.onnx")
    with pytest.raises(SystemExit, match="2"):
        check.main([f"--model={tmp_path / 'fusion.onnx'}"])
    told = capsys.readouterr()
    assert "fusion.onnx: inputs: expected one, found ['x', 'tda']. Give the network one" in told.out
    (line,) = [line for line in told.out.splitlines() if "tensors" in line]
    assert line.startswith(
        "fusion.onnx: 2 inputs: the SDK's picture path feeds one picture of 1, 3"
    )
    assert len(told.err.splitlines()) == 1


def test_lint_of_a_damaged_graph_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    onnx.save(nodes()(node("Concat", "x", "t"), node("Add", "t", "y")), tmp_path / "m.onnx")
    with pytest.raises(SystemExit, match="2"):
        check.main([f"--model={tmp_path / 'm.onnx'}"])
    (line,) = capsys.readouterr().err.splitlines()
    assert "m.onnx: not a usable ONNX file (a node lacks an input or an attribute" in line


# The example outside the pipeline, which needs what this stage has: onnxruntime.


def test_example_classifies_with_a_product(student: Path, prepared_test: Path) -> None:
    script = Path(__file__).resolve().parents[2] / "examples" / "classify.py"
    line = [sys.executable, *map(str, (script, student, prepared_test))]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    classes = np.load(student / "test_logits.npy").argmax(1)[:10]
    assert done.stdout.splitlines() == [
        f"row {row}: predicted {lcz.CLASSES[predicted]}, labelled {lcz.CLASSES[row]}"
        for row, predicted in enumerate(classes)
    ]


# Figures of the benchmark, which needs what this stage has.


def test_percentiles_and_jitter_by_hand() -> None:
    """A thousand calls of 1 ms, one of them of 101 ms: two steps of 100 ms among 999."""
    times = np.ones(1000)
    times[500] = 101.0
    found = edge_table.distribution(times)
    assert (found["p50_ms"], found["p99_ms"]) == (1.0, 1.0)
    assert found["p99.9_ms"] == pytest.approx(1 + 100 * 0.001)  # place 998.001 of 0 … 999
    assert found["jitter_ms"] == pytest.approx(200 / 999)
    assert edge_table.distribution(np.ones(1))["jitter_ms"] == 0


def test_shares_stand_beside_the_published_figures() -> None:
    shares, refusals = {"1.2": 1.0, "1.6": 0.987, "1.8": None}, {"1.2": 3, "1.6": 0, "1.8": 0}
    assert edge_table.describe_shares(shares, refusals) == ["refused", "98.7", "–"]
    ends = {f"p{end:g}_ms": 2.0 for end in edge_table.ENDS}
    line: dict[str, Any] = {
        "kind": "fp32",
        "threads": 1,
        "mb": 44.7,
        "runs": 1000,
        "joules": None,
        **ends,
    }
    line |= {"jitter_ms": 0.125, "rows_per_second": {1: 500.0, 8: 600.0, 32: 700.0}}
    case = {"side": 224, "lines": [line], "accelerated": shares, "refusals": refusals}
    given = {"hardware": "h", "onnxruntime": "o", "load": 0.0, "students": {"resnet18": case}}
    (row,) = [text for text in edge_table.page(given).splitlines() if text.startswith("| resnet18")]
    assert [cell.strip() for cell in row.strip("|").split("|")] == [
        "resnet18, 224", "fp32", "1", "44.7", "1000", "2.00", "2.00", "2.00", "2.00", "0.125",
        "500", "600", "700", "–", "refused / 98.7 / –", "3904 / 3749", "0.36",
    ]  # fmt: skip
