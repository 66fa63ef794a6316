"""The view: what it decodes and scales, where pixels go, how large the random steps are."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from shared import lcz, models, patches
from shared.training.data import draw_views
from shared.training.data.views import drawing, warping
from shared.training.data.views.drawing import draw_lcz
from shared.training.data.views.view import View
from shared.training.data.views.warping import warp_images

STILL = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
UNIT = lcz.Layout(("a",), 0.0, 1.0)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pattern(side: int = 8) -> Tensor:
    return torch.rand((1, 2, side, side), generator=generator())


def seen(theta: list[list[float]], hole: tuple[float, ...] = (0, 0, 0, 0)) -> Tensor:
    """The pattern through one geometry."""
    return warp_images(pattern(), torch.tensor([theta]), torch.tensor([hole], dtype=torch.float32))


def card(bands: tuple[str, ...], size: int, **more: object) -> models.Card:
    """A card of mean 0 and deviation 1 where nothing else is said."""
    plain = {"mean": (0.0,) * len(bands), "std": (1.0,) * len(bands), "interpolation": "bilinear"}
    return models.Card("", "", bands, size=size, classes=(), **(plain | more))  # type: ignore[arg-type]


def bilinear(image: NDArray[np.float64], x: float, y: float) -> float:
    """One value between pixel centres, zero outside; written for this test."""
    left, top = math.floor(x), math.floor(y)
    total = 0.0
    for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
        column, row = left + i, top + j
        if 0 <= column < image.shape[1] and 0 <= row < image.shape[0]:
            total += (1 - abs(x - column)) * (1 - abs(y - row)) * image[row, column]
    return total


def oracle(
    image: NDArray[np.float64], degrees: float, flip: int, shift: tuple[float, float]
) -> NDArray[np.float64]:
    """(H, W) flipped, turned about its centre and moved by shift pixels, value by value."""
    side, out = len(image), np.zeros_like(image)
    centre, cos, sin = (
        (side - 1) / 2,
        math.cos(math.radians(degrees)),
        math.sin(math.radians(degrees)),
    )
    for row in range(side):
        for column in range(side):
            u, v = (column - centre) * flip, row - centre
            x = cos * u - sin * v + centre + shift[0]
            y = sin * u + cos * v + centre + shift[1]
            out[row, column] = bilinear(image, x, y)
    return out


def test_nothing_drawn_moves_nothing() -> None:
    torch.testing.assert_close(seen(STILL), pattern(), atol=1e-6, rtol=0)


def test_flip_is_left_right() -> None:
    flipped = seen([[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    torch.testing.assert_close(flipped, pattern().flip(3), atol=1e-6, rtol=0)


def test_shift_by_whole_pixels_fills_with_zero() -> None:
    shifted = seen([[1.0, 0.0, 2 * 2 / 8], [0.0, 1.0, -1 * 2 / 8]])
    expected = torch.zeros(1, 2, 8, 8)
    expected[:, :, 1:, :-2] = pattern()[:, :, :-1, 2:]
    torch.testing.assert_close(shifted, expected, atol=1e-5, rtol=0)


def test_a_quarter_turn_moves_every_pixel_to_its_place() -> None:
    """What was at the right is on top, as x counts to the right and y down."""
    turned = seen([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0]])
    torch.testing.assert_close(turned, pattern().rot90(1, (2, 3)), atol=1e-6, rtol=0)


def test_cutout_is_k_by_k_at_every_resolution() -> None:
    hole = torch.tensor([[2 / 32, 5 / 32, 6 / 32, 9 / 32]])  # 4 x 4 px at column 2, row 5
    for side in (32, 64, 96):
        kept = warp_images(torch.ones(1, 1, side, side), torch.tensor([STILL]), hole)[0, 0]
        factor = side // 32
        zeros = (kept == 0).nonzero()
        assert len(zeros) == (4 * factor) ** 2
        assert zeros.min(0).values.tolist() == [5 * factor, 2 * factor]
        assert torch.equal(kept[kept != 0].unique(), torch.ones(1))


@pytest.mark.parametrize("side", [8, 16])
def test_drawn_views_are_what_a_sampler_in_double_precision_finds(side: int) -> None:
    """Angle, flip and shift of each draw are read back, the picture made again pixel by pixel."""
    images = torch.rand((12, 2, side, side), generator=generator(1))
    drawn = draw_lcz(12, side, generator(2))
    warped = warp_images(images, **drawn).double().numpy()
    theta, holes = drawn["theta"].double().numpy(), (drawn["holes"] * side).numpy().round()
    assert len({tuple(hole) for hole in holes}) > 2  # some cut out, at several places
    for n in range(12):
        flip = 1 if np.linalg.det(theta[n, :, :2]) > 0 else -1
        degrees = math.degrees(math.atan2(-theta[n, 0, 1], theta[n, 1, 1]))
        shift = tuple(theta[n, :, 2] * side / 2)
        left, top, right, bottom = holes[n].astype(int)
        for band in (0, 1):
            expected = oracle(images[n, band].double().numpy(), degrees, flip, shift)
            expected[top:bottom, left:right] = 0
            np.testing.assert_allclose(warped[n, band], expected, atol=1e-5)


def test_drawn_ranges_and_rates() -> None:
    count, side = 20_000, 32
    drawn = draw_lcz(count, side, generator(1))
    theta, holes = drawn["theta"].numpy(), drawn["holes"].numpy() * side
    flipped = np.linalg.det(theta[:, :, :2]) < 0
    angle = np.degrees(np.arctan2(-theta[:, 0, 1], theta[:, 1, 1]))
    shift, size = theta[:, :, 2] * side / 2, holes[:, 2] - holes[:, 0]
    assert abs(flipped.mean() - 0.5) < 0.015
    for values, limit in ((angle, 8), (shift[:, 0], 2), (shift[:, 1], 2)):  # uniform, ± limit
        assert 0.995 * limit < np.abs(values).max() <= limit * 1.00001
        assert abs(values.mean()) < 0.02 * limit
        assert values.std() == pytest.approx(limit / math.sqrt(3), rel=0.02)
    assert (
        np.abs(np.corrcoef(np.stack([angle, *shift.T, flipped]))[~np.eye(4, dtype=bool)]).max()
        < 0.03
    )
    assert abs((size > 0).mean() - 0.3) < 0.015
    sizes, counts = np.unique(size[size > 0].round(3), return_counts=True)
    assert sizes.tolist() == [3, 4, 5]
    np.testing.assert_allclose(counts / counts.sum(), 1 / 3, atol=0.03)
    np.testing.assert_allclose(size, holes[:, 3] - holes[:, 1], atol=1e-4)
    assert holes.min() == 0
    assert holes.max() == 32  # reaches all borders
    np.testing.assert_allclose(holes, holes.round(), atol=1e-4)  # whole pixels


def test_two_pixels_are_sentinel_pixels_at_every_side() -> None:
    """The same numbers at 64 px: as many pixels, so half as large a part of the patch."""
    small, large = draw_lcz(50, 32, generator()), draw_lcz(50, 64, generator())
    torch.testing.assert_close(small["theta"][:, :, 2], large["theta"][:, :, 2] * 2)
    torch.testing.assert_close(small["theta"][:, :, :2], large["theta"][:, :, :2])


@pytest.mark.parametrize("name", drawing.SETS)
def test_fewer_samples_get_what_the_first_of_many_get(name: str) -> None:
    """So the draws of a batch do not depend on how many rows the last one has."""
    many = draw_views(name, 1024, 32, 3, ("B4", "B3"))
    for count in (1, 15, 16, 17, 600):
        few = draw_views(name, count, 32, 3, ("B4", "B3"))
        assert all(torch.equal(few[key], many[key][:count]) for key in many)
    assert not torch.equal(many["theta"], draw_views(name, 1024, 32, 4)["theta"])


def ramp(side: int) -> Tensor:
    """(side, side) plane over the patch, which bilinear interpolation keeps exactly."""
    place = (torch.arange(side) + 0.5) / side
    return 1 + place[:, None] + 3 * place


@pytest.mark.parametrize("name", ["lcz", "sharp"])
def test_sensors_of_several_resolutions_see_one_geometry(name: str) -> None:
    """Channels of three sides, out of order in the batch, all of the same plane."""
    sides = {"s/a": 64, "b": 32, "c": 64, "d": 96}
    batch = {key: ramp(side).expand(9, -1, -1) for key, side in sides.items()}
    through = View(card(tuple("abcd"), 32), dict.fromkeys(sides, UNIT), 32, keys=tuple(sides))
    viewed = through(batch | draw_views(name, 9, 32, 3))
    inside = viewed[:, :, 7:-7, 7:-7]  # no border comes in by 8 degrees and 2 pixels
    for channel in (1, 2, 3):
        torch.testing.assert_close(inside[:, 0], inside[:, channel], atol=1e-5, rtol=0)
    assert (viewed == 0).any()  # cutouts, which the plane itself never has
    assert (viewed[:, 0] - through(batch)[:, 0]).abs().mean() > 0.1


def test_channels_stay_in_the_order_of_the_card_whatever_their_side() -> None:
    sides = {"x/a": (8, 0.5), "x/b": (4, 0.25), "x/c": (4, 0.75)}
    batch = {key: torch.full((2, side, side), value) for key, (side, value) in sides.items()}
    through = View(card(("a", "b", "c"), 8), dict.fromkeys(batch, UNIT), 4, "x/")
    assert through(batch)[1, :, 3, 3].tolist() == [0.5, 0.25, 0.75]


@pytest.mark.parametrize("name", drawing.SETS)
def test_a_row_is_seen_alike_in_every_batch(name: str) -> None:
    batch = {"a": torch.rand((40, 32, 32), generator=generator())}
    batch |= draw_views(name, 40, 32, 1, ("a",))
    for size in (32, 48, 64):
        through = View(card(("a",), size), {"a": UNIT}, 32)
        some = through({key: values[7:12] for key, values in batch.items()})
        torch.testing.assert_close(through(batch)[7:12], some, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", drawing.SETS)
def test_a_batch_of_several_runs_is_seen_row_by_row(name: str) -> None:
    """300 rows are more than are warped at once: each with its own geometry and its own cutout."""
    batch = {"a": torch.rand((300, 8, 8), generator=generator())}
    batch |= draw_views(name, 300, 8, 1, ("a",))
    through = View(card(("a",), 8), {"a": UNIT}, 8)
    together = through(batch)
    for row in (0, 127, 128, 200, 255, 256, 299):
        alone = through({key: values[row : row + 1] for key, values in batch.items()})
        torch.testing.assert_close(together[row : row + 1], alone, atol=1e-6, rtol=0)


def stored(source: patches.Source, bands: tuple[str, ...]) -> dict[str, Tensor]:
    """The first four rows of some bands as a split hands them out."""
    planes = {}
    for band, (name, index) in zip(bands, models.locate_bands(source, bands), strict=True):
        numbers = source[name].raw(slice(0, 4))[..., index]
        planes[band] = torch.from_numpy(
            numbers.astype(np.int16 if numbers.dtype == np.uint16 else numbers.dtype)
        )
    return planes


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
@pytest.mark.parametrize("bands", [("B4", "B3", "B2"), ("B12", "B8A", "VV"), ("COV_imag", "B2")])
@pytest.mark.parametrize("size", [20, 32, 48, 224])
@pytest.mark.parametrize("eight_bit", [False, True])
def test_plain_view_is_what_numpy_prepares(
    prepared: Path, bands: tuple[str, ...], interpolation: str, size: int, eight_bit: bool
) -> None:
    statistics = {"mean": (0.1, 0.2, 0.3)[: len(bands)], "std": (0.5, 0.01, 0.2)[: len(bands)]}
    of = card(bands, size, **statistics, interpolation=interpolation, eight_bit=eight_bit)
    with patches.read(prepared) as source:
        layouts = {band: lcz.SEN2 if band.startswith("B") else lcz.SEN1 for band in bands}
        viewed = View(of, layouts, 32)(stored(source, bands)).numpy()
        expected = models.preprocess(models.read_scaled(source, bands, slice(0, 4)), of)
    np.testing.assert_allclose(viewed, expected, atol=2e-5 * np.abs(expected).max())
    assert viewed.dtype == np.float32


@pytest.mark.parametrize(("side", "target"), [(32, 224), (64, 224), (96, 64), (8, 8), (5, 13)])
@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
def test_resize_is_that_of_torch(side: int, target: int, interpolation: str) -> None:
    images = torch.randn((3, 2, side, side), generator=generator())
    more = {} if interpolation == "nearest" else {"align_corners": False}
    expected = functional.interpolate(images, target, mode=interpolation, **more)
    resized = warping.resize_images(images, target, interpolation)
    torch.testing.assert_close(resized, expected, atol=5e-5, rtol=0)


@pytest.mark.parametrize(
    ("source", "target"), [(32, 224), (64, 224), (96, 224), (28, 100), (32, 82)]
)
def test_nearest_takes_the_same_pixels_as_numpy(source: int, target: int) -> None:
    row = torch.arange(source, dtype=torch.float32)
    resized = warping.resize_images(row.expand(1, 1, source, source), target, "nearest")[0, 0, 0]
    ours = models.resize(row[None].numpy(), 1, target, "nearest")
    np.testing.assert_array_equal(resized.numpy(), ours[0])


def test_sar_is_clipped_and_rgb_is_bytes() -> None:
    sar = torch.tensor([-9.0, -0.5, 0.25, 7.0]).half().view(1, 2, 2)
    through = View(card(("VV",), 2), {"VV": lcz.SEN1}, 2)
    assert through({"VV": sar}).flatten().tolist() == [0.0, 0.0, 0.75, 1.0]
    rgb = dict(
        zip(
            lcz.RGB.bands,
            torch.tensor([0, 51, 255], dtype=torch.uint8).view(3, 1, 1, 1),
            strict=True,
        )
    )
    of = card(lcz.RGB.bands, 1, mean=(0.0, 0.2, 0.5), std=(1.0, 1.0, 0.5))
    viewed = View(of, dict.fromkeys(rgb, lcz.RGB), 1)(rgb)
    torch.testing.assert_close(viewed.flatten(), torch.tensor([0.0, 0.0, 1.0]))


@pytest.mark.parametrize("dtype", [torch.int16, torch.int32, torch.float32])
def test_whole_levels_are_numpys_at_every_stored_number(dtype: torch.dtype) -> None:
    """DN 0 to 28,000, one pixel each: 25.5 and its like must not go two ways."""
    numbers = torch.arange(0, 28_001, dtype=dtype).view(-1, 1, 1)
    layout = lcz.Layout(("B2",), 0.0, 2.8, 1e4)
    of = card(("B2",), 1, mean=(0.1,), std=(0.5,), eight_bit=True)
    viewed = View(of, {"B2": layout}, 1)({"B2": numbers}).flatten().numpy()
    values = layout.scale(layout.decode(numbers.numpy()[..., None])).astype(np.float32)
    np.testing.assert_allclose(viewed, models.preprocess(values, of).flatten(), atol=1e-6)
    levels = (viewed * 0.5 + 0.1) * 255
    np.testing.assert_allclose(levels, levels.round(), atol=1e-4)
    assert len(np.unique(levels.round())) == 256


@pytest.mark.parametrize("name", ["lcz", "sharp"])
def test_what_comes_from_outside_is_the_mean_and_not_zero_reflectance(name: str) -> None:
    """A patch of the mean stays the mean everywhere, whatever is moved in or cut out."""
    of = card(("a",), 16, mean=(0.25,), std=(0.1,))
    batch = {"a": torch.full((30, 8, 8), 0.25)} | draw_views(name, 30, 8, 0)
    assert View(of, {"a": UNIT}, 8)(batch).abs().max() < 1e-6


@pytest.mark.parametrize("name", drawing.SETS)
def test_half_precision_training_does_not_move_the_grid_nor_the_batch(name: str) -> None:
    bytes_ = torch.randint(0, 255, (2, 3, 32, 32), dtype=torch.uint8, generator=generator())
    batch = dict(zip(lcz.RGB.bands, bytes_.unbind(1), strict=True))
    batch |= draw_views(name, 2, 32, 0, lcz.RGB.bands)
    kept = {key: values.clone() for key, values in batch.items()}
    through = View(card(lcz.RGB.bands, 48), dict.fromkeys(lcz.RGB.bands, lcz.RGB), 32)
    plain = through(batch)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = through(batch)
    assert mixed.dtype == torch.float32
    assert torch.equal(mixed, plain)
    assert all(torch.equal(batch[key], kept[key]) for key in kept)


def test_settings_are_the_published_ones() -> None:
    assert (drawing.DEGREES, drawing.SHIFT) == (8, 2)
    assert (drawing.CUTOUT, drawing.CUTOUT_CHANCE) == ((3, 5), 0.3)


def test_each_number_of_a_view_is_drawn_by_itself() -> None:
    """Flip, angle, both shifts, whether and how much is cut out, and where: none tells another."""
    drawn = draw_views("lcz", 20_000, 32, 7)
    theta, holes = drawn["theta"], drawn["holes"] * 32
    flip, size = theta[:, 0, 0].sign(), (holes[:, 2] - holes[:, 0])
    numbers = [flip, -theta[:, 0, 1], theta[:, 0, 2], theta[:, 1, 2], (size > 0).float()]
    whole = torch.stack(numbers)
    cut = size > 0
    places = torch.stack([*(one[cut] for one in numbers[:4]), size[cut], *holes[cut, :2].T])
    for table in (whole, places):
        related = torch.corrcoef(table.double()) - torch.eye(len(table))
        assert related.abs().max() < 0.1  # a larger hole begins a little earlier
    for side in (0, 1):  # up to both ends
        assert holes[cut, side].min() == 0
        assert holes[cut, side + 2].max() == 32
