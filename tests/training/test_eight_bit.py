"""Resizing of whole levels on the device: the very levels of numpy, and so of OpenCV."""

import numpy as np
import pytest
import torch

from shared import models
from shared.training.data import eight_bit


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


def test_more_rows_than_are_made_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    levels = torch.randint(0, 256, (7, 3, 32, 32)).float()
    whole = eight_bit.resize_levels(levels, 48, 3)
    monkeypatch.setitem(eight_bit.AT_ONCE, "cpu", 2 * 3 * 48 * 48)
    torch.testing.assert_close(eight_bit.resize_levels(levels, 48, 3), whole, rtol=0, atol=0)
