"""A tail without activations is one convolution and one pixel shuffle, borders included."""

import pytest
import torch
from torch import nn

from shared.sr.networks import edsr, tail

SIDES = [(2, 2), (2, 7), (3, 2), (5, 4), (32, 32)]


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize(("height", "width"), SIDES)
def test_one_convolution_is_the_same_tail(scale: int, height: int, width: int) -> None:
    torch.manual_seed(2)
    plain = edsr.EDSR(scale, 12, 1).tail
    x = torch.randn(3, 12, height, width)
    made = tail.Tail(plain, 12, scale)
    with torch.inference_mode():
        expected, output = plain(x), made(x)
    span = float(expected.max() - expected.min())
    torch.testing.assert_close(output, expected, atol=1e-6 * span, rtol=0)


def test_kernel_by_hand() -> None:
    """Each pixel repeated 2 × 2, then the sum of a row of three: 2 of its own and 1 beside it."""
    last = nn.Conv2d(1, 1, 3, padding=1)
    last.load_state_dict({"weight": torch.zeros(1, 1, 3, 3), "bias": torch.ones(1)})
    with torch.no_grad():
        last.weight[0, 0, 1] = 1
    plain = nn.Sequential(nn.Upsample(scale_factor=2, mode="nearest"), last)
    kernels, biases = tail.compose_kernels(plain, 1, 2)
    assert kernels.shape == (9, 4, 1, 5, 5)
    assert biases.tolist() == [[1.0] * 4] * 9
    assert kernels[4, 0, 0, 2].tolist() == [0, 1, 2, 0, 0]
    assert kernels[4, 3, 0, 2].tolist() == [0, 0, 2, 1, 0]
    assert kernels[3, 0, 0, 2].tolist() == [0, 0, 2, 0, 0]  # first column: nothing to its left
    assert kernels.sum() == 9 * 4 * 3 - 12


def test_it_computes_in_float32_under_autocast() -> None:
    made, x = tail.Tail(edsr.EDSR(2, 8, 1).tail, 8, 2), torch.randn(2, 8, 6, 6)
    with torch.inference_mode():
        expected = made(x)
        with torch.autocast("cpu", torch.bfloat16):
            torch.testing.assert_close(made(x), expected, atol=0, rtol=0)
