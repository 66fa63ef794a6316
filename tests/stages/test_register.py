"""The flows of `shared.registration`, and the stage `register`."""

import math

import numpy as np
import torch
from scipy import ndimage

from shared import registration
from shared.registration.simulation import Extent, draw_warps


def places(high: int, wide: int) -> torch.Tensor:
    """(1, H, W, 2) place of each pixel, down and to the right."""
    down, right = torch.meshgrid(torch.arange(high), torch.arange(wide), indexing="ij")
    return torch.stack([down, right], -1)[None].double()


def flow_of(high: int, wide: int, down: float, right: float) -> torch.Tensor:
    """(1, H, W, 2) the same flow everywhere."""
    return torch.tensor([down, right], dtype=torch.float64).expand(1, high, wide, 2).clone()


def test_warp_takes_the_value_at_place_plus_flow() -> None:
    high, wide = 9, 14
    at = places(high, wide)[0]
    image = (3 * at[..., 0] - 7 * at[..., 1])[None, None]  # a plane, which a cubic keeps
    moved = registration.warp(image, flow_of(high, wide, 0.25, -1.5))
    expected = 3 * (at[..., 0] + 0.25) - 7 * (at[..., 1] - 1.5)
    inside = (slice(4, -4), slice(4, -4))
    np.testing.assert_allclose(moved[0, 0][inside], expected[inside], atol=1e-9)


def test_warp_of_whole_pixels_mirrors_beyond_the_edges() -> None:
    image = torch.arange(5 * 7, dtype=torch.float64).view(1, 1, 5, 7)
    moved = registration.warp(image, flow_of(5, 7, 0, 2))[0, 0]
    np.testing.assert_allclose(moved[:, :5], image[0, 0, :, 2:], atol=1e-9)
    # half-pixel centres: what lies one pixel beyond the edge is the pixel at it
    np.testing.assert_allclose(moved[:, 5:], image[0, 0, :, [6, 5]], atol=1e-9)


def test_warp_can_be_differentiated_in_the_flow() -> None:
    at = places(8, 11)
    image = (2 * at[..., 0] + 5 * at[..., 1])[:, None]
    flow = flow_of(8, 11, 0.3, 0.4).requires_grad_()
    registration.warp(image, flow)[0, 0, 4, 5].backward()
    assert flow.grad is not None
    np.testing.assert_allclose(flow.grad[0, 4, 5], [2, 5], atol=1e-6)


def test_composition_is_not_the_plain_sum() -> None:
    """A shift by 3 right, then a flow that grows to the right: v(x + 3) and not v(x)."""
    high, wide = 6, 20
    at = places(high, wide)
    first = flow_of(high, wide, 0, 3)
    second = torch.stack([0.1 * at[..., 1], 0.2 * at[..., 0] - 0.05 * at[..., 1]], -1)
    there = at[..., 1] + 3
    expected = torch.stack([0.1 * there, 3 + 0.2 * at[..., 0] - 0.05 * there], -1)
    found = registration.compose(first, second)
    np.testing.assert_allclose(found[:, :, :16], expected[:, :, :16], atol=1e-9)
    apart = (first + second - expected)[:, :, :16].abs().amax((0, 1, 2))
    np.testing.assert_allclose(apart, [0.3, 0.15], atol=1e-9)  # what the plain sum is wrong by


def test_a_composition_leads_where_two_warps_lead() -> None:
    at = places(40, 56).expand(8, -1, -1, -1)
    image = torch.sin(at[..., 0] / 5 + at[..., 1] / 8)[:, None]
    first, second = (
        draw_warps(Extent(8, 40, 56), 2.0, seed, torch.device("cpu")).double() for seed in (1, 2)
    )
    twice = registration.warp(registration.warp(image, second), first)
    once = registration.warp(image, registration.compose(first, second))
    plain = registration.warp(image, first + second)
    inside = (..., slice(6, -6), slice(6, -6))
    right, wrong = ((each - twice)[inside].abs().mean() for each in (once, plain))
    assert right < wrong / 3


def test_drawn_warps_are_those_of_their_seed_and_keep_within_their_reach() -> None:
    extent = Extent(16, 33, 47)
    one, same, other = (draw_warps(extent, 1.5, seed, torch.device("cpu")) for seed in (3, 3, 4))
    assert one.shape == (16, 33, 47, 2)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    reach = one.norm(dim=-1).amax((1, 2))
    assert 0.7 < reach.max() <= 1.5
    assert len(reach.unique()) == 16  # each of its own
    # smooth, but for a fault line of at least two pixels
    assert (one[:, 1:] - one[:, :-1]).abs().max() < 1.0


def test_smoothing_is_a_gaussian_with_its_sigma() -> None:
    flow = torch.zeros(1, 31, 40, 2, dtype=torch.float64)
    flow[0, 15, 20, 0], flow[0, 10, 12, 1] = 1, -2
    sigma = math.sqrt(-2 * math.log(1e-6)) / math.pi
    expected = [
        ndimage.gaussian_filter(flow[0, ..., axis].numpy(), sigma, radius=7, mode="nearest")
        for axis in (0, 1)
    ]
    np.testing.assert_allclose(
        registration.smooth_flow(flow)[0], np.stack(expected, -1), atol=1e-12
    )
    still = flow_of(9, 5, 0.5, -0.25)  # narrower than the Gaussian
    np.testing.assert_allclose(registration.smooth_flow(still), still, atol=1e-12)


def test_an_enlarged_flow_is_in_smaller_pixels() -> None:
    at = places(12, 15)
    flow = torch.stack([0.1 * at[..., 1], 0.3 - 0.02 * at[..., 0]], -1)
    finer = registration.enlarge_flow(flow, 4)
    assert finer.shape == (1, 48, 60, 2)
    there = (places(48, 60) + 0.5) / 4 - 0.5  # the same land in large pixels
    expected = 4 * torch.stack([0.1 * there[..., 1], 0.3 - 0.02 * there[..., 0]], -1)
    inside = (0, slice(12, -12), slice(12, -12))
    np.testing.assert_allclose(finer[inside], expected[inside], atol=1e-9)
