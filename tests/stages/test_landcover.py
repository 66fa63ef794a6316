"""landcover: tiles by hand, published lists, statistics, edges, stops, shards, refusals."""

import json
import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from shared import cli, gdal_files, patches, tiles
from shared.errors import StageError
from stages.landcover import main as stage
from stages.merge import main as merge

SIZES = {"a": (130, 100), "b": (64, 96), "c_7": (70, 64)}  # with tiles of 32: 4x3, 2x3, 2x2 whole


def colours(name: str) -> tuple[np.ndarray, np.ndarray]:
    """An orthophoto (H, W, 3) and its mask, of which every pixel can be told from its place."""
    rng = np.random.default_rng(sorted(SIZES).index(name))
    shape = SIZES[name]
    mask = rng.choice(np.array([0, 1, 2, 4, 255], np.uint8), shape, p=(0.5, 0.1, 0.2, 0.1, 0.1))
    return rng.integers(0, 256, (*shape, 3), np.uint8), mask


def save(path: Path, pixels: np.ndarray, **profile: Any) -> None:
    """(H, W) or (H, W, C) as the file that the ending names; `colormap` gives it a palette."""
    rasterio = pytest.importorskip("rasterio")
    bands = np.atleast_3d(pixels).transpose(2, 0, 1)
    driver = {".tif": "GTiff", ".png": "PNG", ".jpg": "JPEG"}[path.suffix]
    palette = profile.pop("colormap", None)
    count, height, width = bands.shape
    with rasterio.open(
        path, "w", driver=driver, height=height, width=width, count=count, dtype=bands.dtype,
        **profile,
    ) as file:  # fmt: skip
        file.write(bands)
        if palette:
            file.write_colormap(1, palette)
    for left in path.parent.glob("*.aux.xml"):
        left.unlink()


@pytest.fixture
def src(tmp_path: Path) -> Path:
    """The published layout: images/, masks/ and three lists, of which val.txt names an image."""
    pytest.importorskip("rasterio")
    folder = tmp_path / "in"
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    place = {"crs": "EPSG:2180", "transform": (0.5, 0, 5e5, 0, -0.5, 6e5)}
    for name in SIZES:
        image, mask = colours(name)
        save(folder / "images" / f"{name}.tif", image, **place)
        save(folder / "masks" / f"{name}.tif", mask, **place)
    (folder / "masks" / ".DS_Store").write_text("clutter")
    (folder / "train.txt").write_text("a_9\na_0\nb_1\na_4\na_5\nb_2\na_2\n")
    (folder / "val.txt").write_text("c_7\r\n")
    (folder / "test.txt").write_text("b_4.jpg\n\na_1\n")
    return folder


def command(src: Path | None, dst: Path, *flags: str) -> Path:
    given = [f"--src={src}"] if src else []
    cli.main(stage.run, [*given, f"--dst={dst}", "--tile=32", *flags])
    return dst


def expected(name: str) -> tuple[np.ndarray, np.ndarray]:
    """A tile by hand: numbers run along rows of the grid, with those at the edge counted."""
    stem, _, number = name.rpartition("_")
    image, mask = colours(stem)
    row, column = divmod(int(number), -(-image.shape[1] // 32))
    window = (slice(32 * row, 32 * row + 32), slice(32 * column, 32 * column + 32))
    return image[window], mask[window]


def rows(path: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Image and mask of each row by name."""
    with patches.read(path, "image", "mask") as source:
        pixels = zip(source["image"].raw(slice(None)), source["mask"].raw(slice(None)), strict=True)
        return dict(zip(tiles.list_names(source), pixels, strict=True))


def test_tiles_are_those_of_the_lists(src: Path, tmp_path: Path) -> None:
    made = command(src, tmp_path / "out")
    parts = {path.stem: rows(path) for path in made.glob("*.h5")}
    assert list(parts["training"]) == ["a_0", "a_2", "a_4", "a_5", "a_9", "b_1", "b_2"]
    assert list(parts["validation"]) == ["c_7_0", "c_7_1", "c_7_2", "c_7_3"]
    assert list(parts["testing"]) == ["a_1", "b_4"]
    for part in parts.values():
        for name, pixels in part.items():
            for got, wanted in zip(pixels, expected(name), strict=True):
                np.testing.assert_array_equal(got, wanted)
    with h5py.File(made / "training.h5") as file:
        assert tuple(file.attrs["classes"]) == tiles.CLASSES
        assert file["ignore"][:].tolist() == [255]
        assert file["place"][-1].tolist() == [2, 0, 64]


def test_statistics_are_those_of_the_training_split(src: Path, tmp_path: Path) -> None:
    made = command(src, tmp_path / "out")
    told = json.loads((made / "statistics.json").read_text())
    parts = [expected(name) for name in ("a_0", "a_2", "a_4", "a_5", "a_9", "b_1", "b_2")]
    image, mask = (np.stack(each) for each in zip(*parts, strict=True))
    counted = image[mask != 255] * 1.0
    one = told["training"]
    np.testing.assert_allclose(one["mean"], counted.mean(0), atol=1e-5)
    np.testing.assert_allclose(one["std"], counted.std(0), atol=1e-5)
    shares = np.array([(mask == k).sum() for k in range(5)]) / len(counted)
    np.testing.assert_allclose(list(one["shares"].values()), shares, atol=1e-6)
    assert (one["rows"], one["pixels"]) == (7, len(counted))
    assert one["labelled"] == pytest.approx(len(counted) / (7 * 1024), abs=1e-6)
    assert one["rows_without"] == {
        "background": 0, "building": 0, "woodland": 0, "water": 7, "road": 0,
    }  # fmt: skip
    for split in ("validation", "testing"):
        assert not {"mean", "std", "weights"} & told[split].keys()
        assert told[split]["rows_without"]["water"] == told[split]["rows"]


def test_weights_are_inverse_to_shares_with_a_mean_of_one() -> None:
    """The shares of LandCover.ai's training split give what its facts say."""
    shares = np.array([0.5793, 0.0086, 0.3313, 0.0646, 0.0162])
    np.testing.assert_allclose(tiles.weigh(shares), [0.044, 2.93, 0.076, 0.390, 1.557], atol=5e-3)
    np.testing.assert_allclose(tiles.weigh(np.array([0.25, 0, 0.75])), [1.5, 0, 0.5])


def test_edges_are_left_out_or_padded(src: Path, tmp_path: Path) -> None:
    (src / "val.txt").write_text("c_7\na_3\na_19\n")
    made = rows(command(src, tmp_path / "out", "--edges=pad") / "validation.h5")
    assert list(made) == ["a_3", "a_19", *(f"c_7_{k}" for k in range(6))]
    image, mask = made["a_19"]  # 2 rows and 4 columns are left of 130 x 100
    np.testing.assert_array_equal(image[:2, :4], colours("a")[0][128:, 96:])
    np.testing.assert_array_equal(mask[:2, :4], colours("a")[1][128:, 96:])
    mask[:2, :4], image[:2, :4] = 255, 0
    assert (mask == 255).all()
    assert not image.any()
    with pytest.raises(SystemExit, match="2"):
        command(src, tmp_path / "left")  # a_3 is no whole tile
    assert not (tmp_path / "left").exists()


def test_padding_counts_in_no_statistic(src: Path, tmp_path: Path) -> None:
    (src / "train.txt").write_text("a\n")
    (src / "test.txt").unlink()
    told = json.loads((command(src, tmp_path / "o", "--edges=pad") / "statistics.json").read_text())
    image, mask = colours("a")
    assert told["training"]["pixels"] == (mask != 255).sum()
    np.testing.assert_allclose(told["training"]["mean"], image[mask != 255].mean(0), atol=1e-5)
    assert told.keys() == {"training", "validation"}


def test_any_folder_of_pairs_by_shares_of_whole_images(tmp_path: Path) -> None:
    """PNG and GeoTIFF mixed, masks elsewhere with another class list and value to ignore."""
    images, masks = tmp_path / "x", tmp_path / "y"
    images.mkdir()
    masks.mkdir()
    for number in range(6):
        image, mask = colours("b")
        save(images / f"{number}.{'png' if number % 2 else 'tif'}", image)
        save(masks / f"{number}{'_m' if number % 3 else ''}.png", np.where(mask > 1, 9, mask))
    where = (f"--images={images}", f"--masks={masks}", "--classes=land,house", "--ignore=9")
    made = command(None, tmp_path / "out", *where)
    parts = {path.stem: rows(path) for path in made.glob("*.h5")}
    whole = {split: {name[0] for name in part} for split, part in parts.items()}
    assert {split: len(names) for split, names in whole.items()} == {
        "training": 4, "validation": 1, "testing": 1,
    }  # fmt: skip
    assert sorted("".join("".join(names) for names in whole.values())) == list("012345")
    assert sum(map(len, parts.values())) == 36
    image, mask = colours("b")
    for part in parts.values():
        for name, (pixels, numbers) in part.items():
            row, column = divmod(int(name[2:]), 3)
            window = (slice(32 * row, 32 * row + 32), slice(32 * column, 32 * column + 32))
            np.testing.assert_array_equal(pixels, image[window])
            wanted = np.where(mask[window] > 1, 255, mask[window])
            np.testing.assert_array_equal(numbers, wanted)
    other = command(None, tmp_path / "other", *where, "--split_seed=1", "--test_share=0")
    assert not (other / "testing.h5").exists()
    assert {name[0] for name in rows(other / "validation.h5")} != whole["validation"]


def test_what_split_py_writes_is_one_folder(tmp_path: Path) -> None:
    """NAME_7.jpg beside NAME_7_m.png; a JPEG is not exact."""
    folder = tmp_path / "output"
    folder.mkdir()
    for number in range(3):
        save(folder / f"n_{number}.jpg", np.full((32, 32, 3), 40 * number, np.uint8))
        save(folder / f"n_{number}_m.png", np.full((32, 32), number, np.uint8))
    (folder / "train.txt").write_text("n_0\nn_2\n")
    (folder / "val.txt").write_text("n_1\n")
    made = command(folder, tmp_path / "out")
    found = rows(made / "training.h5")
    assert [int(mask.max()) for _, mask in found.values()] == [0, 2]
    assert abs(int(found["n_2_0"][0].mean()) - 80) <= 1


def test_goes_on_after_a_crash(src: Path, tmp_path: Path, monkeypatch: Any) -> None:
    whole = command(src, tmp_path / "whole")
    read, done = stage.read_tile, []

    def crash_once(pair: Any, tile: Any, *rest: Any) -> Any:
        done.append(f"{pair.name}_{tile.number}")
        if len(done) == 5:
            raise KeyboardInterrupt
        return read(pair, tile, *rest)

    monkeypatch.setattr(stage, "BATCH", 3)
    monkeypatch.setattr(stage, "read_tile", crash_once)
    with pytest.raises(SystemExit, match="130"):
        command(src, tmp_path / "out")
    command(src, tmp_path / "out")
    assert done[:8] == ["a_0", "a_2", "a_4", "a_5", "a_9", "a_5", "a_9", "b_1"]
    for name in ("training.h5", "validation.h5", "testing.h5", "statistics.json"):
        assert (tmp_path / "out" / name).read_bytes() == (whole / name).read_bytes()


@pytest.mark.parametrize("n", [2, 3, 9])  # 9 shards of 7 rows: two are empty
def test_shards_joined_are_the_whole(src: Path, tmp_path: Path, n: int) -> None:
    whole = command(src, tmp_path / "whole")
    shards = [command(src, tmp_path / f"{i}", f"--shard={i}/{n}") for i in range(1, n + 1)]
    for split in ("training", "validation", "testing"):
        parts = ",".join(str(shard / f"{split}.h5") for shard in shards)
        joined = tmp_path / f"{split}.h5"
        cli.main(merge.run, [f"--src={parts}", f"--dst={joined}"])
        assert joined.read_bytes() == (whole / f"{split}.h5").read_bytes()
    assert not (shards[0] / "statistics.json").exists()


def test_partial_lists(src: Path, tmp_path: Path) -> None:
    (src / "images" / "b.tif").unlink()
    made = command(src, tmp_path / "out", "--partial")
    assert list(rows(made / "testing.h5")) == ["a_1"]
    assert list(rows(made / "training.h5")) == ["a_0", "a_2", "a_4", "a_5", "a_9"]


def _mask(src: Path, change: Any, name: str = "a.tif", **profile: Any) -> None:
    save(src / "masks" / name, change(colours("a")[1]), **profile)


def _image(src: Path, change: Any, **profile: Any) -> None:
    save(src / "images" / "a.tif", change(colours("a")[0]), **profile)


def _class_9(mask: np.ndarray) -> np.ndarray:
    mask[40, 2] = 9
    return mask


def _another(src: Path) -> None:
    """An orthophoto c of eight tiles, beside one of the name c_7."""
    save(src / "images" / "c.tif", np.zeros((256, 32, 3), np.uint8))
    save(src / "masks" / "c.tif", np.zeros((256, 32), np.uint8))


PALETTE = {0: (0, 0, 0, 255), 1: (97, 74, 74, 255)}
BROKEN: dict[str, tuple[Any, str]] = {
    "no mask": (lambda s: (s / "masks/a.tif").unlink(), "expected a.tif or a.png, the mask of a"),
    "two masks": (lambda s: _mask(s, lambda m: m, "a.png"), "found a.png and a.tif"),
    "size": (lambda s: _mask(s, lambda m: m[1:]), "as a.tif, found 100x129"),
    "class": (lambda s: _mask(s, _class_9),
              "a.tif: tile 4: expected class numbers 0 to 4, or 255 (--ignore), "
              "found 9 at row 8, column 2"),
    "rgba": (lambda s: _image(s, lambda i: np.dstack([i, i[..., :1]]), ALPHA="YES"),
             "found 4 bands of uint8 with an alpha channel"),
    "palette": (lambda s: _image(s, lambda i: i[..., 0], colormap=PALETTE),
                "expected red, green, blue as uint8, found 1 band of uint8 with a palette"),
    "mask palette": (lambda s: _mask(s, lambda m: m, colormap=PALETTE),
                     "expected one band of class numbers as uint8, found 1 band of uint8 with a"),
    "mask colours": (lambda s: _mask(s, lambda m: np.dstack([m] * 3)), "found 3 bands of uint8"),
    "depth": (lambda s: _image(s, lambda i: i.astype(np.uint16)), "found 3 bands of uint16"),
    "text": (lambda s: (s / "images/a.tif").write_text("no"), "a.tif: not a complete GeoTIFF"),
    "no png": (lambda s: (s / "images/a.tif").rename(s / "images/a.png"), "not a complete PNG"),
    "cut": (lambda s: (s / "images/a.tif").write_bytes((s / "images/a.tif").read_bytes()[:20_000]),
            "a.tif: not a complete GeoTIFF"),
    "two images": (lambda s: save(s / "images/a.png", colours("a")[0]), "one image a, found"),
    "no images": (lambda s: [p.unlink() for p in (s / "images").iterdir()], "found none"),
    "no masks": (lambda s: (s / "masks").rename(s / "others"), "masks: expected a folder"),
    "unknown": (lambda s: (s / "train.txt").write_text("a_0\nz_1\n"),
                "train.txt: expected names of tiles of the images, found 1 of 2 without one: z_1"),
    "in two": (lambda s: (s / "val.txt").write_text("a_0\n"),
               "val.txt: expected each tile in one list, found a_0 in train.txt, too"),
    "image and tile": (lambda s: (s / "val.txt").write_text("c_7\nc_7_1\n"), "c_7_1 twice"),
    "twice": (lambda s: (s / "train.txt").write_text("a_0\na_0\n"), "found a_0 twice"),
    "empty": (lambda s: (s / "test.txt").write_text("\n"), "test.txt: expected the name of one"),
    "no train": (lambda s: (s / "train.txt").unlink(), "train.txt: expected this list beside val"),
    "bytes": (lambda s: (s / "train.txt").write_bytes(b"\xff\xfe"), "train.txt: expected text"),
    "name of a tile": (_another, "expected names that differ from those of tiles, found c_7"),
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
def test_refuses(src: Path, tmp_path: Path, what: str, capfd: Any) -> None:
    breaks, message = BROKEN[what]
    breaks(src)
    with pytest.raises(SystemExit, match="2"):
        command(src, tmp_path / "out")
    lines = re.split(r"[\r\n]+", capfd.readouterr().err)
    lines = [line for line in lines if line.strip() and "%|" not in line]
    assert len(lines) == 1
    assert message in lines[0]
    assert list(tmp_path.iterdir()) == [src]  # nothing left behind


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--ignore=4",), "--ignore: expected a value that is no class, 5 to 255, found 4"),
        (("--images={src}/images",), "--src: expected a folder with images and masks, or"),
        (("--split_lists={src}/masks",), "expected train.txt, found none"),
        (("--edges=cut",), "--edges: expected leave or pad"),
        (("--shard=3/2",), "--shard: expected 1 to n before the slash, found '3/2'"),
    ],
)
def test_refuses_flags(
    src: Path, tmp_path: Path, flags: tuple[str, ...], message: str, capsys: Any
) -> None:
    with pytest.raises(SystemExit, match="2"):
        command(src, tmp_path / "out", *(flag.format(src=src) for flag in flags))
    assert message in capsys.readouterr().err


def test_shares_leave_something_for_training(src: Path, tmp_path: Path, capsys: Any) -> None:
    for name in ("train.txt", "val.txt", "test.txt"):
        (src / name).unlink()
    with pytest.raises(SystemExit, match="2"):
        command(src, tmp_path / "out", "--test_share=0.6")
    assert (
        "expected more than 3 images, or lists (--split_lists), found 3" in capsys.readouterr().err
    )


def test_errors_of_gdal_without_a_public_class_are_refusals() -> None:
    """Tags of a place that are damaged show when anything else is asked for, as such an error."""
    from rasterio import _err

    def read() -> None:
        raise _err.CPLE_AppDefinedError(1, 1, "Key GeogCitationGeoKey has offset=19")

    message = r"a.tif: not a complete GeoTIFF \(Key GeogCitationGeoKey has offset=19\)"
    with pytest.raises(StageError, match=message):
        gdal_files.attempt(read, "a.tif", "GeoTIFF")
