"""eurosat: pixels and labels, a split by class, going on after a crash, refusals."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from shared import cli, lcz, patches
from stages.eurosat import main as stage

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
