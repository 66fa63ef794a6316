"""Model cards: written and read back, what networks are fed, refusals."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared import lcz, models, patches
from shared.errors import StageError
from shared.voyager import inference
from tests import hostile
from tests.conftest import pixels, write_patches

CARD = models.Card(
    file="a.onnx",
    architecture="resnet18",
    bands=("B4", "B3", "B2"),
    mean=(0.1, 0.2, 0.3),
    std=(0.5, 0.25, 0.125),
    size=64,
    interpolation="bilinear",
    classes=lcz.CLASSES,
)


def test_cards_come_back_as_they_were_written(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"")
    models.save(tmp_path, [CARD, dataclasses.replace(CARD, features=5)], mode="rand")
    assert models.load(tmp_path) == [CARD, dataclasses.replace(CARD, features=5)]
    assert json.loads((tmp_path / "model.json").read_text())["mode"] == "rand"


def test_task_and_colours_are_kept_and_other_tasks_refused(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"")
    card = dataclasses.replace(CARD, task="segmentation", colours=lcz.COLOURS)
    models.save(tmp_path, [card])
    assert models.load(tmp_path, "segmentation") == models.load(tmp_path, None) == [card]
    with pytest.raises(StageError, match="expected a network for classification, found one for"):
        models.load(tmp_path)
    models.save(tmp_path, [CARD])
    assert (
        not {"task", "colours"}
        & json.loads((tmp_path / "model.json").read_text())["members"][0].keys()
    )
    with pytest.raises(StageError, match="expected a network for segmentation, found one for"):
        models.load(tmp_path, "segmentation")


def test_stop_while_writing_leaves_no_half_description(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", stopped)
    with pytest.raises(KeyboardInterrupt):
        models.save(tmp_path, [CARD])
    assert not (tmp_path / "model.json").exists()
    monkeypatch.undo()
    models.save(tmp_path, [CARD])
    assert [path.name for path in tmp_path.iterdir()] == ["model.json"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"members": 3}', '{"members": [{"file": "a"}]}'])
def test_refuses_broken_descriptions(tmp_path: Path, text: str) -> None:
    (tmp_path / "model.json").write_text(text)
    with pytest.raises(StageError, match=r"model.json: not a model description"):
        models.load(tmp_path)


@pytest.mark.parametrize(
    "wrong",
    [
        {"mean": (0.1,)},
        {"std": (0.5, 0.25, 0.0)},
        {"size": "64"},
        {"interpolation": "cubic"},
        {"bands": ()},
        {"classes": "abc"},
        {"file": 1},
        {"mean": (True, 0.1, 0.1)},
        {"size": True},
        {"features": False},
        {"task": "detection"},
        {"colours": ("#ff0000",)},
        {"colours": ("red",) * len(lcz.CLASSES)},
        *({"classes": ("Forest", name)} for name in hostile.NAMES.values()),
        *({"bands": ("B4", name, "B2")} for name in hostile.NAMES.values()),
        *({"architecture": name} for name in hostile.NAMES.values()),
    ],
)
def test_refuses_descriptions_that_cannot_be(tmp_path: Path, wrong: dict[str, Any]) -> None:
    (tmp_path / "a.onnx").write_bytes(b"")
    models.save(tmp_path, [dataclasses.replace(CARD, **wrong)])
    with pytest.raises(StageError, match=f"not a model description .*{next(iter(wrong))}"):
        models.load(tmp_path)


@pytest.mark.parametrize("place", ["../a.onnx", "/a.onnx", "deep/a.onnx", "."])
def test_refuses_networks_that_lie_elsewhere(tmp_path: Path, place: str) -> None:
    """Their content would be in no digest of the folder."""
    folder = tmp_path / "model"
    (folder / "deep").mkdir(parents=True)
    for path in (tmp_path, folder / "deep"):
        (path / "a.onnx").write_bytes(b"")
    models.save(folder, [dataclasses.replace(CARD, file=place)])
    with pytest.raises(StageError, match=f"expected ONNX files beside it, found '{place}'"):
        models.load(folder)


def test_refuses_a_file_in_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_bytes(b"")
    with pytest.raises(StageError, match=r"a\.h5: expected a model folder with .*, found a file"):
        models.load(tmp_path / "a.h5")


def test_refuses_folders_without_model_or_network(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"expected a model folder with model\.json, found none"):
        models.load(tmp_path)
    models.save(tmp_path, [CARD])
    with pytest.raises(StageError, match=r"a\.onnx: expected the network that model\.json names"):
        models.load(tmp_path)
    models.save(tmp_path, [])
    with pytest.raises(StageError, match="not a model description"):
        models.load(tmp_path)


def test_bands_are_found_in_any_dataset(prepared: Path) -> None:
    arrays = pixels(34)
    with patches.read(prepared) as source:
        values = models.read_scaled(source, ("VV", "B12", "B2"), slice(5, 8))
        with pytest.raises(
            StageError, match=r"training.h5: expected band 'B99', found \['VH_real'"
        ):
            models.read_scaled(source, ("B99",), slice(0, 1))
    sen1 = (arrays["sen1"][5:8, ..., 5].astype("f2").astype("f8").clip(-0.5, 0.5) + 0.5) * 255
    np.testing.assert_allclose(values[..., 0], sen1, rtol=1e-5)
    np.testing.assert_allclose(values[..., 1], arrays["sen2"][5:8, ..., 9] / 2.8 * 255, rtol=1e-5)
    np.testing.assert_allclose(values[..., 2], arrays["sen2"][5:8, ..., 0] / 2.8 * 255, rtol=1e-5)


def test_statistics_have_three_decimals(prepared: Path) -> None:
    with patches.read(prepared) as source:
        mean, std = models.band_statistics(source, ("B4", "B3", "B2"))
    values = pixels(34)["sen2"][..., [2, 1, 0]] / 2.8
    np.testing.assert_allclose(mean, values.mean((0, 1, 2)), atol=5e-4)
    np.testing.assert_allclose(std, values.std((0, 1, 2)), atol=5e-4)
    assert all(round(value, 3) == value > 0 for value in mean + std)


def test_six_decimals_are_nearer_and_kept(prepared: Path) -> None:
    with patches.read(prepared) as source:
        mean, std = models.band_statistics(source, ("B4", "B3", "B2"), 6)
        rough = models.band_statistics(source, ("B4", "B3", "B2"))
    values = pixels(34)["sen2"][..., [2, 1, 0]] / 2.8
    np.testing.assert_allclose(mean, values.mean((0, 1, 2)), atol=5e-5)
    np.testing.assert_allclose(std, values.std((0, 1, 2)), atol=5e-5)
    assert all(round(value, 6) == value for value in mean + std)
    assert any(round(value, 3) != value for value in mean + std)
    assert [round(value, 3) for value in mean + std] == [*rough[0], *rough[1]]


def test_a_constant_band_has_a_deviation_to_divide_by(tmp_path: Path) -> None:
    arrays = pixels(17)
    arrays["sen2"][..., 4] = 0.14
    with patches.read(write_patches(tmp_path / "a.h5", arrays)) as source:
        assert source.statistics("sen2")[1][4] == pytest.approx(0, abs=1e-4)
        assert models.band_statistics(source, ("B6",)) == ((0.05,), (0.001,))


def test_networks_eat_normalised_nchw() -> None:
    values = np.full((2, 32, 32, 3), 127.5, np.float32)
    image = models.preprocess(values, CARD)
    assert image.shape == (2, 3, 64, 64)
    assert image.dtype == np.float32
    np.testing.assert_allclose(image[0, :, 0, 0], [0.4 / 0.5, 0.3 / 0.25, 0.2 / 0.125], rtol=1e-5)


def test_bilinear_resize_by_hand() -> None:
    row = np.array([[8, 16]], np.float32)
    np.testing.assert_array_equal(models.resize(row, 1, 4, "bilinear"), [[8, 10, 14, 16]])
    np.testing.assert_array_equal(models.resize(row.T, 4, 1, "bilinear"), [[8], [10], [14], [16]])
    np.testing.assert_array_equal(models.resize(row, 2, 4, "nearest"), [[8, 8, 16, 16]] * 2)
    np.testing.assert_array_equal(
        models.resize(np.array([[1, 3, 5, 9]], np.float32), 1, 2, "bilinear"), [[2, 7]]
    )


@pytest.mark.parametrize("target", [1, 31, 32, 64, 224])
def test_resize_keeps_constants_and_ramps(target: int) -> None:
    flat = models.resize(np.full((1, 32), 7, np.float32), 1, target, "bilinear")
    np.testing.assert_allclose(flat, 7, rtol=1e-6)
    ramp = models.resize(np.arange(32, dtype=np.float32)[None], 1, target, "bilinear")
    centres = (np.arange(target) + 0.5) * 32 / target - 0.5
    np.testing.assert_allclose(ramp[0], centres.clip(0, 31), atol=1e-5)


def by_opencv(pictures: np.ndarray, height: int, width: int) -> np.ndarray:
    """(C, H, W) levels resized by the SDK's library."""
    cv2 = pytest.importorskip("cv2")
    image = np.moveaxis(pictures, 0, -1).astype(np.uint8)
    resized = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.moveaxis(resized.reshape(height, width, -1), -1, 0)


def test_levels_by_hand() -> None:
    """A half goes up in the middle; at the edge, 341 and 1707 / 2048 lose a part each."""
    chequered = models.resize_levels(np.array([[[0, 1], [1, 0]]]), 3, 3, "bilinear")
    assert chequered.tolist() == [[[0, 0, 1], [1, 1, 1], [1, 0, 0]]]


def test_half_the_size_is_the_mean_of_four() -> None:
    """1.5 and 2.5: a half goes up with one, three and four channels, else to the even level."""
    pictures = np.array([[[1, 2, 2, 3], [1, 2, 2, 3]]])
    for channels, expected in ((1, [2, 3]), (2, [2, 2]), (3, [2, 3]), (4, [2, 3]), (5, [2, 2])):
        halves = models.resize_levels(pictures.repeat(channels, 0), 1, 2, "bilinear")
        assert halves.tolist() == [[expected]] * channels


def test_levels_are_opencv_s_at_every_size() -> None:
    rng = np.random.default_rng(0)
    for size in range(8, 513):
        pictures = rng.integers(0, 256, (1, 32, 32))
        ours = models.resize_levels(pictures, size, size, "bilinear")
        np.testing.assert_array_equal(ours, by_opencv(pictures, size, size), err_msg=str(size))


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 10])
def test_levels_are_opencv_s_for_any_shape_and_channels(channels: int) -> None:
    rng = np.random.default_rng(channels)
    shapes = [tuple(rng.integers(8, 130, 4).tolist()) for _ in range(20)]
    for height, width, *target in [*shapes, (64, 64, 32, 32), (48, 20, 24, 10), (40, 40, 40, 40)]:
        pictures = rng.integers(0, 256, (channels, height, width))
        to, wide = target
        ours = models.resize_levels(pictures, to, wide, "bilinear")
        np.testing.assert_array_equal(ours, by_opencv(pictures, to, wide), err_msg=f"{target}")


def test_extreme_levels_stay() -> None:
    for level in (0, 1, 254, 255):
        flat = models.resize_levels(np.full((3, 32, 32), level), 224, 224, "bilinear")
        np.testing.assert_array_equal(flat, by_opencv(np.full((3, 32, 32), level), 224, 224))


@pytest.mark.parametrize("size", [32, 48, 224])
def test_eight_bits_are_those_that_the_sdk_enlarges(size: int) -> None:
    """A student sees in training what the bundle's pictures become on the way to Metis."""
    pictures = np.random.default_rng(0).integers(0, 60, (2, 32, 32, 3), np.uint8)
    mean, std = (0.036, 0.039, 0.044), (0.024, 0.017, 0.014)
    card = models.Card(
        "a.onnx", "a", ("B4", "B3", "B2"), mean, std, size, "bilinear", ("a", "b"), eight_bit=True
    )
    resize = {
        "width": size,
        "height": size,
        "half_pixel_centers": True,
        "interpolation": "bilinear",
    }
    normalize = {"mean": ", ".join(map(str, mean)), "std": ", ".join(map(str, std))}
    sdk = inference.preprocess(pictures, {"resize": resize, "normalize": normalize})
    inputs = models.preprocess(pictures + np.float32(0.3), card)
    np.testing.assert_allclose(inputs, sdk, atol=1e-5)
    levels = (sdk * np.array(std)[:, None, None] + np.array(mean)[:, None, None]) * 255
    np.testing.assert_allclose(levels, levels.round(), atol=1e-3)
