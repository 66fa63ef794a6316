"""Resizing of whole levels on the device: the very levels of numpy, and so of OpenCV."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from shared import lcz, models, patches
from shared.training.data import View, load_split, locate_inputs
from shared.training.data.views import eight_bit
from stages.voyager import preprocess_file


@pytest.mark.parametrize("side", [16, 32, 41, 64])
def test_levels_are_those_of_numpy(side: int) -> None:
    rng = np.random.default_rng(side)
    for size in (8, 16, 31, 32, 48, 63, 64, 82, 224):
        levels = rng.integers(0, 256, (2, 3, side, side)).astype(np.float32)
        ours = eight_bit.resize_levels(torch.from_numpy(levels), size, 3)
        expected = models.resize_levels(levels, size, size, "bilinear")
        np.testing.assert_array_equal(ours.numpy(), expected, err_msg=str(size))


def test_some_channels_of_a_picture_are_halved_as_all_of_it() -> None:
    levels = torch.arange(2 * 10 * 16 * 16).reshape(2, 10, 16, 16).remainder(251).float()
    whole = models.resize_levels(levels.numpy(), 8, 8, "bilinear")
    part = eight_bit.resize_levels(levels[:, 2:5], 8, channels=10)
    np.testing.assert_array_equal(part.numpy(), whole[:, 2:5])
    assert (eight_bit.resize_levels(levels[:, 2:5], 8, channels=3) != part).any()


@pytest.mark.parametrize("size", [16, 48])
def test_plain_views_and_shifted_ones_are_what_the_sdk_resizes(size: int) -> None:
    """A row that is moved by a whole pixel: the moved picture, resized by the SDK."""
    band = lcz.Layout(("a", "b", "c"), low=0.0, high=255.0, per_unit=1)
    card = models.Card(
        "x", "x", band.bands, (0.4, 0.5, 0.1), (0.2, 0.1, 0.05), size, "bilinear", ("k",),
        eight_bit=True,
    )  # fmt: skip
    view = View(card, dict.fromkeys(band.bands, band), 32)
    levels = np.random.default_rng(0).integers(0, 256, (2, 3, 32, 32))
    batch = {name: torch.from_numpy(levels[:, c]).float() for c, name in enumerate(band.bands)}
    plain = models.preprocess(np.moveaxis(levels, 1, -1).astype(np.float32), card)
    np.testing.assert_allclose(view(batch).numpy(), plain, atol=1e-5)
    drawn = {
        "theta": torch.tensor([[[1.0, 0, 2 / 32], [0, 1, 0]]] * 2), "holes": torch.zeros(2, 4),
        "turned": torch.zeros(2, dtype=torch.bool),
    }  # fmt: skip
    moved = np.roll(levels, -1, 3)
    moved[..., -1] = np.floor(255 * np.array(card.mean)[:, None] + 0.501)  # zero when normalised
    expected = models.preprocess(np.moveaxis(moved, 1, -1).astype(np.float32), card)
    np.testing.assert_allclose(view(batch | drawn).numpy(), expected, atol=1e-5)


def test_more_rows_than_are_made_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    levels = torch.randint(0, 256, (7, 3, 32, 32)).float()
    whole = eight_bit.resize_levels(levels, 48, 3)
    monkeypatch.setitem(eight_bit.AT_ONCE, "cpu", 2 * 3 * 48 * 48)
    torch.testing.assert_close(eight_bit.resize_levels(levels, 48, 3), whole, rtol=0, atol=0)


@pytest.mark.parametrize("side", [32, 96])
def test_the_transform_of_a_bundle_is_what_students_were_trained_with(
    tmp_path: Path, side: int
) -> None:
    """preprocess.py with the real torch: tensor of a picture, to the last bit."""
    card = models.Card(
        "x", "x", ("a", "b", "c"), (0.4, 0.5, 0.1), (0.2, 0.1, 0.05), 48, "bilinear", ("k",),
        eight_bit=True,
    )  # fmt: skip
    (tmp_path / "preprocess.py").write_text(preprocess_file.write("a-b", card, 6))
    transform = preprocess_file.load(tmp_path / "preprocess.py")["get_preprocess_transform"]
    picture = np.random.default_rng(0).integers(0, 256, (side, side, 3)).astype(np.uint8)
    made = transform(picture)
    assert (made.dtype, tuple(made.shape)) == (torch.float32, (1, 3, 48, 48))
    expected = models.preprocess(picture[None].astype(np.float32), card)
    np.testing.assert_array_equal(made.numpy(), expected)


@pytest.mark.parametrize("stored", ["uint16", "float16", "float32"])
def test_levels_between_limits_are_numpys_at_every_value(stored: str) -> None:
    """Limits as they come from data, so that values fall anywhere beside the limits of levels."""
    rng = np.random.default_rng(0)
    whole = stored == "uint16"
    layout = lcz.Layout(("a",), 0.0 if whole else -0.5, 2.8 if whole else 0.5, 1e4 if whole else 1)
    layout = layout if whole else dataclasses.replace(layout, clip=True)
    count = 28_001 if whole else 100_000
    values = np.arange(count) if whole else rng.normal(0, 0.3, count)
    numbers = values.astype(np.int16 if whole else stored)
    for low, high in rng.uniform([0.0, 0.1], [0.1, 0.6], (40, 2)).tolist():
        card = models.Card(
            "x", "x", ("a",), (0.0,), (1 / 255,), 1, "bilinear", ("k",),
            eight_bit=True, low=(low,), high=(high,),
        )  # fmt: skip
        batch = {"a": torch.from_numpy(numbers.reshape(-1, 1, 1))}
        ours = View(card, {"a": layout}, 1)(batch).numpy().ravel()
        scaled = layout.scale(layout.decode(numbers[:, None])).astype(np.float32)
        expected = models.to_levels(scaled, card).ravel()
        np.testing.assert_array_equal(ours.round(), expected)
        np.testing.assert_allclose(ours, ours.round(), atol=1e-3)


@pytest.mark.parametrize("eight_bit_", [False, True])
def test_views_between_limits_are_what_numpy_sees(prepared: Path, eight_bit_: bool) -> None:
    bands = ("B4", "VH", "B2")
    with patches.read(prepared, "label") as source:
        mean, std = models.band_statistics(source, bands)
        card = models.fit_range(
            models.Card(
                "x", "x", bands, mean, std, 48, "bilinear", source.classes, eight_bit=eight_bit_
            ),
            source,
        )
        expected = models.preprocess(models.read_scaled(source, bands, slice(0, 8)), card)
    split = load_split(locate_inputs(prepared, bands), {"label": torch.zeros(34)}, 1.0, 8)
    seen = View(card, split.layouts, 32)(split[np.arange(8)]).numpy()
    assert card.low
    np.testing.assert_allclose(seen, expected, atol=2e-4)
