"""tda-plot: diagrams by hand, chosen rows, class means, the same bytes, refusals."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from shared import cli, lcz, patches
from stages.tda_plot import files, homology, pictures
from stages.tda_plot import main as stage
from tests import hostile
from tests.conftest import pixels, write_patches

ROWS, BINS = 34, 6


def write_features(path: Path, values: np.ndarray | None = None) -> Path:
    """A features file as `tda` makes it, of random images."""
    rng = np.random.default_rng(0)
    drawn = rng.random((ROWS, 10 * 2 * BINS**2)) if values is None else values
    facts = {
        "kind": "image", "modality": "sen2", "bands": list(lcz.SEN2.bands), "bins": BINS,
        "low": 0.0, "high": 2.8, "clip": False, "essential": False,
    }  # fmt: skip
    grid = patches.Constant(np.tile([[0.0, 60.0], [0.0, 9.0]], (10, 2, 1, 1)), facts)
    fields: dict[str, Any] = {
        "features": patches.Field(drawn.shape[1:], "float16"),
        "label": patches.Field((17,), "uint8"),
    }
    with patches.Writer(
        path, ROWS, classes=lcz.CLASSES, constants={"grid": grid}, **fields
    ) as sink:
        for rows in sink.todo(ROWS):
            sink.put(rows, features=drawn, label=pixels(ROWS)["label"].astype(np.uint8))
    return path


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """34 patches of 12 x 12 pixels and their features, alone in a folder."""
    folder = tmp_path / "in"
    folder.mkdir()
    made = {n: a[:, :12, :12] if a.ndim == 4 else a for n, a in pixels(ROWS).items()}
    return write_patches(folder / "patches.h5", made), write_features(folder / "features.h5")


def command(two: tuple[Path, Path], dst: Path, *flags: str) -> dict[str, bytes]:
    """Run the stage as its container does; the files it wrote."""
    cli.main(stage.run, [f"--src={two[0]}", f"--features={two[1]}", f"--dst={dst}", *flags])
    return {path.name: path.read_bytes() for path in sorted(dst.iterdir())}


def listed(band: np.ndarray, dimension: Any, essential: bool = False) -> list[list[float]]:
    return homology.diagram(band, dimension, essential).tolist()


def test_diagrams_by_hand() -> None:
    """Birth, death, row and column; two pits that meet at 5 and a peak of 9 in a ring that
    closes at 5."""
    band = np.full((5, 5), 7.0)
    band[1:4, 1:4] = [[1, 5, 2], [5, 9, 5], [5, 5, 5]]
    assert listed(band, 0) == [[2, 5, 1, 3]]
    assert listed(band, 0, essential=True) == [[1, 9, 1, 1], [2, 5, 1, 3]]
    assert listed(band, 1) == [[5, 9, 2, 2]]
    assert listed(np.full((4, 4), 3.0), 0, essential=True) == []
    corner = np.pad([[9.0]], ((0, 3), (0, 3)))
    assert listed(corner, 1) == []  # at the border: not inside a ring


def test_rows_of_each_class() -> None:
    labels = np.array([2, 0, 2, 2, 0])
    chosen = stage.choose(labels, 2, seed=0)
    assert labels[chosen].tolist() == [0, 0, 2, 2]
    assert chosen == stage.choose(labels, 2, seed=0)
    assert len(set(chosen)) == 4
    assert {tuple(stage.choose(labels, 2, seed)) for seed in range(9)} > {tuple(chosen)}
    assert stage.choose(labels, 0, seed=0) == []


def test_means_of_the_classes(two: tuple[Path, Path]) -> None:
    with patches.read(two[0], "label") as source, patches.read(two[1], "features") as features:
        means, counts = files.means(files.match_files(source, features))
        stored = features["features"][slice(None)]
    assert counts.tolist() == [2] * 17
    expected = (stored[:17] + stored[17:]) / 2
    np.testing.assert_allclose(means.reshape(17, -1), expected, rtol=1e-6)


def test_pictures_of_chosen_rows_and_the_same_bytes_again(
    two: tuple[Path, Path], tmp_path: Path
) -> None:
    flags = ("--rows=30,3", "--bands=B8,B4")
    first = command(two, tmp_path / "a", *flags)
    names = ["classes-B4.png", "classes-B8.png", "patch-000003.png", "patch-000030.png"]
    assert list(first) == names
    assert all(png.startswith(b"\x89PNG\r\n\x1a\n") for png in first.values())
    assert command(two, tmp_path / "b", *flags) == first


def test_classes_alone_and_one_patch_of_each_class(two: tuple[Path, Path], tmp_path: Path) -> None:
    assert list(command(two, tmp_path / "a", "--per_class=0", "--bands=B2")) == ["classes-B2.png"]
    with patches.read(two[0], "label") as source:
        classes = source.labels()
    assert len(set(classes[stage.choose(classes, 1, 42)])) == 17


@pytest.mark.filterwarnings("error::UserWarning")
def test_flat_bands_and_empty_features_can_be_drawn(two: tuple[Path, Path], tmp_path: Path) -> None:
    with h5py.File(two[0], "r+") as file:
        file["sen2"][..., 0] = 700
    with h5py.File(two[1], "r+") as file:
        file["features"][:] = 0
    made = command(two, tmp_path / "a", "--rows=0", "--bands=B2")
    assert list(made) == ["classes-B2.png", "patch-000000.png"]


def test_titles() -> None:
    assert pictures.title("03_CompactLowRise") == "03 Compact Low Rise"


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--bands=B4,B9", "--bands: expected names out of B2, B3"),
        ("--rows=34", "--rows: expected 0 to 33, found 34"),
        ("--per_class=21", "--per_class: expected 0 to 20, found 21"),
        ("--band=B4", "no such flag; did you mean --bands?"),
    ],
)
def test_refuses(
    two: tuple[Path, Path], capsys: pytest.CaptureFixture[str], flag: str, message: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        command(two, two[0].with_name("out"), flag)
    assert message in capsys.readouterr().err
    assert sorted(two) == sorted(two[0].parent.iterdir())


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: f["grid"].attrs.modify("kind", "betti"), "expected persistence images, found"),
        (lambda f: f["grid"].attrs.modify("high", 1.0), "high: expected 2.8, found 1.0"),
        (lambda f: f["grid"].attrs.modify("bins", 7), "features: expected (980,), found (720,)"),
        (lambda f: f.pop("grid"), "expected dataset 'grid', found"),
        (lambda f: f["label"].write_direct(np.roll(f["label"], 1, 0)), "expected the labels of"),
    ],
)
def test_refuses_features_of_something_else(
    two: tuple[Path, Path],
    capsys: pytest.CaptureFixture[str],
    spoil: Callable[[h5py.File], None],
    message: str,
) -> None:
    with h5py.File(two[1], "r+") as file:
        spoil(file)
    with pytest.raises(SystemExit, match="2"):
        command(two, two[0].with_name("out"))
    assert message in capsys.readouterr().err
    assert sorted(two) == sorted(two[0].parent.iterdir())


@pytest.mark.parametrize("name", hostile.ODD.values(), ids=hostile.ODD)
def test_odd_names_of_bands_and_classes(two: tuple[Path, Path], tmp_path: Path, name: str) -> None:
    """They stand in the pictures, and what no file name can have is left out of theirs."""
    bands = [f"{name}/1", f"{name}:1", "../B4", *lcz.SEN2.bands[3:]]
    for path, place in zip(two, ("sen2", "grid"), strict=True):
        with h5py.File(path, "r+") as file:
            file["label"][:] = np.eye(17)[np.arange(ROWS) % 2]  # two classes: small pictures
            file[place].attrs["bands"] = bands
            file.attrs["classes"] = [name, *lcz.CLASSES[1:]]
    made = command(two, tmp_path / "out", "--rows=0")
    assert len(made) == 1 + len(bands)
    assert {f"classes-{band}.png" for band in (".._B4", *bands[3:])} < made.keys()
    assert all(content.startswith(b"\x89PNG") for content in made.values())
