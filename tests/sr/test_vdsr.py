"""VDSR: bicubic by hand, published layouts, one channel made of three, what does not fit."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.nn.functional import conv2d

from shared.errors import StageError
from shared.sr import forward
from shared.sr.networks import vdsr

Tensors = dict[str, torch.Tensor]
# First, middle and last names, as the ports' own model files have them.
NAMES = {
    "twtygqyy": ["input", *(f"residual_layer.{i}.conv" for i in range(18)), "output"],
    "Lornatang": ["conv1.0", *(f"trunk.{i}.conv" for i in range(18)), "conv2"],
    "Lornatang 1.0": ["conv1", *(f"conv_block.{2 * i}" for i in range(18)), "conv2"],
}


def published(port: str, width: int = 64, channels: int = 1, depth: int = 18) -> Tensors:
    """Random tensors with a port's names and shapes."""
    torch.manual_seed(3)
    names = [*NAMES[port][: depth + 1], NAMES[port][-1]]
    outputs, inputs = [width] * (depth + 1) + [channels], [channels] + [width] * (depth + 1)
    shapes = zip(names, outputs, inputs, strict=True)
    return {f"{name}.weight": torch.randn(o, i, 3, 3) / (3 * i**0.5) for name, o, i in shapes}


def plain(tensors: Tensors, large: torch.Tensor, port: str) -> torch.Tensor:
    """The ports' forward: convolutions with ReLU between them, added to their input."""
    features = large
    for i, weight in enumerate(tensors.values()):
        features = conv2d(features, weight, padding=1)
        if i < len(tensors) - 1 and (i or port != "Lornatang 1.0"):
            features = features.relu()
    return large + features


def saved(path: Path, tensors: Tensors) -> Path:
    save_file(tensors, path)
    return path


def test_bicubic_is_that_of_keys() -> None:
    """a = -0.5 a quarter of a pixel from the centre: (-9, 111, 29, -3) / 128."""
    impulse = torch.zeros(1, 1, 9, 9)
    impulse[0, 0, :, 4] = 1
    row = vdsr.resize_bicubic(impulse, 2)[0, 0, 9]
    expected = np.array([-3, -9, 29, 111, 111, 29, -9, -3]) / 128
    np.testing.assert_allclose(row[5:13], expected, atol=1e-6)
    assert not row[:5].any()


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_bicubic_keeps_parabolas_and_constants(scale: int) -> None:
    x = torch.linspace(0, 1, 16)
    large = vdsr.resize_bicubic((x * x).expand(1, 1, 16, 16), scale)[0, 0, 0]
    centres = ((torch.arange(16 * scale) + 0.5) / scale - 0.5) / 15
    inner = slice(2 * scale, -2 * scale)
    torch.testing.assert_close(large[inner], (centres**2)[inner], atol=1e-5, rtol=0)
    ones = vdsr.resize_bicubic(torch.ones(1, 1, 8, 8), scale)
    torch.testing.assert_close(ones, torch.ones(1, 1, 8 * scale, 8 * scale), atol=1e-6, rtol=0)


@pytest.mark.parametrize("port", NAMES)
@pytest.mark.parametrize("wrapper", ["state_dict", None])
def test_published_layout_loads(tmp_path: Path, port: str, wrapper: str | None) -> None:
    tensors = published(port)
    assert sum(map(torch.numel, tensors.values())) == 664_704
    torch.save({"epoch": 5, wrapper: tensors} if wrapper else tensors, tmp_path / "w.pth")
    network = vdsr.load(tmp_path / "w.pth", 3, "first")
    x = torch.rand(2, 1, 9, 8)
    with torch.inference_mode():
        enlarged, expected = network(x), plain(tensors, vdsr.resize_bicubic(x, 3), port)
    assert enlarged.shape == (2, 1, 27, 24)
    torch.testing.assert_close(enlarged, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("channel", ["first", "mean", "luma"])
def test_three_channels_fold_into_one(tmp_path: Path, channel: str) -> None:
    tensors = published("twtygqyy", 8, 3, 4)
    network = vdsr.load(saved(tmp_path / "w.safetensors", tensors), 2, channel)
    x = torch.rand(5, 1, 12, 11)
    with torch.inference_mode():
        three = plain(tensors, vdsr.resize_bicubic(x, 2).expand(-1, 3, -1, -1), "twtygqyy")
        folded = network(x)[:, 0]
    mix = {"first": (1.0, 0.0, 0.0), "mean": (1 / 3,) * 3, "luma": (0.299, 0.587, 0.114)}[channel]
    expected = torch.einsum("k,mkyx->myx", torch.tensor(mix), three)
    assert (folded - expected).abs().max() <= 1e-5 * (expected.max() - expected.min())


def test_biases_are_taken_where_there_are_some(tmp_path: Path) -> None:
    trained = vdsr.VDSR(6, 2, bias=True)
    assert vdsr.VDSR(bias=True).input.bias is not None
    network = vdsr.load(saved(tmp_path / "w.safetensors", trained.state_dict()), 2, "luma")
    x = torch.rand(1, 1, 8, 8)
    with torch.inference_mode():
        torch.testing.assert_close(network(x), trained(x), atol=1e-6, rtol=0)


def test_the_enlargement_stays_in_float32(tmp_path: Path) -> None:
    """With weights of zero, bfloat16 changes nothing: only what is added is rounded."""
    tensors = {name: value * 0 for name, value in published("twtygqyy", 8).items()}
    network = vdsr.load(saved(tmp_path / "w.safetensors", tensors), 2, "first")
    network = forward.prepare_network(network, "cpu")
    images = np.random.default_rng(0).random((10, 1, 8, 8), dtype=np.float32)
    enlarged = forward.apply(network, images, device="cpu", precision="bfloat16", per_patch=10)
    np.testing.assert_array_equal(
        enlarged, vdsr.resize_bicubic(torch.from_numpy(images), 2).numpy()
    )


def test_refuses_what_does_not_fit(tmp_path: Path) -> None:
    tensors = published("Lornatang", 8)
    tensors["trunk.17.conv.wait"] = tensors.pop("trunk.17.conv.weight")
    path = saved(tmp_path / "w.safetensors", tensors)
    message = "not VDSR weights: missing: trunk.17.conv.weight; extra: trunk.17.conv.wait"
    with pytest.raises(StageError, match=message):
        vdsr.load(path, 2, "first")
    saved(path, {"input.weight": torch.zeros(8, 4, 3, 3)})
    with pytest.raises(StageError, match="expected weights of 1 or 3 channels, found 4"):
        vdsr.load(path, 2, "first")
    saved(path, {"conv_first.weight": torch.zeros(8, 3, 3, 3)})
    with pytest.raises(StageError, match=r"missing: input.weight, output.weight; extra: conv_f"):
        vdsr.load(path, 2, "first")
    tensors = published("twtygqyy", 8)
    tensors["residual_layer.4.conv.weight"] = torch.zeros(8, 8, 5, 5)
    message = r"other shape: residual_layer.4.conv.weight \(8, 8, 5, 5\) instead of \(8, 8, 3, 3\)"
    with pytest.raises(StageError, match=message):
        vdsr.load(saved(path, tensors), 2, "first")
