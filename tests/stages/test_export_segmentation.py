"""export of segmentation networks: static graphs, IoU by hand, the product, going on, refusals."""

import json
from pathlib import Path

import h5py
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from shared import cli, models, tiles
from shared.errors import StageError
from stages.export import inference, main, static_graph, tile_measures
from stages.export.metis_lint import judge
from tests import networks, tile_files

SIDE, STRIDE = 32, 8
FLAGS = ("--latency_runs=2", "--calibration_per_class=2", "--scheme=per_tensor_min_max")


def of_any_size(model: onnx.ModelProto) -> onnx.ModelProto:
    """The network behind a padding to whole strides, and cropped again, as `segment` writes it."""
    graph, numbers = model.graph, {"stride": [STRIDE], "front": [0] * 6, "origin": [0, 0],
                                   "high": [2], "wide": [3], "axes": [2, 3]}  # fmt: skip
    for name, values in numbers.items():
        graph.initializer.append(numpy_helper.from_array(np.array(values, np.int64), name))
    before = [helper.make_node("Shape", ["image"], ["shape"], "shape")]
    for axis in ("high", "wide"):
        before += [
            helper.make_node("Gather", ["shape", axis], [f"{axis}_size"], f"{axis}_g"),
            helper.make_node("Neg", [f"{axis}_size"], [f"{axis}_less"], f"{axis}_n"),
            helper.make_node("Mod", [f"{axis}_less", "stride"], [f"{axis}_more"], f"{axis}_m"),
        ]
    before += [
        helper.make_node("Concat", ["front", "high_more", "wide_more"], ["pads"], "pads", axis=0),
        helper.make_node("Pad", ["image", "pads"], ["padded"], "pad", mode="edge"),
        helper.make_node("Concat", ["high_size", "wide_size"], ["ends"], "ends", axis=0),
    ]
    nodes = list(graph.node)
    nodes[0].input[0], nodes[-1].output[0] = "padded", "whole"
    crop = helper.make_node("Slice", ["whole", "origin", "ends", "axes"], ["logits"], "crop")
    del graph.node[:]
    graph.node.extend([*before, *nodes, crop])
    onnx.checker.check_model(model)
    return model


@pytest.fixture(scope="session")
def product(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as `segment` leaves it, beside tile files that the network knows something of."""
    folder = tmp_path_factory.mktemp("segment")
    made = networks.segmentation(folder / "network", tiles.CLASSES)
    path = made / "network.onnx"
    onnx.save(of_any_size(onnx.load(path)), path)
    card, session = models.load(made, "segmentation")[0], onnxruntime.InferenceSession(str(path))
    for seed, name in enumerate(("training", "testing")):
        rng = np.random.default_rng(seed)
        coarse = rng.integers(0, 256, (12, 8, 8, 3), np.uint8)
        image = coarse.repeat(SIDE // 8, 1).repeat(SIDE // 8, 2)
        inputs = models.standardise(np.moveaxis(image, -1, 1).astype(np.float32), card)
        mask = session.run(None, {"image": inputs})[0].argmax(1).astype(np.uint8)
        other = rng.random(mask.shape) < 0.2  # of the pixels the network is wrong
        mask[other] = rng.integers(0, 5, int(other.sum()))
        mask[:, :3] = tiles.IGNORE
        tile_files.write(folder / f"{name}.h5", (image, mask))
    return made


def command(src: Path, dst: Path, *flags: str) -> Path:
    """Run the stage as its container does; its product."""
    files = [f"--train={src.parent / 'training.h5'}", f"--test={src.parent / 'testing.h5'}"]
    cli.main(main.run, [f"--src={src}", *files, f"--dst={dst}", *FLAGS, *flags])
    return dst


def content(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "latency.json")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.mark.parametrize(("size", "left"), [(32, set()), (30, {"Pad", "Slice"})])
def test_what_hangs_on_the_size_is_computed(product: Path, size: int, left: set[str]) -> None:
    card = models.load(product, "segmentation")[0]
    card = models.Card(**{**vars(card), "size": size})
    path = product / card.file
    made = static_graph.make_static(onnx.load(path), card, path)
    assert {node.op_type for node in made.graph.node} == {"Conv", "Relu", *left}
    used = {name for node in made.graph.node for name in node.input}
    assert {tensor.name for tensor in made.graph.initializer} <= used
    images = np.random.default_rng(3).standard_normal((1, 3, size, size), np.float32)
    before = onnxruntime.InferenceSession(str(path)).run(None, {"image": images})[0]
    session = onnxruntime.InferenceSession(made.SerializeToString())
    assert session.get_outputs()[0].shape == [1, 5, size, size]
    np.testing.assert_allclose(session.run(None, {"input": images})[0], before, atol=1e-5)


def test_padding_that_moves_a_picture_is_kept() -> None:
    """A row is added above and one cut off below: the size stays, the picture does not."""
    ends = [helper.make_tensor_value_info(n, 1, [1, 3, 8, 8]) for n in ("image", "logits")]
    pads = numpy_helper.from_array(np.array([0, 0, 1, 0, 0, 0, -1, 0], np.int64), "pads")
    node = helper.make_node("Pad", ["image", "pads"], ["logits"], "pad")
    graph = helper.make_graph([node], "g", ends[:1], ends[1:], [pads])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    card = models.Card("x", "x", ("r", "g", "b"), (0.0,) * 3, (1.0,) * 3, 8, "bilinear",
                       ("a", "b", "c"), task="segmentation")  # fmt: skip
    made = static_graph.make_static(model, card, Path("x.onnx"))
    assert [node.op_type for node in made.graph.node] == ["Pad"]


def test_the_class_that_marks_a_tile() -> None:
    counts = np.array([[90, 10, 0], [99, 0, 1], [100, 0, 0], [60, 30, 10]])
    assert tile_measures.characterise(counts).tolist() == [0, 0, 0, 2]
    assert tile_measures.characterise(counts * 0).tolist() == [0] * 4


def test_a_network_that_says_something_else_is_refused() -> None:
    told = {"given": {"largest_logit_difference": 0.002, "largest_logit": 0.5}}
    assert tile_measures.check_parity(told, Path("network.onnx"), 0.002) == 0.002
    large = {"given": {"largest_logit_difference": 0.002, "largest_logit": 2.5}}
    assert tile_measures.check_parity(large, Path("network.onnx"), 0.001) == 0.002
    with pytest.raises(StageError, match=r"network\.onnx: the exported .* by 0.002 on the test"):
        tile_measures.check_parity(told, Path("network.onnx"), 0.001)


def test_the_product_says_what_each_class_loses(product: Path, tmp_path: Path) -> None:
    out = command(product, tmp_path / "export")
    report = json.loads((out / "report.json").read_text())
    (card,) = models.load(out, "segmentation")
    assert (card.file, card.size, card.colours) == ("model.onnx", SIDE, tuple(
        models.load(product, "segmentation")[0].colours))  # fmt: skip
    described = json.loads((out / "model.json").read_text())
    assert (described["int8"], described["any_size"]) == ("model_int8.onnx", "model_any_size.onnx")
    assert (out / "model_any_size.onnx").read_bytes() == (product / "network.onnx").read_bytes()
    with h5py.File(product.parent / "testing.h5") as file:
        image, mask = np.asarray(file["image"]), np.asarray(file["mask"])
    inputs = models.standardise(np.moveaxis(image, -1, 1).astype(np.float32), card)
    found = {}
    for name, file_name in (("fp32", "model.onnx"), ("int8", "model_int8.onnx")):
        session = inference.open_session(out / file_name)
        said = np.concatenate([session.run(None, {"input": one[None]})[0] for one in inputs])
        found[name] = said.argmax(1).astype(np.uint8)
        confusion = tiles.count_confusion(mask, found[name], 5)
        entry = report["models"][name]
        assert entry["mean_iou"] == pytest.approx(tiles.mean_iou(confusion))
        told = json.loads((out / ("" if name == "fp32" else name) / "metrics.json").read_text())
        assert told == tiles.measure(confusion, tiles.CLASSES)
    iou = {name: tiles.intersect_over_union(tiles.count_confusion(mask, of, 5))
           for name, of in found.items()}  # fmt: skip
    assert 0.2 < iou["fp32"].min() < iou["fp32"].max() < 1
    lost = report["per_class_change"]["iou"]["int8"]
    assert list(lost.values()) == pytest.approx((iou["int8"] - iou["fp32"]).tolist())
    assert any(lost.values())
    assert report["models"]["int8"]["agreement"] == (found["int8"] == found["fp32"]).mean()
    assert report["parity"]["largest_logit_difference"] < 1e-4
    marked = np.bincount(marks(product))
    assert report["calibration"]["rows"] == np.minimum(marked, 2).sum()
    table = (out / "table.md").read_text()
    assert "mean IoU %" in table
    assert "| class | pixels | iou fp32 % | iou int8 |" in table


def marks(product: Path) -> list[int]:
    """The class that marks each training tile."""
    with h5py.File(product.parent / "training.h5") as file:
        found: list[int] = tile_measures.characterise(np.asarray(file["counts"])).tolist()
    return found


def test_the_lint_says_which_nodes_the_host_runs(product: Path, tmp_path: Path) -> None:
    """A class for each pixel is an output that the compiler takes; an Erf is left to the host."""
    model = onnx.load(product / "network.onnx")
    place = next(k for k, node in enumerate(model.graph.node) if node.op_type == "Relu")
    model.graph.node[place].op_type = "Erf"
    folder = tmp_path / "network"
    folder.mkdir()
    onnx.save(model, folder / "network.onnx")
    models.save(folder, models.load(product, "segmentation"))
    for name in ("training", "testing"):
        (tmp_path / f"{name}.h5").write_bytes((product.parent / f"{name}.h5").read_bytes())
    out = command(folder, tmp_path / "export")
    lint = json.loads((out / "lint.json").read_text())["1.8"]
    assert [node["verdict"] for node in lint["nodes"]] == ["accelerated", "host", "accelerated"]
    assert lint["accelerated_macs"] == 1.0
    assert [found["operator"] for found in lint["violations"]] == ["Erf"]
    assert judge(onnx.load(out / "model.onnx"), "1.2").refusals()


def test_same_again_and_after_a_stop(
    product: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = command(product, tmp_path / "whole")
    count = tile_measures.count

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(tile_measures, "count", stop)
    with pytest.raises(SystemExit):
        command(product, tmp_path / "export")
    assert (tmp_path / "export.partial" / "model_int8.onnx").exists()
    monkeypatch.setattr(tile_measures, "count", count)
    again = command(product, tmp_path / "export", "--threads=1")
    assert content(again) == content(whole)


def test_remedies_are_proved_on_pixels(product: Path, tmp_path: Path) -> None:
    out = command(product, tmp_path / "export", "--fix")
    fix = json.loads((out / "report.json").read_text())["fix"]
    assert fix["parity"]["rows"] == 12
    assert fix["rewritten"] == []


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--range=fitted",), "--range: concerns classifiers, found a segmentation network"),
        (("--blame_per_class=3",), "--blame_per_class: concerns classifiers"),
        (("--train=small.h5",), "small.h5: expected tiles (32, 32) as"),
        (("--test=other.h5",), "expected the network's classes background, building"),
    ],
)
def test_refuses(
    product: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    flags: tuple[str, ...], message: str,
) -> None:  # fmt: skip
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (6, 16, 16, 3), np.uint8)
    tile_files.write(tmp_path / "small.h5", (image, image[..., 0] % 5))
    tile_files.write(tmp_path / "other.h5", (image, image[..., 0] % 2), ("a", "b"))
    given = {f"--{n}": str(product.parent / f"{n}ing.h5") for n in ("train", "test")}
    for flag in flags:
        name, _, value = flag.partition("=")
        given[name] = str(tmp_path / value) if value.endswith(".h5") else value
    words = [f"{name}={value}" for name, value in given.items()]
    with pytest.raises(SystemExit) as ended:
        cli.main(main.run, [f"--src={product}", f"--dst={tmp_path / 'export'}", *FLAGS, *words])
    error = capsys.readouterr().err
    assert ended.value.code == 2
    assert message in error
    assert error.count("error:") == 1
    assert not list(tmp_path.glob("export*"))
