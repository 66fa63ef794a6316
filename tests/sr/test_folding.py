"""Folded convolutions give what three equal channels give, borders and shuffles included."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from shared.sr.networks import folding

MEAN = (0.4488, 0.4371, 0.4040)
MIX = {"first": (1.0, 0.0, 0.0), "mean": (1 / 3, 1 / 3, 1 / 3), "luma": (0.299, 0.587, 0.114)}


def close(actual: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=0)


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(1)


@pytest.mark.parametrize("unshuffle", [1, 2])
@pytest.mark.parametrize("mean", [None, MEAN])
@pytest.mark.parametrize("bias", [True, False])
@torch.inference_mode()
def test_first(unshuffle: int, mean: tuple[float, ...] | None, bias: bool) -> None:
    plain = nn.Conv2d(3 * unshuffle**2, 5, 3, padding=1, bias=bias)
    grey = torch.rand(2, 1, 8, 8)
    three = grey.expand(-1, 3, -1, -1) - torch.tensor(mean or (0.0,)).view(-1, 1, 1)
    expected = plain(functional.pixel_unshuffle(three, unshuffle))
    folded = folding.fold_first(plain, 3, mean)
    close(folded(functional.pixel_unshuffle(grey, unshuffle)), expected)


@pytest.mark.parametrize("shuffle", [1, 3])
@pytest.mark.parametrize("mean", [None, MEAN])
@pytest.mark.parametrize("channel", MIX)
@torch.inference_mode()
def test_last(shuffle: int, mean: tuple[float, ...] | None, channel: str) -> None:
    plain = nn.Conv2d(5, 3 * shuffle**2, 3, padding=1)
    x = torch.rand(2, 5, 8, 8)
    three = functional.pixel_shuffle(plain(x), shuffle)
    three = three + torch.tensor(mean or (0.0,)).view(-1, 1, 1)
    expected = torch.einsum("mkhw,k->mhw", three, torch.tensor(MIX[channel]))[:, None]
    folded = folding.fold_last(plain, channel, 3, mean)
    close(functional.pixel_shuffle(folded(x), shuffle), expected)


@torch.inference_mode()
def test_a_single_channel_stays_as_it_is() -> None:
    into, out, grey = nn.Conv2d(1, 5, 3), nn.Conv2d(5, 1, 3, bias=False), torch.rand(2, 1, 8, 8)
    close(folding.fold_first(into, 1)(grey), into(grey))
    close(folding.fold_last(out, "luma")(into(grey)), out(into(grey)))


@torch.inference_mode()
def test_float32_layer_is_exact_under_autocast() -> None:
    plain, x = nn.Conv2d(5, 1, 3), torch.rand(2, 5, 8, 8).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        assert plain(x).dtype == torch.bfloat16
        output = folding.Float32(plain)(x)
    assert output.dtype == torch.float32
    close(output, plain(x.float()))
