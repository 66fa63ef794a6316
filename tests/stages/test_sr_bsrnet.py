"""sr_bsrnet: the suite of all super-resolution stages, published layouts, matched bands."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from shared.errors import StageError
from shared.sr import bands
from shared.sr.networks import rrdb
from tests.stages import sr_suite
from tests.stages.sr_suite import few, stored

__all__ = ["few", "stored"]

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


def test_published_size_enlarges_a_patch(tmp_path: Path) -> None:
    save_file(published("body", 2, 12), tmp_path / "w.safetensors")
    with torch.inference_mode():
        made = rrdb.load(tmp_path / "w.safetensors", 2, "luma")(torch.rand(1, 1, 8, 8))
    assert made.shape == (1, 1, 16, 16)
    assert made.isfinite().all()


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


@pytest.mark.parametrize("kind", [("trunk", 1, 3), ("body", 2, 12), ("old", 2, 3)])
@pytest.mark.parametrize("channel", ["first", "mean", "luma"])
def test_folded_network_is_the_plain_one(
    tmp_path: Path, kind: tuple[str, int, int], channel: str
) -> None:
    save_file(published(*kind, 16, 2), tmp_path / "w.safetensors")
    scale = 2 ** kind[1] // (2 if kind[2] == 12 else 1)
    grey = torch.rand(3, 1, 12, 14)
    mix = {"first": (1.0, 0.0, 0.0), "mean": (1 / 3, 1 / 3, 1 / 3), "luma": (0.299, 0.587, 0.114)}
    with torch.inference_mode():
        plain = rrdb.read(tmp_path / "w.safetensors", scale)(grey.expand(-1, 3, -1, -1))
        made = rrdb.load(tmp_path / "w.safetensors", scale, channel)(grey)
    expected = torch.einsum("mcyx,c->myx", plain, torch.tensor(mix[channel]))[:, None]
    torch.testing.assert_close(made, expected, atol=1e-5, rtol=0)


def test_trained_network_is_read_back(tmp_path: Path) -> None:
    network = rrdb.build(scale=2, width=12, blocks=2, growth=6, channels=1).eval()
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    grey = torch.rand(2, 1, 8, 8)
    with torch.inference_mode():
        made = rrdb.load(tmp_path / "w.safetensors", 2, "luma")(grey)
        torch.testing.assert_close(made, network(grey), atol=1e-6, rtol=0)
    names = dict(zip(rrdb.layer_names("old", 2, 1), rrdb.layer_names("trunk", 2, 1), strict=True))
    tensors = load_file(tmp_path / "w.safetensors")
    renamed = {
        f"{names[key.rpartition('.')[0]]}.{key.rpartition('.')[2]}": tensor
        for key, tensor in tensors.items()
    }
    save_file(renamed, tmp_path / "v.safetensors")
    with torch.inference_mode():
        again = rrdb.load(tmp_path / "v.safetensors", 2, "first")(grey)
    np.testing.assert_array_equal(again, made)


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


@pytest.mark.parametrize(("spelling", "key"), [(s, key) for s in OTHERS for key in OTHERS[s]])
def test_one_renamed_tensor_is_the_only_one_named(tmp_path: Path, spelling: str, key: str) -> None:
    tensors = published(spelling, 2, 3, 8, 2)
    tensors[key + "s"] = tensors.pop(key)
    path = tmp_path / "w.safetensors"
    save_file(tensors, path)
    with pytest.raises(StageError) as caught:
        rrdb.read(path, 4)
    said = f"{path}: not RRDBNet weights: missing: {key}; extra: {key}s"
    assert str(caught.value) == said


def test_match_of_a_network_that_says_nothing_is_the_mean() -> None:
    images = np.arange(8, dtype=np.float32).reshape(1, 2, 2, 2)
    made = bands.match_statistics(np.ones((1, 4, 4, 2), np.float32), images)
    np.testing.assert_allclose(made[0, :, :, 0], 3)
    np.testing.assert_allclose(made[0, :, :, 1], 4)


class TestBsrnet(sr_suite.Suite):
    """A small network of three channels in the layout of BSRGANx2.pth."""

    method = "bsrnet"
    title = "RRDBNet"
    tensor = "HRconv.bias"

    def tensors(self) -> sr_suite.Tensors:
        """Eight features, one block."""
        return published("trunk", 1, 3, 8, 1)

    def band(self, weights: Path, unit: torch.Tensor) -> torch.Tensor:
        """By spandrel's network, three equal channels in and the luma of those out."""
        red, green, blue = rrdb.read(weights, 2)(unit.expand(1, 3, *unit.shape))[0]
        return 0.299 * red + 0.587 * green + 0.114 * blue

    def test_bands_are_matched(self, few: Path, weights: Path) -> None:
        values = self.command(few, few.with_name("x2.h5"), weights)
        with h5py.File(few) as file:
            band = file["sen2"][4, :, :, 7].astype(np.float32)
        unit = torch.from_numpy((band - band.min()) / np.ptp(band))
        with torch.inference_mode():
            luma = self.band(weights, unit).numpy()
        boxes = luma.reshape(16, 2, 12, 2).mean((1, 3))
        expected = (luma - boxes.mean()) * band.std() / boxes.std() + band.mean()
        np.testing.assert_allclose(values[4, :, :, 7] / 1e4, expected.clip(0, 2.8), atol=6e-5)

    @pytest.mark.parametrize("flags", [(), ("--nomatch",)])
    def test_match_gives_the_statistics_of_the_input(
        self, few: Path, weights: Path, flags: tuple[str, ...]
    ) -> None:
        with h5py.File(few, "a") as file:
            file["sen2"][...] += 0.5  # so that nothing is clipped
            file["sen2"][3, :, :, 2] = 0.125
            sen2 = file["sen2"][:]
        values = self.command(few, few.with_name("x2.h5"), weights, *flags)
        assert (values[3, :, :, 2] == 1250).all()
        boxes = values.reshape(7, 16, 2, 12, 2, 10).mean((2, 4)) / 1e4
        same = np.allclose(boxes.mean((1, 2)), sen2.mean((1, 2)), atol=1e-4)
        assert same == (not flags)
        assert np.allclose(boxes.std((1, 2)), sen2.std((1, 2)), atol=1e-4) == (not flags)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"trunk_conv.weight": torch.zeros(8, 9, 3, 3)},
             "other shape: trunk_conv.weight (8, 9, 3, 3) instead of (8, 8, 3, 3)"),
            ({}, "or body.0.rdb1…, found head.0.weight"),
        ],
    )  # fmt: skip
    def test_names_what_does_not_fit(
        self, few: Path, weights: Path, capsys: pytest.CaptureFixture[str],
        change: sr_suite.Tensors, message: str,
    ) -> None:  # fmt: skip
        tensors = self.tensors() | change if change else {"head.0.weight": torch.zeros(1)}
        save_file(tensors, weights)
        assert message in self.refuse(few, weights, capsys)
