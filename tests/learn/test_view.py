"""The view: what it decodes and scales, where pixels go, how large the random steps are."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from shared import lcz, model, patches
from shared.learn import view as views
from shared.learn.split import Part, Split, load
from shared.learn.view import Geometry, View, draw, warp

STILL = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]


def geometry(theta: list[list[float]], hole: tuple[float, ...] = (0, 0, 0, 0)) -> Geometry:
    return Geometry(torch.tensor([theta]), torch.tensor([hole], dtype=torch.float32))


def pattern(side: int = 8) -> Tensor:
    return torch.rand((1, 2, side, side), generator=torch.Generator().manual_seed(0))


def test_nothing_drawn_moves_nothing() -> None:
    torch.testing.assert_close(warp(pattern(), geometry(STILL)), pattern())


def test_flip_is_left_right() -> None:
    flipped = warp(pattern(), geometry([[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]))
    torch.testing.assert_close(flipped, pattern().flip(3), atol=1e-6, rtol=0)


def test_shift_by_whole_pixels_fills_with_zero() -> None:
    shifted = warp(pattern(), geometry([[1.0, 0.0, 2 * 2 / 8], [0.0, 1.0, -1 * 2 / 8]]))
    expected = torch.zeros(1, 2, 8, 8)
    expected[:, :, 1:, :-2] = pattern()[:, :, :-1, 2:]
    torch.testing.assert_close(shifted, expected, atol=1e-5, rtol=0)


def bilinear(image: np.ndarray, x: float, y: float) -> float:
    """One value between pixel centres, zero outside; written for this test."""
    left, top = math.floor(x), math.floor(y)
    total = 0.0
    for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
        column, row = left + i, top + j
        if 0 <= column < image.shape[1] and 0 <= row < image.shape[0]:
            part = (1 - abs(x - column)) * (1 - abs(y - row))
            total += part * image[row, column]
    return total


@pytest.mark.parametrize(("degrees", "flip"), [(8.0, 1), (-5.0, -1)])
def test_rotation_turns_about_the_centre(degrees: float, flip: int) -> None:
    angle, side, centre = math.radians(degrees), 8, 3.5
    cos, sin = math.cos(angle), math.sin(angle)
    found = warp(pattern(), geometry([[cos * flip, -sin, 0.0], [sin * flip, cos, 0.0]]))[0, 1]
    image = pattern()[0, 1].numpy()
    for row in range(side):
        for column in range(side):
            u, v = (column - centre) * flip, row - centre
            x, y = cos * u - sin * v + centre, sin * u + cos * v + centre
            assert found[row, column].item() == pytest.approx(bilinear(image, x, y), abs=1e-5)


def test_cutout_is_k_by_k_at_every_resolution() -> None:
    hole = (2 / 32, 5 / 32, 6 / 32, 9 / 32)  # 4 x 4 px at column 2, row 5
    for side in (32, 64):
        kept = warp(torch.ones(1, 1, side, side), geometry(STILL, hole))[0, 0]
        factor = side // 32
        zeros = (kept == 0).nonzero()
        assert len(zeros) == (4 * factor) ** 2
        assert zeros.min(0).values.tolist() == [5 * factor, 2 * factor]


def test_drawn_ranges_and_rates() -> None:
    count, side = 4000, 32
    drawn = draw(count, side, torch.Generator().manual_seed(1))
    theta, holes = drawn.theta.numpy(), drawn.holes.numpy() * side
    flipped = np.linalg.det(theta[:, :, :2]) < 0
    angle = np.degrees(np.arctan2(-theta[:, 0, 1], theta[:, 1, 1]))
    shift, size = theta[:, :, 2] * side / 2, holes[:, 2] - holes[:, 0]
    assert abs(flipped.mean() - 0.5) < 0.03
    assert 7.9 < np.abs(angle).max() <= 8.0001
    assert abs(angle.mean()) < 0.3
    assert 1.99 < np.abs(shift).max() <= 2.00001
    assert set(np.unique(size.round(4))) == {0, 3, 4, 5}
    assert abs((size > 0).mean() - 0.3) < 0.03
    np.testing.assert_allclose(size, holes[:, 3] - holes[:, 1], atol=1e-4)
    assert holes.min() == 0
    assert holes.max() == 32  # reaches all borders
    np.testing.assert_allclose(holes, holes.round(), atol=1e-4)  # whole pixels


def ramp(side: int) -> Tensor:
    """(1, side, side, 1) plane over the patch, which bilinear interpolation keeps exactly."""
    place = (torch.arange(side) + 0.5) / side
    return (1 + place[:, None] + 3 * place)[None, :, :, None]


def test_parts_of_two_resolutions_see_one_geometry() -> None:
    layout = lcz.Layout(("a",), 0.0, 1.0)
    parts = [
        Part(ramp(side).expand(9, -1, -1, -1), layout, (i,)) for i, side in enumerate((32, 64))
    ]
    both = View(parts, (0.0, 0.0), (1.0, 1.0), 32, "bilinear", 32)
    batch = Split(parts, {"label": torch.zeros(9)})[range(9)]
    seen = both(batch, torch.Generator().manual_seed(0))
    inside = seen[:, :, 7:-7, 7:-7]  # no border comes in by 8 degrees and 2 pixels
    torch.testing.assert_close(inside[:, 0], inside[:, 1], atol=1e-5, rtol=0)
    assert (seen == 0).any()  # cutouts, which the plane itself never has
    assert (seen[:, 0] - both(batch)[:, 0]).abs().mean() > 0.1


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
@pytest.mark.parametrize("bands", [("B4", "B3", "B2"), ("B12", "B8A", "VV"), ("COV_imag", "B2")])
@pytest.mark.parametrize("size", [20, 48, 224])
def test_plain_view_is_what_numpy_prepares(
    prepared: Path, bands: tuple[str, ...], interpolation: str, size: int
) -> None:
    mean, std = (0.1, 0.2, 0.3)[: len(bands)], (0.5, 0.01, 0.2)[: len(bands)]
    card = model.Card("", "", bands, mean, std, size, interpolation, ())
    parts = load(prepared, bands)
    batch = Split(parts, {"label": torch.zeros(34)})[range(4)]
    seen = View(parts, mean, std, size, interpolation, 32)(batch).numpy()
    with patches.read(prepared) as source:
        expected = model.prepare(model.scaled(source, bands, slice(0, 4)), card)
    np.testing.assert_allclose(seen, expected, atol=2e-5 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("source", "target"), [(32, 224), (64, 224), (96, 224), (28, 100), (32, 82)]
)
def test_nearest_takes_the_same_pixels_as_numpy(source: int, target: int) -> None:
    ramp = torch.arange(source, dtype=torch.float32)[None, None].expand(1, source, source)[None]
    found = torch.nn.functional.interpolate(ramp, target, mode="nearest")[0, 0, 0]
    ours = model.resize(np.arange(source, dtype=np.float32)[None], 1, target, "nearest")
    np.testing.assert_array_equal(found.numpy(), ours[0])


def test_sar_is_clipped_and_rgb_is_bytes() -> None:
    sar = Part(torch.tensor([-9.0, -0.5, 0.25, 7.0]).half().view(1, 2, 2, 1), lcz.SEN1, (0,))
    seen = View([sar], (0.0,), (1.0,), 2, "nearest", 2)({"image0": sar.stored})
    assert seen.flatten().tolist() == [0.0, 0.0, 0.75, 1.0]
    rgb = Part(torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 1, 1, 3), lcz.RGB, (0, 1, 2))
    seen = View([rgb], (0.0, 0.2, 0.5), (1.0, 1.0, 0.5), 1, "nearest", 1)({"image0": rgb.stored})
    torch.testing.assert_close(seen.flatten(), torch.tensor([0.0, 0.0, 1.0]))


def test_whole_levels_are_numpys_at_every_stored_number() -> None:
    """DN 0 to 28,000, one pixel each: 25.5 and its like must not go two ways."""
    stored = torch.arange(0, 28_001, dtype=torch.int16).view(-1, 1, 1, 1)
    layout = lcz.Layout(("B2",), 0.0, 2.8, 1e4)
    seen = View([Part(stored, layout, (0,))], (0.1,), (0.5,), 1, "nearest", 1, eight_bit=True)
    card = model.Card("", "", ("B2",), (0.1,), (0.5,), 1, "nearest", (), eight_bit=True)
    values = layout.scale(layout.decode(stored.numpy())).astype(np.float32)
    found = seen({"image0": stored}).flatten().numpy()
    np.testing.assert_allclose(found, model.prepare(values, card).flatten(), atol=1e-6)
    levels = (found * 0.5 + 0.1) * 255
    np.testing.assert_allclose(levels, levels.round(), atol=1e-4)
    assert len(np.unique(levels.round())) == 256


def test_half_precision_training_does_not_move_the_grid() -> None:
    part = Part(torch.randint(0, 255, (2, 32, 32, 3), dtype=torch.uint8), lcz.RGB, (0, 1, 2))
    seen = View([part], (0.5,) * 3, (0.2,) * 3, 32, "bilinear", 32)
    plain = seen({"image0": part.stored}, torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        mixed = seen({"image0": part.stored}, torch.Generator().manual_seed(0))
    assert mixed.dtype == torch.float32
    assert torch.equal(mixed, plain)


def test_settings_are_the_published_ones() -> None:
    assert (views.DEGREES, views.SHIFT, views.CUTOUT, views.CUTOUT_CHANCE) == (8, 2, (3, 5), 0.3)
