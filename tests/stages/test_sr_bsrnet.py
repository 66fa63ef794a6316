"""sr_bsrnet: the suite of all super-resolution stages, published layouts, matched bands."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from spandrel.architectures.ESRGAN import ESRGANArch

from shared.sr import bands
from shared.sr.networks import rrdb
from tests.stages import sr_suite

PUBLISHED = {  # spelling, upsampling convolutions, input channels: parameters of the published file
    ("old", 2, 3): 16_697_987,
    ("trunk", 2, 3): 16_697_987,
    ("body", 2, 3): 16_697_987,
    ("trunk", 1, 3): 16_661_059,
    ("body", 2, 12): 16_703_171,
}


def published(
    spelling: str, steps: int, channels: int, width: int = 64, blocks: int = 23
) -> dict[str, torch.Tensor]:
    """A state dict as the papers' programs write it, its keys written out here once more."""
    dense = {
        "old": "model.1.sub.{}.RDB{}.conv{}.0", "trunk": "RRDB_trunk.{}.RDB{}.conv{}",
        "body": "body.{}.rdb{}.conv{}",
    }[spelling]  # fmt: skip
    outer = {
        "old": {
            1: f"model.0 model.1.sub.{blocks} model.3 model.5 model.7",
            2: f"model.0 model.1.sub.{blocks} model.3 model.6 model.8 model.10",
        },
        "trunk": {
            1: "conv_first trunk_conv upconv1 HRconv conv_last",
            2: "conv_first trunk_conv upconv1 upconv2 HRconv conv_last",
        },
        "body": {2: "conv_first conv_body conv_up1 conv_up2 conv_hr conv_last"},
    }[spelling][steps].split()
    shapes = dict.fromkeys(outer, (width, width)) | {
        outer[0]: (width, channels), outer[-1]: (min(channels, 3), width)
    }  # fmt: skip
    for block in range(blocks):
        for rdb in (1, 2, 3):
            for conv in (1, 2, 3, 4, 5):
                shapes[dense.format(block, rdb, conv)] = (
                    32 if conv < 5 else width, width + 32 * (conv - 1)
                )  # fmt: skip
    torch.manual_seed(1)
    tensors = {}
    for name, (out, into) in shapes.items():
        tensors[f"{name}.weight"] = 0.5 * torch.randn(out, into, 3, 3) / (9 * into) ** 0.5
        tensors[f"{name}.bias"] = 0.1 * torch.randn(out)
    return tensors


@pytest.mark.parametrize(
    ("wrapper", "kind"),
    list(zip([None, "params", "params_ema", None, "params_ema"], PUBLISHED, strict=True)),
)
def test_published_layout_loads(
    tmp_path: Path, kind: tuple[str, int, int], wrapper: str | None
) -> None:
    tensors = published(*kind)
    torch.save({wrapper: tensors} if wrapper else tensors, tmp_path / "w.pth")
    scale = 2 ** kind[1] // (2 if kind[2] == 12 else 1)
    network = rrdb.read(tmp_path / "w.pth", scale)
    parameters = list(network.parameters())
    assert sum(tensor.numel() for tensor in parameters) == PUBLISHED[kind]
    for mine, theirs in zip(parameters[:2], tensors.values(), strict=False):
        torch.testing.assert_close(mine.detach(), theirs, atol=0, rtol=0)


@pytest.mark.parametrize("kind", PUBLISHED)
def test_spellings_are_one_network(tmp_path: Path, kind: tuple[str, int, int]) -> None:
    """The network computed as the paper's program does, from the tensors themselves."""
    tensors, image = published(*kind, 8, 2), torch.rand(2, 3, 9, 10)
    save_file(tensors, tmp_path / "w.safetensors")
    x = torch.nn.functional.pad(image, (0, 0, 0, 1), "reflect") if kind[2] == 12 else image
    x = torch.nn.functional.pixel_unshuffle(x, 2) if kind[2] == 12 else x
    scale = 2 ** kind[1] // (2 if kind[2] == 12 else 1)
    made = rrdb.read(tmp_path / "w.safetensors", scale)(image)
    expected = by_hand(tensors, x, blocks=2, steps=kind[1])
    torch.testing.assert_close(made, expected[..., : 9 * scale, :], atol=2e-6, rtol=0)


def by_hand(
    tensors: dict[str, torch.Tensor], x: torch.Tensor, blocks: int, steps: int
) -> torch.Tensor:
    """RRDBNet by its definition; the tensors in the order of `published`."""
    values = list(tensors.values())
    pairs = list(zip(values[::2], values[1::2], strict=True))
    outer, inner = pairs[: steps + 4], pairs[steps + 4 :]

    def conv(x: torch.Tensor, layer: int, pairs: list = outer) -> torch.Tensor:
        return torch.nn.functional.conv2d(x, *pairs[layer], padding=1)

    def bend(x: torch.Tensor) -> torch.Tensor:
        return torch.where(x > 0, x, 0.2 * x)

    start = x = conv(x, 0)
    for block in range(blocks):
        outside = x
        for dense in range(3):
            parts, place = [x], 5 * (3 * block + dense)
            for layer in range(4):
                parts.append(bend(conv(torch.cat(parts, 1), place + layer, inner)))
            x = x + 0.2 * conv(torch.cat(parts, 1), place + 4, inner)
        x = outside + 0.2 * x
    x = start + conv(x, 1)
    for step in range(steps):
        x = bend(conv(x.repeat_interleave(2, 2).repeat_interleave(2, 3), 2 + step))
    return conv(bend(conv(x, -2)), -1)


def test_trained_network_is_read_back_in_both_spellings(tmp_path: Path) -> None:
    """Whatever a dense block grows by."""
    network = rrdb.build(scale=2, width=12, blocks=2, growth=6, channels=1).eval()
    names = dict(zip(rrdb.layer_names("old", 2, 1), rrdb.layer_names("trunk", 2, 1), strict=True))
    grey, made = torch.rand(2, 1, 8, 8), []
    for rename in ({name: name for name in names}, names):
        parts = {tuple(key.rsplit(".", 1)): tensor for key, tensor in network.state_dict().items()}
        tensors = {f"{rename[layer]}.{kind}": tensor for (layer, kind), tensor in parts.items()}
        save_file(tensors, tmp_path / "w.safetensors")
        with torch.inference_mode():
            made.append(rrdb.load(tmp_path / "w.safetensors", 2, "luma")(grey))
    torch.testing.assert_close(made[0], network(grey), atol=1e-6, rtol=0)
    np.testing.assert_array_equal(made[1], made[0])


def test_bfloat16_is_near_as_the_trunk_is_summed_in_float32(tmp_path: Path) -> None:
    path, grey = tmp_path / "w.safetensors", torch.rand(2, 1, 16, 16)
    save_file(published("trunk", 1, 1, 16, 8), path)
    with torch.inference_mode():
        exact = rrdb.load(path, 2, "first")(grey)
        with torch.autocast("cpu", torch.bfloat16):
            plain, near = rrdb.read(path, 2)(grey), rrdb.load(path, 2, "first")(grey)
    assert near.dtype == torch.float32
    error, spandrels = ((made.float() - exact).std() / exact.std() for made in (near, plain))
    assert 0 < error < 0.02
    assert error < 0.7 * spandrels


OTHERS = {
    "old": ("model.1.sub.0.RDB2.conv3.0.weight", "model.6.bias", "model.10.weight"),
    "trunk": ("RRDB_trunk.1.RDB3.conv5.bias", "conv_first.weight", "conv_first.bias"),
    "body": ("body.0.rdb1.conv1.weight", "body.0.rdb1.conv1.bias", "conv_last.bias"),
}


def test_match_of_a_network_that_says_nothing_is_the_mean() -> None:
    images = np.arange(8, dtype=np.float32).reshape(1, 2, 2, 2)
    made = bands.match_statistics(np.ones((1, 4, 4, 2), np.float32), images)
    np.testing.assert_allclose(made[0, :, :, 0], 3)
    np.testing.assert_allclose(made[0, :, :, 1], 4)


class TestBsrnet(sr_suite.Matching):
    """A small network of three channels in the layout of BSRGANx2.pth."""

    method = "bsrnet"
    title = "RRDBNet"
    tensor = "HRconv.bias"
    load = staticmethod(rrdb.load)
    published: ClassVar[dict[str, sr_suite.Published]] = {"RealESRGAN_x2plus": ("", 2, 16_703_171)}

    def network(self, channels: int) -> torch.nn.Module:
        """Eight features, one block, by spandrel."""
        return ESRGANArch().load(published("trunk", 1, channels, 8, 1)).model

    def tensors(self) -> sr_suite.Tensors:
        """The same in its published spelling."""
        return published("trunk", 1, 3, 8, 1)

    def published_tensors(self, name: str) -> sr_suite.Tensors:
        """The one that begins with a pixel unshuffle."""
        return published("body", 2, 12)

    def plain(self) -> Iterator[sr_suite.Plain]:
        """Each spelling."""
        for spelling, steps, channels, scale in (
            ("trunk", 1, 3, 2), ("body", 2, 12, 2), ("old", 2, 3, 4)
        ):  # fmt: skip
            tensors = published(spelling, steps, channels, 16, 2)
            made = ESRGANArch().load(dict(tensors)).model
            yield (made, tensors, scale, (12, 14))

    def misfits(self) -> dict[str, sr_suite.Tensors]:
        """One name in each part of each spelling, a shape, or everything."""
        renamed = {}
        for spelling, key in [(s, key) for s, keys in OTHERS.items() for key in keys]:
            tensors = published(spelling, 2, 3, 8, 2)
            tensors[key + "s"] = tensors.pop(key)
            renamed[f"not RRDBNet weights: missing: {key}; extra: {key}s; "] = tensors
        return renamed | {
            "other shape: trunk_conv.weight (8, 9, 3, 3) instead of (8, 8, 3, 3)":
                self.tensors() | {"trunk_conv.weight": torch.zeros(8, 9, 3, 3)},
            "or body.0.rdb1…, found head.0.weight": {"head.0.weight": torch.zeros(1)},
        }  # fmt: skip
