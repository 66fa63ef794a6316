"""sisr-export: the graph by hand, every check on a network that is broken so, files, refusals."""

import csv
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import onnx
import onnxruntime
import pytest
import yaml
from onnx import TensorProto, helper

from shared import cli, sisr, sisr_client
from shared.sisr import cards
from stages.sisr_export import main as stage
from tests import client_networks, pair_files
from tests.client_networks import Options

BANDS = ("B4", "B3", "B11")


def command(src: Path, dst: Path, *flags: str) -> Path:
    cli.main(stage.run, [f"--src={src}", f"--dst={dst}", *flags])
    return dst


def told(folder: Path) -> dict[str, dict[str, Any]]:
    """Results by the name of the check."""
    content = json.loads((folder / "checks.json").read_text())
    return {result["name"]: result for result in content["checks"]}


def failed(folder: Path) -> list[str]:
    return [name for name, result in told(folder).items() if not result["passed"]]


@pytest.fixture(scope="module")
def src(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("in") / "trained"
    return client_networks.trained(folder, BANDS, Options(side=5))


@pytest.fixture(scope="module")
def made(src: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return command(src, tmp_path_factory.mktemp("out") / "exported")


# --- the graph ------------------------------------------------------------------------------------
def wrapped(options: Options, mean: tuple[float, ...], reach: int) -> onnx.ModelProto:
    from stages.sisr_export import wrapping

    network = client_networks.graph(len(mean), options)
    return wrapping.wrap(network, wrapping.Scale(options.factor, mean, reach))


def run(model: onnx.ModelProto, image: Any, *names: str) -> list[np.ndarray]:
    """Outputs of (C, h, w), or tensors inside the graph by their names."""
    for name in names:
        model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(model.SerializeToString())
    given = {"input": np.asarray(image, np.float32)[None]}
    return [np.asarray(value[0]) for value in session.run(list(names) or None, given)]


@pytest.mark.parametrize("factor", [2, 4])
def test_a_ramp_is_enlarged_at_half_pixel_centres(factor: int) -> None:
    """A cubic keeps a ramp: output pixel k lies at (k + 1/2) / factor - 1/2 of the input."""
    model = wrapped(Options(factor=factor, detail=0), (0.1, 0.2), 4)
    ramp = np.broadcast_to(1000 + 64 * np.arange(20.0)[:, None], (2, 20, 9))
    (values,) = run(model, ramp)
    place = (np.arange(20 * factor) + 0.5) / factor - 0.5
    expected = np.broadcast_to((1000 + 64 * place)[:, None], values.shape[1:])
    inside = slice(3 * factor, -3 * factor)
    np.testing.assert_allclose(values[1, inside], expected[inside])


def test_numbers_are_those_of_the_network_times_10000() -> None:
    options = Options(side=5, detail=0.05, seed=2)
    image = np.random.default_rng(0).integers(100, 9000, (3, 14, 11))
    (values,) = run(wrapped(options, (0.1, 0.2, 0.3), 2), image)
    (plain,) = run(client_networks.graph(3, options), image / np.float32(10_000))
    np.testing.assert_allclose(values, np.rint(plain * np.float32(10_000)).clip(-1000, 32767))
    assert values.dtype == np.float32


def test_halves_are_rounded_to_even_and_the_ends_are_cut() -> None:
    """The means of neighbours at a factor of 2 lie at 1/4 and 3/4: of 0 and 2 at 0.5 and 1.5."""
    from stages.sisr_export import wrapping

    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in ("input", "output")]
    node = helper.make_node("Identity", ["input"], ["output"])
    graph = helper.make_graph([node], "same", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model = wrapping.wrap(model, wrapping.Scale(1, (0.1,), 1))
    numbers = [[[0.5, 1.5, 2.5, 65535, 32767, 32768, -1000, -1001, -9999, 1234.6]]]
    (values,) = run(model, numbers)
    assert values.tolist() == [[[0, 2, 2, 32767, 32767, 32767, -1000, -1000, -1000, 1235]]]


def test_a_pixel_that_one_band_lacks_is_filled_and_is_nan_in_all_bands() -> None:
    """Of 3 x 3 pixels, 8 are known; the mean of the training rows counts as one of 9 more."""
    image = np.full((2, 7, 9), 1000.0)
    image[1] = 3000
    image[0, 3, 4] = np.nan
    (fill,) = run(wrapped(Options(), (0.5, 0.9), 1), image, "fill")
    assert fill[:, 3, 4] == pytest.approx([(8 * 0.1 + 0.5) / 9, (8 * 0.3 + 0.9) / 9], rel=1e-6)
    (values,) = run(wrapped(Options(), (0.5, 0.9), 1), image)
    rows, columns = np.nonzero(np.isnan(values[1]))
    assert sorted(zip(rows.tolist(), columns.tolist(), strict=True)) == [
        (6, 8), (6, 9), (7, 8), (7, 9),
    ]  # fmt: skip
    assert (np.isnan(values[0]) == np.isnan(values[1])).all()


@pytest.mark.parametrize("number", [np.nan, -10_000, -10_001, np.inf, -np.inf])
def test_what_is_no_data(number: float) -> None:
    image = np.full((2, 8, 8), 1000.0)
    image[1, :, :3] = number
    (values,) = run(wrapped(Options(), (0.1, 0.1), 3), image)
    assert np.isnan(values[:, :, :6]).all()
    assert np.isfinite(values[:, :, 6:]).all()


def test_far_from_known_pixels_the_mean_is_filled_in() -> None:
    image = np.full((1, 12, 30), 2000.0)
    image[:, :, 10:] = np.nan
    (fill,) = run(wrapped(Options(), (0.07,), 4), image, "fill")
    assert fill[0, 6, 14:] == pytest.approx(0.07)
    known = 9 * np.array([4, 3, 2, 1])  # pixels of 9 x 9 that lie on known land
    assert fill[0, 6, 10:14] == pytest.approx((known * 0.2 + 0.07) / (known + 1), rel=1e-5)


# --- measures -------------------------------------------------------------------------------------
@pytest.mark.parametrize("shift", [(0.3, 0.0), (-0.15, 0.4)])
def test_a_shift_is_found(shift: tuple[float, float]) -> None:
    from stages.sisr_export import geometry

    rows, columns = np.mgrid[:60, :70].astype(float)

    def waves(down: float, right: float) -> np.ndarray:
        y, x = rows - down, columns - right
        return 900 + 50 * np.sin(y / 5 + x / 9) + 40 * np.cos(x / 4 - y / 7)

    found = geometry.find_shift(waves(0, 0), 2 * waves(*shift) + 30)
    assert found == pytest.approx(shift, abs=0.02)
    noise = np.random.default_rng(0).random((60, 70))
    assert geometry.find_shift(waves(0, 0), noise) == (np.inf, np.inf)


def test_two_images_are_compared_with_their_gaps() -> None:
    from stages.sisr_export import case

    image = np.array([[1.0, np.nan, 3.0, 4.0]])
    assert case.compare(image, image) == (0, 0)
    assert case.compare(image, image + np.array([[0, 0, 2, 0]])) == (2, 0.25)
    assert case.compare(image, np.array([[1.0, 2.0, 3.0, 4.0]])) == (np.inf, 0.25)


def test_drawn_land_has_the_levels_of_its_bands() -> None:
    from stages.sisr_export import land

    drawn = land.draw((80, 120), ("B2", "B8"), 42)
    assert drawn.shape == (2, 80, 120)
    assert drawn.mean((1, 2)) == pytest.approx([570, 2670], rel=0.05)
    np.testing.assert_array_equal(drawn, land.draw((80, 120), ("B2", "B8"), 42))
    assert (drawn != land.draw((80, 120), ("B2", "B8"), 43)).any()
    assert 0.5 < np.asarray(np.corrcoef(drawn[0].ravel(), drawn[1].ravel()))[0, 1] < 0.95


# --- a good network -------------------------------------------------------------------------------
def test_a_good_network_passes_every_check(made: Path) -> None:
    content = json.loads((made / "checks.json").read_text())
    assert content["passed"]
    names = [
        "types", "sizes", "bands", "margin", "tiles", "region", "shift", "hole", "empty",
        "saturation", "whole numbers", "fidelity", "parity",
    ]  # fmt: skip
    assert [result["name"] for result in content["checks"]] == names
    with (made / "checks.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["name"] for line in lines] == names
    assert {line["passed"] for line in lines} == {"True"}
    assert told(made)["hole"]["said"].startswith("5 x 7 input pixels without data make 140 of 140")


def test_the_files_of_a_pair(made: Path) -> None:
    assert sorted(path.name for path in made.iterdir()) == [
        "USE.md", "checks.csv", "checks.json", "checks.png", "cubic-x2.onnx", "cubic-x2.yaml",
    ]  # fmt: skip
    content = yaml.safe_load((made / "cubic-x2.yaml").read_text())
    # Two pixels of the kernel and four of the fill, twice as many of the output.
    assert content == {
        "model": "cubic-x2.onnx", "bands": list(BANDS), "margin": 12, "factor": 2.0,
    }  # fmt: skip
    assert "-m cubic-x2.yaml" in (made / "USE.md").read_text()
    model = onnx.load(made / "cubic-x2.onnx")
    assert [(item.domain, item.version) for item in model.opset_import] == [("", 17)]
    shape = model.graph.input[0].type.tensor_type.shape.dim
    assert [side.dim_param or side.dim_value for side in shape] == ["b", 3, "h", "w"]


def test_a_factor_of_four_on_bands_of_20_m(tmp_path: Path) -> None:
    options = Options(factor=4, side=7)
    folder = client_networks.trained(tmp_path / "in", ("B5", "B8A"), options, metres=20.0)
    exported = command(folder, tmp_path / "out", "--name=x4", "--fill=2", "--seed=1")
    assert not failed(exported)
    assert yaml.safe_load((exported / "x4.yaml").read_text())["margin"] == 4 * (3 + 2)


# --- windows ------------------------------------------------------------------------------------
WINDOWED = Options(grid=8, detail=0.04)


@pytest.mark.parametrize(("grid", "margin"), [(8, 28), (10, 30), (32, 100)])
def test_a_network_with_windows_passes_on_its_grid(tmp_path: Path, grid: int, margin: int) -> None:
    """Its card has a margin of one window, the fill adds 4, and 10,980 less two is on the grid."""
    folder = client_networks.trained(tmp_path / "in", BANDS, Options(grid=grid, detail=0.04))
    exported = command(folder, tmp_path / "out", "--name=windows")
    assert not failed(exported)
    assert list(told(exported))[-3:] == ["off grid", "fidelity", "parity"]
    assert 0.001 < told(exported)["off grid"]["value"] < 0.05
    assert json.loads((exported / "checks.json").read_text())["grid"] == grid
    content = yaml.safe_load((exported / "windows.yaml").read_text())
    assert list(content) == ["model", "bands", "margin", "factor"]
    assert content["margin"] == margin
    assert (10_980 - content["margin"]) % grid == 0
    network = sisr_client.Network(sisr_client.read(exported))
    assert network.grid == grid
    again = command(exported, tmp_path / "again")  # the file itself says so
    assert {name: result for name, result in told(exported).items() if name != "parity"} == told(
        again
    )


def test_whole_products_are_exact_with_the_tiles_that_the_page_names(tmp_path: Path) -> None:
    """A product of 180 x 98 pixels: less the margins, its height is a multiple of 8, as 10,980."""
    folder = client_networks.trained(tmp_path / "in", BANDS, WINDOWED)
    exported = command(folder, tmp_path / "out", "--name=windows")
    use = " ".join((exported / "USE.md").read_text().split())
    assert "where `-ts` is a multiple of 16 (992 or 1008; its default of 1000 is none)" in use
    assert "is a multiple of 8 input pixels: that of a whole product is one." in use
    assert "edges, in input pixels from the product's upper left corner, are 6 more than" in use
    network = sisr_client.Network(sisr_client.read(exported))
    image = np.random.default_rng(3).integers(200, 4000, (3, 180, 98)).astype(np.float32)
    whole = sisr_client.wrap(network.run(image))

    def apart(side: int, region: sisr_client.Window | None = None) -> int:
        made, place = sisr_client.emulate(network, image, region, side)
        return int(np.abs(made.astype(int) - whole[:, place.rows, place.columns]).max())

    margin = network.description.margin // 2
    assert (180 - 2 * margin) % 8 == 0
    for side in (16, 48, 992, 1008):
        assert apart(side) <= 1
    assert apart(56) > 3  # 28 input pixels
    for row, column in ((margin, margin), (margin + 16, margin + 24)):
        region = sisr_client.Window(2 * row, 2 * column, 96, 30)
        assert apart(32, region) <= 1
    assert apart(32, sisr_client.Window(2 * margin + 8, 2 * margin, 96, 30)) > 3
    assert apart(32, sisr_client.Window(2 * margin, 2 * margin, 88, 30)) > 3


@pytest.mark.parametrize(
    ("side", "grid", "words"),
    [
        (10.0, 10, "multiple of 20 (1000; its default is one)"),
        (20.0, 8, "multiple of 32 (992 or 1024; its default of 1000 is none)"),
        (20.0, 10, "multiple of 40 (1000; its default is one)"),
    ],
)
def test_which_tiles_the_client_needs(side: float, grid: int, words: str) -> None:
    from stages.sisr_export import report, wrapping

    bands, factor = (("B4",), 2) if side == 10 else (("B5",), 4)
    card = client_networks.sisr_card(bands, Options(factor=factor, grid=grid), metres=side)
    margin = wrapping.find_margin(card, 4)
    path = Path("n.yaml")
    description = sisr_client.Description(path, path, bands, margin, factor)
    said = " ".join(report.describe_grid(description, grid).split())
    assert words in said
    assert "that of a whole product is one" in said
    assert (109_800 / side - 2 * margin / factor) % grid == 0
    assert report.describe_grid(description, 1) == ""


def test_without_a_grid_the_same_network_is_refused(tmp_path: Path, capsys: Any) -> None:
    """Its windows lie elsewhere in each tile: that is what the grid is for."""
    folder = client_networks.trained(tmp_path / "in", BANDS, WINDOWED, grid=1)
    with pytest.raises(SystemExit, match="2"):
        command(folder, tmp_path / "out")
    assert "2 of 13 checks failed (margin, region)" in capsys.readouterr().err


def test_a_network_that_hangs_on_its_windows_is_refused(tmp_path: Path, capsys: Any) -> None:
    folder = client_networks.trained(tmp_path / "in", BANDS, WINDOWED)
    with pytest.raises(SystemExit, match="2"):
        command(folder, tmp_path / "out", "--off_grid=0.001")
    error = capsys.readouterr().err
    assert "1 of 14 checks failed (off grid)" in error
    assert "a part that begins between windows of 8 input pixels lies" in error


# --- broken ones ----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("options", "entries", "names", "message"),
    [
        (
            Options(side=13), {"margin": 2}, ("margin", "tiles", "region", "hole"),
            "margin: an edge is felt 12 output pixels away, the margin is 4, a multiple of 2",
        ),
        (
            Options(coordinates="asymmetric"), {}, ("shift",),
            "lies -0.25",
        ),
        (
            Options(order=(1, 0, 2)), {}, ("bands", "shift"),
            "bands of the output are nearest to another band of the input: B4 is nearest to B3, B3",
        ),
        (Options(bias=0.06), {}, ("fidelity",), "B4, seen again by the sensor, is 70.6"),
    ],
)  # fmt: skip
def test_a_broken_network_is_refused(
    tmp_path: Path, capsys: Any, options: Options, entries: dict[str, Any],
    names: tuple[str, ...], message: str,
) -> None:  # fmt: skip
    folder = client_networks.trained(tmp_path / "in", BANDS, options, **entries)
    with pytest.raises(SystemExit, match="2"):
        command(folder, tmp_path / "out", "--fill=1")
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith(f"error: {folder}: {len(names)} of 13 checks failed (")
    for name in names:
        assert name in error
    assert message in error
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_limits_may_be_wider(tmp_path: Path) -> None:
    options = Options(coordinates="asymmetric")
    folder = client_networks.trained(tmp_path / "in", BANDS, options)
    exported = command(folder, tmp_path / "out", "--shift=0.4")
    assert told(exported)["shift"]["value"] == pytest.approx(np.hypot(0.25, 0.25), abs=0.02)


def test_another_network_is_no_parity() -> None:
    from stages.sisr_export import checking

    class Other:
        def run(self, image: np.ndarray) -> np.ndarray:
            return image + np.array([[[0.0]], [[3.0]]])

    image = np.ones((2, 4, 5), np.float32)
    nearly = image + np.array([[[1.0]], [[2.0]]], np.float32)
    other: Any = Other()
    result = checking.check_parity([(image, image)], other, "ones")
    assert (result.passed, result.value) == (False, 3)
    assert checking.check_parity([(image, nearly)], other, "ones").passed


def test_the_trainers_network_is_rounded_and_cut_by_hand(src: Path) -> None:
    from stages.sisr_export import checking

    image = np.random.default_rng(1).uniform(0, 40_000, (3, 9, 8)).astype(np.float32)
    (plain,) = run(onnx.load(src / cards.ONNX), image / np.float32(10_000))
    made = checking.Trainer(src / cards.ONNX, 1).run(image)
    np.testing.assert_allclose(made, np.rint(plain.astype(float) * 1e4).clip(-1000, 32767))
    assert made.max() == 32767


# --- pairs that others published ------------------------------------------------------------------
def spoil(path: Path, change: Callable[[onnx.GraphProto], None]) -> Path:
    """A published pair of which the last node's output goes through more nodes."""
    model = onnx.load(path.with_suffix(".onnx"))
    graph = model.graph
    graph.node[-1].output[0] = "before"
    change(graph)
    onnx.save(model, path.with_suffix(".onnx"))
    return path


def test_a_published_pair_is_told_and_not_refused(tmp_path: Path) -> None:
    """No scaling, no rounding, no clip, no mask: NaN spreads, numbers wrap and are cut."""
    path = client_networks.pair(tmp_path / "in", BANDS, Options(side=5))
    checked = command(path, tmp_path / "out")
    assert sorted(file.name for file in checked.iterdir()) == [
        "checks.csv", "checks.json", "checks.png",
    ]  # fmt: skip
    assert failed(checked) == ["hole", "saturation", "whole numbers"]
    # The kernel of five pixels takes in two more on each side, the cubic no more: 9 x 11 pixels.
    said = told(checked)["hole"]["said"]
    assert said.startswith("5 x 7 input pixels without data make 396 of 140 output pixels")
    assert told(checked)["saturation"]["value"] > 0


def test_the_pair_of_an_export_passes_again(made: Path, tmp_path: Path) -> None:
    checked = command(made, tmp_path / "out")  # a folder with one YAML
    assert not failed(checked)
    assert "parity" not in told(checked)
    again = {name: result for name, result in told(made).items() if name != "parity"}
    assert told(checked) == again


def test_a_margin_between_input_pixels_is_told(made: Path, tmp_path: Path) -> None:
    """As margin 110 at a factor of 4."""
    content = yaml.safe_load((made / "cubic-x2.yaml").read_text())
    content |= {"margin": 13, "model": str(made / "cubic-x2.onnx")}
    path = tmp_path / "odd.yaml"
    path.write_text(yaml.safe_dump(content))
    checked = command(path, tmp_path / "out")
    assert failed(checked) == ["margin"]
    assert "the margin is 13, no multiple of 2" in told(checked)["margin"]["said"]


def double(graph: onnx.GraphProto) -> None:
    graph.node.append(helper.make_node("Cast", ["before"], ["output"], to=TensorProto.DOUBLE))
    graph.output[0].type.tensor_type.elem_type = TensorProto.DOUBLE


def no_gaps(graph: onnx.GraphProto) -> None:
    zero = helper.make_tensor("zero", TensorProto.FLOAT, [], [0.0])
    graph.initializer.append(zero)
    graph.node.append(helper.make_node("IsNaN", ["before"], ["gap"]))
    graph.node.append(helper.make_node("Where", ["gap", "zero", "before"], ["output"]))


def even_sizes(graph: onnx.GraphProto) -> None:
    """Squares of two pixels to depth and back, which odd sizes do not have."""
    graph.node.insert(0, helper.make_node("SpaceToDepth", ["input"], ["deep"], blocksize=2))
    graph.node.insert(1, helper.make_node("DepthToSpace", ["deep"], ["flat"], blocksize=2))
    for node in graph.node:
        if node.op_type in ("Resize", "Conv"):
            node.input[0] = "flat"
    graph.node.append(helper.make_node("Identity", ["before"], ["output"]))


def whole_tile(graph: onnx.GraphProto) -> None:
    """The mean of a tile is taken off and put on again, halved: it depends on the tile."""
    node, half = helper.make_node, helper.make_tensor("half", TensorProto.FLOAT, [], [0.9])
    graph.initializer.append(half)
    graph.node.append(node("ReduceMean", ["before"], ["mean"], axes=[2, 3], keepdims=1))
    graph.node.append(node("Sub", ["before", "mean"], ["level"]))
    graph.node.append(node("Mul", ["mean", "half"], ["less"]))
    graph.node.append(node("Add", ["level", "less"], ["output"]))


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (double, {"types"}),
        (no_gaps, {"hole", "empty"}),
        (even_sizes, {"sizes", "margin", "region", "empty"}),
        (whole_tile, {"tiles", "region", "margin"}),
    ],
)
def test_a_check_sees_its_fault(
    tmp_path: Path, change: Callable[[onnx.GraphProto], None], names: set[str]
) -> None:
    path = spoil(client_networks.pair(tmp_path / "in", BANDS), change)
    checked = command(path, tmp_path / "out")
    raw = {"hole", "saturation", "whole numbers"}  # those that every such pair fails
    assert names <= set(failed(checked)) <= names | raw


def test_another_onnx_beside_the_same_yaml_is_another_input(tmp_path: Path, capsys: Any) -> None:
    path = client_networks.pair(tmp_path / "in", BANDS)
    command(path, tmp_path / "out")
    command(path, tmp_path / "out")  # up to date
    client_networks.pair(tmp_path / "in", BANDS, Options(seed=5))
    capsys.readouterr()
    with pytest.raises(SystemExit, match="2"):
        command(path, tmp_path / "out")
    assert "network" in capsys.readouterr().err


# --- rows of a pair file --------------------------------------------------------------------------
def test_rows_are_read_by_the_names_of_their_bands(tmp_path: Path) -> None:
    from stages.sisr_export import pair_rows

    form = sisr.Form(
        12,
        {
            "low": sisr.Bands(("B2", "B8"), 10.0), "coarse": sisr.Bands(("B5", "B11"), 20.0),
            "high": sisr.Bands(("B2", "B8", "B5"), 5.0),
        },
    )  # fmt: skip
    values = pair_files.write(tmp_path / "pairs.h5", form)
    model = tmp_path / "n.onnx"
    told = sisr_client.Description(model, model, ("B11", "B8", "B2"), 8, 2)
    images = pair_rows.read(tmp_path / "pairs.h5", told, "validation", 1)
    assert [image.shape for image in images] == [(3, 12, 12)]
    np.testing.assert_array_equal(images[0][1], values["low"][1, ..., 1])
    np.testing.assert_array_equal(images[0][2], values["low"][1, ..., 0])
    coarse = sisr.enlarge(values["coarse"][1].astype(float), 2)[..., 1]
    np.testing.assert_allclose(images[0][0], coarse, rtol=1e-6)
    assert len(pair_rows.read(tmp_path / "pairs.h5", told, "training", 9)) == 2


def test_a_pair_file_is_what_fidelity_and_parity_are_of(tmp_path: Path) -> None:
    src = client_networks.trained(tmp_path / "in", ("B8", "B2"))
    pair_files.write(tmp_path / "pairs.h5", pair_files.form(16))
    with h5py.File(tmp_path / "pairs.h5", "r+") as file:
        file["low"][:] = 3000 + file["low"][:] // 90  # smooth enough for the limit
    flags = (f"--pairs={tmp_path / 'pairs.h5'}", "--split=validation")
    results = told(command(src, tmp_path / "out", *flags))
    assert results["fidelity"]["said"].startswith("rows of the pair file: B")
    assert results["parity"]["said"].startswith("rows of the pair file: ")
    assert results["fidelity"]["value"] < 0.02


# --- runs -----------------------------------------------------------------------------------------
def test_a_stopped_run_is_made_again_with_the_same_bytes(
    src: Path, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stages.sisr_export import report

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(report, "draw", stop)
        with pytest.raises(SystemExit, match="130"):
            command(src, tmp_path / "again")
    assert not (tmp_path / "again").exists()
    again = command(src, tmp_path / "again", "--threads=1")
    names = sorted(path.name for path in made.iterdir())
    assert sorted(path.name for path in again.iterdir()) == names
    for name in names:
        assert (again / name).read_bytes() == (made / name).read_bytes(), name


def test_a_killed_run_is_made_again_with_the_same_bytes(
    src: Path, made: Path, tmp_path: Path
) -> None:
    """Killed when ONNX, YAML and tables are there and the picture is not."""
    code = f"""
import os, signal
from shared import cli
from stages.sisr_export import main, report
report.draw = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
cli.main(main.run, ["--src={src}", "--dst={tmp_path / "again"}"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    left = {path.name for path in (tmp_path / "again.partial").iterdir()}
    assert left == {"cubic-x2.onnx", "cubic-x2.yaml", "checks.json", "checks.csv"}
    again = command(src, tmp_path / "again")
    for path in made.iterdir():
        assert (again / path.name).read_bytes() == path.read_bytes(), path.name
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again", "again.run.json"]


@pytest.mark.parametrize(
    ("entries", "flags", "message"),
    [
        ({"made": ("B4", "B3")}, (), "that makes the bands it reads, B4, B3, B11, found"),
        ({"metres": 20.0}, (), "pixels of 10 m, as the client reads these bands, found 20"),
        ({"bands": ("B4", "B3", "B1"), "made": ("B4", "B3", "B1")}, (), "found B1"),
        ({"bands": ("B4", "B3"), "made": ("B4", "B3"), "mean": (0.1, 0.1), "std": (1.0, 1.0)}, (),
         "network.onnx: "),
        ({"factor": 4, "margin": 8}, (), "network.onnx: not what sisr.json says (cubic-x4.onnx: "),
        ({"margin": 800}, (), "expected a margin of at most 320 input pixels, found 404"),
        ({}, ("--name=a/b",), "--name: expected a to z, 0 to 9, - _ or ., found 'a/b'"),
    ],
)  # fmt: skip
def test_refuses(
    tmp_path: Path, capsys: Any, entries: dict[str, Any], flags: tuple[str, ...], message: str
) -> None:
    folder = client_networks.trained(tmp_path / "in", BANDS, **entries)
    with pytest.raises(SystemExit, match="2"):
        command(folder, tmp_path / "out", *flags)
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (Options(opset=16), "network.onnx: expected opset 17, found"),
        (Options(names=("input", "made")), "expected one input input and one output output, found"),
        (None, "network.onnx: not a usable ONNX file"),
    ],
)
def test_refuses_a_network(
    tmp_path: Path, capsys: Any, options: Options | None, message: str
) -> None:
    folder = client_networks.trained(tmp_path / "in", BANDS, options or Options())
    if not options:
        (folder / cards.ONNX).write_bytes(b"no network")
    with pytest.raises(SystemExit, match="2"):
        command(folder, tmp_path / "out")
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_refuses_a_pair_file_and_a_name(src: Path, made: Path, tmp_path: Path, capsys: Any) -> None:
    pair_files.write(tmp_path / "pairs.h5")
    (tmp_path / "text.yaml").write_text("no: pair")
    pairs = f"--pairs={tmp_path / 'pairs.h5'}"
    for source, flags, message in (
        (src, (pairs,), "expected bands B4, B3, B11 in low or coarse, found ['B2', 'B8']"),
        (made / "cubic-x2.yaml", ("--name=x",), "--name: expected none, found 'x'"),
        (tmp_path / "text.yaml", (), "expected exactly the keys model, bands, margin, factor"),
        (made / "cubic-x2.onnx", (), "not YAML"),
        (src.parent, (), "expected sisr.json of sisr-train or a YAML in the folder, found neither"),
        (made.parent / "none", (), "no such file or folder"),
        (made, (f"--network={src / cards.ONNX}",), "--network: expected /"),
        (src, (f"--network={src / cards.ONNX}",), "expected none beside a folder of sisr-train"),
    ):
        with pytest.raises(SystemExit, match="2"):
            command(source, tmp_path / "out", *flags)
        assert message in capsys.readouterr().err
        assert not (tmp_path / "out").exists()
    with h5py.File(tmp_path / "pairs.h5", "r+") as file:
        file["low_bands"][:] = 20
        file["high_bands"][:] = 10
    told = sisr_client.Description(src, src, ("B2", "B8"), 8, 2)
    from shared.errors import StageError
    from stages.sisr_export import pair_rows

    with pytest.raises(StageError, match="expected low of 10 m"):
        pair_rows.read(tmp_path / "pairs.h5", told, "testing", 1)
