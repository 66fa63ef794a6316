"""Views of tiles: the same geometry for image and mask, and colours that leave the mask alone."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as oracle

from shared import tiles
from shared.errors import StageError
from shared.segmentation import Views, check_views, data

STILL = Views(p_flip=0, p_rotate=0, jitter=(0, 0, 0, 0), crop=32)


def make_tiles(count: int = 3, side: int = 48) -> tuple[torch.Tensor, torch.Tensor]:
    """Smooth images, whose pixels name their place, and masks of blocks."""
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    image = torch.stack([5 * y, 5 * x, 2 * (x + y)], 2).clamp(0, 255).to(torch.uint8)
    mask = ((x // 7 + y // 5) % 5).to(torch.uint8)
    return image.expand(count, -1, -1, -1).contiguous(), mask.expand(count, -1, -1).contiguous()


def draw(views: Views, count: int = 3, side: int = 48, step: int = 0) -> data.Drawn:
    drawn = data.draw_views(views, count, side, (7, 0, step))
    assert drawn is not None
    return drawn


def test_a_view_without_chance_is_a_part_of_the_tile_at_its_own_resolution() -> None:
    image, mask = make_tiles()
    drawn = draw(STILL)
    seen, classes = data.augment(image, mask, drawn)
    for row, (top, left, height, width) in enumerate(drawn.boxes.tolist()):
        assert (height, width) == (32, 32)
        part = slice(top, top + 32), slice(left, left + 32)
        assert torch.equal(
            (seen[row] * 255).round().to(torch.uint8), image[row][part].permute(2, 0, 1)
        )
        assert torch.equal(classes[row], mask[row][part])
    assert len({tuple(box) for box in drawn.boxes.tolist()}) == 3


@pytest.mark.parametrize(
    ("flips", "angle", "expected"),
    [
        ((False, False), 0.0, [[1, 2], [3, 4]]),
        ((True, False), 0.0, [[2, 1], [4, 3]]),
        ((False, True), 0.0, [[3, 4], [1, 2]]),
        ((False, False), math.pi / 2, [[2, 4], [1, 3]]),  # counter-clockwise
        ((True, False), math.pi / 2, [[1, 3], [2, 4]]),  # first flipped, then turned
        ((False, True), math.pi / 2, [[4, 2], [3, 1]]),
    ],
)
def test_flips_and_quarter_turns_by_hand(
    flips: tuple[bool, bool], angle: float, expected: list[list[int]]
) -> None:
    mask = torch.tensor([[1, 2], [3, 4]], dtype=torch.uint8)
    image = (mask * 50)[:, :, None].expand(2, 2, 3).contiguous()
    seen, classes = data.cut_view(image, mask, (0, 0, 2, 2), flips, angle)
    assert classes.tolist() == expected
    assert torch.allclose(seen[0] * 255, torch.tensor(expected) * 50.0, atol=1e-3)


@pytest.mark.parametrize("degrees", [-15.0, -3.7, 8.0, 15.0])
def test_a_turned_view_is_the_part_of_what_torchvision_turns(degrees: float) -> None:
    image, mask = (one[0] for one in make_tiles(1))
    whole = image.permute(2, 0, 1).float() / 255
    turned = oracle.rotate(whole, degrees, InterpolationMode.BILINEAR)
    truth = oracle.rotate(mask[None], degrees, InterpolationMode.NEAREST, fill=[tiles.IGNORE])[0]
    for box in ((0, 0, 48, 48), (3, 11, 32, 32), (16, 0, 20, 32)):
        seen, classes = data.cut_view(image, mask, box, (False, False), math.radians(degrees))
        part = slice(box[0], box[0] + box[2]), slice(box[1], box[1] + box[3])
        assert torch.allclose(seen, turned[:, part[0], part[1]], atol=1e-4)
        assert (classes == truth[part]).float().mean() > 0.999  # halfway, rounding decides


def test_what_comes_in_from_outside_has_no_class_and_what_had_none_keeps_none() -> None:
    image, mask = (one[0] for one in make_tiles(1))
    mask[:24] = tiles.IGNORE
    _, classes = data.cut_view(image, mask, (0, 0, 48, 48), (False, False), math.radians(15))
    assert classes[-1, 0] == tiles.IGNORE or classes[-1, -1] == tiles.IGNORE
    assert classes[0, 24] == tiles.IGNORE
    assert classes[40, 24] < 5
    assert not (classes == 0).all()


@pytest.mark.parametrize(
    ("change", "by", "function"),
    [
        (0, 1.2, oracle.adjust_brightness),
        (1, 0.8, oracle.adjust_contrast),
        (2, 1.2, oracle.adjust_saturation),
        (3, -0.17, oracle.adjust_hue),
        (3, 0.2, oracle.adjust_hue),
    ],
)
def test_each_colour_is_changed_as_torchvision_does(
    change: int, by: float, function: Callable[..., torch.Tensor]
) -> None:
    images = torch.rand(2, 3, 9, 9, generator=torch.Generator().manual_seed(1))
    images[0, :, :3] = images[0, :1, :3]  # grey pixels have no hue
    factors = torch.tensor([[1.0, 1.0, 1.0, 0.0]] * 2)
    factors[:, change] = by
    expected = function(images.clone(), by)
    order = torch.arange(4).expand(2, 4)
    assert torch.allclose(data.jitter_colours(images, factors, order), expected, atol=2e-6)


def test_each_image_has_its_own_order_of_changes() -> None:
    images = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(2))
    factors = torch.tensor([[1.2, 0.8, 1.1, 0.1], [0.8, 1.2, 0.9, -0.2]])
    order = torch.tensor([[0, 1, 2, 3], [3, 2, 1, 0]])
    functions = [
        oracle.adjust_brightness, oracle.adjust_contrast, oracle.adjust_saturation,
        oracle.adjust_hue,
    ]  # fmt: skip
    expected = []
    for image, by, places in zip(images, factors, order, strict=True):
        for place in places.tolist():
            image = functions[place](image, float(by[place]))
        expected.append(image)
    seen = data.jitter_colours(images.clone(), factors, order)
    assert torch.allclose(seen, torch.stack(expected), atol=5e-6)


def test_jitter_never_touches_a_mask() -> None:
    image, mask = make_tiles()
    plain = draw(replace(STILL, p_flip=0.5, p_rotate=1.0))
    coloured = draw(replace(STILL, p_flip=0.5, p_rotate=1.0, jitter=(0.2, 0.2, 0.2, 0.2)))
    seen, classes = data.augment(image, mask, plain)
    other, same = data.augment(image, mask, coloured)
    assert torch.equal(classes, same)
    assert not torch.allclose(seen, other, atol=0.01)


def test_views_follow_from_seed_epoch_and_step_alone() -> None:
    views = Views(crop=32)
    one, again, other = draw(views), draw(views), draw(views, step=1)
    assert torch.equal(one.factors, again.factors)
    assert torch.equal(one.boxes, again.boxes)
    assert not torch.equal(one.factors, other.factors)
    more = draw(views, count=8)
    assert torch.equal(more.part(slice(0, 3)).angles, one.angles)
    assert len(more.part(slice(2, 5))) == 3


def test_drawn_numbers_stay_within_what_was_asked_for() -> None:
    views = Views(crop=32, p_flip=0.3, rotation=15, jitter=(0.2, 0.1, 0.3, 0.05))
    drawn = draw(views, count=4000)
    assert drawn.flips.float().mean(0).tolist() == pytest.approx([0.3, 0.3], abs=0.03)
    assert (drawn.angles != 0).float().mean().item() == pytest.approx(0.5, abs=0.03)
    assert math.degrees(drawn.angles.abs().max()) == pytest.approx(15, abs=0.1)
    middle = torch.tensor([1.0, 1.0, 1.0, 0.0])
    limits = (drawn.factors - middle).abs().amax(0).tolist()
    assert limits == pytest.approx([0.2, 0.1, 0.3, 0.05], rel=0.02)
    assert set(drawn.boxes[:, 0].tolist()) == set(range(48 - 32 + 1))
    assert len({tuple(order) for order in drawn.order.tolist()}) == 24


def test_resized_draws_boxes_as_published() -> None:
    views = Views(augment="resized", crop=32)
    drawn = draw(views, count=4000, side=512)
    _, _, height, width = drawn.boxes.T.double()
    area, ratio = height * width / 512**2, width / height
    assert (area.min().item(), area.max().item()) == pytest.approx((0.66, 1.0), abs=0.01)
    assert ratio.min().item() >= 0.74
    assert ratio.max().item() <= 1.34
    assert (drawn.boxes[:, :2] + drawn.boxes[:, 2:] <= 512).all()
    assert not drawn.flips[:, 1].any()


def test_resized_averages_the_image_and_takes_the_nearest_class() -> None:
    image, mask = make_tiles(1, 64)
    views = replace(STILL, augment="resized", scale=(1.0, 1.0), ratio=(1.0, 1.0))
    seen, classes = data.augment(image, mask, draw(views, 1, 64))
    pictures, truth = data.see_plain(image, mask, views)
    whole = oracle.to_pil_image(image[0].permute(2, 0, 1))
    expected = oracle.to_tensor(oracle.resize(whole, [32, 32]))
    assert torch.allclose(seen[0], expected, atol=1.01 / 255)
    assert torch.equal(seen, pictures)
    small = oracle.resize(oracle.to_pil_image(mask), [32, 32], InterpolationMode.NEAREST)
    assert torch.equal(classes[0], torch.from_numpy(np.array(small)))
    assert torch.equal(classes, truth)


def test_validation_sees_whole_tiles_unless_views_are_resized() -> None:
    image, mask = make_tiles(2)
    pictures, truth = data.see_plain(image, mask, Views())
    assert torch.equal((pictures * 255).round().to(torch.uint8), image.permute(0, 3, 1, 2))
    assert torch.equal(truth, mask)
    assert data.draw_views(Views(augment="none"), 2, 48, (0, 0, 0)) is None


def test_normalised_values_by_hand() -> None:
    images = torch.tensor([0.5, 0.25, 1.0]).view(1, 3, 1, 1)
    expected = [(0.5 - 0.4) / 0.1, (0.25 - 0.3) / 0.2, (1.0 - 0.5) / 0.25]
    assert data.normalise(images, (0.4, 0.3, 0.5), (0.1, 0.2, 0.25)).flatten().tolist() == (
        pytest.approx(expected)
    )


@pytest.mark.parametrize(
    ("views", "named"),
    [
        (Views(jitter=(0.2, 0.2)), "--jitter: expected four numbers"),
        (Views(scale=(1.0, 0.5)), "--scale: expected the smaller number, then the larger"),
        (Views(ratio=(1.0,)), "--ratio: expected the smaller number, then the larger"),
        (Views(crop=64), "--crop: expected at most the 48 pixels of a tile, found 64"),
    ],
)
def test_flags_that_do_not_go_together_are_refused(views: Views, named: str) -> None:
    with pytest.raises(StageError, match=named):
        check_views(views, 48)
    check_views(Views(crop=64, augment="resized"), 48)


def test_views_do_not_depend_on_the_number_of_threads() -> None:
    image, mask = make_tiles(5, 300)
    drawn, before = draw(Views(crop=256, p_rotate=1.0), 5, 300), torch.get_num_threads()
    seen = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            seen.append(data.augment(image, mask, drawn))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert torch.equal(seen[0][0], seen[1][0])
    assert torch.equal(seen[0][1], seen[1][1])
