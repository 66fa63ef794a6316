"""Limits per band for the levels of pictures: by hand, from patch files, by exact arithmetic."""

import dataclasses
import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from shared import models, patches
from shared.errors import StageError
from shared.models import ranges
from tests.conftest import pixels, write_patches, write_raw

CARD = models.Card(
    "a.onnx", "a", ("B4", "B3", "B2"), (0.05, 0.04, 0.03), (0.02, 0.01, 0.01), 32, "bilinear",
    ("a", "b"), eight_bit=True,
)  # fmt: skip
FITTED = dataclasses.replace(
    CARD, low=(0.01, 0.0, 0.02), high=(0.11, 0.5, 0.07), mean=(0.4, 0.08, 0.2), std=(0.2, 0.02, 0.2)
)


def uneven(rows: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Patches of little contrast, with a bright and a dark pixel of another kind in each."""
    arrays = pixels(rows, seed)
    arrays["sen2"] = np.round(0.1 + 0.2 * np.random.default_rng(seed).random((rows, 32, 32, 10)), 4)
    return arrays


def test_tails_are_a_thousandth_of_the_pixels() -> None:
    values = np.full(10_000, 51.0, np.float32)
    values[:11], values[11:20] = 0.0, 255.0  # eleven are more than a thousandth, nine are fewer
    assert ranges.find_tails(values) == (0.0, 0.2)
    values[:11], values[11:22] = 51.0, 255.0
    assert ranges.find_tails(values) == (0.2, 1.0)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((0.2, 0.4), (0.18, 0.5)), ((0.01, 0.21), (0.0, 0.31)), ((0.5, 0.9), (0.46, 1.0)),
        ((-0.1, 0.1), (-0.1, 0.2)), ((0.9, 1.5), (0.84, 1.5)), ((0.3, 0.3), (0.3, 0.3)),
    ],
)  # fmt: skip
def test_room_for_other_scenes(given: tuple[float, float], expected: tuple[float, float]) -> None:
    assert ranges.add_room(*given) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(50))
def test_limits_hold_the_tails_and_leave_whole_thousandths(seed: int) -> None:
    """What a network sees is the same: (value - mean) / std before and after."""
    rng = np.random.default_rng(seed)
    low, mean, std = (
        rng.uniform(-0.1, 0.3),
        rng.integers(20, 300) / 1000,
        rng.integers(1, 90) / 1000,
    )
    high = low + rng.uniform(0.02, 0.5)
    new_low, new_high, new_mean, new_std = ranges.widen_limits(low, high, mean, std)
    assert new_low <= low + 1e-12
    assert new_high >= high - 1e-12
    assert (round(new_mean, 3), round(new_std, 3)) == (new_mean, new_std)
    assert new_high - new_low <= (high - low) * 1.002 + max(0.02, 0.1 * (high - low) / std)
    for value in (low, high, 0.1):
        seen = ((value - new_low) / (new_high - new_low) - new_mean) / new_std
        assert seen == pytest.approx((value - mean) / std, abs=1e-9)


def test_a_band_without_contrast_keeps_a_hundredth_of_the_scale() -> None:
    low, high, mean, std = ranges.widen_limits(0.1, 0.1, 0.1, 0.001)
    assert high - low == pytest.approx(0.01, rel=0.02)
    assert low <= 0.1 <= high
    assert (mean, std) == (0.0, 0.099)


def test_fitted_limits_of_a_patch_file(tmp_path: Path) -> None:
    path = write_patches(tmp_path / "a.h5", uneven(34))
    with patches.read(path, "label") as source:
        mean, std = models.band_statistics(source, CARD.bands)
        card = models.fit_range(dataclasses.replace(CARD, mean=mean, std=std), source)
        named, spans = models.name_limits(card, source), models.count_levels(card, source)
        before = models.count_levels(dataclasses.replace(CARD, mean=mean, std=std), source)
    for low, high in named.values():  # 0.1 to 0.3, a tenth below, half of it above
        assert 0.075 < low <= 0.0803
        assert 0.3997 <= high < 0.41
    assert set(before.values()) == {19}  # 0.196 of 2.8
    assert min(spans.values()) > 145
    assert list(spans) == list(CARD.bands)


def test_rows_of_validation_and_bands_of_bytes_are_left_out(tmp_path: Path) -> None:
    arrays = uneven(34)
    arrays["sen2"][17:] = 2.0
    marks = np.repeat([0, 1], 17).astype(np.uint8)
    path = write_raw(tmp_path / "a.h5", arrays | {"validation": marks})
    with patches.read(path, "label") as source:
        card = models.fit_range(CARD, source)
        assert max(high for _, high in models.name_limits(card, source).values()) < 0.45
    rgb = np.random.default_rng(0).integers(90, 120, (17, 32, 32, 3), np.uint8)
    path = write_raw(tmp_path / "b.h5", {"rgb": rgb, "label": np.eye(17)})
    with patches.read(path, "label") as source:
        assert models.fit_range(CARD, source) == CARD
        assert models.choose_range(CARD, "fitted", source, path) == CARD  # nothing else was trained
    path = write_raw(tmp_path / "c.h5", arrays | {"rgb": np.concatenate([rgb, rgb])})
    mixed = dataclasses.replace(CARD, bands=("B8", "B4", "B3"), mean=(0.123456,) * 3, decimals=6)
    with patches.read(path, "label") as source:
        card = models.fit_range(mixed, source)
    assert (round(card.mean[0], 3), card.mean[1:]) == (card.mean[0], mixed.mean[1:])
    assert card.decimals == 6  # those of the bands of bytes stay


def test_levels_between_limits_by_hand() -> None:
    values = 255 * np.array([[0.0, 0.6, 0.02], [0.01, 0.5, 0.07], [0.06, 0.25, 0.0201]], np.float32)
    levels = models.to_levels(values, FITTED)
    assert levels.tolist() == [[0, 255, 0], [0, 255, 255], [128, 128, 1]]
    assert models.to_levels(values, CARD)[1].tolist() == [3, 128, 18]
    plain = models.to_levels(values, dataclasses.replace(FITTED, eight_bit=False))
    np.testing.assert_allclose(plain[0], [-25.5, 306.0, 0.0], atol=1e-3)  # nothing is cut off


def test_levels_are_those_of_exact_arithmetic() -> None:
    """But for what single precision cannot tell from the limit of two levels."""
    stored = np.arange(0, 6000, 7)
    scaled = (stored / np.float32(1e4) * np.float32(255 / 2.8)).astype(np.float32)
    levels = models.to_levels(np.repeat(scaled[:, None], 3, 1), FITTED)
    for c, (low, high) in enumerate(FITTED.limits):
        for value, level in zip(stored.tolist(), levels[:, c].tolist(), strict=True):
            share = (Fraction(value, 28_000) - Fraction(low)) / (Fraction(high) - Fraction(low))
            exact = min(max(255 * share, Fraction(0)), Fraction(255))
            assert abs(exact - Fraction(int(level))) < Fraction(502, 1000)


def test_input_of_a_network_changes_by_rounding_alone(prepared: Path) -> None:
    with patches.read(prepared, "label") as source:
        mean, std = models.band_statistics(source, CARD.bands)
        plain = dataclasses.replace(CARD, mean=mean, std=std, eight_bit=False, size=48)
        fitted = models.fit_range(plain, source)
        values = models.read_scaled(source, CARD.bands, slice(0, 8))
    assert fitted.low
    np.testing.assert_allclose(
        models.preprocess(values, fitted), models.preprocess(values, plain), atol=2e-4
    )


def test_cards_with_limits_are_stored_and_others_stay_as_they_were(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").touch()
    models.save(tmp_path, [FITTED])
    assert models.load(tmp_path) == [FITTED]
    models.save(tmp_path, [CARD])
    assert "low" not in json.loads((tmp_path / "model.json").read_text())["members"][0]
    assert models.load(tmp_path) == [CARD]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"low": (0.1,)}, "low"), ({"high": ()}, "high"), ({"low": ()}, "high"),
        ({"high": (0.11, 0.0, 0.07)}, "high"), ({"low": (0.0, float("nan"), 0.0)}, "low"),
        ({"high": (1.0, True, 1.0)}, "high"), ({"low": 0.0}, "float"),
    ],
)  # fmt: skip
def test_limits_that_are_none(tmp_path: Path, changes: dict[str, object], named: str) -> None:
    (tmp_path / "a.onnx").touch()
    models.save(tmp_path, [FITTED])
    content = json.loads((tmp_path / "model.json").read_text())
    content["members"][0] |= changes
    (tmp_path / "model.json").write_text(json.dumps(content))
    with pytest.raises(StageError, match=f"not a model description .*{named}"):
        models.load(tmp_path)


def test_what_a_network_was_trained_with_is_not_changed(prepared: Path) -> None:
    where = Path("x")
    with patches.read(prepared, "label") as source:
        for card, said in ((CARD, "published"), (FITTED, "fitted")):
            other = "fitted" if said == "published" else "published"
            assert models.choose_range(card, None, source, where) == card
            assert models.choose_range(card, said, source, where) == card  # type: ignore[arg-type]
            with pytest.raises(StageError, match=f"--range: expected {said}, .* found {other}"):
                models.choose_range(card, other, source, where)  # type: ignore[arg-type]
        plain = dataclasses.replace(CARD, eight_bit=False)
        assert models.choose_range(plain, "published", source, where) == plain
        assert models.choose_range(plain, "fitted", source, where).low


def test_a_scene_is_standardised_as_its_patches(prepared: Path) -> None:
    with patches.read(prepared, "label") as source:
        values = models.read_scaled(source, CARD.bands, slice(0, 2))
    scene = np.moveaxis(values, -1, 1)
    for card in (CARD, FITTED, dataclasses.replace(FITTED, eight_bit=False)):
        expected = models.preprocess(values, card)
        np.testing.assert_array_equal(models.standardise(scene, card), expected)
