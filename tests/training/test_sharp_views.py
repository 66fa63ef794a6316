"""Views that are sampled once: hand-made pictures, the plain view, a loop in double precision."""

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from shared.training.data import draw_views
from shared.training.data.split import Batch
from shared.training.data.views import drawing, warping
from shared.training.data.views.view import View
from tests.training.test_view import STILL, UNIT, bilinear, card, generator

SQUARE = torch.arange(1.0, 17.0).view(4, 4)  # 1 2 3 4 / 5 6 7 8 / 9 10 11 12 / 13 14 15 16


def views(theta: object, turned: bool = False, hole: object = (0, 0, 0, 0)) -> Batch:
    """The views of one row, with a geometry that is said."""
    return {
        "theta": torch.tensor([theta]),
        "holes": torch.tensor([hole], dtype=torch.float32),
        "turned": torch.tensor([turned]),
    }


def look(image: Tensor, drawn: Batch, size: int = 4, way: str = "bilinear") -> Tensor:
    """(size, size) of one picture through one view; the patch has four Sentinel pixels a side."""
    return warping.see_images(image[None, None], drawn, 4, size, way)[0, 0]


@pytest.mark.parametrize("turned", [False, True])
def test_a_shift_by_one_pixel_by_hand(turned: bool) -> None:
    """x + 1 reads what is at the right, so all comes one to the left; the rest is zero."""
    seen = look(SQUARE, views([[1.0, 0.0, 2 / 4], [0.0, 1.0, 0.0]], turned))
    expected = [[2, 3, 4, 0], [6, 7, 8, 0], [10, 11, 12, 0], [14, 15, 16, 0]]
    torch.testing.assert_close(seen, torch.tensor(expected).float(), atol=1e-5, rtol=0)
    if not turned:
        assert seen.tolist() == expected  # copied, not computed


def test_a_flip_by_hand() -> None:
    seen = look(SQUARE, views([[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]))
    assert seen.tolist() == [[4, 3, 2, 1], [8, 7, 6, 5], [12, 11, 10, 9], [16, 15, 14, 13]]


BY_HAND = [
    [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12], [13, 14, 15, 16]],
    [[4, 8, 12, 16], [3, 7, 11, 15], [2, 6, 10, 14], [1, 5, 9, 13]],
    [[16, 15, 14, 13], [12, 11, 10, 9], [8, 7, 6, 5], [4, 3, 2, 1]],
    [[13, 9, 5, 1], [14, 10, 6, 2], [15, 11, 7, 3], [16, 12, 8, 4]],
    [[4, 3, 2, 1], [8, 7, 6, 5], [12, 11, 10, 9], [16, 15, 14, 13]],
    [[16, 12, 8, 4], [15, 11, 7, 3], [14, 10, 6, 2], [13, 9, 5, 1]],
    [[13, 14, 15, 16], [9, 10, 11, 12], [5, 6, 7, 8], [1, 2, 3, 4]],
    [[1, 5, 9, 13], [2, 6, 10, 14], [3, 7, 11, 15], [4, 8, 12, 16]],
]


@pytest.mark.parametrize("number", range(8))
def test_the_eight_symmetries_by_hand(number: int) -> None:
    theta = torch.cat([drawing.symmetries()[number], torch.zeros(2, 1)], 1).tolist()
    assert look(SQUARE, views(theta)).tolist() == BY_HAND[number]


@pytest.mark.parametrize("number", range(8))
def test_symmetries_and_the_resize_in_one_sampling_are_one_after_the_other(number: int) -> None:
    theta = torch.cat([drawing.symmetries()[number], torch.zeros(2, 1)], 1).tolist()
    expected = warping.resize_images(torch.tensor([[BY_HAND[number]]]).float(), 9, "bilinear")
    for turned in (False, True):
        seen = look(SQUARE, views(theta, turned), 9)
        torch.testing.assert_close(seen, expected[0, 0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("way", ["bilinear", "nearest"])
@pytest.mark.parametrize("eight_bit", [False, True])
@pytest.mark.parametrize(("side", "size"), [(32, 32), (32, 224), (64, 48), (96, 224), (32, 50)])
def test_a_view_that_moves_nothing_is_the_plain_view(
    side: int, size: int, eight_bit: bool, way: str
) -> None:
    of = card(("a",), size, mean=(0.3,), std=(0.2,), interpolation=way, eight_bit=eight_bit)
    through = View(of, {"a": UNIT}, 32)
    batch = {"a": torch.rand((2, side, side), generator=generator())}
    still = {"theta": torch.tensor([STILL] * 2), "holes": torch.zeros(2, 4)}
    plain = through(batch)
    assert torch.equal(through(batch | still | {"turned": torch.tensor([False] * 2)}), plain)
    sampled = through(batch | still | {"turned": torch.tensor([True] * 2)})
    tolerance = 1e-4 if not eight_bit else 1.01 / 255 / 0.2  # a value at the limit of two levels
    assert (sampled - plain).abs().max() < tolerance
    # The SDK's resize of 8 bits cuts off what is below a level, which sampling does not.
    lower = 0.15 if eight_bit and size != side and way == "bilinear" else 1e-3
    assert ((sampled - plain).abs() > 1e-4).float().mean() < lower


def loop(image: NDArray[np.float64], theta: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """(size, size) in double precision, pixel by pixel: resize and geometry, then four taps."""
    side, out = len(image), np.zeros((size, size))
    for row in range(size):
        for column in range(size):
            x, y = ((place + 0.5) * side / size - 0.5 for place in (column, row))
            x, y = (min(max(place, 0), side - 1) for place in (x, y))  # half a pixel at the border
            u, v = ((2 * place + 1) / side - 1 for place in (x, y))
            x, y = theta @ (u, v, 1)
            out[row, column] = bilinear(image, *(((c + 1) * side - 1) / 2 for c in (x, y)))
    return out


@pytest.mark.parametrize(("side", "size"), [(8, 8), (8, 21), (16, 24), (24, 16)])
def test_each_drawn_view_is_what_a_loop_in_double_precision_finds(side: int, size: int) -> None:
    """Also where the stored side is a multiple of the Sentinel pixels, 8; turned or not."""
    images = torch.rand((10, 1, side, side), generator=generator(1))
    drawn = draw_views("sharp", 10, 8, 2)
    seen = warping.see_images(images, drawn, 8, size, "bilinear")[:, 0].double().numpy()
    centres = (np.arange(size) + 0.5) / size
    assert 2 < drawn["turned"].sum() < 8
    for n in range(10):
        expected = loop(images[n, 0].double().numpy(), drawn["theta"][n].double().numpy(), size)
        left, top, right, bottom = drawn["holes"][n].tolist()
        columns, rows = (centres >= left) & (centres < right), (centres >= top) & (centres < bottom)
        expected[np.ix_(rows, columns)] = 0
        np.testing.assert_allclose(seen[n], expected, atol=2e-5)


def test_nearest_copies_pixels_and_keeps_them_square() -> None:
    """Turned by 8 degrees and enlarged by 3: every block of 3 x 3 has one value, of the patch."""
    angle = math.radians(8)
    theta = [[math.cos(angle), -math.sin(angle), 0.0], [math.sin(angle), math.cos(angle), 0.0]]
    seen = look(SQUARE, views(theta, turned=True), 12, "nearest")
    blocks = seen.view(4, 3, 4, 3).transpose(1, 2)
    assert torch.equal(blocks, blocks[:, :, :1, :1].expand_as(blocks))
    assert set(seen.unique().tolist()) <= {0.0, *range(1, 17)}


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("size", [4, 12])
def test_a_hole_is_in_whole_sentinel_pixels(size: int, turned: bool) -> None:
    """Two wide and one high at column 1, row 2; its edges are sharp at every size."""
    drawn = views(STILL, turned, (1 / 4, 2 / 4, 3 / 4, 3 / 4))
    zeros = (look(SQUARE, drawn, size) == 0).nonzero() * 4 / size
    assert len(zeros) == 2 * (size // 4) ** 2
    assert zeros.min(0).values.tolist() == [2, 1]
    assert zeros.max(0).values.tolist() == pytest.approx([3 - 4 / size] * 2)


def test_half_of_the_rows_are_not_interpolated() -> None:
    drawn, images = draw_views("sharp", 4000, 8, 0), torch.rand((4000, 1, 8, 8))
    assert abs(drawn["turned"].float().mean() - 0.5) < 0.03
    seen = warping.see_images(images, drawn, 8, 8, "bilinear")
    for n in (~drawn["turned"]).nonzero()[:50, 0]:
        assert set(seen[n].flatten().tolist()) <= {0.0, *images[n].flatten().tolist()}
    shifts = drawn["theta"][~drawn["turned"]][:, :, 2] * 4
    values, counts = shifts.unique(return_counts=True)
    assert values.tolist() == [-2, -1, 0, 1, 2]
    np.testing.assert_allclose(counts / counts.sum(), 0.2, atol=0.03)
    angles = torch.rad2deg(drawn["theta"][:, 1, 0].asin())[drawn["turned"]]
    assert 7.9 < angles.abs().max() <= 8.001


def test_a_side_that_is_no_multiple_is_sampled_row_by_row() -> None:
    """12 stored pixels for 8: a shift of one Sentinel pixel is one and a half of them."""
    drawn = views([[1.0, 0.0, 2 / 8], [0.0, 1.0, 0.0]])
    ramp = torch.arange(12.0).expand(1, 1, 12, 12)
    seen = warping.see_images(ramp, drawn, 8, 12, "bilinear")[0, 0, 5]
    torch.testing.assert_close(seen[:10], torch.arange(10) + 1.5, atol=1e-5, rtol=0)


def test_overhead_ranges_and_rates() -> None:
    count, side = 20_000, 32
    drawn = draw_views("overhead", count, side, 1, ("a", "b"))
    assert not drawn["turned"].any()
    known = [matrix.flatten().tolist() for matrix in drawing.symmetries()]
    found = [known.index(matrix.flatten().tolist()) for matrix in drawn["theta"][:2000, :, :2]]
    np.testing.assert_allclose(np.bincount(found) / 2000, 1 / 8, atol=0.03)
    size = (drawn["holes"][:, 2:] - drawn["holes"][:, :2]) * side
    erased = (size > 0).all(1)
    assert abs(erased.float().mean() - 0.25) < 0.015
    assert torch.equal(drawn["holes"] * side, (drawn["holes"] * side).round())
    assert drawn["holes"].min() == 0
    assert drawn["holes"].max() == 1
    area, ratio = size[erased].prod(1) / side**2, size[erased, 1] / size[erased, 0]
    assert 0.012 < area.min() < 0.03  # a rectangle of whole pixels is a little off
    assert 0.19 < area.max() < 0.22
    assert 0.25 < ratio.min() < 0.35
    assert 2.8 < ratio.max() < 4
    for key, middle, limit in (
        ("brightness", 0, 0.2), ("contrast", 1, 0.2), ("colour a", 1, 0.1), ("colour b", 1, 0.1),
    ):  # fmt: skip
        assert (drawn[key] - middle).abs().max() == pytest.approx(limit, rel=1e-3)
        assert drawn[key].mean() == pytest.approx(middle, abs=0.01)
    assert np.corrcoef(drawn["colour a"], drawn["colour b"])[0, 1] < 0.03


def test_light_changes_normalised_values_and_not_what_comes_in() -> None:
    """(v · contrast · colour) + brightness, by hand; the fill stays zero."""
    of = card(("a", "b"), 4, mean=(0.5, 0.5), std=(0.5, 0.25))
    batch = {"a": SQUARE[None] / 16, "b": SQUARE[None] / 16}
    batch |= views([[1.0, 0.0, 2 / 4], [0.0, 1.0, 0.0]])
    batch |= {"contrast": torch.tensor([1.2]), "brightness": torch.tensor([0.1])}
    batch |= {"colour a": torch.tensor([0.9]), "colour b": torch.tensor([1.1])}
    seen = View(of, dict.fromkeys("ab", UNIT), 4)(batch)[0]
    values = torch.tensor([2.0, 3.0, 4.0]) / 16
    a, b = (values - 0.5) / 0.5 * 1.2 * 0.9 + 0.1, (values - 0.5) / 0.25 * 1.2 * 1.1 + 0.1
    torch.testing.assert_close(seen[:, 0, :3], torch.stack([a, b]))
    assert (seen[:, :, 3] == 0).all()


def test_the_colour_of_a_band_does_not_depend_on_the_others() -> None:
    """So a member sees the same alone as beside members of other bands, and teachers do, too."""
    alone, among = (draw_views("overhead", 9, 8, 5, keys) for keys in (["B4"], ["B2", "B4", "VV"]))
    assert torch.equal(alone["colour B4"], among["colour B4"])
    assert not torch.equal(among["colour B4"], among["colour B2"])
