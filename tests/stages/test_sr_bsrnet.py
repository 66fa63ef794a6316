"""sr_bsrnet: published layouts load, folded is plain, statistics, rows, shards, crash, refusals."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from shared import cli, patches
from shared.errors import StageError
from shared.sr import bands, forward
from shared.sr.networks import rrdb
from stages.sr_bsrnet import main as stage
from tests.conftest import pixels

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


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A small network of three channels in the layout of BSRGANx2.pth."""
    (tmp_path / "weights").mkdir()
    path = tmp_path / "weights" / "x2.safetensors"
    save_file(published("trunk", 1, 3, 8, 1), path)
    return path


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """Seven small patches, alone in their folder."""
    (tmp_path / "few").mkdir()
    path, arrays = tmp_path / "few" / "training.h5", pixels(7)
    with h5py.File(path, "w") as file:
        file["sen2"], file["label"] = arrays["sen2"][:, :12, :10], arrays["label"]
    return path


def command(src: Path, dst: Path, weights: Path, *flags: str) -> np.ndarray:
    """Run the stage as its container does; the stored sen2."""
    flags = (f"--src={src}", f"--dst={dst}", f"--weights={weights}", "--device=cpu", *flags)
    cli.main(stage.run, list(flags))
    with h5py.File(dst) as file:
        return np.asarray(file["sen2"])


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


def test_every_band_of_every_patch_is_enlarged_on_its_own_and_matched(
    few: Path, weights: Path
) -> None:
    stored = command(few, few.with_name("x2.h5"), weights)
    with h5py.File(few) as file:
        sen2 = file["sen2"][:].astype(np.float32)
    band = sen2[4, :, :, 7]
    unit = torch.from_numpy((band - band.min()) / np.ptp(band))
    with torch.inference_mode():
        rgb = rrdb.read(weights, 2)(unit.expand(1, 3, 12, 10))[0].numpy()
    luma = 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2]
    boxes = luma.reshape(12, 2, 10, 2).mean((1, 3))
    expected = (luma - boxes.mean()) * band.std() / boxes.std() + band.mean()
    np.testing.assert_allclose(stored[4, :, :, 7] / 1e4, expected.clip(0, 2.8), atol=6e-5)


@pytest.mark.parametrize("flags", [(), ("--nomatch",)])
def test_match_gives_the_statistics_of_the_input(
    few: Path, weights: Path, flags: tuple[str, ...]
) -> None:
    with h5py.File(few, "a") as file:
        file["sen2"][...] += 0.5  # so that nothing is clipped
        file["sen2"][3, :, :, 2] = 0.125
        sen2 = file["sen2"][:]
    made = command(few, few.with_name("x2.h5"), weights, *flags)
    assert made.dtype == np.uint16
    assert (made[3, :, :, 2] == 1250).all()
    boxes = made.reshape(7, 12, 2, 10, 2, 10).mean((2, 4)) / 1e4
    same = np.allclose(boxes.mean((1, 2)), sen2.mean((1, 2)), atol=1e-4)
    assert same == (not flags)
    assert np.allclose(boxes.std((1, 2)), sen2.std((1, 2)), atol=1e-4) == (not flags)


@pytest.mark.parametrize("flags", [(), ("--nomatch",)])
def test_nodata_and_values_out_of_range_come_through(
    few: Path, weights: Path, flags: tuple[str, ...]
) -> None:
    with h5py.File(few, "a") as file:
        file["sen2"][4] = 0  # nodata
        file["sen2"][5, :, :, 1] = 5.5
        file["sen2"][6, 3:5] = (-0.5, 7.0, *[0.1] * 8)
    made = command(few, few.with_name("x2.h5"), weights, *flags)
    assert not made[4].any()
    assert (made[5, :, :, 1] == 28_000).all()
    assert made.max() == 28_000


def test_labels_go_along(few: Path, weights: Path) -> None:
    command(few, few.with_name("x2.h5"), weights)
    with patches.read(few.with_name("x2.h5"), "sen2", "label") as source:
        assert source["sen2"].shape == (7, 24, 20, 10)
        assert source.labels().tolist() == list(range(7))
        assert 0 <= source["sen2"][:].min() <= source["sen2"][:].max() <= np.float32(2.8)


@pytest.mark.parametrize("n", [2, 9])  # 9 shards of 7 rows: some are empty
def test_shards_joined_are_the_whole_whatever_the_batch(few: Path, weights: Path, n: int) -> None:
    whole = command(few, few.with_name("whole.h5"), weights)
    parts = [
        command(few, few.with_name(f"{i}.h5"), weights, f"--shard={i}/{n}", f"--batch={n}")
        for i in range(1, n + 1)
    ]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_goes_on_after_a_crash(few: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = command(few, few.with_name("whole.h5"), weights)
    singly, done = forward.enlarge_bands, []

    def crash_once(network: torch.nn.Module, sen2: np.ndarray, **flags: str) -> np.ndarray:
        done.append(len(sen2))
        if len(done) == 3:
            raise OSError("the machine is gone")
        return singly(network, sen2, **flags)

    monkeypatch.setattr(forward, "enlarge_bands", crash_once)
    with pytest.raises(SystemExit, match="1"):
        command(few, few.with_name("out.h5"), weights, "--batch=2")
    assert not few.with_name("out.h5").exists()
    again = command(few, few.with_name("out.h5"), weights, "--batch=2")
    np.testing.assert_array_equal(again, whole)
    assert sum(done) <= 7 + 2 + 2  # what was on disk was not computed again


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--scale=4", "expected weights of --scale 4, found scale 2"),
        ("--scale=3", "--scale: expected 2 or 4, found 3"),
        ("--channel=red", "--channel: expected first, mean or luma, found 'red'"),
        ("--precision=int8", "--precision: expected float32, bfloat16 or float16, found 'int8'"),
        ("--precision=float16", "--precision: float16 needs a CUDA device"),
        ("--batch=0", "--batch: expected at least 1, found 0"),
        ("--shard=3/2", "--shard: expected 1 to n"),
        ("--mach=false", "did you mean --match"),
    ],
)
def test_refuses(
    few: Path, weights: Path, capsys: pytest.CaptureFixture[str], flag: str, message: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        command(few, few.with_name("out.h5"), weights, flag)
    assert message in capsys.readouterr().err
    assert [few] == list(few.parent.iterdir())


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


def other_shape(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return tensors | {"trunk_conv.weight": torch.zeros(8, 9, 3, 3)}


def not_finite(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return tensors | {"HRconv.bias": torch.full((8,), torch.nan)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (other_shape, "other shape: trunk_conv.weight (8, 9, 3, 3) instead of (8, 8, 3, 3)"),
        (not_finite, "NaN or infinite values in HRconv.bias"),
        (lambda _: {"head.0.weight": torch.zeros(1)}, "or body.0.rdb1…, found head.0.weight"),
    ],
)
def test_refuses_weights(
    few: Path, weights: Path, capsys: pytest.CaptureFixture[str], change: object, message: str
) -> None:
    save_file(change(load_file(weights)), weights)  # type: ignore[operator]
    with pytest.raises(SystemExit, match="2"):
        command(few, few.with_name("out.h5"), weights)
    said = capsys.readouterr().err
    assert message in said
    assert str(weights) in said
    assert said.count("\n") == 1
    assert [few] == list(few.parent.iterdir())


def test_refuses_nan(few: Path, weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with h5py.File(few, "a") as file:
        file["sen2"][6, 3, 3, 3] = np.nan
    with pytest.raises(SystemExit, match="2"):
        command(few, few.with_name("out.h5"), weights)
    assert "sen2: NaN or infinite values in rows 6" in capsys.readouterr().err
    assert [few] == list(few.parent.iterdir())


def test_match_of_a_network_that_says_nothing_is_the_mean() -> None:
    images = np.arange(8, dtype=np.float32).reshape(1, 2, 2, 2)
    made = bands.match_statistics(np.ones((1, 4, 4, 2), np.float32), images)
    np.testing.assert_allclose(made[0, :, :, 0], 3)
    np.testing.assert_allclose(made[0, :, :, 1], 4)
