"""map of orthophotos: tiles by hand, blending without seams, the product, killed, in shards."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import rasterio

from shared import cli, models, patches, tiles
from shared.terminal import escape
from stages.map import main as stage
from stages.map import mosaic, orthophotos, segmenters, tiling
from stages.map.settings import Tiles
from stages.merge import main as merge
from tests import networks

ROOT = Path(__file__).resolve().parents[2]
SMALL = ("--tile=64", "--overlap=32")  # the outer 8 pixels of what is shared count nowhere


@pytest.fixture(scope="session")
def segmenter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that looks two pixels around."""
    return networks.segmentation(tmp_path_factory.mktemp("model") / "m", tiles.CLASSES)


def draw(height: int, width: int, seed: int = 0) -> np.ndarray:
    """(H, W, 3) smooth random colours."""
    small = np.random.default_rng(seed).integers(0, 256, (height // 8 + 2, width // 8 + 2, 3))
    return np.kron(small, np.ones((8, 8, 1)))[:height, :width].astype(np.uint8)


def write_photo(path: Path, pixels: np.ndarray, **profile: object) -> Path:
    """A GeoTIFF of (H, W, bands) with a quarter of a metre a pixel."""
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = {
        "driver": "GTiff", "dtype": "uint8", "count": pixels.shape[2], "height": len(pixels),
        "width": pixels.shape[1], "crs": "EPSG:2180",
        "transform": rasterio.Affine(0.25, 0, 500_000, 0, -0.25, 400_000),
    }  # fmt: skip
    with rasterio.open(path, "w", **{**facts, **profile}) as file:
        file.write(np.moveaxis(pixels, -1, 0))
    return path


def command(src: Path, dst: Path, *flags: str) -> Path:
    """Run the stage as its container does."""
    cli.main(stage.run, [f"--src={src}", f"--dst={dst}", *flags])
    return dst


def stored(path: Path) -> np.ndarray:
    with patches.read(path, "scores") as source:
        return source["scores"].raw(slice(None))


def untiled(folder: Path, pixels: np.ndarray) -> np.ndarray:
    """(H, W, K) probabilities of a whole image in one call."""
    card = models.load(folder, "segmentation")[0]
    session = onnxruntime.InferenceSession((folder / card.file).read_bytes())
    image = models.standardise(np.moveaxis(pixels, -1, 0)[None].astype(np.float32), card)
    return segmenters.softmax(np.moveaxis(session.run(None, {"image": image})[0][0], 0, -1))


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


# --- tiles ----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("length", "tile", "overlap", "spans"),
    [
        (10, 16, 4, [(0, 10)]),
        (16, 16, 4, [(0, 16)]),
        (17, 16, 4, [(0, 16), (12, 17)]),
        (28, 16, 4, [(0, 16), (12, 28)]),
        (29, 16, 8, [(0, 16), (8, 24), (16, 29)]),
        (32, 16, 0, [(0, 16), (16, 32)]),
    ],
)
def test_tiles_cover_an_axis_at_equal_steps(
    length: int, tile: int, overlap: int, spans: list[tuple[int, int]]
) -> None:
    laid = tiling.lay(length, tile, overlap)
    assert [(span.start, span.stop) for span in laid] == spans
    total = np.zeros(length)
    for span in laid:
        assert span.weights.min() >= 0
        total[span.start : span.stop] += span.weights
    np.testing.assert_allclose(total, 1, atol=1e-6)


def test_a_tile_fades_as_a_cosine_with_flat_ends() -> None:
    fading = tiling.fade(8)
    assert fading[:2].tolist() == [0, 0]
    assert fading[-2:].tolist() == [1, 1]
    expected = [0.5 - 0.5 * np.cos(np.pi * part) for part in (1 / 8, 3 / 8, 5 / 8, 7 / 8)]
    np.testing.assert_allclose(fading[2:6], expected, atol=1e-7)


def test_usual_overlaps_keep_strides_in_step() -> None:
    assert [Tiles().shared(side) for side in (32, 64, 128, 256, 512)] == [16, 32, 32, 64, 128]


# --- blending -------------------------------------------------------------------------------------
@pytest.mark.parametrize("size", [(150, 203), (64, 64), (40, 300), (97, 33)])
def test_tiled_equals_untiled(segmenter: Path, tmp_path: Path, size: tuple[int, int]) -> None:
    """Also at the border of the image: tiles end there, too."""
    pixels = draw(*size)
    photo = write_photo(tmp_path / "photo.tif", pixels)
    out = command(photo, tmp_path / "map", f"--model={segmenter}", *SMALL)
    np.testing.assert_allclose(stored(out / "scores.h5"), untiled(segmenter, pixels), atol=1e-5)


@pytest.mark.parametrize("side", [1, 3])
def test_a_constant_image_gives_a_constant_map(tmp_path: Path, side: int) -> None:
    model = networks.segmentation(tmp_path / "m", tiles.CLASSES, side=side)
    photo = write_photo(tmp_path / "photo.tif", np.full((170, 190, 3), 90, np.uint8))
    scores = stored(command(photo, tmp_path / "map", f"--model={model}", *SMALL) / "scores.h5")
    inside = scores[side - 1 : 170 - side + 1, side - 1 : 190 - side + 1]
    np.testing.assert_allclose(inside, np.broadcast_to(inside[0, 0], inside.shape), atol=1e-6)


def test_seams_of_networks_that_look_far_are_faded(tmp_path: Path) -> None:
    """A network of 41 pixels sees the ends of tiles; no jump is left where one tile begins."""
    model = networks.segmentation(tmp_path / "m", tiles.CLASSES, side=21)
    photo = write_photo(tmp_path / "photo.tif", np.full((64, 190, 3), 90, np.uint8))
    hard = stored(command(photo, tmp_path / "h", f"--model={model}", "--tile=64", "--overlap=0")
                  / "scores.h5")  # fmt: skip
    soft = stored(command(photo, tmp_path / "s", f"--model={model}", *SMALL) / "scores.h5")
    jumps = [np.abs(np.diff(scores[32, 45:145], axis=0)).max() for scores in (hard, soft)]
    assert jumps[1] < jumps[0]


def test_neither_batch_nor_threads_change_a_map(segmenter: Path, tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "photo.tif", draw(130, 300))
    one = command(photo, tmp_path / "1", f"--model={segmenter}", *SMALL, "--batch=1", "--threads=1")
    many = command(photo, tmp_path / "2", f"--model={segmenter}", *SMALL, "--batch=3")
    np.testing.assert_allclose(stored(one / "scores.h5"), stored(many / "scores.h5"), atol=1e-6)


def test_tiles_of_one_shape_go_into_one_call(segmenter: Path) -> None:
    calls: list[int] = []

    class Counted(segmenters.Ensemble):
        def _mean(self, batch: list[segmenters.Tile]) -> segmenters.Floats:
            calls.append(len(batch))
            return super()._mean(batch)

    members = segmenters.open_models(segmenter, "fp32", 1, 1).members
    sides = [64] * 5 + [40]
    given = [(np.zeros((64, side, 3), np.uint8), np.zeros((64, side), bool)) for side in sides]
    with Counted(members, 3, 1) as ensemble:
        said = list(ensemble.score(given))
    assert calls == [3, 2, 1]
    assert [one.shape[1] for one in said] == sides


def test_a_network_of_one_size_sees_tiles_of_that_size(tmp_path: Path) -> None:
    pixels = draw(100, 150)
    photo = write_photo(tmp_path / "photo.tif", pixels)
    any_size = networks.segmentation(tmp_path / "any", tiles.CLASSES, side=1)
    fixed = networks.segmentation(tmp_path / "fixed", tiles.CLASSES, side=1, fixed=64)
    out = command(photo, tmp_path / "map", f"--model={fixed}")
    np.testing.assert_allclose(stored(out / "scores.h5"), untiled(any_size, pixels), atol=1e-6)


def test_an_ensemble_is_the_mean_of_probabilities(tmp_path: Path) -> None:
    folders = [networks.segmentation(tmp_path / f"m{n}", tiles.CLASSES, seed=n) for n in (0, 1)]
    first, second = (models.load(folder, "segmentation")[0] for folder in folders)
    (folders[0] / "second.onnx").write_bytes((folders[1] / second.file).read_bytes())
    pixels = draw(70, 90)
    expected = sum(untiled(folder, pixels) for folder in folders) / 2
    models.save(folders[0], [first, models.Card(**{**vars(second), "file": "second.onnx"})])
    photo = write_photo(tmp_path / "photo.tif", pixels)
    out = command(photo, tmp_path / "map", f"--model={folders[0]}", *SMALL)
    np.testing.assert_allclose(stored(out / "scores.h5"), expected, atol=1e-5)


def test_pixels_without_data_have_no_class_and_are_the_mean_to_the_network(
    segmenter: Path, tmp_path: Path
) -> None:
    pixels = draw(80, 90).clip(1)
    pixels[20:40, 30:60] = 0
    photo = write_photo(tmp_path / "photo.tif", pixels, nodata=0)
    out = command(photo, tmp_path / "map", f"--model={segmenter}", *SMALL)
    scores = stored(out / "scores.h5")
    assert (scores[20:40, 30:60] == 0).all()
    assert (scores.sum(-1)[:20] > 0.99).all()
    filled = pixels.astype(np.float32)
    filled[20:40, 30:60] = 255 * np.array([0.37, 0.4, 0.34])
    there = np.ones((80, 90), bool)
    there[20:40, 30:60] = False
    np.testing.assert_allclose(scores[there], untiled(segmenter, filled)[there], atol=1e-5)
    with rasterio.open(out / "classes.tif") as file:
        assert (file.read(1)[20:40, 30:60] == 0).all()
        assert file.nodata == 0


# --- the product ----------------------------------------------------------------------------------
def test_the_product_has_names_colours_place_and_area(segmenter: Path, tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "photo.tif", draw(150, 200))
    out = command(photo, tmp_path / "map", f"--model={segmenter}", *SMALL, "--probabilities")
    scores, card = stored(out / "scores.h5"), models.load(segmenter, "segmentation")[0]
    with rasterio.open(out / "classes.tif") as file:
        classes = file.read(1)
        np.testing.assert_array_equal(classes, scores.argmax(-1) + 1)
        assert file.crs.to_epsg() == 2180
        assert file.transform[:6] == (0.25, 0, 5e5, 0, -0.25, 4e5)
        table = file.colormap(1)
        assert ["#" + bytes(table[k + 1][:3]).hex() for k in range(5)] == list(card.colours)
    assert "woodland" in (out / "classes.tif.aux.xml").read_text()
    with rasterio.open(out / "probabilities.tif") as file:
        np.testing.assert_array_equal(np.moveaxis(file.read(), 0, -1), scores)
    with rasterio.open(out / "confidence.tif") as file:
        assert file.descriptions == ("probability", "entropy", "margin")
        two = np.sort(scores, -1)[..., -2:]
        np.testing.assert_allclose(file.read(3), two[..., 1] - two[..., 0], atol=1e-6)
    with (out / "area.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [line["class"] for line in lines] == ["1", "2", "3", "4", "5"]
    for line in lines:
        count = int((classes == int(line["class"])).sum())
        assert (int(line["cells"]), line["colour"]) == (count, card.colours[int(line["class"]) - 1])
        assert float(line["km2"]) == pytest.approx(count * 0.0625e-6, rel=1e-5)
    facts = json.loads((out / "map.json").read_text())
    assert facts["scene"] == "photo"
    assert facts["classes"] == list(tiles.CLASSES)
    assert not {"level", "step", "window", "mean_iou"} & facts.keys()
    item = json.loads((out / "item.json").read_text())
    assert item["id"] == "photo-landcover"
    page = (out / "map.html").read_text()
    assert card.colours[2] in page
    assert "woodland" in page


def test_a_small_picture_is_the_mean_of_blocks(tmp_path: Path) -> None:
    pixels = draw(40, 64)
    photo = write_photo(tmp_path / "photo.tif", pixels)
    with orthophotos.open_orthophoto(photo) as opened:
        shown = opened.picture(16)
    expected = pixels.reshape(10, 4, 16, 4, 3).mean((1, 3))
    np.testing.assert_allclose(shown, expected, atol=0.5)


def test_a_folder_gives_a_map_each_and_masks_are_compared(segmenter: Path, tmp_path: Path) -> None:
    src, truth = tmp_path / "src", {}
    for number, name in enumerate(("a", "b")):
        pixels = draw(90, 100, number)
        write_photo(src / "images" / f"{name}.tif", pixels)
        truth[name] = np.random.default_rng(number).integers(0, 5, (90, 100)).astype(np.uint8)
        truth[name][:10] = tiles.IGNORE
        write_photo(src / "masks" / f"{name}.tif", truth[name][..., None])
    out = command(src, tmp_path / "map", f"--model={segmenter}", *SMALL)
    assert sorted(path.name for path in out.iterdir()) == ["a", "b"]
    for name, mask in truth.items():
        single = command(src / "images" / f"{name}.tif", tmp_path / name,
                         f"--model={segmenter}", *SMALL)  # fmt: skip
        assert (single / "classes.tif").read_bytes() == (out / name / "classes.tif").read_bytes()
        predicted = (stored(out / name / "scores.h5").argmax(-1)).astype(np.uint8)
        confusion = tiles.count_confusion(mask, predicted, 5)
        facts = json.loads((out / name / "map.json").read_text())
        each = tiles.intersect_over_union(confusion)
        assert facts["iou"] == pytest.approx(dict(zip(tiles.CLASSES, each, strict=True)))
        assert facts["mean_iou"] == pytest.approx(tiles.mean_iou(confusion))
        assert facts["cells_with_truth"] == 80 * 100
    assert "iou" not in json.loads((tmp_path / "a" / "map.json").read_text())


# --- resumable, in shards, in flat memory ---------------------------------------------------------
@pytest.mark.parametrize("n", [2, 7])
def test_shards_joined_are_the_whole(segmenter: Path, tmp_path: Path, n: int) -> None:
    photo = write_photo(tmp_path / "photo.tif", draw(150, 110))
    whole = command(photo, tmp_path / "whole", f"--model={segmenter}", *SMALL)
    parts = [tmp_path / f"{i}.h5" for i in range(1, n + 1)]
    for number, part in enumerate(parts, 1):
        command(photo, part, f"--model={segmenter}", *SMALL, f"--shard={number}/{n}")
    joined = tmp_path / "joined.h5"
    cli.main(merge.run, [f"--src={','.join(map(str, parts))}", f"--dst={joined}"])
    drawn = command(photo, tmp_path / "drawn", f"--scores={joined}")
    assert content(whole) == content(drawn)


def test_parts_of_a_folder_are_joined_one_by_one(segmenter: Path, tmp_path: Path) -> None:
    for number, name in enumerate(("a", "b")):
        write_photo(tmp_path / "src" / f"{name}.tif", draw(70, 80, number))
    whole = command(tmp_path / "src", tmp_path / "whole", f"--model={segmenter}", *SMALL)
    for part in ("1", "2"):
        command(tmp_path / "src", tmp_path / part, f"--model={segmenter}", *SMALL,
                f"--shard={part}/2")  # fmt: skip
    joined = tmp_path / "joined"
    joined.mkdir()
    for name in ("a", "b"):
        given = f"--src={tmp_path / '1' / name}.h5,{tmp_path / '2' / name}.h5"
        cli.main(merge.run, [given, f"--dst={joined / name}.h5"])
    drawn = command(tmp_path / "src", tmp_path / "drawn", f"--scores={joined}")
    assert content(whole) == content(drawn)


def test_goes_on_after_a_stop(
    segmenter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, name in enumerate(("a", "b")):
        write_photo(tmp_path / "src" / f"{name}.tif", draw(150, 80, number))
    flags = (f"--model={segmenter}", *SMALL)
    monkeypatch.setattr(mosaic, "VALUES", 80 * 5 * 20)  # 20 rows at once
    whole = command(tmp_path / "src", tmp_path / "whole", *flags)
    rows, seen = mosaic.Mosaic.rows, []

    def stop_once(self: mosaic.Mosaic, wanted: slice) -> np.ndarray:
        seen.append((self.photo.path.stem, wanted.start))
        if len(seen) == 13:
            raise KeyboardInterrupt
        return rows(self, wanted)

    monkeypatch.setattr(mosaic.Mosaic, "rows", stop_once)
    with pytest.raises(SystemExit):
        command(tmp_path / "src", tmp_path / "map", *flags)
    assert seen[-1] == ("b", 80)
    assert not (tmp_path / "map").exists()
    out = command(tmp_path / "src", tmp_path / "map", *flags)
    assert seen[13:] == [("b", start) for start in (80, 100, 120, 140)]
    assert content(out) == content(whole)


def test_memory_does_not_grow_with_the_orthophoto(tmp_path: Path) -> None:
    """Peak memory of a whole run, beside one of a quarter of the pixels."""
    model = networks.segmentation(tmp_path / "m", tiles.CLASSES, side=1)
    peaks = []
    for side in (768, 1536):
        photo = write_photo(tmp_path / f"{side}.tif", np.full((side, side, 3), 90, np.uint8))
        code = (
            "import resource\nfrom pathlib import Path\nfrom stages.map import mosaic, segmenters\n"
            "from stages.map.orthophotos import open_orthophoto\n"
            "from stages.map.settings import Tiles\n"
            "mosaic.VALUES = 2**18\n"
            f"with open_orthophoto(Path({str(photo)!r})) as photo, segmenters.open_models(\n"
            f"    Path({str(model)!r}), 'fp32', 1, 1) as ensemble:\n"
            f"    mosaic.compute(Path({str(tmp_path / f'{side}.h5')!r}), photo, ensemble,\n"
            "                   Tiles(tile=128), '1/1')\n"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
        )
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True,
                              text=True, check=True)  # fmt: skip
        peaks.append(int(done.stdout) * 1024)
    scores = 4 * 5 * (1536**2 - 768**2)  # bytes of scores more
    assert peaks[1] - peaks[0] < scores / 3


# --- refusals -------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--step=5",), "--step, --window, --max_masked: concerns a scene file, found an ortho"),
        (("--match",), "--match: concerns a scene file"),
        (("--form=wudapt",), "--form wudapt: concerns a scene file"),
        (("--tile=64", "--overlap=33"), "--overlap: expected at most half of a tile, 32, found 33"),
        (("--precision=int8",), "--precision: expected a folder of export with an INT8 network"),
    ],
)
def test_refuses(
    segmenter: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    flags: tuple[str, ...], message: str,
) -> None:  # fmt: skip
    photo = write_photo(tmp_path / "photo.tif", draw(70, 80))
    with pytest.raises(SystemExit) as ended:
        command(photo, tmp_path / "map", f"--model={segmenter}", *flags)
    error = capsys.readouterr().err
    assert ended.value.code == 2
    assert message in error
    assert error.count("error:") == 1
    assert not (tmp_path / "map").exists()
    assert not list(tmp_path.glob("*.partial*"))


def refuse(src: Path, dst: Path, *flags: str) -> None:
    with pytest.raises(SystemExit) as ended:
        command(src, dst, *flags)
    assert ended.value.code == 2


def test_refuses_other_networks_and_images(
    segmenter: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = write_photo(tmp_path / "photo.tif", draw(70, 80))
    card = models.load(segmenter, "segmentation")[0]
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"task": "classification", "colours": ()}, "expected a network for segmentation"),
        ({"bands": ("a", "b"), "mean": (0, 0), "std": (1, 1)}, "networks of red, green and"),
        ({"classes": ("a", "b"), "colours": ()}, "(N, 3, H, W) to (N, 2, H, W), found"),
    ]
    for number, (change, message) in enumerate(wrong):
        folder = tmp_path / f"m{number}"
        folder.mkdir()
        (folder / card.file).write_bytes((segmenter / card.file).read_bytes())
        models.save(folder, [models.Card(**(vars(card) | change))])
        refuse(photo, tmp_path / "map", f"--model={folder}")
        assert message in capsys.readouterr().err
    fixed = networks.segmentation(tmp_path / "fixed", tiles.CLASSES, fixed=64)
    refuse(photo, tmp_path / "map", f"--model={fixed}", "--tile=128")
    assert "--tile: expected 64, the only size" in capsys.readouterr().err
    model = onnx.load(fixed / card.file)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2
    onnx.save(model, fixed / card.file)  # one tile a call is what such networks get
    refuse(photo, tmp_path / "map", f"--model={fixed}")
    assert "network.onnx: does not run on pictures (" in capsys.readouterr().err
    grey = write_photo(tmp_path / "grey.tif", draw(70, 80)[..., :1])
    refuse(grey, tmp_path / "map", f"--model={segmenter}")
    assert "expected red, green, blue as uint8, found 1 band" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    refuse(tmp_path / "empty", tmp_path / "map", f"--model={segmenter}")
    assert "expected orthophotos (.tif" in capsys.readouterr().err


def test_refuses_networks_of_different_sizes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = (
        networks.segmentation(tmp_path / f"m{size}", tiles.CLASSES, fixed=size) for size in (64, 96)
    )
    (card,) = models.load(first, "segmentation")
    (first / "second.onnx").write_bytes((second / card.file).read_bytes())
    models.save(first, [card, models.Card(**(vars(card) | {"file": "second.onnx"}))])
    photo = write_photo(tmp_path / "photo.tif", draw(70, 80))
    refuse(photo, tmp_path / "map", f"--model={first}")
    assert "tiles of one size, found 64 x 64 and 96 x 96" in capsys.readouterr().err


def test_names_that_are_no_text_are_taken(segmenter: Path, tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "photo.tif", draw(70, 80))
    src = tmp_path / "src"
    src.mkdir()
    odd = Path(os.fsdecode(os.fsencode(src / "ph") + b"\xff"))
    photo.rename(odd.with_name(odd.name + ".tif"))
    out = command(src, tmp_path / "map", f"--model={segmenter}", *SMALL)
    assert [path.name for path in out.iterdir()] == [odd.name]
    facts = json.loads((out / odd.name / "map.json").read_text())
    assert facts["scene"] == escape(odd.name)


def test_scores_of_another_orthophoto_are_refused(
    segmenter: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pixels = draw(70, 80)
    photo = write_photo(tmp_path / "photo.tif", pixels)
    made = command(photo, tmp_path / "map", f"--model={segmenter}", *SMALL)
    other = write_photo(tmp_path / "other.tif", pixels)
    refuse(other, tmp_path / "again", f"--scores={made / 'scores.h5'}")
    assert "expected scores of" in capsys.readouterr().err
    small = write_photo(tmp_path / "small" / "photo.tif", pixels[:60])
    refuse(small, tmp_path / "again", f"--scores={made / 'scores.h5'}")
    assert "expected scores (60, 80, 5) of all pixels" in capsys.readouterr().err


def test_a_cut_orthophoto_is_refused_and_nothing_is_left(
    segmenter: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = write_photo(tmp_path / "photo.tif", draw(200, 210))
    photo.write_bytes(photo.read_bytes()[: photo.stat().st_size // 2])
    refuse(photo, tmp_path / "map", f"--model={segmenter}", *SMALL)
    assert f"{photo}: not a complete GeoTIFF" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["photo.tif"]
