"""eurosat: pixels and labels, a split by class, going on after a crash, refusals."""

import re
from collections.abc import Callable
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
from stages.eurosat import main as stage
from tests import hostile, odd_pictures

COUNTS = {"Crop": 10, "River": 5, "Sea": 7}


def colour(name: str, number: int) -> np.ndarray:
    """(64, 64, 3) picture of one colour that tells class and number."""
    return np.full((64, 64, 3), (20 * number, 60 * sorted(COUNTS).index(name), 9), np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    image = pytest.importorskip("PIL.Image")
    for name, count in COUNTS.items():
        (tmp_path / "in" / name).mkdir(parents=True)
        for number in range(count):
            image.fromarray(colour(name, number)).save(tmp_path / "in" / name / f"{number}.png")
    (tmp_path / "in" / "__MACOSX").mkdir()
    return tmp_path / "in"


def command(src: Path, dst: Path, *flags: str) -> dict[str, dict[str, np.ndarray]]:
    """Run the stage as its container does; what it wrote."""
    cli.main(stage.run, [f"--src={src}", f"--dst={dst}", *flags])
    splits = {}
    for split in ("training", "testing"):
        with h5py.File(dst / f"{split}.h5") as file:
            splits[split] = {name: file[name][:] for name in file}
            splits[split] |= {key: np.asarray(v) for key, v in file["rgb"].attrs.items()}
    return splits


def test_every_picture_is_in_one_split_with_its_label(folder: Path, tmp_path: Path) -> None:
    splits = command(folder, tmp_path / "out")
    seen = []
    for arrays in splits.values():
        for picture, label in zip(arrays["rgb"], arrays["label"], strict=True):
            name = sorted(COUNTS)[int(label.argmax())]
            number = int(picture[0, 0, 0]) // 20
            np.testing.assert_array_equal(picture, colour(name, number))
            seen.append((name, number))
    assert sorted(seen) == [(n, i) for n in sorted(COUNTS) for i in range(COUNTS[n])]
    assert splits["testing"]["label"].sum(0).tolist() == [2, 1, 1]  # a fifth of 10, 5, 7
    order = splits["training"]["label"].argmax(1).tolist()
    assert order != sorted(order)


def test_says_what_it_holds(folder: Path, tmp_path: Path) -> None:
    training = command(folder, tmp_path / "out")["training"]
    with patches.read(tmp_path / "out" / "training.h5", "rgb", "label") as source:
        assert source.classes == tuple(sorted(COUNTS))
        assert source["rgb"].layout == lcz.RGB
        mean, std = source.statistics("rgb")
    np.testing.assert_allclose(mean, training["rgb"].mean((0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(std, training["rgb"].std((0, 1, 2)), rtol=1e-9, atol=1e-6)


def test_the_seed_decides(folder: Path, tmp_path: Path) -> None:
    one, two = (command(folder, tmp_path / name)["testing"]["rgb"] for name in "ab")
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, command(folder, tmp_path / "c", "--seed=1")["testing"]["rgb"])


def test_goes_on_after_a_crash(folder: Path, tmp_path: Path, monkeypatch: Any) -> None:
    from stages.eurosat import pictures

    whole, pixels, read = command(folder, tmp_path / "whole"), pictures.read_pixels, []

    def crash_once(path: Path, side: int) -> np.ndarray:
        read.append(path)
        if len(read) == 20:
            raise KeyboardInterrupt
        return pixels(path, side)

    monkeypatch.setattr(stage, "BATCH", 4)
    monkeypatch.setattr(pictures, "read_pixels", crash_once)
    with pytest.raises(SystemExit, match="130"):
        command(folder, tmp_path / "out")
    again = command(folder, tmp_path / "out")
    for split, arrays in whole.items():
        for name, values in arrays.items():
            np.testing.assert_array_equal(again[split][name], values)
    assert len(read) == sum(COUNTS.values()) + 2  # two of the block in which it crashed


def small(folder: Path) -> None:
    from PIL import Image

    Image.new("RGB", (32, 32)).save(folder / "Sea" / "6.png")


def grey(folder: Path) -> None:
    from PIL import Image

    Image.new("L", (64, 64)).save(folder / "Sea" / "6.png")


def cut(folder: Path) -> None:
    path = folder / "Sea" / "6.png"
    path.write_bytes(path.read_bytes()[:60])


def empty(folder: Path) -> None:
    for path in (folder / "Sea").iterdir():
        path.unlink()


@pytest.mark.parametrize(
    ("spoil", "flags", "message"),
    [
        (small, [], "Sea/6.png: expected 64x64 RGB, found 32x32 RGB"),
        (grey, [], "Sea/6.png: expected 64x64 RGB, found 64x64 L"),
        (cut, [], "Sea/6.png: not a readable picture, or cut short"),
        (empty, [], "Sea: expected 2 or more pictures (.jpg, .png), found 0"),
        (None, ["--test_share=1"], "--test_share: expected above 0 and below 1, found 1.0"),
        (None, ["--seed=-1"], "--seed: expected at least 0"),
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
    assert splits["training"]["rgb"].shape == (32, 64, 64, 3)
    assert splits["testing"]["label"].sum(0).tolist() == [4, 4]


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
    for split, arrays in plain.items():
        for name, values in arrays.items():
            np.testing.assert_array_equal(made[split][name], values)
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


def wrap(folder: Path) -> Path:
    """Two folders too high, as an archive unpacks."""
    inner = folder.rename(folder.with_name("2750"))
    (folder / "EuroSAT").mkdir(parents=True)
    inner.rename(folder / "EuroSAT" / "2750")
    return folder


def other_format(folder: Path) -> Path:
    """Pictures of another ending."""
    for path in (folder / "Crop").iterdir():
        path.rename(path.with_suffix(".tif"))
    return folder


def moved_away(folder: Path) -> Path:
    """A class folder is a link, and what it led to is gone."""
    (folder / "Lake").symlink_to("/no/such/Lake")
    return folder


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (wrap, "found ['EuroSAT']; the class folders may be those below {}/EuroSAT/2750"),
        (lambda folder: folder / "Sea", "found [] but pictures; give the folder above: --src {}"),
        (other_format, "Crop: expected 2 or more pictures (.jpg, .png), found 0 beside 0.tif"),
        (moved_away, "Lake: expected a class folder, found a link to /no/such/Lake, which does"),
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
