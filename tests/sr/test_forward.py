"""Through a network: a patch's result is its own, whatever is beside it; devices refused."""

import numpy as np
import pytest
import torch
from torch import nn

from shared.errors import StageError
from shared.sr import forward


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(1)
    layers = nn.Conv2d(1, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 4, 3, padding=1)
    return forward.prepare_network(
        nn.Sequential(*layers, nn.PixelShuffle(2)), forward.prepare_device("cpu")
    )


def test_a_prepared_network_does_not_learn(network: nn.Module) -> None:
    assert not network.training
    assert not any(values.requires_grad for values in network.parameters())
    assert all(
        values.is_contiguous(memory_format=torch.channels_last)
        for values in network.parameters() if values.ndim == 4
    )  # fmt: skip


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_patch_does_not_depend_on_those_beside_it(network: nn.Module, precision: str) -> None:
    sen2 = np.random.default_rng(0).random((5, 8, 12, 10), np.float32)
    whole = forward.enlarge_bands(network, sen2, device="cpu", precision=precision)
    alone = [
        forward.enlarge_bands(network, sen2[[i]], device="cpu", precision=precision)
        for i in range(5)
    ]
    assert whole.shape == (5, 16, 24, 10)
    assert whole.dtype == np.float32
    np.testing.assert_array_equal(np.concatenate(alone), whole)


def test_every_call_has_one_shape() -> None:
    shapes = []

    def record(x: torch.Tensor) -> torch.Tensor:
        shapes.append((tuple(x.shape), x.is_contiguous(memory_format=torch.channels_last)))
        return x

    images = np.random.default_rng(0).random((20, 3, 8, 8), np.float32)
    made = forward.apply(record, images, device="cpu", precision="float32", per_patch=4)
    assert set(shapes) == {((4, 3, 8, 8), True)}
    np.testing.assert_array_equal(made, images)


def test_larger_images_share_a_call_with_fewer() -> None:
    assert forward.images_per_call(10, 32 * 32, "cpu") == 10
    assert [forward.images_per_call(10, side**2, "cuda") for side in (8, 32, 64, 500)] == [
        320,
        320,
        80,
        10,
    ]
    assert forward.images_per_call(4, 32 * 32, "cuda") == 320


def test_flat_and_extreme_bands_come_back_finite(network: nn.Module) -> None:
    sen2 = np.zeros((1, 8, 8, 3), np.float32)
    sen2[..., 1], sen2[0, 3, 3, 2] = 0.125, 2.8
    made = forward.enlarge_bands(network, sen2, device="cpu", precision="bfloat16")
    assert np.isfinite(made).all()
    assert (made[..., 0] == 0).all()
    assert (made[..., 1] == 0.125).all()


@pytest.mark.skipif(torch.cuda.is_available(), reason="has a GPU")
def test_a_gpu_that_is_not_there_is_refused() -> None:
    assert forward.prepare_device("auto") == "cpu"
    with pytest.raises(StageError, match="--device: expected a CUDA device, found none"):
        forward.prepare_device("cuda")
    with pytest.raises(StageError, match="--precision: float16 needs a CUDA device"):
        forward.prepare_device("auto", "float16")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_gpu_agrees_and_does_not_depend_on_the_batch(network: nn.Module, precision: str) -> None:
    sen2 = np.random.default_rng(0).random((5, 8, 8, 10), np.float32)
    expected = forward.enlarge_bands(network, sen2, device="cpu", precision="float32")
    model = forward.prepare_network(network, forward.prepare_device("cuda"))
    whole = forward.enlarge_bands(model, sen2, device="cuda", precision=precision)
    part = forward.enlarge_bands(model, sen2[3:], device="cuda", precision=precision)
    np.testing.assert_array_equal(part, whole[3:])
    np.testing.assert_allclose(whole, expected, atol=1e-5 if precision == "float32" else 2e-2)


def test_a_call_that_is_not_full_is_filled_up() -> None:
    """Every call has one shape, and what fills the last one is left out."""
    shapes: list[torch.Size] = []

    def network(given: torch.Tensor) -> torch.Tensor:
        shapes.append(given.shape)
        return given * 2

    images = np.random.default_rng(0).random((5, 3, 4, 2), np.float32)
    said = forward.apply(network, images, device="cpu", precision="float32", per_patch=4)  # type: ignore[arg-type]
    np.testing.assert_array_equal(said, images * 2)
    assert shapes == [(4, 3, 4, 2)] * 2


def test_images_in_one_call() -> None:
    """On a GPU 320 of 32 x 32, as many whole patches as that is, and one at least."""
    assert forward.images_per_call(10, 32 * 32, "cpu") == 10
    assert forward.images_per_call(10, 32 * 32, "cuda") == 320
    assert forward.images_per_call(3, 32 * 32, "cuda") == 318
    assert forward.images_per_call(10, 64 * 64, "cuda") == 80
    assert forward.images_per_call(10, 16 * 16, "cuda") == 320
    assert forward.images_per_call(10, 1024 * 1024, "cuda") == 10
