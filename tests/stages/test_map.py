"""map: windows, filters and measures by hand; the product; moved, tiled, killed, in shards."""

import base64
import dataclasses
import json
import re
import subprocess
import tracemalloc
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import rasterio
import rasterio.shutil

from shared import cli, conformal, lcz, models, patches
from shared.models import scores
from shared.scenes import CLOUD, Grid, Header, create_scene, open_scene
from stages.map import (
    abstaining,
    classifiers,
    filters,
    geotiff,
    matching,
    measures,
    page,
    palette,
    quicklook,
    rendering,
    stac,
    tables,
    thinning,
    windows,
)
from stages.map import cells as grids
from stages.map import main as stage
from stages.map.settings import Cells
from stages.merge import main as merge
from tests import networks
from tests.conftest import pixels, write_patches

UTM = Grid.utm(32632, 600_000, 5_300_000)
ROOT = Path(__file__).resolve().parents[2]
SIDE = 60  # pixels of a field of one class in the test scene


def write_scene(
    path: Path,
    values: np.ndarray,
    *,
    grid: Grid = UTM,
    level: str = "L1C",
    mask: np.ndarray | None = None,
    truth: np.ndarray | None = None,
    date: str = "2021-07-01T10:00:00Z",
) -> Path:
    """A scene file of (H, W, 10) reflectance; NaN is no data."""
    header = Header(grid, level=level, product="S2_TEST", date=date)
    with create_scene(path, values.shape[:2], header, truth=truth is not None) as sink:
        for window in sink.todo():
            layers = {"mask": mask, "truth": truth}
            given = {n: v[window.slices] for n, v in layers.items() if v is not None}
            sink.put(window, values[window.slices], **given)
    return path


def fields(height: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(H, W, 10) square fields of the classes of `pixels`, and (H, W) the truth."""
    rows, columns = np.mgrid[:height, :width] // SIDE
    classes = (5 * rows + columns) % 17
    base = 0.05 + 0.01 * classes[..., None] * np.arange(1, 11) / 10
    noise = 0.02 * np.random.default_rng(seed).random((height, width, 10))
    return base + noise, (classes + 1).astype(np.uint8)


@pytest.fixture(scope="session")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder of all ten bands that enlarges patches from 32 to 48 pixels."""
    folder = tmp_path_factory.mktemp("student")
    train = write_patches(folder / "train.h5", pixels(221))
    test = write_patches(folder / "test.h5", pixels(34, 1))
    return networks.student(folder / "student", train, test, bands=lcz.SEN2.bands)


def with_card(student: Path, folder: Path, **changes: object) -> Path:
    """The same network described otherwise: another size, other bands, 8 bits."""
    folder.mkdir()
    card = dataclasses.replace(models.load(student)[0], **changes)  # type: ignore[arg-type]
    kernel = onnx.load(student / "student.onnx")
    weights = {t.name: onnx.numpy_helper.to_array(t) for t in kernel.graph.initializer}
    weights["kernel"] = weights["kernel"][:, : len(card.bands)]
    onnx.save(networks.graph(weights, size=card.size), folder / card.file)
    models.save(folder, [card])
    return folder


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """212 x 302 pixels, 19 x 28 cells, with truth."""
    values, truth = fields(212, 302)
    return write_scene(tmp_path / "scene.h5", values, truth=truth)


def command(src: Path, dst: Path, *flags: str) -> Path:
    """Run the stage as its container does."""
    cli.main(stage.run, [f"--src={src}", f"--dst={dst}", *flags])
    return dst


def classes_of(folder: Path) -> np.ndarray:
    with rasterio.open(folder / "classes.tif") as file:
        return np.asarray(file.read(1))


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


# --- windows and grid -----------------------------------------------------------------------------
def test_windows_are_a_view_of_the_block() -> None:
    block = np.arange(6 * 7 * 2).reshape(6, 7, 2)
    views = windows.cut(block, 3, 2)
    assert views.shape == (2, 3, 3, 3, 2)
    np.testing.assert_array_equal(views[1, 2], block[2:5, 4:7])
    assert np.shares_memory(views, block)


def test_marks_are_counted_by_hand() -> None:
    marks = np.zeros((5, 6), bool)
    marks[0, 0] = marks[2, 2] = marks[4, 5] = True
    assert windows.count(marks, 3, 1).tolist() == [[2, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 1]]
    assert windows.count(marks, 3, 2).tolist() == [[2, 1], [1, 1]]


@pytest.mark.parametrize(
    ("window", "step", "corner"), [(32, 10, 11), (32, 32, 0), (32, 1, 15.5), (8, 10, -1)]
)
def test_a_cell_lies_around_the_centre_of_its_window(window: int, step: int, corner: float) -> None:
    tiling = windows.Tiling(100, 120, window, step)
    grid = tiling.grid(UTM)
    assert grid.place(0, 0) == (600_000 + 10 * corner, 5_300_000 - 10 * corner)
    assert grid.pixel == (10 * step, 10 * step)
    rows, columns = tiling.shape
    top, left = (rows - 1) * step, (columns - 1) * step
    centre = UTM.place(top + window / 2, left + window / 2)
    assert grid.place(rows - 0.5, columns - 0.5) == pytest.approx(centre)
    assert top + window <= 100 < top + step + window
    assert left + window <= 120 < left + step + window


# --- measures and filters -------------------------------------------------------------------------
def test_measures_by_hand() -> None:
    said = np.array([[0.5, 0.25, 0.25], [1, 0, 0], [0, 0, 0]], np.float32)
    assert measures.classify(said).tolist() == [1, 1, 0]
    assert measures.percent(said).tolist() == [50, 100, 0]
    np.testing.assert_allclose(measures.probability(said), [0.5, 1, np.nan])
    np.testing.assert_allclose(measures.margin(said), [0.25, 1, np.nan])
    half = 1.5 * np.log(2) / np.log(3)  # 1/2 log 2 + 2 * 1/4 log 4, over log 3
    np.testing.assert_allclose(measures.entropy(said), [half, 0, np.nan], rtol=1e-6)


def test_majority_takes_the_most_frequent_around() -> None:
    classes = np.array([[1, 1, 2], [1, 3, 2], [0, 2, 2]], np.uint8)
    kernel = filters.make_kernel("majority", 1.0, 1)
    # corner 1 1 / 1 3; edge 1 1 2 1 3 2; 1 2 3 2; 1 1 1 3 2; of all 3 x 1, 4 x 2; …
    assert filters.smooth(classes, kernel, 3).tolist() == [[1, 1, 2], [1, 2, 2], [0, 2, 2]]


def test_a_tie_keeps_the_class_of_the_cell() -> None:
    kernel = filters.make_kernel("majority", 1.0, 1)
    row = np.array([[2, 1]], np.uint8)
    assert filters.smooth(row, kernel, 2).tolist() == [[2, 1]]
    row = np.array([[3, 2, 1]], np.uint8)  # the middle has one of each
    assert filters.smooth(row, kernel, 3).tolist() == [[3, 2, 1]]


def test_gaussian_weighs_what_is_near() -> None:
    kernel = filters.gaussian_kernel(1.0, 2)
    near, far = np.exp(-0.5), np.exp(-2.0)
    np.testing.assert_allclose(kernel / kernel[2], [far, near, 1, near, far], atol=1.3e-4)
    # class 2 at the middle: 1; class 1 on both sides: 2 * 0.607 = 1.213
    row = np.array([[3, 1, 2, 1, 3]], np.uint8)
    assert filters.smooth(row, kernel, 3)[0, 2] == 1
    row = np.array([[1, 3, 2, 4, 1]], np.uint8)  # 2 * 0.135 is less than 1
    assert filters.smooth(row, kernel, 4)[0, 2] == 2


def test_no_filter_changes_nothing() -> None:
    classes = np.random.default_rng(0).integers(0, 18, (9, 11)).astype(np.uint8)
    kernel = filters.make_kernel("none", 1.0, 2)
    np.testing.assert_array_equal(filters.smooth(classes, kernel, 17), classes)


def test_scale_bars_are_round() -> None:
    assert [quicklook.bar_length(w) for w in (400, 8100, 30_000, 110_000)] == [
        100, 2000, 5000, 20_000,
    ]  # fmt: skip


def test_classes_are_spelt_and_coloured() -> None:
    assert palette.spell("06_OpenLowRise") == "6 Open Low Rise"
    assert palette.spell("Annual_Crop") == "Annual_Crop"
    assert palette.choose_colours(lcz.CLASSES) == lcz.COLOURS
    assert len(set(palette.choose_colours(tuple("abcdefghij")))) == 10


# --- what the networks see ------------------------------------------------------------------------
@pytest.mark.parametrize(
    "changes",
    [{}, {"size": 32}, {"eight_bit": True}, {"size": 32, "eight_bit": True},
     {"size": 32, "bands": ("B8", "B4"), "mean": (0.1, 0.2), "std": (0.1, 0.3)}],
    ids=["enlarged", "as it is", "8 bits enlarged", "8 bits", "two bands"],
)  # fmt: skip
def test_equals_prediction_patch_by_patch(
    scene: Path, student: Path, tmp_path: Path, changes: dict[str, object]
) -> None:
    """Cut, scaled and run one by one as every other stage does it: the very same numbers."""
    folder = with_card(student, tmp_path / "model", **changes)
    made = command(scene, tmp_path / "map", f"--model={folder}")
    card = models.load(folder)[0]
    session = onnxruntime.InferenceSession(folder / card.file)
    places = lcz.indices(lcz.SEN2.bands, card.bands)
    with open_scene(scene) as opened, patches.read(made / "scores.h5", "scores") as source:
        said = source["scores"].raw(slice(None))
        assert said.shape == (19, 28, 17)
        for row, column in np.ndindex(19, 28):
            patch = opened.window(10 * row, 10 * column, 32, 32)[None]
            values = lcz.SEN2.scale(patch)[..., places].astype(np.float32)
            logits = session.run(None, {"image": models.preprocess(values, card)})[0]
            expected = scores.softmax(logits)[0].astype(np.float32)
            np.testing.assert_array_equal(said[row, column], expected)


def test_an_ensemble_is_the_mean_of_probabilities(
    scene: Path, student: Path, tmp_path: Path
) -> None:
    other = with_card(student, tmp_path / "other", size=32)
    both = tmp_path / "both"
    both.mkdir()
    cards = []
    for number, folder in enumerate((student, other)):
        card = dataclasses.replace(models.load(folder)[0], file=f"{number}.onnx")
        (both / card.file).write_bytes((folder / "student.onnx").read_bytes())
        cards.append(card)
    models.save(both, cards)
    made = [
        command(scene, tmp_path / f"map-{n}", f"--model={folder}")
        for n, folder in enumerate((student, other, both))
    ]
    one, two, mean = (stored(path / "scores.h5") for path in made)
    np.testing.assert_allclose(mean, (one.astype(float) + two) / 2, atol=1e-7)


def stored(path: Path) -> np.ndarray:
    with patches.read(path, "scores") as source:
        return np.asarray(source["scores"].raw(slice(None)))


def test_a_constant_scene_has_one_class(student: Path, tmp_path: Path) -> None:
    values = np.broadcast_to(pixels(17)["sen2"][4].mean((0, 1)), (92, 102, 10))
    src = write_scene(tmp_path / "scene.h5", values)
    made = command(src, tmp_path / "map", f"--model={student}")
    assert np.unique(classes_of(made)).tolist() == [5]
    assert len(np.unique(stored(made / "scores.h5").reshape(-1, 17), axis=0)) == 1


def test_a_scene_moved_by_a_step_moves_the_map_by_a_cell(student: Path, tmp_path: Path) -> None:
    values, _ = fields(212, 302)
    first = write_scene(tmp_path / "one.h5", values)
    moved = write_scene(tmp_path / "two.h5", values[10:, 20:], grid=UTM.moved(10, 20))
    one, two = (
        command(src, tmp_path / f"map-{n}", f"--model={student}")
        for n, src in enumerate((first, moved))
    )
    np.testing.assert_array_equal(stored(one / "scores.h5")[1:, 2:], stored(two / "scores.h5"))
    with rasterio.open(one / "classes.tif") as a, rasterio.open(two / "classes.tif") as b:
        np.testing.assert_array_equal(a.read(1)[1:, 2:], b.read(1))
        assert b.transform == a.transform @ rasterio.Affine.translation(2, 1)


# --- no data --------------------------------------------------------------------------------------
def test_cells_that_see_too_little_are_nodata(student: Path, tmp_path: Path) -> None:
    values, _ = fields(72, 72)
    values = values.copy()
    mask = np.zeros((72, 72), np.uint8)
    values[0:10, 0:10, 3] = np.nan  # 100 of 1024 pixels of the first window: 9.8 %
    mask[62:72, 61:72] = CLOUD  # 110 of the last one: 10.7 %
    src = write_scene(tmp_path / "scene.h5", values, mask=mask)
    made = command(src, tmp_path / "map", f"--model={student}")
    expected = np.ones((5, 5), bool)
    expected[4, 4] = False
    np.testing.assert_array_equal(classes_of(made) > 0, expected)
    strict = command(src, tmp_path / "strict", f"--model={student}", "--max_masked=0")
    expected[0, 0] = False
    expected[4, 3] = False  # 10 rows of one column of the cloud
    np.testing.assert_array_equal(classes_of(strict) > 0, expected)
    with rasterio.open(strict / "confidence.tif") as file:
        np.testing.assert_array_equal(np.isfinite(file.read()), np.stack(3 * [expected]))
    row = (strict / "area.csv").read_text().splitlines()[1:]
    assert sum(int(line.split(",")[3]) for line in row) == 22


def test_hidden_pixels_have_the_mean_of_the_training_split(student: Path, tmp_path: Path) -> None:
    """Also for a network that takes reflectance as it is, whose folder tells the mean."""
    model = with_card(student, tmp_path / "plain", mean=(0.0,) * 10, std=(1 / 2.8,) * 10)
    told = {"mean": list(lcz.TRAINING_MEAN), "std": list(lcz.TRAINING_STD)}
    models.save(model, models.load(model), training_reflectance=told)
    values, _ = fields(32, 32)
    mask = np.zeros((32, 32), np.uint8)
    mask[4:12, 6:14] = CLOUD
    hidden = write_scene(tmp_path / "hidden.h5", values, mask=mask)
    filled = values.copy()
    filled[4:12, 6:14] = lcz.TRAINING_MEAN
    one, two = (
        stored(command(src, tmp_path / f"map-{src.stem}", f"--model={model}") / "scores.h5")
        for src in (hidden, write_scene(tmp_path / "filled.h5", filled))
    )
    np.testing.assert_allclose(one, two, atol=1e-3)


# --- files ----------------------------------------------------------------------------------------
def test_geotiffs_have_names_colours_and_place(scene: Path, student: Path, tmp_path: Path) -> None:
    made = command(scene, tmp_path / "map", f"--model={student}", "--probabilities")
    with rasterio.open(made / "classes.tif") as file:
        assert (file.dtypes, file.nodata, file.descriptions) == (("uint8",), 0, ("class",))
        assert file.crs.to_epsg() == 32632
        assert file.transform.to_gdal() == (600_110, 100, 0, 5_299_890, 0, -100)
        assert file.tags()["AREA_OR_POINT"] == "Area"
        assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        table = file.colormap(1)
    assert [table[k][:3] for k in (1, 17)] == [(0x8C, 0, 0), (0x6A, 0x6A, 0xFF)]
    assert table[0] == (0, 0, 0, 0)
    rasterio.shutil.copy(made / "classes.tif", tmp_path / "x.vrt", driver="VRT")
    names = re.findall("<Category>(.*)</Category>", (tmp_path / "x.vrt").read_text())
    assert names == ["no data", *lcz.CLASSES]  # GDAL itself found them
    said = stored(made / "scores.h5")
    with rasterio.open(made / "confidence.tif") as file:
        assert file.descriptions == ("probability", "entropy", "margin")
        np.testing.assert_array_equal(file.read(1), said.max(-1))
    with rasterio.open(made / "probabilities.tif") as file:
        assert file.descriptions == lcz.CLASSES
        np.testing.assert_array_equal(np.moveaxis(file.read(), 0, -1), said)
    np.testing.assert_array_equal(classes_of(made), said.argmax(-1) + 1)


def test_overviews_of_classes_are_by_mode(tmp_path: Path) -> None:
    classes = np.zeros((600, 600), np.uint8)
    classes[::2, ::2], classes[1::2, ::2], classes[:, 1::2] = 5, 9, 9  # three of four are 9
    form = geotiff.Form(("class",), "uint8", ("no data", "a"), lcz.COLOURS, 1)
    file = geotiff.GeoTiff(tmp_path / "a.tif", (600, 600), UTM, form)
    for first in range(0, 600, 250):  # not in tiles
        rows = slice(first, min(600, first + 250))
        file.put(rows, classes[rows])
    file.finish()
    with rasterio.open(tmp_path / "a.tif") as made:
        np.testing.assert_array_equal(made.read(1), classes)
        assert made.overviews(1)
    with rasterio.open(tmp_path / "a.tif", overview_level=0) as made:
        assert np.unique(made.read(1)).tolist() == [9]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tif", "a.tif.aux.xml"]


def test_wudapt_has_three_bands(scene: Path, student: Path, tmp_path: Path) -> None:
    made = command(scene, tmp_path / "map", f"--model={student}", "--form=wudapt")
    said = stored(made / "scores.h5")
    raw = (said.argmax(-1) + 1).astype(np.uint8)
    with rasterio.open(made / "classes.tif") as file:
        assert file.descriptions == ("lcz", "lczFilter", "classProbability")
        assert set(file.dtypes) == {"uint8"}
        np.testing.assert_array_equal(file.read(1), raw)
        smooth = filters.smooth(raw, filters.gaussian_kernel(1.0, 2), 17)
        np.testing.assert_array_equal(file.read(2), smooth)
        np.testing.assert_array_equal(file.read(3), np.rint(100 * said.max(-1)))
    assert (smooth != raw).any()


def test_w2w_reads_the_filtered_class(scene: Path, student: Path, tmp_path: Path) -> None:
    """The consumer that people use: it finds the band by its name and the classes 1 to 17."""
    python = ROOT / ".venvs" / "w2w" / "bin" / "python"
    if not python.exists():
        pytest.skip("w2w wants another rasterio: make .venvs/w2w")
    made = command(scene, tmp_path / "map", f"--model={student}", "--form=wudapt")
    scratch = tmp_path / "w2w"
    scratch.mkdir()
    line = [python, ROOT / "tests" / "w2w_reads.py", made, scratch]
    done = subprocess.run(line, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    with rasterio.open(made / "classes.tif") as file:
        classes = set(np.unique(file.read(2)).tolist())
    assert (said["band"], said["crs"]) == (1, "EPSG:4326")  # the second band, from 0
    assert classes - set(said["classes"]) <= {0} and set(said["classes"]) <= classes | {0}  # noqa: PT018


def test_tables_count_what_the_map_shows(scene: Path, student: Path, tmp_path: Path) -> None:
    made = command(scene, tmp_path / "map", f"--model={student}", "--filter=majority")
    shown, facts = classes_of(made), json.loads((made / "map.json").read_text())
    lines = [line.split(",") for line in (made / "area.csv").read_text().splitlines()[1:]]
    assert [int(line[3]) for line in lines] == [(shown == k).sum() for k in range(1, 18)]
    assert sum(float(line[4]) for line in lines) == pytest.approx(1, abs=2e-5)
    assert float(lines[4][5]) == pytest.approx((shown == 5).sum() * 0.01)
    rows, columns = np.mgrid[:19, :28] * 10 + 11  # most of a cell's pixels lie in this field
    truth = (5 * ((rows + 4) // SIDE) + (columns + 4) // SIDE) % 17 + 1
    assert facts["cells_with_truth"] == 19 * 28
    assert facts["agreement"] == pytest.approx((truth == shown).mean())
    raw = stored(made / "scores.h5").argmax(-1) + 1
    assert facts["agreement_raw"] == pytest.approx((truth == raw).mean())
    assert facts["agreement"] > 0.5


def test_the_page_needs_nothing_from_elsewhere(scene: Path, student: Path, tmp_path: Path) -> None:
    made = command(scene, tmp_path / "map", f"--model={student}")
    text = (made / "map.html").read_text()
    assert not re.findall(r"https?://|src=\"(?!data:)|@import|url\(", text)
    assert not re.findall("%[A-Z]+%", text)
    inside = re.search(r'type="application/json">(.*?)</script>', text)
    assert inside
    page = json.loads(inside[1])
    labels = np.frombuffer(decode(page["labels"]), np.uint8).reshape(19, 28)
    np.testing.assert_array_equal(labels, classes_of(made))
    percents = np.frombuffer(decode(page["percents"]), np.uint8).reshape(19, 28, 17)
    np.testing.assert_array_equal(percents, np.rint(100 * stored(made / "scores.h5")))


def test_a_page_holds_what_names_say_as_text(tmp_path: Path) -> None:
    """Neither a product's name nor a class can become another part of the page."""
    thinned = thinning.Thinned((1, 1), 1, 2)
    hostile = ("<!--<script>", "</script><b>")
    page.write(
        tmp_path / "a.html", np.zeros((2, 2, 3), np.uint8), thinned, (0, 0, 1, 1), classes=hostile,
        colours=("#000000", "#ffffff"), shares=np.zeros(2),
        facts={"scene": "%CONTENT%<i>", "filter": "none", "agreement": 1 / 3, "recall": {"a": 1.0}},
    )  # fmt: skip
    text = (tmp_path / "a.html").read_text()
    assert text.count("<script>") == text.count("</script>") - 1 == 1
    assert text.count("%CONTENT%&lt;i&gt;</") == 2  # title and heading
    inside = re.search(r'type="application/json">(.*?)</script>', text)
    assert inside
    content = json.loads(inside[1])
    assert content["classes"] == list(hostile)
    assert content["facts"] == {"scene": "%CONTENT%<i>", "filter": "none", "agreement": "0.333333"}


def decode(text: str) -> bytes:
    return base64.b64decode(text)


def test_a_page_of_a_large_map_keeps_every_nth_cell() -> None:
    thinned = thinning.Thinned((10, 7), 4, 2)
    said = np.random.default_rng(0).random((10, 7, 2)).astype(np.float32)
    classes = (said.argmax(-1) + 1).astype(np.uint8)
    for rows in (slice(0, 3), slice(3, 10)):
        thinned.add(rendering.Block(rows, said[rows], classes[rows], classes[rows]))
    assert (thinned.every, thinned.classes.shape) == (3, (3, 2))
    assert thinned.starts == (1, 1)
    assert thinning.Thinned((1, 1000), 40, 2).starts == (0, 12)  # a strip has no middle row 12
    np.testing.assert_array_equal(thinned.classes, classes[1::3, 1::3])
    np.testing.assert_array_equal(thinned.percents, np.rint(100 * said[1::3, 1::3]))


def test_the_item_says_where_and_when(scene: Path, student: Path, tmp_path: Path) -> None:
    made = command(scene, tmp_path / "map", f"--model={student}")
    item = json.loads((made / "item.json").read_text())
    assert item["properties"]["datetime"] == "2021-07-01T10:00:00Z"
    assert item["properties"]["proj:shape"] == [19, 28]
    west, south, east, north = item["bbox"]
    assert 10.3 < west < east < 10.4 and 47.8 < south < north < 47.9  # noqa: PT018
    assert item["assets"]["classes"]["classification:classes"][16]["color_hint"] == "6A6AFF"
    named = sorted(asset["href"].removeprefix("./") for asset in item["assets"].values())
    there = {path.name for path in made.iterdir()}
    assert named == sorted(there - {"item.json", "classes.tif.aux.xml"})  # each once, map.html too
    assert [stac.instant(date) for date in ("2021-07-01", "")] == ["2021-07-01T00:00:00Z", None]
    assert stac.ring(UTM, (1, 2))[2] == [600_020, 5_299_990]


def test_a_scene_without_a_place_has_a_map_without_one(student: Path, tmp_path: Path) -> None:
    src = write_scene(tmp_path / "scene.h5", fields(62, 62)[0], grid=Grid())
    made = command(src, tmp_path / "map", f"--model={student}")
    item = json.loads((made / "item.json").read_text())
    assert item["geometry"] is None
    assert "bbox" not in item
    assert (made / "area.csv").read_text().splitlines()[1].endswith(",")  # no km²


# --- the same whatever is computed at once --------------------------------------------------------
def test_tiled_equals_untiled(
    scene: Path, student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = (f"--model={student}", "--filter=gaussian", "--match", "--probabilities")
    whole = content(command(scene, tmp_path / "whole", *flags, "--threads=1"))
    for rows, columns, values in ((1, 1, 1), (3, 5, 28 * 17 * 4), (100, 100, 10**9)):
        monkeypatch.setattr(grids, "ROWS", rows)
        monkeypatch.setattr(tables, "TRUTH", 3020 * rows)
        monkeypatch.setattr(classifiers, "COLUMNS", columns)
        monkeypatch.setattr(rendering, "VALUES", values)
        monkeypatch.setattr(matching, "BLOCK", 10 * columns + 7)
        parts = command(scene, tmp_path / f"{rows}", *flags, "--threads=3")
        assert content(parts) == whole


def test_memory_does_not_grow_with_the_scene(
    student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rendering, "VALUES", 2**14)
    monkeypatch.setattr(matching, "BLOCK", 128)
    monkeypatch.setattr(thinning, "PICTURE", 300)
    monkeypatch.setattr(classifiers, "COLUMNS", 16)
    peaks = []
    for times, tiles in ((1, (1, 1, 1)), (12, (3, 4, 1))):
        values = np.tile(fields(352, 402)[0].astype(np.float32), tiles)
        src = write_scene(tmp_path / f"{times}.h5", values)
        del values
        tracemalloc.start()
        command(src, tmp_path / f"map-{times}", f"--model={student}", "--threads=1", "--match")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0], peaks


def test_wide_steps_read_no_more_pixels_at_once(
    student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few rows and columns of cells are many pixels where steps are wide; the map is the same."""
    values, truth = fields(432, 632)
    src = write_scene(tmp_path / "scene.h5", values, truth=truth)
    flags = (f"--model={student}", "--step=100")
    whole = content(command(src, tmp_path / "whole", *flags))
    read, sizes = grids.Reader.read, []

    def look(self: grids.Reader, rows: slice, columns: slice) -> object:
        sizes.append((rows.stop - rows.start, columns.stop - columns.start))
        return read(self, rows, columns)

    monkeypatch.setattr(grids.Reader, "read", look)
    monkeypatch.setattr(grids, "PIXELS", 250)
    monkeypatch.setattr(tables, "TRUTH", 1)
    assert content(command(src, tmp_path / "parts", *flags)) == whole
    assert set(sizes) == {(2, 2), (2, 1), (1, 2), (1, 1)}  # of 5 x 7 cells
    assert len(sizes) == 3 * 4


def test_goes_on_after_a_stop(
    scene: Path, student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = (f"--model={student}", "--threads=1")
    whole = content(command(scene, tmp_path / "whole", *flags))
    score, calls = classifiers.Ensemble.score, []

    def stop_once(self: classifiers.Ensemble, *given: object) -> np.ndarray:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return score(self, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(classifiers.Ensemble, "score", stop_once)
    dst = tmp_path / "map"
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        command(scene, dst, *flags)
    assert (tmp_path / "map.partial" / "scores.h5").is_file()
    for name in ("item.json", "unfinished-classes.tif"):  # of a stop later on, while it drew
        (tmp_path / "map.partial" / name).write_text("{")
    assert content(command(scene, dst, *flags)) == whole
    assert len(calls) == 3 + 3  # five blocks of four rows: two were there


@pytest.mark.parametrize("n", [2, 3])
def test_shards_joined_are_the_whole(scene: Path, student: Path, tmp_path: Path, n: int) -> None:
    flags = (f"--model={student}",)
    whole = content(command(scene, tmp_path / "whole", *flags, "--filter=gaussian"))
    parts = [
        command(scene, tmp_path / f"{i}.h5", *flags, f"--shard={i}/{n}") for i in range(1, n + 1)
    ]
    joined = tmp_path / "joined.h5"
    cli.main(merge.run, ["--src=" + ",".join(map(str, parts)), f"--dst={joined}"])
    made = command(scene, tmp_path / "map", f"--scores={joined}", "--filter=gaussian")
    np.testing.assert_array_equal(stored(joined), stored(tmp_path / "whole" / "scores.h5"))
    del whole["scores.h5"]
    assert {name: data for name, data in content(made).items() if name in whole} == whole


# --- domain ---------------------------------------------------------------------------------------
def test_matching_gives_the_statistics_of_the_training_split(tmp_path: Path) -> None:
    values, _ = fields(96, 122)
    values = values.copy()
    values[:5] = np.nan
    src = write_scene(tmp_path / "scene.h5", values)
    with open_scene(src) as opened:
        found = matching.measure(opened)
        scaled = lcz.SEN2.scale(opened.window(5, 0, 91, 122)).astype(np.float32)
    np.testing.assert_allclose(found.mean, (scaled / 255).mean((0, 1), np.float64), rtol=1e-5)
    np.testing.assert_allclose(found.std, (scaled / 255).std((0, 1), dtype=np.float64), rtol=1e-4)
    places = [2, 0]
    for low, high in (((), ()), ((0.1, 0.0), (0.6, 0.5))):
        card = models.Card(
            "a.onnx", "a", ("B4", "B2"), (0.3, 0.1), (0.05, 0.2), 32, "bilinear", ("a", "b"),
            low=low, high=high,
        )  # fmt: skip
        trained = matching.describe_training(card)
        made = matching.match(scaled[..., places], found, trained, places)
        given = models.to_range(made, card) / 255  # where the card's numbers hold
        np.testing.assert_allclose(given.mean((0, 1), np.float64), card.mean, rtol=1e-4)
        np.testing.assert_allclose(given.std((0, 1), dtype=np.float64), card.std, rtol=1e-4)


def test_match_undoes_another_gain(student: Path, tmp_path: Path) -> None:
    """A scene of half the contrast and more light gives the same map once it is matched."""
    values, _ = fields(212, 302)
    one = write_scene(tmp_path / "one.h5", values)
    two = write_scene(tmp_path / "two.h5", 0.5 * values + 0.1)
    maps = {
        (src.stem, flag): classes_of(
            command(src, tmp_path / f"{src.stem}{flag}", f"--model={student}", flag)
        )
        for src in (one, two)
        for flag in ("--match", "--nomatch")
    }
    assert (maps["one", "--match"] == maps["two", "--match"]).mean() > 0.97
    assert (maps["one", "--nomatch"] == maps["two", "--nomatch"]).mean() < 0.7


def test_statistics_may_come_from_the_training_split(
    scene: Path, student: Path, tmp_path: Path
) -> None:
    """Those of the file that the card was made from give the map that the card gives."""
    train = student.parent / "train.h5"
    with patches.read(train, "sen2") as source:
        mean, std = models.band_statistics(source, lcz.SEN2.bands, decimals=6)
        exact = source.statistics("sen2")[0] / 255
    np.testing.assert_allclose(mean, exact, atol=1e-6)
    told = with_card(student, tmp_path / "told", mean=mean, std=std)
    one = command(scene, tmp_path / "card", f"--model={told}", "--match")
    two = command(scene, tmp_path / "file", f"--model={told}", "--match", f"--training={train}")
    np.testing.assert_array_equal(stored(one / "scores.h5"), stored(two / "scores.h5"))
    flat = with_card(student, tmp_path / "flat", mean=(0.0,) * 10)  # tells none of its own
    made = command(scene, tmp_path / "map", f"--model={flat}", "--match", f"--training={train}")
    assert classes_of(made).all()


def test_match_takes_the_statistics_beside_a_card_without_a_mean(
    student: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    zero, one = (0.0,) * 10, (1 / 2.8,) * 10
    model = with_card(student, tmp_path / "plain", mean=zero, std=one)
    values, _ = fields(62, 92)
    src = write_scene(tmp_path / "scene.h5", values)
    with pytest.raises(SystemExit, match="2"):
        command(src, tmp_path / "map", f"--model={model}", "--match")
    assert "--match: expected mean and std of the training split" in capsys.readouterr().err
    told = {"mean": list(lcz.TRAINING_MEAN), "std": list(lcz.TRAINING_STD)}
    models.save(model, models.load(model), training_reflectance=told)
    made = command(src, tmp_path / "map", f"--model={model}", "--match")
    shifted = (values - values.mean((0, 1))) / values.std((0, 1)) * told["std"] + told["mean"]
    other = write_scene(tmp_path / "other.h5", shifted.clip(0.0001, 2.8))
    plain = command(other, tmp_path / "plain-map", f"--model={model}")
    with (
        patches.read(made / "scores.h5", "scores") as a,
        patches.read(plain / "scores.h5", "scores") as b,
    ):
        np.testing.assert_allclose(
            a["scores"].raw(slice(0, 4)), b["scores"].raw(slice(0, 4)), atol=0.02
        )


def test_surface_reflectance_is_warned_of(
    student: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    src = write_scene(tmp_path / "scene.h5", fields(62, 62)[0], level="L2A")
    command(src, tmp_path / "map", f"--model={student}")
    assert "warning:" in (said := capsys.readouterr().err)
    assert "try --match" in said


# --- refusals -------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ((), "--model: expected either a model folder or --scores, found none"),
        (("--model={student}", "--step=0"), "--step: expected 1 to 1000, found 0"),
        (("--model={student}", "--window=250"), "expected at least 250 x 250 pixels"),
        (("--model={student}", "--precision=int8"), "expected a folder of export with an INT8"),
        (("--model={radar}",), "that reads VH"),
        (("--model={fusion}",), "found one that takes 8 tda features"),
        (("--model={flat}", "--match"), "--match: expected mean and std of the training split"),
        (("--model={student}", "--training={scene}"), "--training: expected with --match"),
        (("--scores={scores}", "--step=20"), "expected scores"),
        (("--scores={scores}", "--max_masked=0.2"), "with these --step, --window and"),
        (("--scores={scores}", "--shard=1/2"), "--shard: expected 1/1 with --scores"),
        (("--scores={scores}", "--match"), "--scores: expected neither --precision nor --match"),
        (("--model={student}", "--shard=1/2", "--form=wudapt"), "as a part is not drawn"),
        (("--scores={scores}", "--model={student}"), "found both"),
        (("--scores={scene}",), "scores"),
        (("--model={student}", "--tile=64"), "--tile, --overlap, --batch: concerns an orthophoto"),
    ],
)  # fmt: skip
def test_refuses(
    scene: Path,
    student: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    flags: tuple[str, ...],
    message: str,
) -> None:
    used = " ".join(flags)
    made = {"student": student, "scene": scene}
    if "{radar}" in used:
        bands = ("VH", *lcz.SEN2.bands[1:])
        made["radar"] = with_card(student, tmp_path / "radar", bands=bands)
    if "{fusion}" in used:
        made["fusion"] = with_card(student, tmp_path / "fusion", features=8)
    if "{flat}" in used:
        made["flat"] = with_card(student, tmp_path / "flat", mean=(0.0,) * 10)
    if "{scores}" in used:
        made["scores"] = command(scene, tmp_path / "map", f"--model={student}") / "scores.h5"
    before = sorted(tmp_path.iterdir())
    capsys.readouterr()
    given = [flag.format(**made) for flag in flags]
    with pytest.raises(SystemExit, match="2"):
        command(scene, tmp_path / "out", *given)
    said = capsys.readouterr().err.strip().splitlines()
    assert message in said[-1]
    assert [line for line in said if "%|" not in line] == said[-1:]
    assert sorted(tmp_path.iterdir()) == before  # nothing left behind


def test_a_place_outside_of_its_reference_system_is_refused(
    student: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    grid = dataclasses.replace(UTM, transform=(1e300, 0, 0, 0, -1e300, 0))
    src = write_scene(tmp_path / "scene.h5", fields(62, 62)[0], grid=grid)
    capfd.readouterr()
    with pytest.raises(SystemExit, match="2"):
        command(src, tmp_path / "out", f"--model={student}")
    said = capfd.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert "scene.h5: expected a place in its reference system, found the corner" in said[0]


@pytest.mark.parametrize(("epsg", "crs"), [(999_999, ""), (0, "PROJCS[no")])
def test_a_reference_system_that_nobody_knows_is_refused(
    student: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], epsg: int, crs: str
) -> None:
    grid = dataclasses.replace(UTM, epsg=epsg, crs=crs)
    src = write_scene(tmp_path / "scene.h5", fields(62, 62)[0], grid=grid)
    capfd.readouterr()
    with pytest.raises(SystemExit, match="2"):
        command(src, tmp_path / "out", f"--model={student}")
    said = capfd.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert "scene.h5: expected a reference system that PROJ knows" in said[0]
    assert not list(tmp_path.glob("out*"))


def test_a_network_with_other_outputs_than_its_card_is_refused(
    scene: Path, student: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = with_card(student, tmp_path / "model")
    network = onnx.load(folder / "student.onnx")
    weights = {t.name: onnx.numpy_helper.to_array(t) for t in network.graph.initializer}
    weights |= {"matrix": weights["matrix"][:, :5], "bias": weights["bias"][:5]}
    five = networks.graph(weights)
    five.graph.output[0].name = five.graph.node[-1].output[0] = "logits"  # as our own are named
    onnx.save(five, folder / "student.onnx")
    with pytest.raises(SystemExit, match="2"):
        command(scene, tmp_path / "out", f"--model={folder}")
    assert "student.onnx: " in capsys.readouterr().err
    assert not list(tmp_path.glob("out*"))


def test_scores_of_another_place_are_refused(
    scene: Path, student: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = command(scene, tmp_path / "map", f"--model={student}")
    values, _ = fields(212, 302)
    others = (
        write_scene(tmp_path / "other.h5", values, grid=UTM.moved(10, 0)),
        write_scene(tmp_path / "later.h5", values, date="2021-08-01T10:00:00Z"),
    )
    for other in others:
        with pytest.raises(SystemExit, match="2"):
            command(other, tmp_path / "new", f"--scores={made / 'scores.h5'}")
        assert "expected scores of" in capsys.readouterr().err


def test_tile_uses_the_cells_given(scene: Path) -> None:
    with open_scene(scene) as opened:
        assert grids.tile(opened, Cells(step=32)).shape == (6, 9)


# --- prediction sets ------------------------------------------------------------------------------
def test_cells_are_decided_by_hand() -> None:
    scores_ = np.array([[0.9, 0.1, 0], [0.5, 0.4, 0.1], [0, 0, 0], [0.4, 0.3, 0.3]], np.float32)
    sets = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0], [0, 0, 0]], bool)
    classes, sizes = abstaining.decide(scores_, sets)
    assert classes.tolist() == [1, 4, 0, 4]
    np.testing.assert_array_equal(sizes, np.array([1, 2, np.nan, 0], np.float32))


def test_sets_of_a_map_keep_their_promise(student: Path, scene: Path, tmp_path: Path) -> None:
    """Calibrated on the cells of one scene, they hold on those of another."""
    first = command(scene, tmp_path / "first", f"--model={student}", "--max_masked=1")
    values, truth = fields(212, 302, seed=5)
    other = write_scene(tmp_path / "other.h5", values, truth=truth)
    with patches.read(first / "scores.h5", "scores") as source, open_scene(scene) as opened:
        said = source["scores"].raw(slice(0, 19)).reshape(-1, 17)
        true = abstaining.read_truth(opened, Cells(), slice(0, 19))
        assert true is not None
        labels = true.ravel().astype(int) - 1
        strange = np.sort(conformal.strangeness(said, "lac")[np.arange(len(said)), labels])
        conformal.save(tmp_path / "c.json", conformal.Calibration(source.classes, "lac", strange))
    flags = (f"--model={student}", f"--calibration={tmp_path / 'c.json'}", "--coverage=0.15")
    made = command(other, tmp_path / "map", *flags)
    facts = json.loads((made / "coverage.json").read_text())
    low, high = conformal.bounds(len(labels), 19 * 28, 0.15)
    assert low - 0.02 <= facts["reached"] <= high + 0.02  # cells overlap, so they are alike
    assert facts["cells_with_truth"] == sum(facts["sizes"]) == 19 * 28
    with (
        rasterio.open(made / "certain.tif") as certain,
        rasterio.open(made / "set_size.tif") as size,
    ):
        decided, sizes = certain.read(1), size.read(1)
    assert facts["sizes"] == np.bincount(sizes.astype(int).ravel(), minlength=18).tolist()
    assert ((decided == 18) == (sizes != 1)).all()
    sure = decided < 18
    assert sure.any()
    np.testing.assert_array_equal(decided[sure], classes_of(made)[sure])
    assert facts["undecided"] == pytest.approx(1 - sure.mean())
    assert "undecided" in (made / "certain.tif.aux.xml").read_text()
    listed = json.loads((made / "item.json").read_text())["assets"]
    assert any("certain.tif" in json.dumps(asset) for asset in listed.values())
    again = command(other, tmp_path / "again", f"--scores={made / 'scores.h5'}", *flags[1:])
    assert content(again) == content(made)
    plain = command(other, tmp_path / "plain", f"--model={student}")
    for name in ("classes.tif", "confidence.tif", "scores.h5"):
        assert (plain / name).read_bytes() == (made / name).read_bytes()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--coverage=0.9",), "--calibration: expected the file that calibrate makes"),
        (("--calibration={c}",), "--coverage: expected a share such as 0.9 with --calibration"),
        (("--calibration={c}", "--coverage=0.9"), "expected a calibration for 17 classes 01_Comp"),
        (("--calibration={c}", "--coverage=1.0"), "--coverage: expected 0 to 0.999, found 1.0"),
    ],
)
def test_refuses_sets_of_other_networks(  # type: ignore[no-untyped-def]
    student, scene, tmp_path, capfd, flags, message
) -> None:
    path = tmp_path / "c.json"
    conformal.save(path, conformal.Calibration(("a", "b"), "lac", np.array([0.1, 0.2])))
    with pytest.raises(SystemExit, match="2"):
        command(scene, tmp_path / "m", f"--model={student}", *(one.format(c=path) for one in flags))
    assert message in capfd.readouterr().err
    assert not list(tmp_path.glob("m*"))
