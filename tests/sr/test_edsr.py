"""EDSR: published layouts and their ranges, one channel made of three, what does not fit."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.nn.functional import conv2d, pixel_shuffle

from shared.errors import StageError
from shared.sr.networks import edsr

Tensors = dict[str, torch.Tensor]
MEAN = torch.tensor([0.4488, 0.4371, 0.4040])
MIX = {"first": (1.0, 0.0, 0.0), "mean": (1 / 3,) * 3, "luma": (0.299, 0.587, 0.114)}


def published(
    scale: int, width: int = 64, blocks: int = 16, layout: str = "port", gain: float = 255
) -> Tensors:
    """Random tensors with the names and shapes that the ports' own model files give."""
    body = [f"body.{i}.body.{j}" for i in range(blocks) for j in (0, 2)]
    names = ["head.0", *body, f"body.{blocks}"]
    last = "tail.1"
    if layout == "basicsr":
        body = [f"body.{i}.conv{j}" for i in range(blocks) for j in (1, 2)]
        names, last = ["conv_first", *body, "conv_after_body"], "conv_last"
    steps = {2: [2], 3: [3], 4: [2, 2]}[scale]
    prefix = "upsample" if layout == "basicsr" else "tail.0"
    shapes = {name: (width, 3 if not i else width) for i, name in enumerate(names)}
    shapes |= {f"{prefix}.{2 * i}": (s * s * width, width) for i, s in enumerate(steps)}
    shapes |= {last: (3, width)}
    torch.manual_seed(1)
    tensors: Tensors = {}
    for name, (o, i) in shapes.items():
        tensors |= {f"{name}.weight": torch.randn(o, i, 3, 3) / (5 * i**0.5)}
        tensors |= {f"{name}.bias": torch.randn(o)}
    return tensors if layout == "basicsr" else tensors | shifts(gain)


def shifts(gain: float) -> Tensors:
    eye = torch.eye(3).view(3, 3, 1, 1)
    return {
        "sub_mean.weight": eye, "sub_mean.bias": -gain * MEAN,
        "add_mean.weight": eye.clone(), "add_mean.bias": gain * MEAN,
    }  # fmt: skip


def plain(
    tensors: Tensors, x: torch.Tensor, gain: float = 255, residual: float = 1, mean: float = 1
) -> torch.Tensor:
    """The ports' forward with three channels, of images in 0 … 1."""
    kept = [value for name, value in tensors.items() if "_mean" not in name]
    layers = list(zip(kept[::2], kept[1::2], strict=True))
    ups = [layer for layer in layers[2:-1] if len(layer[0]) > layer[0].shape[1]]
    blocks = layers[1 : len(layers) - 2 - len(ups)]
    shift = mean * MEAN.view(3, 1, 1)
    head = features = conv2d(gain * (x - shift), *layers[0], padding=1)
    for first, second in zip(blocks[::2], blocks[1::2], strict=True):
        inner = conv2d(features, *first, padding=1).relu()
        features = features + residual * conv2d(inner, *second, padding=1)
    features = head + conv2d(features, *layers[-2 - len(ups)], padding=1)
    for weight, bias in ups:
        step = round((len(weight) / weight.shape[1]) ** 0.5)
        features = pixel_shuffle(conv2d(features, weight, bias, padding=1), step)
    return conv2d(features, *layers[-1], padding=1) / gain + shift


def saved(path: Path, tensors: Tensors) -> Path:
    save_file(tensors, path)
    return path


def close(actual: torch.Tensor, expected: torch.Tensor) -> None:
    """Equal to 1e-5 of the range, at the borders too."""
    assert actual.shape == expected.shape
    assert (actual - expected).abs().max() <= 1e-5 * (expected.max() - expected.min())


@pytest.mark.parametrize("layout", ["port", "basicsr"])
@pytest.mark.parametrize(("scale", "parameters"), [(2, 1_369_859), (3, 1_554_499), (4, 1_517_571)])
def test_published_layout_loads(tmp_path: Path, layout: str, scale: int, parameters: int) -> None:
    tensors = published(scale, layout=layout)
    learnt = [value.numel() for name, value in tensors.items() if "_mean" not in name]
    assert sum(learnt) == parameters
    wrapped = {"params": tensors} if layout == "basicsr" else tensors
    torch.save(wrapped, tmp_path / "w.pt")
    network = edsr.load(tmp_path / "w.pt", scale, "first")
    with torch.inference_mode():
        assert network(torch.rand(2, 1, 5, 6)).shape == (2, 1, 5 * scale, 6 * scale)


def test_the_large_network_has_the_published_size() -> None:
    with torch.device("meta"):
        network = edsr.EDSR(2, 256, 32, 3)
    assert sum(value.numel() for value in network.state_dict().values()) == 40_729_603
    assert network.body[0].residual == 0.1
    assert edsr.EDSR(2, 8, 1).body[0].residual == 1


@pytest.mark.parametrize("layout", ["port", "basicsr"])
@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("channel", MIX)
def test_three_channels_fold_into_one(
    tmp_path: Path, layout: str, scale: int, channel: str
) -> None:
    tensors = published(scale, 8, 3, layout)
    network = edsr.load(saved(tmp_path / "w.safetensors", tensors), scale, channel)
    x = torch.rand(5, 1, 9, 7)
    with torch.inference_mode():
        three = plain(tensors, x.expand(-1, 3, -1, -1))
        close(network(x)[:, 0], torch.einsum("k,mkyx->myx", torch.tensor(MIX[channel]), three))


@pytest.mark.parametrize("gain", [1, 255])
def test_the_range_is_that_of_the_shift(tmp_path: Path, gain: int) -> None:
    tensors = published(2, 8, 2, gain=gain)
    network = edsr.load(saved(tmp_path / "w.safetensors", tensors), 2, "first")
    x = torch.rand(3, 1, 8, 8)
    with torch.inference_mode():
        close(network(x), plain(tensors, x.expand(-1, 3, -1, -1), gain)[:, :1])


def test_super_image_has_a_shift_and_does_not_use_it(tmp_path: Path) -> None:
    tensors = published(2, 8, 2)
    path = saved(tmp_path / "w.safetensors", tensors)
    network, x = edsr.load(path, 2, "mean", inputs="unit"), torch.rand(3, 1, 8, 8)
    with torch.inference_mode():
        expected = plain(tensors, x.expand(-1, 3, -1, -1), 1, mean=0).mean(1, keepdim=True)
        close(network(x), expected)


def test_residuals_are_scaled(tmp_path: Path) -> None:
    tensors = published(2, 8, 3)
    path, x = saved(tmp_path / "w.safetensors", tensors), torch.rand(3, 1, 8, 8)
    with torch.inference_mode():
        expected = plain(tensors, x.expand(-1, 3, -1, -1), residual=0.1)[:, :1]
        close(edsr.load(path, 2, "first", residual=0.1)(x), expected)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_weights_of_one_channel_come_back_as_they_were(tmp_path: Path, scale: int) -> None:
    trained = edsr.EDSR(scale, 8, 2)
    path, x = saved(tmp_path / "w.safetensors", trained.state_dict()), torch.rand(2, 1, 8, 8)
    with torch.inference_mode():
        torch.testing.assert_close(edsr.load(path, scale, "luma")(x), trained(x))


def faulty(fault: str) -> Tensors:
    """Weights of three blocks with a fault."""
    tensors = published(2, 8, 3, "port" if fault in ("renamed", "shifted", "cut") else "basicsr")
    if fault == "renamed":
        tensors["body.2.body.2.wait"] = tensors.pop("body.2.body.2.weight")
    elif fault == "respelt":
        tensors["body.2.conv1.wait"] = tensors.pop("body.2.conv1.weight")
    elif fault in ("head", "tail"):
        layer = {"head": "conv_first", "tail": "upsample.0"}[fault]
        tensors[f"{layer}.wait"] = tensors.pop(f"{layer}.weight")
    elif fault == "shifted":
        tensors["sub_mean.bias"][1] = -3
    elif fault == "cut":
        del tensors["add_mean.bias"]
    elif fault == "channels":
        tensors["conv_first.weight"] = torch.zeros(8, 4, 3, 3)
    elif fault == "shape":
        tensors["body.1.conv2.bias"] = torch.zeros(9)
    return tensors


@pytest.mark.parametrize(
    ("fault", "scale", "message"),
    [
        ("renamed", 2, "missing: body.2.body.2.weight; extra: body.2.body.2.wait"),
        ("respelt", 2, "missing: body.2.conv1.weight; extra: body.2.conv1.wait"),
        ("head", 2, "missing: conv_first.weight; extra: conv_first.wait"),
        ("tail", 2, "missing: upsample.0.weight; extra: upsample.0.wait"),
        ("shifted", 2, "sub_mean, add_mean: expected"),
        ("cut", 2, "not EDSR weights: missing: add_mean.bias"),
        ("channels", 2, "expected weights of 1 or 3 channels, found 4"),
        ("shape", 2, r"other shape: body.1.conv2.bias \(9,\) instead of \(8,\)"),
        ("none", 4, "expected weights of --scale 4, found scale 2"),
        ("none", 3, "expected weights of --scale 3, found scale 2"),
    ],
)
def test_refuses_what_does_not_fit(tmp_path: Path, fault: str, scale: int, message: str) -> None:
    path = saved(tmp_path / "w.safetensors", faulty(fault))
    with pytest.raises(StageError, match=message):
        edsr.load(path, scale, "first")


def test_refuses_other_networks(tmp_path: Path) -> None:
    path = saved(tmp_path / "w.safetensors", {"input.weight": torch.zeros(8, 1, 3, 3)})
    with pytest.raises(StageError, match=r"not EDSR weights: missing: head.0.weight, .* \(.*extra"):
        edsr.load(path, 2, "first")
    np.testing.assert_equal(edsr.read_scale({}, "tail.0.", 8), None)
