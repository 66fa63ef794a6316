"""eurosat: both editions, split by shares and by lists, going on after a crash, refusals."""

import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image

from shared import cli, lcz, patches
from shared.errors import StageError
from shared.pictures import read_picture
from shared.terminal import escape
from stages.eurosat import bands, editions, folders, lists, sizes, split
from stages.eurosat import main as stage
from tests import hostile, odd_pictures

COUNTS = {"Crop": 10, "River": 5, "Sea": 7}
OLD = ("--test_share=0.2", "--validation_share=0")  # as the stage split before it knew validation


def colour(name: str, number: int) -> np.ndarray:
    """(64, 64, 3) picture of one colour that tells class and number."""
    return np.full((64, 64, 3), (20 * number, 60 * sorted(COUNTS).index(name), 9), np.uint8)


def spectrum(name: str, number: int) -> np.ndarray:
    """(64, 64, 13) digital numbers that tell class, number, band and place; up to 40,000."""
    row, column = np.mgrid[:64, :64]
    start = 10_000 * sorted(COUNTS).index(name) + 100 * number
    picture = start + 1000 * np.arange(13) + 10 * row[..., None] + column[..., None]
    return picture.astype(np.uint16)


def write_bands(path: Path, picture: np.ndarray, **flags: Any) -> None:
    """A TIFF as GDAL writes it: one page of several bands."""
    tifffile = pytest.importorskip("tifffile")
    separate = flags.get("planarconfig", "contig") == "separate"
    stored = np.moveaxis(picture, -1, 0) if separate else picture
    tifffile.imwrite(path, stored, photometric="minisblack", **{"planarconfig": "contig"} | flags)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures in colours."""
    for name, count in COUNTS.items():
        (tmp_path / "in" / name).mkdir(parents=True)
        for number in range(count):
            Image.fromarray(colour(name, number)).save(tmp_path / "in" / name / f"{number}.png")
    (tmp_path / "in" / "__MACOSX").mkdir()
    return tmp_path / "in"


@pytest.fixture
def tiffs(tmp_path: Path) -> Path:
    """Pictures of 13 bands, named as EuroSAT's."""
    for name, count in COUNTS.items():
        (tmp_path / "ms" / name).mkdir(parents=True)
        for number in range(count):
            write_bands(tmp_path / "ms" / name / f"{name}_{number}.tif", spectrum(name, number))
    return tmp_path / "ms"


def command(src: Path, dst: Path, *flags: str) -> dict[str, dict[str, np.ndarray]]:
    """Run the stage as its container does; what it wrote."""
    cli.main(stage.run, [f"--src={src}", f"--dst={dst}", *flags])
    splits = {}
    for name in ("training", "testing"):
        with h5py.File(dst / f"{name}.h5") as file:
            splits[name] = {key: file[key][:] for key in file}
            stored = file["rgb"] if "rgb" in file else file["sen2"]
            splits[name] |= {key: np.asarray(v) for key, v in stored.attrs.items()}
    return splits


def refused(src: Path, dst: Path, *flags: str, capsys: Any) -> str:
    """The one line of a refusal, which leaves nothing behind."""
    before = {path for path in src.parent.iterdir() if path != dst}
    capsys.readouterr()
    with pytest.raises(SystemExit, match="2"):
        command(src, dst, *flags)
    *_, line = capsys.readouterr().err.splitlines()
    assert {*src.parent.iterdir()} == before
    return str(line)


def names(arrays: dict[str, np.ndarray]) -> list[tuple[str, int]]:
    """Class and number of each row, by its colour."""
    return [
        (sorted(COUNTS)[int(picture[0, 0, 1]) // 60], int(picture[0, 0, 0]) // 20)
        for picture in arrays["rgb"]
    ]


# --- the split by shares --------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("total", "validation_share", "test_share", "expected"),
    [
        (3000, 0.1, 0.1, (300, 300)),
        (27, 0.1, 0.2, (3, 5)),
        (3, 0.1, 0.1, (1, 1)),  # at least one each
        (2, 0.0, 0.1, (0, 1)),
        (10, 0.0, 0.2, (0, 2)),
        (10, 0.45, 0.5, (4, 5)),
        (4, 0.45, 0.5, (1, 2)),  # one is left to train on
        (3, 0.05, 0.9, (1, 1)),  # one is left for validation
    ],
)
def test_shares_by_hand(
    total: int, validation_share: float, test_share: float, expected: tuple[int, int]
) -> None:
    assert split.count_shares(total, validation_share, test_share) == expected


def test_every_picture_is_in_one_part_with_its_label(folder: Path, tmp_path: Path) -> None:
    splits = command(folder, tmp_path / "out")
    seen = []
    for arrays in splits.values():
        seen += names(arrays)
        for picture, label, (name, number) in zip(
            arrays["rgb"], arrays["label"], names(arrays), strict=True
        ):
            np.testing.assert_array_equal(picture, colour(name, number))
            assert sorted(COUNTS)[int(label.argmax())] == name
    assert sorted(seen) == [(n, i) for n in sorted(COUNTS) for i in range(COUNTS[n])]
    training, marks = splits["training"], splits["training"]["validation"]
    assert marks.dtype == np.uint8
    assert training["label"][marks == 1].sum(0).tolist() == [1, 1, 1]
    assert training["label"][marks == 0].sum(0).tolist() == [8, 3, 5]
    assert splits["testing"]["label"].sum(0).tolist() == [1, 1, 1]
    assert "validation" not in splits["testing"]
    order = training["label"].argmax(1).tolist()
    assert order != sorted(order)


def test_shares_are_those_that_were_asked_for(folder: Path, tmp_path: Path) -> None:
    splits = command(folder, tmp_path / "out", "--validation_share=0.4", "--test_share=0.2")
    training, marks = splits["training"], splits["training"]["validation"]
    assert training["label"][marks == 1].sum(0).tolist() == [4, 2, 3]
    assert splits["testing"]["label"].sum(0).tolist() == [2, 1, 1]


def test_the_former_split_is_still_to_be_had(folder: Path, tmp_path: Path) -> None:
    """Training and testing by fifths without validation: rows by hand from numpy's generator."""
    splits = command(folder, tmp_path / "out", *OLD)
    rng = np.random.default_rng(42)
    sides: tuple[list[tuple[str, int]], list[tuple[str, int]]] = ([], [])
    for name, tested in (("Crop", 2), ("River", 1), ("Sea", 1)):
        for place, number in enumerate(rng.permutation(COUNTS[name])):
            sides[place < tested].append((name, int(number)))
    training, testing = ([side[i] for i in rng.permutation(len(side))] for side in sides)
    assert names(splits["training"]) == training
    assert names(splits["testing"]) == testing
    assert "validation" not in splits["training"]


def test_some_pictures_of_each_class_are_drawn(folder: Path, tmp_path: Path) -> None:
    """Of 10, 5 and 7 pictures at most 6, drawn and split by hand with numpy's generator."""
    splits = command(folder, tmp_path / "out", "--per_class=6", *OLD)
    rng = np.random.default_rng(42)
    drawn = {name: rng.permutation(COUNTS[name])[:6].tolist() for name in sorted(COUNTS)}
    both = names(splits["training"]) + names(splits["testing"])
    assert sorted(both) == sorted((name, number) for name, of in drawn.items() for number in of)
    assert sorted(names(splits["testing"])) == [(name, drawn[name][0]) for name in sorted(COUNTS)]


def test_statistics_are_those_of_the_rows_to_learn_from(folder: Path, tmp_path: Path) -> None:
    training = command(folder, tmp_path / "out", "--validation_share=0.3")["training"]
    learned = training["rgb"][training["validation"] == 0]
    assert len(learned) < len(training["rgb"])
    with patches.read(tmp_path / "out" / "training.h5", "rgb", "label") as source:
        assert source.classes == tuple(sorted(COUNTS))
        assert source["rgb"].layout == lcz.RGB
        mean, std = source.statistics("rgb")
    np.testing.assert_allclose(mean, learned.mean((0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(std, learned.std((0, 1, 2)), rtol=1e-9, atol=1e-6)


def test_the_split_seed_decides(folder: Path, tmp_path: Path) -> None:
    one, two = (command(folder, tmp_path / name)["training"] for name in "ab")
    np.testing.assert_array_equal(one["rgb"], two["rgb"])
    other = command(folder, tmp_path / "c", "--split_seed=1")["training"]
    assert not np.array_equal(one["rgb"], other["rgb"])


def test_a_product_of_the_former_split_was_made_otherwise(
    folder: Path, tmp_path: Path, capsys: Any
) -> None:
    command(folder, tmp_path / "out")
    record = tmp_path / "out.run.json"
    content = json.loads(record.read_text())
    content["plan"]["parameters"] = {"seed": 42, "test_share": 0.2}
    content["plan"]["inputs"] = {"src": content["plan"]["inputs"]["src"]}
    record.write_text(json.dumps(content))
    for flags in ((), ("--test_share=0.2",), OLD):
        capsys.readouterr()
        with pytest.raises(SystemExit, match="2"):
            cli.main(stage.run, [f"--src={folder}", f"--dst={tmp_path / 'out'}", *flags])
        line = capsys.readouterr().err
        assert "out: was made with other settings (seed 42, now None" in line
        assert "move it away" in line


def test_goes_on_after_a_crash(folder: Path, tmp_path: Path, monkeypatch: Any) -> None:
    whole, read = command(folder, tmp_path / "whole"), []

    def crash_once(path: Path, size: int | None) -> editions.Pixels:
        read.append(path)
        if len(read) == 18:
            raise KeyboardInterrupt
        return editions.RGB.read(path, size)

    monkeypatch.setattr(stage, "BATCH", 4)
    monkeypatch.setattr(folders, "EDITIONS", (replace(editions.RGB, read=crash_once),))
    with pytest.raises(SystemExit, match="130"):
        command(folder, tmp_path / "out")
    again = command(folder, tmp_path / "out")
    for name, arrays in whole.items():
        for key, values in arrays.items():
            np.testing.assert_array_equal(again[name][key], values)
    counts = Counter(read)
    assert len(counts) == sum(COUNTS.values())
    assert sum(count == 1 for count in counts.values()) >= 18  # only a block was read again


# --- the edition with 13 bands --------------------------------------------------------------------
PAGES: list[dict[str, Any]] = [
    {},
    {"planarconfig": "separate"},
    {"compression": "zlib", "predictor": True},
    {"compression": "lzw", "planarconfig": "separate"},
    {"byteorder": ">"},
    {"tile": (16, 16), "compression": "zlib"},
]


@pytest.mark.parametrize("flags", PAGES, ids=str)
def test_bands_of_any_interleaving_and_compression(tmp_path: Path, flags: dict[str, Any]) -> None:
    write_bands(tmp_path / "a.tif", spectrum("Sea", 3), **flags)
    pixels, changes = bands.read_bands(tmp_path / "a.tif", None)
    np.testing.assert_array_equal(pixels, spectrum("Sea", 3))
    assert pixels.dtype == np.uint16
    assert changes == []


def test_thirteen_bands_by_hand(tiffs: Path, tmp_path: Path) -> None:
    splits = command(tiffs, tmp_path / "out")
    training = splits["training"]
    assert training["sen2"].shape == (19, 64, 64, 13)
    assert training["sen2"].dtype == np.uint16
    for picture, label in zip(training["sen2"], training["label"], strict=True):
        name = sorted(COUNTS)[int(label.argmax())]
        number = (int(picture[0, 0, 0]) - 10_000 * int(label.argmax())) // 100
        np.testing.assert_array_equal(picture, spectrum(name, number))
    named = "B1 B2 B3 B4 B5 B6 B7 B8 B9 B10 B11 B12 B8A"
    assert training["bands"].tolist() == named.split()
    assert [float(training[key]) for key in ("low", "high", "per_unit")] == [0, 2.8, 10_000]
    learned = training["sen2"][training["validation"] == 0] / 10_000 / 2.8 * 255
    np.testing.assert_allclose(training["mean"], learned.mean((0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(training["std"], learned.std((0, 1, 2)), rtol=1e-5)


def test_later_stages_find_bands_by_name_also_above_the_range(tmp_path: Path, tiffs: Path) -> None:
    from shared import models

    splits = command(tiffs, tmp_path / "out")
    with patches.read(tmp_path / "out" / "training.h5") as source:
        places = models.locate_bands(source, ("B8", "B4", "B8A"))
        assert list(places) == [("sen2", 7), ("sen2", 3), ("sen2", 12)]
        values = source["sen2"][slice(None)]
    assert values.dtype == np.float32
    assert values.max() > 2.8  # kept as it is
    np.testing.assert_array_equal(np.rint(values * 1e4), splits["training"]["sen2"])


def test_both_editions_have_the_same_split(folder: Path, tiffs: Path, tmp_path: Path) -> None:
    for path in folder.glob("*/*.png"):
        path.rename(path.with_name(f"{path.parent.name}_{path.name}"))
    colours, spectra = command(folder, tmp_path / "a"), command(tiffs, tmp_path / "b")
    for name, arrays in colours.items():
        numbers = [number for _, number in names(arrays)]
        starts = [int(picture[0, 0, 0]) % 10_000 // 100 for picture in spectra[name]["sen2"]]
        assert starts == numbers
        np.testing.assert_array_equal(arrays["label"], spectra[name]["label"])
    one, two = (each["training"]["validation"] for each in (colours, spectra))
    np.testing.assert_array_equal(one, two)


NOISE = np.ones((64, 64, 13), np.uint16)
WRONG: dict[str, tuple[Callable[[Path], object], str]] = {
    "12 bands": (
        lambda path: write_bands(path, NOISE[..., :12]),
        "expected 13 bands of uint16, found 12 of uint16",
    ),
    "bytes": (
        lambda path: write_bands(path, NOISE.astype(np.uint8)),
        "expected 13 bands of uint16, found 13 of uint8",
    ),
    "reflectance": (
        lambda path: write_bands(path, NOISE.astype(np.float32)),
        "expected 13 bands of uint16, found 13 of float32",
    ),
    "colours": (
        lambda path: Image.fromarray(colour("Sea", 1)).save(path),
        "expected 13 bands of uint16, found 3 of uint8",
    ),
    "a page a band": (
        lambda path: write_bands(path, NOISE[..., :1].repeat(13, 2), planarconfig=None),
        "expected one picture of 13 bands, found 64 in one file",
    ),
    "small": (
        lambda path: write_bands(path, NOISE[:32]),
        "expected 64x64 pixels, found 64x32; --size 64 resizes such pictures to 64x64",
    ),
    "empty": (lambda path: path.write_bytes(b""), "not a readable TIFF, or cut short"),
    "text": (lambda path: path.write_text("II*\0 no"), "not a readable TIFF, or cut short"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_refuses_a_tiff_that_is_no_picture_of_eurosat(
    tiffs: Path, tmp_path: Path, kind: str, capsys: Any
) -> None:
    write, reason = WRONG[kind]
    (tiffs / "Sea" / "Sea_6.tif").unlink()
    write(tiffs / "Sea" / "Sea_6.tif")
    line = refused(tiffs, tmp_path / "out", capsys=capsys)
    assert line.startswith(f"error: {tiffs}/Sea/Sea_6.tif: {reason}")


@pytest.mark.parametrize("flags", PAGES, ids=str)
def test_refuses_a_tiff_that_is_cut(tmp_path: Path, flags: dict[str, Any]) -> None:
    whole, cut = tmp_path / "a.tif", tmp_path / "b.tif"
    write_bands(whole, np.random.default_rng(1).integers(0, 9999, NOISE.shape, np.uint16), **flags)
    for share in (0.1, 0.5, 0.99):
        cut.write_bytes(whole.read_bytes()[: int(share * whole.stat().st_size)])
        with pytest.raises(StageError, match=r"b\.tif: not a readable TIFF, or cut short"):
            bands.read_bands(cut, None)


def test_refuses_a_mixture_of_editions(folder: Path, tmp_path: Path, capsys: Any) -> None:
    (folder / "Sea" / "9.TIF").write_bytes(b"")
    line = refused(folder, tmp_path / "out", capsys=capsys)
    both = f"{folder}/Crop/0.png (RGB) and {folder}/Sea/9.TIF (13 bands)"
    assert line == f"error: {folder}: expected pictures of one edition, found {both}"


# --- other sizes and kinds ------------------------------------------------------------------------
def test_shrinking_averages_and_enlarging_is_linear_by_hand() -> None:
    """A triangle as wide as two pixels of the result: 1, 3, 3, 1 of four pixels, cut at edges."""
    line = np.array([0, 80, 160, 800], np.uint16)
    picture = np.broadcast_to(line[None, :, None], (4, 4, 2))
    left, right = (3 * 0 + 3 * 80 + 160) / 7, (80 + 3 * 160 + 3 * 800) / 7
    small = sizes.resize(picture, 2)
    assert small.dtype == np.uint16
    assert small[..., 0].tolist() == small[..., 1].tolist() == [[round(left), round(right)]] * 2
    large = sizes.resize(np.array([[[10], [50]], [[10], [50]]], np.uint8), 4)
    assert large[..., 0].tolist() == [[10, 20, 40, 50]] * 4


def test_other_sizes_are_resized_on_request(folder: Path, tmp_path: Path, capsys: Any) -> None:
    Image.fromarray(colour("Sea", 6).repeat(2, 0).repeat(2, 1)).save(folder / "Sea" / "6.png")
    Image.fromarray(colour("Sea", 5)[:32, :32]).save(folder / "Sea" / "5.png")
    splits = command(folder, tmp_path / "out", "--size=64")
    line = f"{folder}: pictures that were converted: 2 resized"
    assert line in capsys.readouterr().err.splitlines()
    for arrays in splits.values():
        for picture, of in zip(arrays["rgb"], names(arrays), strict=True):
            np.testing.assert_array_equal(picture, colour(*of))
    small = command(folder, tmp_path / "small", "--size=16")
    assert small["training"]["rgb"].shape == (19, 16, 16, 3)


def test_bands_are_resized_on_request(tmp_path: Path) -> None:
    write_bands(
        tmp_path / "a.tif", np.array([[[0], [100]], [[0], [100]]]).repeat(13, 2).astype("u2")
    )
    pixels, changes = bands.read_bands(tmp_path / "a.tif", 4)
    assert pixels[..., 12].tolist() == [[0, 25, 75, 100]] * 4
    assert changes == ["resized"]


def test_grey_and_palettes_are_counted_in_one_line(
    folder: Path, tmp_path: Path, capsys: Any
) -> None:
    plain, sea = command(folder, tmp_path / "plain"), folder / "Sea"
    Image.fromarray(colour("Sea", 5)).convert("P", palette=Image.Palette.ADAPTIVE).save(
        sea / "5.png"
    )
    Image.fromarray(colour("Sea", 6)).convert("RGBA").save(sea / "6.png")
    Image.new("L", (64, 64), 7).save(sea / "0.png")
    Image.new("LA", (64, 64), (7, 255)).save(sea / "1.png")
    capsys.readouterr()
    made = command(folder, tmp_path / "out")
    line = f"{folder}: pictures that were converted: 2 grey, 1 opaque RGBA, 1 palette"
    assert line in capsys.readouterr().err.splitlines()
    grey = 0
    for name, arrays in plain.items():
        for before, after, of in zip(arrays["rgb"], made[name]["rgb"], names(arrays), strict=True):
            is_grey = of in {("Sea", 0), ("Sea", 1)}
            grey += is_grey
            np.testing.assert_array_equal(after, np.full_like(before, 7) if is_grey else before)
    assert grey == 2


def clear(path: Path) -> None:
    pixels = np.full((64, 64, 4), 255, np.uint8)
    pixels[5, 6, 3] = 254
    Image.fromarray(pixels).save(path)


def clear_colour(path: Path) -> None:
    Image.fromarray(colour("Sea", 6)).save(path, transparency=(120, 120, 9))


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (clear, "expected opaque pixels, found RGBA with transparent pixels, which have no colour"),
        (clear_colour, "expected opaque pixels, found RGB with transparent pixels, which have no"),
        (odd_pictures.READ["print colours"], "expected RGB, grey or a palette, found CMYK"),
        (odd_pictures.deep(0, 1), "expected 8 bits a channel, found 16"),
        (
            lambda path: Image.new("RGB", (32, 32)).save(path),
            "expected 64x64 pixels, found 32x32; --size 64 resizes such pictures to 64x64",
        ),
    ],
)
def test_refuses_a_picture_whose_meaning_is_not_plain(
    folder: Path, tmp_path: Path, write: Callable[[Path], object], message: str, capsys: Any
) -> None:
    write(folder / "Sea" / "6.png")
    line = refused(folder, tmp_path / "out", capsys=capsys)
    assert line.startswith(f"error: {folder}/Sea/6.png: {message}")


def test_refuses_to_distort(folder: Path, tmp_path: Path, capsys: Any) -> None:
    Image.new("RGB", (32, 64)).save(folder / "Sea" / "6.png")
    line = refused(folder, tmp_path / "out", "--size=64", capsys=capsys)
    assert "Sea/6.png: expected a square picture" in line
    assert line.endswith("found 32x64; cut it to a square")


def cut(folder: Path) -> None:
    path = folder / "Sea" / "6.png"
    path.write_bytes(path.read_bytes()[:60])


def empty(folder: Path) -> None:
    for path in (folder / "Sea").iterdir():
        path.unlink()


def two(folder: Path) -> None:
    for number in range(2, 7):
        (folder / "Sea" / f"{number}.png").unlink()


@pytest.mark.parametrize(
    ("spoil", "flags", "message"),
    [
        (cut, [], "Sea/6.png: not a readable picture, or cut short"),
        (empty, [], "Sea: expected 3 or more pictures (.jpg, .png or .tif), found 0"),
        (two, [], "Sea: expected 3 or more pictures (.jpg, .png or .tif), found 2"),
        (None, ["--test_share=1"], "--test_share: expected above 0 and below 1, found 1.0"),
        (
            None,
            ["--test_share=0.6", "--validation_share=0.4"],
            "--validation_share, --test_share: expected a sum below 1, found 0.4 and 0.6",
        ),
        (None, ["--split_seed=-1"], "--split_seed: expected at least 0"),
        (None, ["--size=7"], "--size: expected 8 to 1024"),
        (None, ["--per_class=2"], "--per_class: expected at least 3"),
        (
            None,
            ["--per_class=3", "--split_lists=stages/eurosat"],
            "--per_class: lists say which pictures",
        ),
        (None, ["--tset_share=0.1"], "did you mean --test_share?"),
    ],
)
def test_refuses(
    folder: Path, spoil: Callable[[Path], None] | None, flags: list[str], message: str, capsys: Any
) -> None:
    if spoil:
        spoil(folder)
    with pytest.raises(SystemExit, match="2"):
        command(folder, folder.with_name("out"), *flags)
    assert message in capsys.readouterr().err
    assert [folder] == list(folder.parent.iterdir())  # nothing left behind


def test_refuses_a_folder_without_classes(folder: Path, capsys: Any) -> None:
    with pytest.raises(SystemExit, match="2"):
        command(folder / "Sea", folder.with_name("out"))
    assert "expected a folder for each of 2 or more classes, found []" in capsys.readouterr().err


@pytest.mark.data
def test_real_pictures(real: Path, tmp_path: Path) -> None:
    small = tmp_path / "in"
    for name in ("Forest", "River"):
        (small / name).mkdir(parents=True)
        for path in sorted((real / "eurosat" / name).glob("*.jpg"))[:20]:
            (small / name / path.name).write_bytes(path.read_bytes())
    splits = command(small, tmp_path / "out")
    assert splits["training"]["rgb"].shape == (36, 64, 64, 3)
    assert splits["training"]["validation"].sum() == 4
    assert splits["testing"]["label"].sum(0).tolist() == [2, 2]


# Folders and pictures as people have them.


@pytest.mark.parametrize("kind", odd_pictures.REFUSED)
def test_refuses_a_picture_that_is_odd(folder: Path, kind: str, capsys: Any) -> None:
    write, _ = odd_pictures.REFUSED[kind]
    write(folder / "Sea" / "6.png")
    with pytest.raises(SystemExit, match="2"):
        command(folder, folder.with_name("out"))
    *_, line = capsys.readouterr().err.splitlines()
    assert re.match(f"error: {folder}/Sea/6.png: (expected|not a readable picture)", line)
    assert [folder] == list(folder.parent.iterdir())  # nothing left behind


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", odd_pictures.REFUSED)
def test_the_loader_says_what_is_odd(tmp_path: Path, kind: str) -> None:
    write, reason = odd_pictures.REFUSED[kind]
    write(tmp_path / "a.png")
    with pytest.raises(StageError) as refused:
        read_picture(tmp_path / "a.png")
    assert str(refused.value).startswith(f"{tmp_path}/a.png: {reason}")


@pytest.mark.parametrize("kind", odd_pictures.READ)
def test_the_loader_reads_what_is_plain(tmp_path: Path, kind: str) -> None:
    odd_pictures.READ[kind](tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        expected = np.asarray(picture.convert("RGB"))
    pixels = read_picture(tmp_path / "a.png")
    assert pixels.shape == (64, 64, 3)
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, expected)


@pytest.mark.parametrize("kind", ["PPM", "BMP", "DIB", "TIFF", "WEBP", "GIF", "PNG", "JPEG"])
def test_a_wide_picture_has_no_deeper_pixels(tmp_path: Path, kind: str) -> None:
    """Pillow says bytes of a line, depth and quality in the same place, by the format."""
    noise = np.random.default_rng(0).integers(0, 256, (9, 700, 3)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "a", kind)
    assert read_picture(tmp_path / "a").shape == (9, 700, 3)


def test_transparency_is_left_out_and_grey_is_three_channels(tmp_path: Path) -> None:
    pixels = np.array([[[10, 20, 30, 0], [40, 50, 60, 255]]], np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert read_picture(tmp_path / "a.png").tolist() == [[[10, 20, 30], [40, 50, 60]]]
    Image.fromarray(np.array([[7, 8]], np.uint8)).save(tmp_path / "b.png")
    assert read_picture(tmp_path / "b.png").tolist() == [[[7, 7, 7], [8, 8, 8]]]


def test_files_that_are_no_pictures_are_counted_in_one_line(
    folder: Path, tmp_path: Path, capsys: Any
) -> None:
    plain = command(folder, tmp_path / "plain")
    capsys.readouterr()
    count = odd_pictures.add_clutter(folder / "Sea")
    (folder / ".DS_Store").write_text("")
    made = command(folder, tmp_path / "out")
    for name, arrays in plain.items():
        for key, values in arrays.items():
            np.testing.assert_array_equal(made[name][key], values)
    (line,) = [x for x in capsys.readouterr().err.splitlines() if "skipped" in x]
    assert line.startswith(f"{folder}: skipped {count} entries that are no pictures: Sea/")


def test_a_link_to_nowhere_is_no_picture(folder: Path, capsys: Any) -> None:
    (folder / "Sea" / "gone.jpg").symlink_to("/no/such.jpg")
    with pytest.raises(SystemExit, match="2"):
        command(folder, folder.with_name("out"))
    message = "Sea/gone.jpg: expected a picture, found a link that leads nowhere"
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("name", hostile.NAMES.values(), ids=hostile.NAMES)
def test_a_hostile_class_name_is_refused_in_one_line(folder: Path, name: str, capsys: Any) -> None:
    (folder / "Sea").rename(folder / name)
    with pytest.raises(SystemExit, match="2"):
        command(folder, folder.with_name("out"))
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {folder}: class folders: expected names of printable")
    assert escape(name) in line
    assert [folder] == list(folder.parent.iterdir())


@pytest.mark.parametrize("name", hostile.ODD.values(), ids=hostile.ODD)
def test_an_odd_class_name_is_kept(folder: Path, tmp_path: Path, name: str) -> None:
    (folder / "Sea").rename(folder / name)
    command(folder, tmp_path / "out")
    with patches.read(tmp_path / "out" / "training.h5", "label") as source:
        assert source.classes == tuple(sorted(("Crop", "River", name)))


@pytest.mark.parametrize("name", hostile.NAMES.values(), ids=hostile.NAMES)
def test_hostile_names_of_pictures(folder: Path, tmp_path: Path, name: str, capsys: Any) -> None:
    """They are read, and named escaped where they are broken; the digest covers them."""
    (folder / "Sea" / "6.png").rename(folder / "Sea" / f"{name}.png")
    made = command(folder, tmp_path / "made")
    assert sum(len(arrays["label"]) for arrays in made.values()) == sum(COUNTS.values())
    (folder / "Sea" / f"{name}.png").write_text("broken")
    capsys.readouterr()
    with pytest.raises(SystemExit, match="2"):
        command(folder, tmp_path / "out")
    heard = capsys.readouterr().err
    assert hostile.is_calm(heard)
    shown = escape(name).replace("\\n", " ").replace("\\r", " ")  # as in every message
    assert f"Sea/{shown}.png: not a readable picture" in heard


def other_ending(folder: Path) -> Path:
    """Pictures of another ending."""
    for path in (folder / "Crop").iterdir():
        path.rename(path.with_suffix(".bmp"))
    return folder


def moved_away(folder: Path) -> Path:
    """A class folder is a link, and what it led to is gone."""
    (folder / "Lake").symlink_to("/no/such/Lake")
    return folder


def both_editions(folder: Path) -> Path:
    """The folder above two editions."""
    inner = folder.rename(folder.with_name("EuroSAT_RGB"))
    folder.mkdir()
    inner.rename(folder / "EuroSAT_RGB")
    (folder / "EuroSAT_MS" / "Crop").mkdir(parents=True)
    return folder


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: folder / "Sea", "found [] but pictures; give the folder above: --src {}"),
        (other_ending, "Crop: expected 3 or more pictures (.jpg, .png or .tif), found 0 beside 0."),
        (moved_away, "Lake: expected a class folder, found a link to /no/such/Lake, which does"),
        (both_editions, "the class folders may be those in it: --src {}/EuroSAT_MS"),
    ],
)
def test_a_folder_that_is_not_the_right_one(
    folder: Path, change: Callable[[Path], Path], message: str, capsys: Any
) -> None:
    src = change(folder)
    with pytest.raises(SystemExit, match="2"):
        command(src, folder.with_name("out"))
    (line,) = capsys.readouterr().err.splitlines()
    assert message.format(folder) in line


def test_one_class_folder_is_not_taken_for_a_level(
    folder: Path, tmp_path: Path, capsys: Any
) -> None:
    for name in ("Crop", "River"):
        (folder / name).rename(tmp_path / name)
    line = refused(folder, tmp_path / "out", capsys=capsys)
    assert (
        line == f"error: {folder}: expected a folder for each of 2 or more classes, found ['Sea']"
    )


@pytest.mark.parametrize("levels", ["2750", "EuroSAT/EuroSAT_RGB"])
def test_folders_between_are_passed(folder: Path, tmp_path: Path, levels: str, capsys: Any) -> None:
    plain = command(folder, tmp_path / "plain")
    inner = folder.rename(tmp_path / "aside")
    (folder / levels).parent.mkdir(parents=True)
    (folder / ".DS_Store").write_text("")
    (folder / "__MACOSX").mkdir()
    inner.rename(folder / levels)
    capsys.readouterr()
    made = command(folder, tmp_path / "out")
    heard = capsys.readouterr().err.splitlines()
    assert f"{folder}: the class folders are those in {folder}/{levels}" in heard
    for name, arrays in plain.items():
        np.testing.assert_array_equal(made[name]["rgb"], arrays["rgb"])


def test_endings_in_capitals(folder: Path, tiffs: Path, tmp_path: Path) -> None:
    for src in (folder, tiffs):
        plain = command(src, tmp_path / f"plain {src.name}")
        for path in list(src.glob("Sea/*")):
            path.rename(path.with_suffix(path.suffix.upper()))
        made = command(src, tmp_path / f"out {src.name}")
        for name, arrays in plain.items():
            for key, values in arrays.items():
                np.testing.assert_array_equal(made[name][key], values)


# --- public split lists ---------------------------------------------------------------------------
ROLES = ("train", "val", "test")
SET = {
    "train": ["Crop_0", "Crop_4", "River_1", "Sea_3", "Sea_6"],
    "val": ["River_0", "Crop_2"],
    "test": ["Sea_0", "River_4", "Crop_9"],
}


def write_lists(folder: Path, name: str = "eurosat", *, end: str = ".jpg", **other: Any) -> Path:
    """A set of lists as they are published."""
    folder.mkdir(exist_ok=True)
    for role, pictures in (SET | other).items():
        text = "".join(f"{picture}{end}\n" for picture in pictures)
        (folder / f"{name}-{role}.txt").write_text(text)
    return folder


@pytest.fixture
def named(folder: Path) -> Path:
    """Pictures with EuroSAT's names, such as Sea/Sea_3.png."""
    for path in folder.glob("*/*.png"):
        path.rename(path.with_name(f"{path.parent.name}_{path.name}"))
    return folder


def listed(splits: dict[str, dict[str, np.ndarray]]) -> dict[str, set[str]]:
    """Names of the pictures of each part."""
    training, marks = splits["training"], splits["training"].get("validation")
    of = [f"{name}_{number}" for name, number in names(training)]
    held = {one for one, mark in zip(of, [] if marks is None else marks, strict=False) if mark}
    tested = {f"{name}_{number}" for name, number in names(splits["testing"])}
    return {"train": {*of} - held, "val": held, "test": tested}


def test_lists_decide_the_split(named: Path, tmp_path: Path, capsys: Any) -> None:
    lists_folder = write_lists(tmp_path / "lists")
    splits = command(named, tmp_path / "out", f"--split_lists={lists_folder}")
    assert listed(splits) == {role: set(pictures) for role, pictures in SET.items()}
    assert splits["training"]["label"].sum(0).tolist() == [3, 2, 2]
    heard = capsys.readouterr().err
    said = f"{named}: 12 pictures are in no list and left out: Crop_1.png, Crop_3.png, Crop_5.png,"
    assert said in heard
    other = command(named, tmp_path / "b", f"--split_lists={lists_folder}", "--split_seed=7")
    assert listed(other) == listed(splits)  # the seed only moves rows


@pytest.mark.parametrize("end", [".jpg", ".tif", ".TIF", ""])
def test_lists_of_one_edition_serve_the_other(tiffs: Path, tmp_path: Path, end: str) -> None:
    write_lists(tmp_path / "lists", end=end)
    splits = command(tiffs, tmp_path / "out", f"--split_lists={tmp_path / 'lists'}")
    starts = sorted(int(picture[0, 0, 0]) for picture in splits["testing"]["sen2"])
    assert starts == [900, 10_400, 20_000]  # Crop 9, River 4, Sea 0
    assert splits["training"]["validation"].sum() == 2


def test_three_files_in_any_order(named: Path, tmp_path: Path) -> None:
    folder = write_lists(tmp_path / "lists")
    write_lists(folder, "eurosat-spatial", train=["Crop_1", "River_1", "Sea_1"])
    files = ",".join(
        str(folder / f"eurosat-spatial-{role}.txt") for role in ("val", "test", "train")
    )
    splits = command(named, tmp_path / "out", f"--split_lists={files}")
    assert listed(splits)["train"] == {"Crop_1", "River_1", "Sea_1"}


def test_a_folder_with_two_sets_leaves_the_choice(named: Path, tmp_path: Path, capsys: Any) -> None:
    folder = write_lists(write_lists(tmp_path / "lists"), "eurosat-spatial")
    line = refused(named, tmp_path / "out", f"--split_lists={folder}", capsys=capsys)
    files = ",".join(f"{folder}/eurosat-{role}.txt" for role in ROLES)
    assert line == (
        f"error: --split_lists: {folder}: expected one set of lists, found eurosat, "
        f"eurosat-spatial; give the three files of one: --split_lists {files}"
    )


def test_names_without_a_picture(named: Path, tmp_path: Path, capsys: Any) -> None:
    folder = write_lists(tmp_path / "lists", val=["River_77", "Crop_2", "Lake_1"])
    flag = f"--split_lists={folder}"
    line = refused(named, tmp_path / "out", flag, capsys=capsys)
    told = f"2 of 3 names without a picture in {named}: River_77.jpg, Lake_1.jpg"
    assert line.startswith(f"error: {folder}/eurosat-val.txt: found {told}; complete the folder")
    assert line.endswith("--partial")
    splits = command(named, tmp_path / "out", flag, "--partial")
    assert listed(splits)["val"] == {"Crop_2"}
    assert f"{folder}/eurosat-val.txt: left out {told}" in capsys.readouterr().err


def test_doubles_in_a_list_count_once(named: Path, tmp_path: Path, capsys: Any) -> None:
    folder = write_lists(tmp_path / "lists", val=["River_0", "Crop_2", "River_0", "", "River_0"])
    (folder / "eurosat-val.txt").write_text("\ufeff\nRiver_0.jpg\r\nCrop_2.jpg\n\n River_0.jpg \n")
    splits = command(named, tmp_path / "out", f"--split_lists={folder}")
    assert listed(splits)["val"] == {"River_0", "Crop_2"}
    said = "eurosat-val.txt: 1 picture is more than once and counted once: River_0.jpg"
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            {"test": ["Sea_6", "River_4", "Crop_9"]},
            "eurosat-test.txt: expected each picture in one list, found {}/Sea/Sea_6.png in "
            "{lists}/eurosat-train.txt, too",
        ),
        (
            {"val": ["Sea_5", "Sea/Sea_5"]},
            "eurosat-val.txt: expected each picture in one list, found {}/Sea/Sea_5.png twice",
        ),
        ({"test": ["Sea_0", "Crop_9"]}, "eurosat-test.txt: expected pictures of every class, found"
         " none of River"),
        ({"train": ["River_1", "Sea_3"]}, "eurosat-train.txt: expected pictures of every class, "
         "found none of Crop"),
        ({"val": [" "]}, "eurosat-val.txt: found 1 of 1 names without a picture in {}: .jpg"),
    ],
)  # fmt: skip
def test_refuses_lists_whose_meaning_is_not_plain(
    named: Path, tmp_path: Path, other: dict[str, list[str]], message: str, capsys: Any
) -> None:
    folder = write_lists(tmp_path / "lists", **dict[str, Any](other))
    line = refused(named, tmp_path / "out", f"--split_lists={folder}", capsys=capsys)
    assert message.format(named, lists=folder) in line


def test_refuses_a_name_of_several_pictures(folder: Path, tmp_path: Path, capsys: Any) -> None:
    there = write_lists(tmp_path / "lists", train=["0"], val=["1"], test=["2"])
    line = refused(folder, tmp_path / "out", f"--split_lists={there}", capsys=capsys)
    both = f"{folder}/Crop/0.png and {folder}/River/0.png"
    assert f"eurosat-train.txt: 0.jpg: expected the name of one picture, found {both}" in line
    write_lists(
        there,
        train=["Crop/0", "River/0", "Sea/0"],
        test=["Crop/1", "River/1", "Sea/1"],
        val=["Sea/2"],
    )
    splits = command(folder, tmp_path / "out", f"--split_lists={there}")
    assert listed(splits)["val"] == {"Sea_2"}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ("eurosat-val.txt", "or a folder with them; found eurosat-val.txt"),
        (
            "eurosat-val.txt,eurosat-train.txt",
            "with them; found eurosat-val.txt, eurosat-train.txt",
        ),
        ("eurosat-val.txt,eurosat-train.txt,other.txt", "found eurosat-val.txt, eurosat-train.txt"),
        ("", "NAME-train.txt, NAME-val.txt and NAME-test.txt, or a folder with them; found {}"),
    ],
)
def test_refuses_an_incomplete_set(
    named: Path, tmp_path: Path, files: str, message: str, capsys: Any
) -> None:
    folder = write_lists(tmp_path / "lists")
    (folder / "eurosat-test.txt").rename(folder / "other.txt")
    if not files:
        for path in folder.iterdir():
            path.unlink()
    given = ",".join(str(folder / name) for name in files.split(",")) if files else str(folder)
    line = refused(named, tmp_path / "out", f"--split_lists={given}", capsys=capsys)
    assert line.startswith("error: --split_lists: expected NAME-train.txt")
    assert line.endswith(message.format(folder))


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\xff\xfe\x00"])
def test_refuses_a_file_that_is_no_list(
    named: Path, tmp_path: Path, content: bytes, capsys: Any
) -> None:
    folder = write_lists(tmp_path / "lists")
    (folder / "eurosat-val.txt").write_bytes(content)
    line = refused(named, tmp_path / "out", f"--split_lists={folder}", capsys=capsys)
    assert "eurosat-val.txt: expected" in line
    assert "the name of one picture a line" in line


def test_a_list_is_found_by_its_role_in_its_name(tmp_path: Path) -> None:
    for name in ("train.txt", "VAL.TXT", "test.txt", "readme.txt", "test.csv"):
        (tmp_path / name).write_text("")
    assert [path.name for path in lists.find_lists((tmp_path,))] == [
        "train.txt", "VAL.TXT", "test.txt",
    ]  # fmt: skip
