"""Bands in and out: order of planes, range of each band, mean and deviation given back."""

import numpy as np

from shared.sr import bands
from tests.conftest import pixels


def test_planes_are_the_bands_of_a_patch_in_a_row() -> None:
    images = pixels(3)["sen2"].astype(np.float32)
    planes = bands.to_planes(images)
    assert planes.shape == (30, 1, 32, 32)
    np.testing.assert_array_equal(planes[14, 0], images[1, :, :, 4])
    np.testing.assert_array_equal(bands.to_images(planes, 10), images)


def test_stretch_and_restore_are_inverse_and_a_constant_band_is_a_half() -> None:
    images = pixels(3)["sen2"].astype(np.float32)
    images[1, :, :, 4] = 0.25
    planes = bands.to_planes(images)
    low, span = bands.measure_ranges(planes)
    unit = bands.stretch(planes, low, span)
    assert (unit.min(), unit.max()) == (0, 1)
    assert (unit[14] == 0.5).all()
    np.testing.assert_allclose(bands.restore(unit, low, span), planes, atol=1e-6)


def test_ranges_are_those_of_each_channel() -> None:
    images = np.stack([np.arange(4.0).reshape(2, 2), 10 * np.arange(4.0).reshape(2, 2)])[None]
    low, span = bands.measure_ranges(images.astype(np.float32))
    assert (low.ravel().tolist(), span.ravel().tolist()) == ([0, 0], [3, 30])


def test_match_gives_back_mean_and_deviation_of_every_band() -> None:
    images = pixels(2)["sen2"].astype(np.float32)
    images[1, :, :, 4] = 0.25
    noise = np.random.default_rng(0).random((2, 64, 64, 10), np.float32)
    large = 3.5 * images.repeat(2, 1).repeat(2, 2) - 0.7 + 0.01 * noise
    matched = bands.match_statistics(large, images)
    boxes = matched.reshape(2, 32, 2, 32, 2, 10).mean((2, 4))
    np.testing.assert_allclose(boxes.mean((1, 2)), images.mean((1, 2)), atol=1e-5)
    np.testing.assert_allclose(boxes.std((1, 2)), images.std((1, 2)), atol=1e-5)
    flat = np.full((1, 8, 8, 1), 9.0, np.float32)
    np.testing.assert_allclose(
        bands.match_statistics(flat, images[:1, :4, :4, :1]), images[0, :4, :4, 0].mean()
    )
