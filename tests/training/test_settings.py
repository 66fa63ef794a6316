"""Bands drawn for a member, members of a shard, settings that are refused."""

import dataclasses

import pytest

from shared import lcz
from shared.errors import StageError
from shared.training import settings
from shared.training.settings import draw_bands, numbers
from tests.training.tiny import recipe

SEN2, SEN1 = lcz.SEN2.bands, lcz.SEN1.bands


@pytest.mark.parametrize("mode", ["rand", "randrgb", "sar"])
def test_bands_are_distinct_sorted_and_from_the_seed(mode: str) -> None:
    drawn = [draw_bands(mode, SEN2, SEN1, seed) for seed in range(60)]
    assert drawn == [draw_bands(mode, SEN2, SEN1, seed) for seed in range(60)]
    order = [*SEN2, *SEN1]
    for bands in drawn:
        assert len(set(bands)) == 3
        assert list(bands) == sorted(bands, key=order.index)
    assert len(set(drawn)) > 20


def test_modes_draw_from_the_right_bands() -> None:
    for seed in range(40):
        rgb = draw_bands("randrgb", SEN2, (), seed)
        assert sum(band in ("B4", "B3", "B2") for band in rgb) == 1
        sar = draw_bands("sar", SEN2, SEN1, seed)
        assert [band in SEN1 for band in sar] == [False, False, True]
    assert draw_bands("rand", ("B4", "B3", "B2"), (), 5) == ("B4", "B3", "B2")
    seen = {band for seed in range(99) for band in draw_bands("sar", SEN2, SEN1, seed)}
    assert seen == {*SEN2, *SEN1}


@pytest.mark.parametrize(
    ("mode", "optical", "message"),
    [
        ("rgb", SEN2, "--mode: expected rand, randrgb, sar, found 'rgb'"),
        ("rand", ("B2", "B3"), "--mode=rand: expected 3 or more optical bands, found B2, B3"),
        ("sar", SEN2, "--mode=sar: expected 1 or more channels of sen1, found none"),
        ("randrgb", ("B4", "B3", "B2"), "expected 2 or more bands besides B4, B3, B2, found none"),
    ],
)
def test_bands_that_cannot_be_drawn(mode: str, optical: tuple[str, ...], message: str) -> None:
    with pytest.raises(StageError, match=message):
        draw_bands(mode, optical, (), 0)


def test_members_of_shards() -> None:
    assert [list(numbers(5, f"{i}/2")) for i in (1, 2)] == [[0, 1], [2, 3, 4]]
    with pytest.raises(StageError, match="--members: expected at least 1, found 0"):
        numbers(0, "1/1")
    with pytest.raises(StageError, match="--shard=1/3: no member of 2 falls into it"):
        numbers(2, "1/3")


@pytest.mark.parametrize(
    ("flag", "value", "message"),
    [
        ("epochs", 0, "--epochs: expected at least 1, found 0"),
        ("batch", 1, "--batch: expected at least 2, found 1"),
        ("lr", -1e-3, "--lr: expected at least 0.0, found -0.001"),
        ("lr", float("nan"), "--lr: expected at least 0.0, found nan"),
        ("clip", -1.0, "--clip: expected at least 0.0, found -1.0"),
        ("device", "gpu", "--device: expected auto, cpu or cuda, found 'gpu'"),
        ("seed", -1, "--seed: expected at least 0, found -1"),
        ("precision", "fp16", "--precision: expected auto, 32-true, bf16-mixed, found 'fp16'"),
    ],
)
def test_settings_refused(flag: str, value: object, message: str) -> None:
    with pytest.raises(StageError, match=message):
        settings.check(dataclasses.replace(recipe(), **{flag: value}), 224, "bilinear")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"together": 0}, "--together: expected at least 1 member, found 0"),
        ({"resident": 0.0}, "--resident: expected above 0 GB, found 0.0"),
        ({"resident": float("nan")}, "--resident: expected above 0 GB, found nan"),
        ({"validation": 0.6}, "--validation: expected 0 to 0.5, found 0.6"),
    ],
)
def test_passes_refused(given: dict[str, float], message: str) -> None:
    plain = {"together": 1, "resident": 1.0, "validation": 0.0}
    settings.check_pass(recipe(), **plain)
    with pytest.raises(StageError, match=message):
        settings.check_pass(recipe(), **(plain | given))


@pytest.mark.parametrize(("patience", "validation"), [(2, 0.0), (-1, 0.1)])
def test_patience_needs_rows_held_out(patience: int, validation: float) -> None:
    with pytest.raises(StageError, match="--patience: expected 0, or more with rows held out"):
        settings.check_pass(recipe(patience=patience), 1, 1.0, validation)


def test_sizes_refused() -> None:
    with pytest.raises(StageError, match="--size: expected 16 to 1024 pixels, found 8"):
        settings.check(recipe(), 8, "bilinear")
    with pytest.raises(StageError, match="--interpolation: expected bilinear or nearest"):
        settings.check(recipe(), 32, "cubic")
