"""Keys' cubic: weights by hand, and that it follows straight lines and parabolas."""

import numpy as np

from shared.resampling import cubic


def test_weights_by_hand() -> None:
    far = [0, 0.5, -0.5, 1, 1.5, -1.5, 2, 3]
    expected = [1, 9 / 16, 9 / 16, 0, -1 / 16, -1 / 16, 0, 0]
    np.testing.assert_allclose(cubic.weigh(far), expected, atol=1e-15)


def test_parabolas_are_followed() -> None:
    """Keys 1981: with a = -1/2 the error is of third order, so polynomials of second are exact."""
    places, samples = np.linspace(3, 6, 31), np.arange(10)
    weights = cubic.weigh(places[:, None] - samples)
    np.testing.assert_allclose(weights.sum(1), 1)
    np.testing.assert_allclose(weights @ (2 + 3 * samples - samples**2), 2 + 3 * places - places**2)
