"""export: the graph, the calibration rows, the numbers, going on after a crash, the refusals."""

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from shared import cli, model
from shared.errors import StageError
from shared.model import Card
from stages.export import compare, graph, infer, main, quantise
from tests import networks

CARD = Card(
    "x.onnx", "tiny", ("B4", "B3", "B2"), (0.0,) * 3, (1.0,) * 3, 48, "bilinear", tuple("ab")
)


@pytest.fixture
def student(tmp_path: Path, prepared: Path, prepared_test: Path) -> Path:
    return networks.student(tmp_path / "distill", prepared, prepared_test)


def command(src: Path, dst: Path, *flags: str) -> Path:
    """Run the stage as its container does; its product."""
    files = [f"--{n}={src.parent / 'prepare' / n}ing.h5" for n in ("train", "test")]
    flags = ("--latency_runs=2", "--calibration_per_class=2", *flags)
    cli.main(main.run, [f"--src={src}", *files, f"--dst={dst}", *flags])
    return dst


def content(folder: Path) -> dict[str, bytes]:
    """All files of a product but the timings."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "latency.json")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def small(**changes: object) -> onnx.ModelProto:
    """A network of two classes without meaning."""
    rng = np.random.default_rng(1)
    shapes = {"kernel": (8, 3, 3, 3), "matrix": (8, 2), "bias": (2,)}
    weights = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
    weights |= {name: np.ones(8) for name in ("gain", "shift", "centre", "spread")}
    return networks.graph(weights, **changes)


# The graph.


@pytest.mark.parametrize("changes", [{}, {"batch": 1}, {"opset": 14}])
def test_graph_is_static_named_and_says_the_same(changes: dict[str, object]) -> None:
    found = small(**changes)
    images = np.random.default_rng(2).standard_normal((1, 3, 48, 48)).astype(np.float32)
    before = networks.run(found, images)
    fitted = graph.fit(found, CARD, Path("x.onnx"))
    assert graph.violations(fitted) == []
    assert (graph.version(fitted), fitted.graph.input[0].name) == (17, "input")
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
    fitted = graph.fit(network, CARD, Path("x"))
    assert "Identity" not in graph.describe(fitted)["operators"]
    after = networks.run(fitted, np.ones((1, 3, 48, 48), np.float32))
    np.testing.assert_array_equal(after, before)


def test_newer_ir_is_brought_down_to_what_the_sdk_opens() -> None:
    network = small()
    network.ir_version = 13
    assert graph.fit(network, CARD, Path("x")).ir_version == graph.IR


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"opset": 18}, "x: expected opset 14 to 17, found 18"),
        ({"batch": 4}, r"image|input: expected shape \(1, 3, 48, 48\), found \[4, 3, 48, 48\]"),
        ({"size": 32}, r"expected shape \(1, 3, 48, 48\)"),
    ],
)
def test_graph_that_does_not_fit(changes: dict[str, object], message: str) -> None:
    with pytest.raises(StageError, match=message):
        graph.fit(small(**changes), CARD, Path("x"))


def test_opset_that_does_not_convert_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("no adapter for Foo\nand more")

    monkeypatch.setattr(graph.version_converter, "convert_version", fails)
    with pytest.raises(
        StageError, match=r"x: opset 14 does not convert to 17: no adapter for Foo$"
    ):
        graph.fit(small(opset=14), CARD, Path("x"))


def test_second_input_is_refused() -> None:
    network = small()
    network.graph.input.append(helper.make_tensor_value_info("tda", TensorProto.FLOAT, ["N", 5]))
    with pytest.raises(StageError, match="expected one input and one output"):
        graph.fit(network, CARD, Path("x"))


def broken(how: str) -> onnx.ModelProto:
    """A fitted graph with one thing wrong."""
    network = graph.fit(small(), CARD, Path("x"))
    if how == "dynamic":
        network.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "N"
    elif how == "opset":
        network.opset_import[0].version = 18
    elif how == "external":
        network.graph.initializer[0].data_location = TensorProto.EXTERNAL
    elif how == "double":
        network.graph.input[0].type.tensor_type.elem_type = TensorProto.DOUBLE
    elif how == "normalise":
        network.graph.node.insert(0, helper.make_node("Sub", ["input", "bias"], ["i"]))
    elif how == "resize":
        network.graph.node.insert(0, helper.make_node("Resize", ["input", "", "s"], ["i"]))
    return network


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("dynamic", "input has no static shape"),
        ("opset", "opset 18, IR 8"),
        ("external", "lies in another file"),
        ("double", "input is not float32"),
        ("normalise", "belongs outside"),
        ("resize", "belongs outside"),
    ],
)
def test_each_violation_is_named(how: str, message: str) -> None:
    assert message in "; ".join(graph.violations(broken(how)))


# Calibration, inference, comparison.


def test_calibration_rows_are_so_many_of_each_class() -> None:
    labels = np.repeat([0, 1, 2], [50, 5, 20])
    rows = quantise.choose(labels, 10, seed=1)
    assert np.bincount(labels[rows]).tolist() == [10, 5, 10]
    assert len(set(rows)) == 25
    np.testing.assert_array_equal(rows, quantise.choose(labels, 10, seed=1))
    assert not np.array_equal(rows, quantise.choose(labels, 10, seed=2))


def test_rows_beside_each_other_equal_one_by_one(tmp_path: Path) -> None:
    onnx.save(graph.fit(small(), CARD, Path("x")), tmp_path / "m.onnx")
    images = np.random.default_rng(3).standard_normal((7, 3, 48, 48)).astype(np.float32)
    one = infer.logits(tmp_path / "m.onnx", [images], 7, 1)
    several = infer.logits(tmp_path / "m.onnx", [images[:4], images[4:]], 7, 3)
    np.testing.assert_array_equal(one, several)
    np.testing.assert_allclose(one, networks.run(small(), images), atol=1e-5)


def test_weights_are_8_bit_per_channel(student: Path, tmp_path: Path) -> None:
    network = onnx.load(command(student, tmp_path / "out") / "model_int8.onnx")
    sizes = {tensor.name: list(tensor.dims) for tensor in network.graph.initializer}
    kernel = next(name for name, dims in sizes.items() if dims == [8, 3, 3, 3])
    found = next(tensor for tensor in network.graph.initializer if tensor.name == kernel)
    scale = next(n.input[1] for n in network.graph.node if kernel in n.input)
    assert (found.data_type, sizes[scale]) == (TensorProto.INT8, [networks.FEATURES])
    kinds = {node.op_type for node in network.graph.node}
    assert "BatchNormalization" not in kinds  # folded
    assert network.ir_version <= graph.IR


def test_comparison_by_hand(tmp_path: Path) -> None:
    labels = np.array([0, 1, 1, 0])
    one = np.array([[2.0, 0], [0, 2], [0, 2], [0, 1]])
    other = np.array([[2.0, 0], [0, 2.5], [1, 0], [0, 1]])
    files = {"fp32": Path(__file__), "int8": Path(__file__)}
    report = compare.compare(tmp_path, labels, {"fp32": one, "int8": other}, files, ("a", "b"))
    assert report["models"]["fp32"]["overall_accuracy"] == 0.75
    assert report["models"]["int8"]["overall_accuracy"] == 0.5
    assert (report["agreement"], report["largest_logit_difference"]) == (0.75, 2.0)
    assert report["recall_change"] == {"a": 0.0, "b": -0.5}


# The whole stage.


def test_product(student: Path, tmp_path: Path) -> None:
    out = command(student, tmp_path / "out")
    report = json.loads((out / "report.json").read_text())
    assert report["parity"]["largest_logit_difference"] < 1e-4
    assert report["models"]["fp32"]["overall_accuracy"] > 0.9
    assert report["models"]["int8"]["overall_accuracy"] > 0.7
    assert report["graph"]["operators"]["Conv"] == 1
    (card,) = model.load(out)
    assert (card.file, card.classes) == ("model.onnx", model.load(student)[0].classes)
    for folder in (out, out / "int8"):
        scores = np.load(folder / "test_scores.npy")
        np.testing.assert_allclose(scores.sum(1), 1, atol=1e-5)
        assert np.load(folder / "test_logits.npy").shape == scores.shape == (17, 17)
    assert {"fp32", "int8", "threads", "runs"} <= set(
        json.loads((out / "latency.json").read_text())
    )


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
    logits = infer.logits

    def crash(path: Path, *rest: object) -> np.ndarray:
        if path.name == main.INT8:
            raise KeyboardInterrupt
        return logits(path, *rest)

    monkeypatch.setattr(infer, "logits", crash)
    with pytest.raises(SystemExit):
        command(student, tmp_path / "out")
    monkeypatch.setattr(infer, "logits", logits)
    assert not (tmp_path / "out").exists()
    unfinished = tmp_path / "out.partial" / "int8" / "unfinished-test_logits.npy"
    unfinished.parent.mkdir(exist_ok=True)
    unfinished.write_bytes(b"half")  # as a kill in the middle of a write leaves it
    capsys.readouterr()
    assert content(command(student, tmp_path / "out")) == whole
    assert "model_int8.onnx: there from the earlier run" in capsys.readouterr().err


def spoil(student: Path, how: str) -> None:
    """Make one input of the stage wrong."""
    if how == "not onnx":
        (student / "student.onnx").write_bytes(b"\x80 no protobuf")
    elif how == "empty":
        (student / "student.onnx").write_bytes(b"")
    elif how == "logits":
        np.save(student / "test_logits.npy", np.load(student / "test_logits.npy") + 0.01)
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
        ("logits", "", "the ONNX gives other logits than its trainer, by 0.01"),
        ("rows", "", "labels differ from"),
        ("cut", "", "testing.h5: not a complete HDF5 file"),
        ("bands", "", "no band 'B99'"),
        ("classes", "", "expected the network's 17 classes"),
        ("card", "", "expected a model folder"),
        ("", "--batch=0", "--batch: expected 1 or more, found 0"),
        ("", "--seed=-1", "--seed: expected 0 or more, found -1"),
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
