"""scene-sr: values and places that are known, tiles, borders, numbers as stored, stops, refusals.

The network `places` gives output pixel (f·r + i, f·c + j) the value of input pixel (r, c) plus
10·i + j, so each output pixel tells where it is from; that of `client_networks` sees neighbours.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import rasterio
from onnx import TensorProto, helper, numpy_helper

from shared import cli, scenes
from stages.scene_sr import main as stage
from tests import client_networks
from tests import safe_products as make

TEN = ("B4", "B8", "B2")  # in another order than that of products
NODATA = -10_000


def places(
    folder: Path, bands: tuple[str, ...], factor: int, margin: int = 0, bias: float = 0.0
) -> Path:
    """A pair whose network adds 10·i + j, and `bias`; NaN becomes 0, as some networks do."""
    count = len(bands)
    eye = np.repeat(np.eye(count), factor**2, 0)[..., None, None].astype(np.float32)
    i, j = np.mgrid[:factor, :factor]
    added = np.tile((10 * i + j).ravel() + bias, count).astype(np.float32)
    constants = {"eye": eye, "added": added, "zero": np.zeros((), np.float32)}
    nodes = [
        helper.make_node("IsNaN", ["input"], ["gone"]),
        helper.make_node("Where", ["gone", "zero", "input"], ["filled"]),
        helper.make_node("Conv", ["filled", "eye", "added"], ["many"]),
        helper.make_node("DepthToSpace", ["many"], ["made"], blocksize=factor, mode="CRD"),
    ]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", count, *sides])
        for name, sides in (("input", "hw"), ("made", "HW"))
    ]
    tensors = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "places", ends[:1], ends[1:], tensors)
    folder.mkdir(parents=True, exist_ok=True)
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), folder / "p.onnx")
    path = folder / "p.yaml"
    content = {"model": "p.onnx", "bands": list(bands), "margin": margin, "factor": float(factor)}
    path.write_text(json.dumps(content))
    return path


def command(src: Path, dst: Path, model: Path, *flags: str) -> Path:
    """Run the stage as its container does."""
    cli.main(stage.run, [f"--src={src}", f"--dst={dst}", f"--model={model}", *flags])
    return dst


def pixels_of(path: Path) -> np.ndarray:
    with rasterio.open(path) as image:
        return image.read()


def long(name: str) -> str:
    """B04 of B4."""
    return name if name == "B8A" else f"B{int(name[1:]):02}"


def digital(name: str, offset: bool = True) -> np.ndarray:
    """What a band of the products of baseline 04.00 and later means; NaN in their corner."""
    stored = make.numbers(long(name), make.METRES[long(name)]).astype(np.float64)
    made = stored - (1000 + make.ORDER.index(long(name))) * offset
    return np.where(stored == 0, np.nan, made)


@pytest.fixture(scope="module")
def l1c(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make.make_safe(tmp_path_factory.mktemp("products"), "L1C", "04.00")


@pytest.fixture(scope="module")
def l2a(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make.make_safe(tmp_path_factory.mktemp("products"), "L2A", "05.09")


# --- values and places ----------------------------------------------------------------------------
@pytest.mark.parametrize("factor", [2, 3])
def test_each_pixel_is_where_it_belongs(l1c: Path, tmp_path: Path, factor: int) -> None:
    model = places(tmp_path / "net", TEN, factor, margin=2 * factor)
    made = command(l1c, tmp_path / "out", model, "--tile=44")
    i, j = np.mgrid[: 60 * factor, : 60 * factor]
    with rasterio.open(made / "image.tif") as image:
        assert image.descriptions == TEN
        assert (image.dtypes[0], image.nodata, image.crs.to_epsg()) == ("int16", NODATA, 32633)
        known = (10 / factor, 0, make.WEST, 0, -10 / factor, make.NORTH)
        np.testing.assert_allclose(tuple(image.transform)[:6], known, rtol=1e-15)
        assert image.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        for number, name in enumerate(TEN, 1):
            large = digital(name)[i // factor, j // factor] + 10 * (i % factor) + j % factor
            expected = np.where(np.isnan(large), NODATA, large)
            np.testing.assert_array_equal(image.read(number), expected)


def test_bands_of_20_m_are_enlarged_to_10_m_where_one_is_of_10_m(l1c: Path, tmp_path: Path) -> None:
    model = places(tmp_path / "net", ("B4", "B11"), 2)
    made = pixels_of(command(l1c, tmp_path / "out", model, "--tile=30") / "image.tif")
    coarse = make.numbers("B11", 20).astype(float)
    for row, column in ((20, 21), (33, 40), (45, 20)):
        expected = make.cubic_by_hand(coarse, row, column) - 1000 - make.ORDER.index("B11")
        found = made[1, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
        assert np.abs(found - [[0, 1], [10, 11]] - expected).max() <= 0.51


@pytest.mark.parametrize("kind", ["SAFE", "Theia", "files"])
def test_bands_of_20_m_alone_stay_as_they_are(l2a: Path, tmp_path: Path, kind: str) -> None:
    src = l2a
    if kind == "Theia":
        src = make.make_theia(tmp_path)
    if kind == "files":
        src = tmp_path / "files"
        for band in ("B04", "B05", "B8A"):
            metres = make.METRES[band]
            make.write_image(src / f"x_{band}.tif", make.numbers(band, metres), metres)
    model = places(tmp_path / "net", ("B8A", "B5"), 4, margin=8)
    made = command(src, tmp_path / "out", model, "--tile=40")
    i, j = np.mgrid[:120, :120]
    with rasterio.open(made / "image.tif") as image:
        assert tuple(image.transform)[:6] == (5, 0, make.WEST, 0, -5, make.NORTH)
        for number, name in enumerate(("B8A", "B5"), 1):
            known = digital(name, offset=kind == "SAFE")
            large = known[i // 4, j // 4] + 10 * (i % 4) + j % 4
            expected = np.where(np.isnan(large), NODATA, large)
            np.testing.assert_array_equal(image.read(number), expected)


def test_a_stack_whose_channels_are_told(tmp_path: Path) -> None:
    values = np.stack([make.numbers(name, 10) for name in ("B08", "B02", "B04")])
    src = make.write_image(tmp_path / "x.tif", values, nodata=0)
    model = places(tmp_path / "net", TEN, 2)
    told = ("--channels=B08,B02,B04", "--offset=-500")
    made = pixels_of(command(src, tmp_path / "out", model, *told) / "image.tif")
    np.testing.assert_array_equal(made[0, 13::2, 13::2] + 500 - 11, values[2, 6:, 6:])
    np.testing.assert_array_equal(made[1, 13::2, 13::2] + 500 - 11, values[0, 6:, 6:])


def test_a_scene_file(tmp_path: Path) -> None:
    rng, bands = np.random.default_rng(0), ("B2", "B8", "B4", "B3")
    pixels = rng.integers(1, 9000, (300, 40, 4)).astype(np.uint16)
    pixels[5, 7] = 0
    header = scenes.Header(scenes.Grid.utm(32633, make.WEST, make.NORTH), bands, "L2A")
    with scenes.create_scene(tmp_path / "city.h5", (300, 40), header) as sink:
        for block in sink.todo():
            sink.put(block, pixels[block.slices])
    model = places(tmp_path / "net", TEN, 2, margin=4)
    made = command(tmp_path / "city.h5", tmp_path / "out", model, "--tile=64", "--device=cpu")
    i, j = np.mgrid[:600, :80]
    for image, band in zip(pixels_of(made / "image.tif"), (2, 1, 0), strict=True):
        expected = pixels[i // 2, j // 2, band] + 10 * (i % 2) + j % 2
        expected[10:12, 14:16] = 0
        np.testing.assert_array_equal(np.where(image == NODATA, 0, image), expected)


def test_the_companion_is_a_cubic(l1c: Path, tmp_path: Path) -> None:
    model = places(tmp_path / "net", ("B4", "B8"), 2)
    made = command(l1c, tmp_path / "out", model, "--bicubic", "--tile=50")
    enlarged = pixels_of(made / "bicubic.tif")
    for number, name in enumerate(("B4", "B8")):
        known = digital(name)
        for row, column in ((60, 61), (97, 100), (119, 80), (70, 0)):
            padded = np.pad(known, 2, mode="reflect")  # beyond the border as the network sees it
            expected = make.cubic_by_hand(np.nan_to_num(padded), row + 4, column + 4)
            assert abs(enlarged[number, row, column] - expected) <= 0.51
    assert (enlarged[:, :12, :12] == NODATA).all()
    assert (enlarged[:, 12:, 12:] != NODATA).all()


def test_a_region_is_a_part_of_the_whole(l1c: Path, tmp_path: Path) -> None:
    """Its border is none: what the network sees there lies beyond it."""
    model = client_networks.pair(tmp_path / "net", TEN)
    whole = pixels_of(command(l1c, tmp_path / "whole", model) / "image.tif")
    flags = ("--region=7,15,44,52", "--region_in=pixels")
    part = command(l1c, tmp_path / "part", model, *flags, "--tile=48")
    found = pixels_of(part / "image.tif").astype(int)
    assert np.abs(found - whole[:, 30:104, 14:88]).max() <= 1
    with rasterio.open(part / "image.tif") as image:
        left, top = make.WEST + 70, make.NORTH - 150
        assert tuple(image.transform)[:6] == (5, 0, left, 0, -5, top)
    metres = f"--region={left},{top - 370},{left + 370},{top}"
    same = command(l1c, tmp_path / "metres", model, metres, "--tile=48")
    assert (same / "image.tif").read_bytes() == (part / "image.tif").read_bytes()


@pytest.mark.parametrize("grid", [4, 7])
def test_tiles_and_regions_of_a_network_with_windows_lie_on_its_grid(
    l1c: Path, tmp_path: Path, grid: int
) -> None:
    """All are as the network makes them of the whole product, whose corner begins a window."""
    options = client_networks.Options(grid=grid, detail=0.05)
    model = client_networks.pair(tmp_path / "net", TEN, options)
    ahead, behind = 4 * grid, 20
    padded = np.stack([digital(name) for name in TEN]).astype(np.float32)
    padded = np.pad(padded, [(0, 0), *[(ahead, behind)] * 2], mode="reflect")
    session = onnxruntime.InferenceSession(model.with_suffix(".onnx"))
    (given,) = session.run(None, {"input": padded[None]})
    expected = np.where(np.isnan(given), NODATA, np.rint(given))[0]
    expected = expected[:, 2 * ahead : -2 * behind, 2 * ahead : -2 * behind]
    assert not np.isnan(given).all()
    for name, part in {
        "all": (0, 0, 60, 60),
        "some": (9, 13, 44, 52),
        "few": (5, 3, 11, 8),
    }.items():
        left, top, right, bottom = part
        flags = (f"--region={left},{top},{right},{bottom}", "--region_in=pixels", "--bicubic")
        for tile in (1000, 38):
            made = command(l1c, tmp_path / f"{name}-{tile}", model, *flags, f"--tile={tile}")
            found = pixels_of(made / "image.tif")
            wanted = expected[:, 2 * top : 2 * bottom, 2 * left : 2 * right]
            np.testing.assert_array_equal(found == NODATA, wanted == NODATA)
            assert np.abs(found - wanted).max() <= 1
            assert json.loads((made / "scene-sr.json").read_text())["grid"] == grid
        one, two = (pixels_of(tmp_path / f"{name}-{tile}" / "bicubic.tif") for tile in (1000, 38))
        np.testing.assert_array_equal(one, two)


def test_a_grid_that_is_none_is_refused(l1c: Path, tmp_path: Path, capsys: Any) -> None:
    model = places(tmp_path / "run" / "net", TEN, 2)
    content = onnx.load(model.with_suffix(".onnx"))
    for told in ("0", "65", "eight", "8.0", "-8", "8" * 100):
        helper.set_model_props(content, {"lcz42-edge.grid": told})
        onnx.save(content, model.with_suffix(".onnx"))
        message = (
            f"p.onnx: lcz42-edge.grid: expected a whole number from 1 to 64, found '{told[:9]}"
        )
        refuse(capsys, l1c, model, message)
        (model.parent.parent / "products").rmdir()


# --- tiles and borders ----------------------------------------------------------------------------
def test_tiles_give_what_the_network_gives_of_the_whole_mirrored(l1c: Path, tmp_path: Path) -> None:
    options = client_networks.Options(factor=3, side=5)
    model = client_networks.pair(tmp_path / "net", TEN, options)
    padded = np.stack([digital(name) for name in TEN]).astype(np.float32)
    padded = np.pad(padded, [(0, 0), (20, 20), (20, 20)], mode="reflect")
    session = onnxruntime.InferenceSession(model.with_suffix(".onnx"))
    (given,) = session.run(None, {"input": padded[None]})
    expected = np.where(np.isnan(given), NODATA, np.rint(given))[0, :, 60:-60, 60:-60]
    for tile in (1000, 64, 33):
        made = pixels_of(command(l1c, tmp_path / f"{tile}", model, f"--tile={tile}") / "image.tif")
        assert np.abs(made - expected).max() <= 1  # Resize counts in single precision
        assert (made != expected).mean() < 0.01
        np.testing.assert_array_equal(made == NODATA, expected == NODATA)


def test_threads_change_nothing(l1c: Path, tmp_path: Path) -> None:
    model = client_networks.pair(tmp_path / "net", TEN)
    made = [
        command(l1c, tmp_path / name, model, "--tile=40", *flags) / "image.tif"
        for name, flags in {
            "one": ["--threads=1"], "two": ["--threads=2"],
            "beside": ["--threads=2", "--together=2"], "all": ["--threads=3", "--together=0"],
        }.items()
    ]  # fmt: skip
    assert len({path.read_bytes() for path in made}) == 1


def test_zip_is_as_its_folder(l2a: Path, tmp_path: Path) -> None:
    model = places(tmp_path / "net", ("B4", "B5"), 2, margin=4)
    packed = Path(shutil.copytree(l2a, tmp_path / l2a.name))
    one = command(packed, tmp_path / "folder", model, "--bicubic")
    two = command(make.pack(packed), tmp_path / "zip", model, "--bicubic")
    for name in ("image.tif", "bicubic.tif", "quicklook.png", "scene-sr.json"):
        assert (one / name).read_bytes() == (two / name).read_bytes()


# --- numbers as stored ----------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("bias", "expected"), [(0.7, 1.0), (0.2, 0.0), (40_000.0, 32_767), (-30_000.0, -9_999)]
)
def test_numbers_are_rounded_and_saturate(
    l1c: Path, tmp_path: Path, bias: float, expected: float
) -> None:
    model = places(tmp_path / "net", ("B4",), 2, bias=bias)
    made = pixels_of(command(l1c, tmp_path / "out", model) / "image.tif")[0, 12::2, 12::2]
    known = digital("B4")[6:, 6:] + expected if abs(bias) < 1 else expected
    np.testing.assert_array_equal(made, np.broadcast_to(known, made.shape))


def test_nodata_stays_where_it_is(l1c: Path, tmp_path: Path) -> None:
    """It spreads as far as the network lets it, and lies under missing pixels in any case."""
    filled = places(tmp_path / "filled", ("B4", "B11"), 2)
    made = pixels_of(command(l1c, tmp_path / "a", filled, "--tile=20") / "image.tif")
    assert (made[:, :12, :12] == NODATA).all()
    assert (made != NODATA).sum() == 2 * (120**2 - 12**2)
    spreads = client_networks.pair(tmp_path / "net", ("B4", "B8"))
    made = pixels_of(command(l1c, tmp_path / "b", spreads) / "image.tif")
    assert (made[:, :14, :14] == NODATA).all()  # a convolution of 3 x 3 pixels of 10 m
    assert (made[:, 16:, 16:] != NODATA).all()


def test_the_picture_is_black_where_nothing_is(l1c: Path, tmp_path: Path) -> None:
    model = places(tmp_path / "net", ("B2", "B3", "B4"), 2)
    made = command(l1c, tmp_path / "out", model)
    picture = pixels_of(made / "quicklook.png")
    assert picture.shape == (3, 120, 120)
    assert not picture[:, :12, :12].any()
    assert picture[:, 12:, 12:].min() == 1
    assert picture.max() == 255
    red = digital("B4")[6:, 6:]
    brightest = np.unravel_index(np.argmax(red), red.shape)
    assert picture[0, 12 + 2 * brightest[0], 12 + 2 * brightest[1]] == 255


# --- stops ----------------------------------------------------------------------------------------
def stop_at(monkeypatch: Any, module: Any, name: str, call: int) -> list[int]:
    """Let this call of a function, counted from 1, be stopped as by Ctrl-C; the calls so far."""
    real = getattr(module, name)
    calls: list[int] = []

    def stopped(*values: Any, **flags: Any) -> Any:
        calls.append(len(calls) + 1)
        if len(calls) == call:
            raise KeyboardInterrupt
        return real(*values, **flags)

    monkeypatch.setattr(module, name, stopped)
    return calls


def test_goes_on_after_a_stop_to_the_same_bytes(
    l1c: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    from stages.scene_sr import geotiff, tiles

    model, flags = client_networks.pair(tmp_path / "net", TEN), ("--tile=40", "--bicubic")
    whole = command(l1c, tmp_path / "whole", model, *flags)
    calls = stop_at(monkeypatch, tiles, "resolve_tile", 5)
    with pytest.raises(SystemExit, match="130"):  # one at a time; the next may have begun
        command(l1c, tmp_path / "out", model, *flags, "--together=1")
    assert len(calls) in (5, 6)
    writes = stop_at(monkeypatch, geotiff, "write", 2)
    with pytest.raises(SystemExit, match="130"):
        command(l1c, tmp_path / "out", model, *flags)
    assert len(calls) < 14  # of 9 tiles; at least 3 were kept
    made = command(l1c, tmp_path / "out", model, *flags)
    assert len(writes) == 3  # the first image was kept
    names = sorted(path.name for path in whole.iterdir())
    assert names == ["bicubic.tif", "image.tif", "quicklook.png", "scene-sr.json"]
    assert sorted(path.name for path in made.iterdir()) == names
    for name in names:
        assert (made / name).read_bytes() == (whole / name).read_bytes()


def test_another_network_under_the_same_name_is_another_plan(
    l1c: Path, tmp_path: Path, capsys: Any
) -> None:
    model = places(tmp_path / "net", TEN, 2)
    command(l1c, tmp_path / "out", model)
    command(l1c, tmp_path / "out", model)
    assert "up to date" in capsys.readouterr().err
    places(tmp_path / "net", TEN, 2, bias=1)
    with pytest.raises(SystemExit, match="2"):
        command(l1c, tmp_path / "out", model)
    assert "network" in capsys.readouterr().err


# --- refusals -------------------------------------------------------------------------------------
def edited(**changes: Any) -> Callable[[Path], None]:
    """Other values in the YAML; None takes a key away."""

    def edit(model: Path) -> None:
        content = {**json.loads(model.read_text()), **changes}
        model.write_text(json.dumps({k: v for k, v in content.items() if v is not None}))

    return edit


REFUSED = {
    "key": (edited(scale=2), [], "p.yaml: expected exactly the keys model, bands, margin, factor"),
    "no key": (edited(margin=None), [], "p.yaml: expected exactly the keys"),
    "factor 0": (edited(factor=0), [], "p.yaml: factor: expected 1 or more, found 0"),
    "factor": (edited(factor=3.0), [], "p.onnx: expected (3, 120, 108) from (3, 40, 36)"),
    "half": (edited(margin=2.5), [], "p.yaml: margin: expected a whole number"),
    "band": (edited(bands=["B4", "B8", "B9"]), [], "p.yaml: bands: expected different ones of"),
    "bands": (edited(bands=["B4", "B8"]), [], "p.yaml: bands: expected the 3 of p.onnx, found 2"),
    "no model": (edited(model="q.onnx"), [], "p.yaml: model: expected an ONNX file beside it"),
    "text": (lambda p: p.with_suffix(".onnx").write_text("x"), [], "p.onnx: not a usable ONNX"),
    "yaml": (lambda p: p.write_text("a: [1"), [], "p.yaml: not YAML"),
    "cuda": (edited(), ["--device=cuda"], "--device: expected an onnxruntime with CUDAExecution"),
    "region": (edited(), ["--region=0,0,9,9"], "--region: expected a part of the scene"),
    "network": (edited(), ["--network={src}/MTD_MSIL1C.xml"], "--network: expected "),
    "tile": (edited(), ["--tile=8"], "--tile: expected 16 to 8192, found 8"),
    "channels": (edited(), ["--channels=B2"], "--channels: expected none beside"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_refuses(l1c: Path, tmp_path: Path, capsys: Any, what: str) -> None:
    spoil, flags, message = REFUSED[what]
    model = places(tmp_path / "net", TEN, 2)
    spoil(model)
    refuse(capsys, l1c, model, message, *(flag.format(src=l1c) for flag in flags))


def refuse(capsys: Any, src: Path, model: Path, message: str, *flags: str) -> None:
    """One line with the message; nothing left behind."""
    folder = (model if model.is_file() else model / "p.yaml").parent.parent / "products"
    folder.mkdir()
    with pytest.raises(SystemExit, match="2"):
        command(src, folder / "out", model, *flags)
    (line,) = [x for x in capsys.readouterr().err.splitlines() if x.startswith("error")]
    assert message in line
    assert list(folder.iterdir()) == []


def test_refuses_products(l1c: Path, tmp_path: Path, capsys: Any) -> None:
    cut = Path(shutil.copytree(l1c, tmp_path / "cut" / l1c.name))
    image = next(cut.rglob("*_B08.jp2"))
    image.write_bytes(image.read_bytes()[:-900])
    lacking = Path(shutil.copytree(l1c, tmp_path / "lacking" / l1c.name))
    next(lacking.rglob("*_B08.jp2")).unlink()
    stack = make.write_image(tmp_path / "x.tif", np.full((10, 40, 50), 900, np.uint16))
    cases = {
        "cut": (cut, TEN, "_B08.jp2: not a complete image"),
        "lacking": (lacking, TEN, "expected band B8, found"),
        "stack": (stack, ("B5", "B8A"), "x: expected B5 with pixels of 20 m"),
    }
    for name, (src, bands, message) in cases.items():
        model = places(tmp_path / name / "run" / "net", bands, 2)
        refuse(capsys, src, model, message)


def test_a_folder_without_a_description_is_refused(l1c: Path, tmp_path: Path, capsys: Any) -> None:
    model = places(tmp_path / "net", TEN, 2)
    shutil.copy(model, model.with_name("q.yml"))
    message = "expected one YAML, found p.yaml, q.yml; name the file itself"
    refuse(capsys, l1c, model.parent, message)


# --- the faster form ------------------------------------------------------------------------------
def mirrored(folder: Path, mode: str, margin: int, factor: float = 0.25) -> Path:
    """A pair with two padded convolutions, the second after a leaky ReLU and times a factor."""
    rng, pads = np.random.default_rng(3), np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64)
    kernels = rng.uniform(0.0, 0.3, (2, 2, 2, 3, 3)).astype(np.float32)
    constants = {"a": kernels[0], "b": kernels[1], "bias": np.array([3, -9], np.float32),
                 "pads": pads, "factor": np.float32(factor),
                 "scales": np.array([1, 1, 2, 2], np.float32)}  # fmt: skip
    nodes = [
        helper.make_node("Pad", ["input", "pads"], ["p"], mode=mode),
        helper.make_node("Conv", ["p", "a", "bias"], ["q"]),
        helper.make_node("LeakyRelu", ["q"], ["r"], alpha=0.2),
        helper.make_node("Mul", ["factor", "r"], ["s"]),
        helper.make_node("Pad", ["s", "pads"], ["t"], mode=mode),
        helper.make_node("Conv", ["t", "b", "bias"], ["u"]),
        helper.make_node("Add", ["u", "input"], ["v"]),
        helper.make_node("Resize", ["v", "", "scales"], ["made"], mode="nearest"),
    ]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 2, *sides])
        for name, sides in (("input", "hw"), ("made", "HW"))
    ]
    tensors = [numpy_helper.from_array(np.asarray(v), n) for n, v in constants.items()]
    graph = helper.make_graph(nodes, "mirrored", ends[:1], ends[1:], tensors)
    folder.mkdir(parents=True, exist_ok=True)
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), folder / "m.onnx")
    content = {"model": "m.onnx", "bands": ["B8", "B4"], "margin": margin, "factor": 2.0}
    (folder / "m.yaml").write_text(json.dumps(content))
    return folder / "m.yaml"


@pytest.mark.parametrize(
    ("mode", "margin", "factor", "fast"),
    [("reflect", 4, 0.25, True), ("edge", 6, 2.0, True), ("reflect", 2, 0.25, False),
     ("constant", 4, 0.25, True), ("constant", 4, -0.25, False)],
)  # fmt: skip
def test_a_faster_form_counts_where_it_gives_the_same(
    tmp_path: Path, mode: str, margin: int, factor: float, fast: bool
) -> None:
    """Two convolutions reach 2 input pixels, 4 of the output: a margin of 2 shows the padding."""
    from shared import sisr_client
    from stages.scene_sr import tuning

    told = sisr_client.read(mirrored(tmp_path, mode, margin, factor))
    plain, tuned = sisr_client.Network(told, 1), sisr_client.Network(told, 1)
    assert tuning.speed_up(tuned, 1) is fast
    tile = np.random.default_rng(5).uniform(0, 9000, (2, 30, 41)).astype(np.float32)
    inside = slice(margin, -margin)
    apart = (plain.run(tile) - tuned.run(tile))[:, inside, inside]
    np.testing.assert_allclose(apart, 0, atol=0.01)


def test_the_faster_form_lacks_what_is_slow(tmp_path: Path) -> None:
    from stages.scene_sr import folding

    model = onnx.load(mirrored(tmp_path, "reflect", 4).with_name("m.onnx"))
    graph = folding.Graph.of(model)
    assert (folding.fold_padding(graph), folding.fold_factors(graph)) == (2, 1)
    assert [node.op_type for node in model.graph.node] == [
        "Conv", "LeakyRelu", "Conv", "Add", "Resize",
    ]  # fmt: skip
    onnx.checker.check_model(model)
