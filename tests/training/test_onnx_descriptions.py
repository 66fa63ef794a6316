"""What a folder says of its networks: whose description counts, and MATLAB's entry by entry."""

import json
from pathlib import Path
from typing import Any

import pytest

from shared import lcz
from shared.errors import StageError
from shared.onnx_graphs import descriptions, matlab_export

CLASSES = ("a", "b", "c")


def write(folder: Path, files: tuple[str, ...] = ("net.onnx",), **content: Any) -> Path:
    for name in files:
        (folder / name).touch()
    (folder / matlab_export.NAME).write_text(json.dumps({"bands": [4, 3, 2], **content}))
    return folder


def card(folder: Path, **content: Any) -> Any:
    (one,) = matlab_export.read(write(folder, **content), CLASSES)
    return one


@pytest.mark.parametrize(
    ("there", "name"),
    [
        ((), "model.json"), (("model.json",), "model.json"),
        (("preprocessing.json",), "preprocessing.json"),
        (("model.json", "preprocessing.json"), "model.json"),
    ],
)  # fmt: skip
def test_ours_counts_where_both_are_there(
    tmp_path: Path, there: tuple[str, ...], name: str
) -> None:
    for file in there:
        (tmp_path / file).touch()
    assert descriptions.name_description(tmp_path) == tmp_path / name
    with pytest.raises(StageError, match=name):
        descriptions.read_cards(tmp_path, CLASSES)


def test_a_description_without_anything_but_bands(tmp_path: Path) -> None:
    """The thesis' pictures: 32 pixels, nearest, values over 255, classes as the data has them."""
    one = card(tmp_path)
    assert (one.file, one.bands, one.size) == ("net.onnx", ("B5", "B4", "B3"), 32)
    assert (one.interpolation, one.classes) == ("nearest", CLASSES)
    assert (one.mean, one.std) == ((0.0,) * 3, (1.0,) * 3)


@pytest.mark.parametrize(
    ("content", "size"),
    [
        ({"size": 64}, 64), ({"size": [48, 48]}, 48), ({"input": {"shape": [1, 3, 96, 96]}}, 96),
        ({"input": {"shape": [1, 3, 96, 96]}, "size": 64}, 96), ({"input": {}, "size": 64}, 64),
    ],
)  # fmt: skip
def test_sizes(tmp_path: Path, content: dict[str, Any], size: int) -> None:
    assert card(tmp_path, **content).size == size


@pytest.mark.parametrize(
    ("bands", "names"),
    [
        ([1, 10, 11, 18], (*lcz.SEN2.bands[::9], lcz.SEN1.bands[0], lcz.SEN1.bands[-1])),
        (["B8A", 4], ("B8A", "B5")), (["3"], ("B4",)), ({"net.onnx": [1]}, ("B2",)),
        ({"net": [2]}, ("B3",)), ({"net": [2], "net.onnx": [1]}, ("B2",)),
    ],
)  # fmt: skip
def test_bands_by_name_or_number(tmp_path: Path, bands: Any, names: tuple[str, ...]) -> None:
    assert card(tmp_path, bands=bands).bands == names


@pytest.mark.parametrize("bands", [[0], [19], [1.5], ["B99"], [-1], ["x"], [1, 0]])
def test_bands_that_are_none(tmp_path: Path, bands: Any) -> None:
    with pytest.raises(StageError, match=r"bands of net.onnx: expected B2, B3, .* or numbers 1"):
        card(tmp_path, bands=bands)


@pytest.mark.parametrize("bands", [None, [], {"other": [1]}])
def test_bands_that_nobody_said(tmp_path: Path, bands: Any) -> None:
    with pytest.raises(StageError, match='found none; add "bands": \\[4, 3, 2\\], or one list'):
        card(tmp_path, bands=bands)


TEN = [float(10 * number) for number in range(1, 11)]


@pytest.mark.parametrize(
    ("content", "mean", "std"),
    [
        ({"mean": [51, 102, 153], "std": [255, 51, 25.5]}, (0.2, 0.4, 0.6), (1.0, 0.2, 0.1)),
        (
            {"zscore": {"mu": [0.5] * 3, "sigma": [2] * 3}, "range": [-1, 1]},
            (0.75,) * 3, (1.0,) * 3,
        ),
        (
            {"zscore": {"mu": [1] * 3, "sigma": [1] * 3}, "mean": [9] * 3, "std": [9] * 3,
             "scaling": {"optical": {"dst_range": [0, 2]}}, "range": [0, 9]},
            (0.5,) * 3, (0.5,) * 3,
        ),
        ({"mean": TEN, "std": [255] * 10}, (40 / 255, 30 / 255, 20 / 255), (1.0,) * 3),
        ({"mean": TEN + [0] * 8, "std": [255] * 18}, (40 / 255, 30 / 255, 20 / 255), (1.0,) * 3),
        (
            {"zscore": {"enabled": False, "mu": [1] * 3, "sigma": [1] * 3}},
            (0.0,) * 3, (1.0,) * 3,
        ),
        ({"mean": [1] * 3}, (0.0,) * 3, (1.0,) * 3),
    ],
)  # fmt: skip
def test_means_and_deviations(
    tmp_path: Path, content: dict[str, Any], mean: tuple[float, ...], std: tuple[float, ...]
) -> None:
    """One a channel, or one for each band that MATLAB numbers, on the scale 0 … 1."""
    one = card(tmp_path, **content)
    assert one.mean == pytest.approx(mean)
    assert one.std == pytest.approx(std)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"mean": [1] * 9, "std": [1] * 9}, "mean: expected 3 values, or one for each of 10 or 18"),
        (
            {"mean": [1] * 3, "std": [1] * 4},
            "std: expected 3 values, or one for each of .* found 4",
        ),
        ({"mean": [1] * 3, "std": [1, 0, 1]}, "std: expected above 0, found"),
        ({"mean": [1] * 3, "std": [1] * 3, "range": [1, 1]}, "range: expected two ascending numb"),
        ({"interpolation": "bicubic"}, "interpolation: expected nearest or bilinear, found 'bic"),
        ({"labels": ["a", "b"]}, "labels: expected the 3 classes of the data"),
        ({"size": "large"}, "not the description of a network"),
        ({"bands": [11], "mean": [1] * 10, "std": [1] * 10}, "mean: expected 1 values, or one"),
    ],
)
def test_descriptions_that_cannot_be(tmp_path: Path, content: dict[str, Any], message: str) -> None:
    with pytest.raises(StageError, match=message):
        card(tmp_path, **content)


def test_labels_are_the_order_of_the_outputs(tmp_path: Path) -> None:
    assert card(tmp_path, labels=["c", "a", "b"]).classes == ("c", "a", "b")
    assert card(tmp_path, classes=[3, 1, 2], interpolation="bilinear").classes == ("c", "a", "b")


def test_every_network_of_a_folder_has_a_card(tmp_path: Path) -> None:
    write(tmp_path, ("b.onnx", "a.onnx", ".hidden.onnx", "c.txt"), bands={"a": [1], "b.onnx": [2]})
    cards = matlab_export.read(tmp_path, CLASSES)
    assert [(one.file, one.bands) for one in cards] == [("a.onnx", ("B2",)), ("b.onnx", ("B3",))]
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(StageError, match=r"expected ONNX files beside preprocessing.json, found"):
        matlab_export.read(write(empty, ()), CLASSES)
