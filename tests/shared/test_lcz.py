"""Classes, colours, bands and scalings of So2Sat LCZ42."""

import re

import numpy as np
import pytest

from shared import lcz


def test_seventeen_classes_in_number_order_with_one_colour_each() -> None:
    assert [name[:2] for name in lcz.CLASSES] == [f"{i:02}" for i in range(1, 18)]
    assert len(lcz.COLOURS) == len(set(lcz.COLOURS)) == 17
    assert all(re.fullmatch("#[0-9a-f]{6}", colour) for colour in lcz.COLOURS)


def test_eighteen_channels() -> None:
    assert (len(lcz.SEN1.bands), len(lcz.SEN2.bands)) == (8, 10)
    assert lcz.indices(lcz.SEN2.bands, lcz.TRUE_COLOUR) == (2, 1, 0)


def test_scaling_to_0_255() -> None:
    np.testing.assert_allclose(lcz.SEN2.scale(np.array([0, 1.4, 2.8, 4.2])), [0, 127.5, 255, 382.5])
    np.testing.assert_allclose(
        lcz.SEN1.scale(np.array([-9, -0.5, 0, 0.5, 9])), [0, 0, 127.5, 255, 255]
    )
    np.testing.assert_allclose(lcz.RGB.scale(np.array([0, 255])), [0, 255])


def test_every_reflectance_of_four_decimals_survives_storage() -> None:
    values = np.arange(65536) / 1e4
    stored = lcz.SEN2.encode(values, np.dtype("uint16"))
    np.testing.assert_array_equal(stored, np.arange(65536))
    np.testing.assert_array_equal(lcz.SEN2.decode(stored), values.astype(np.float32))


@pytest.mark.parametrize(
    ("value", "dtype"), [(6.5536, "uint16"), (-0.0001, "uint16"), (7e4, "float16")]
)
def test_overflow_is_refused(value: float, dtype: str) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        lcz.SEN2.encode(np.array([value]), np.dtype(dtype))
