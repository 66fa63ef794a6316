"""sr_swinir: published layouts load, one fused call is the same, rows, shards, crash, refusals."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from spandrel.architectures.SwinIR import SwinIR

from shared import cli, patches, sr_bands
from stages.sr_swinir import main as stage
from stages.sr_swinir import network
from tests.conftest import pixels, write_raw

PUBLISHED = {  # architecture arguments, parameters, as in the published files
    "SwinIR-M x2": (
        {"embed_dim": 180, "depths": [6] * 6, "num_heads": [6] * 6, "upsampler": "pixelshuffle"},
        11_752_487,
    ),
    "SwinIR-S x2": (
        {"embed_dim": 60, "depths": [6] * 4, "num_heads": [6] * 4}
        | {"upsampler": "pixelshuffledirect"},
        910_152,
    ),
}


def swinir(channels: int, scale: int = 2, **sizes: object) -> SwinIR:
    """A random network in the published layout (window 8, made for 64 pixels)."""
    torch.manual_seed(1)
    small = {"embed_dim": 8, "depths": [2], "num_heads": [2], "upsampler": "pixelshuffledirect"}
    return SwinIR(
        img_size=64, window_size=8, mlp_ratio=2.0, in_chans=channels, upscale=scale, **small | sizes
    ).eval()


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A small network of three channels."""
    (tmp_path / "weights").mkdir()
    path = tmp_path / "weights" / "x2.safetensors"
    save_file(swinir(3).state_dict(), path)
    return path


def command(src: Path, dst: Path, weights: Path, *flags: str) -> np.ndarray:
    """Run the stage as its container does; the stored sen2."""
    flags = (f"--src={src}", f"--dst={dst}", f"--weights={weights}", "--device=cpu", *flags)
    cli.main(stage.run, list(flags))
    with h5py.File(dst) as file:
        return np.asarray(file["sen2"])


def test_stretch_and_restore_are_inverse_and_a_constant_band_is_a_half() -> None:
    images = pixels(3)["sen2"].astype(np.float32)
    images[1, :, :, 4] = 0.25
    planes = sr_bands.planes(images)
    low, span = sr_bands.ranges(planes)
    unit = sr_bands.stretch(planes, low, span)
    assert unit.min() == 0
    assert unit.max() == 1
    assert (unit[14] == 0.5).all()
    np.testing.assert_allclose(sr_bands.restore(unit, low, span), planes, atol=1e-6)
    np.testing.assert_array_equal(sr_bands.images(planes, 10), images)


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize("wrapper", ["params", "params_ema", None])
def test_published_layout_loads(tmp_path: Path, name: str, wrapper: str | None) -> None:
    sizes, parameters = PUBLISHED[name]
    tensors = swinir(3, **sizes).state_dict()
    torch.save({wrapper: tensors} if wrapper else tensors, tmp_path / "w.pth")
    found = network.load(tmp_path / "w.pth", 2)
    assert parameters == sum(
        tensor.numel() for key, tensor in tensors.items()
        if "attn_mask" not in key and "relative_position_index" not in key
    )  # fmt: skip
    assert found.embed_dim == sizes["embed_dim"]
    assert found.mean.shape == (1, 3, 1, 1)


@pytest.mark.parametrize("side", [32, 29, 64])
def test_fused_attention_is_the_same_network(weights: Path, side: int) -> None:
    grey = torch.rand(3, 1, side, side).expand(-1, 3, -1, -1)
    with torch.inference_mode():
        expected, found = swinir(3)(grey), network.load(weights, 2)(grey)
    assert found.shape == (3, 3, 2 * side, 2 * side)
    torch.testing.assert_close(found, expected, atol=2e-6, rtol=0)


def test_every_band_of_every_patch_is_enlarged_on_its_own(weights: Path) -> None:
    sen2, plain = pixels(6)["sen2"].astype(np.float32), swinir(3)
    made = network.upsample(network.load(weights, 2), sen2, channel="luma", device="cpu")
    band = sen2[4, :, :, 7]
    unit = torch.from_numpy((band - band.min()) / np.ptp(band))
    with torch.inference_mode():
        out = plain(unit.expand(1, 3, 32, 32))[0].numpy()
    luma = 0.299 * out[0] + 0.587 * out[1] + 0.114 * out[2]
    np.testing.assert_allclose(made[4, :, :, 7], luma * np.ptp(band) + band.min(), atol=1e-6)


def test_channels_differ_and_mean_is_their_mean() -> None:
    output = torch.arange(12.0).view(1, 3, 2, 2)
    assert network.one(output, "first").flatten().tolist() == [0, 1, 2, 3]
    assert network.one(output, "mean").flatten().tolist() == [4, 5, 6, 7]
    assert network.one(output[:, :1], "luma").flatten().tolist() == [0, 1, 2, 3]


def test_constant_bands_stay_constant_and_labels_go_along(lcz42: Path, weights: Path) -> None:
    with h5py.File(lcz42, "a") as file:
        file["sen2"][3, :, :, 2] = 0.125
    made = command(lcz42, lcz42.with_name("x2.h5"), weights)
    assert made.shape == (34, 64, 64, 10)
    assert made.dtype == np.uint16
    assert (made[3, :, :, 2] == 1250).all()
    with patches.read(lcz42.with_name("x2.h5"), "sen2", "label") as source:
        assert source.labels().tolist() == [i % 17 for i in range(34)]
        assert 0 <= source["sen2"][:].min() <= source["sen2"][:].max() <= np.float32(2.8)
        assert source.statistics("sen2")[0].shape == (10,)


@pytest.mark.parametrize("batch", [1, 7, 34])
def test_batch_does_not_change_the_product(prepared: Path, weights: Path, batch: int) -> None:
    whole = command(prepared, prepared.with_name("a.h5"), weights)
    other = command(prepared, prepared.with_name("b.h5"), weights, f"--batch={batch}")
    np.testing.assert_array_equal(other, whole)


@pytest.mark.parametrize("n", [2, 40])  # 40 shards of 34 rows: some are empty
def test_shards_joined_are_the_whole(prepared: Path, weights: Path, n: int) -> None:
    whole = command(prepared, prepared.with_name("whole.h5"), weights)
    some = range(1, n + 1) if n < 9 else (1, 2, 3, n)
    parts = [
        command(prepared, prepared.with_name(f"{i}.h5"), weights, f"--shard={i}/{n}") for i in some
    ]
    rows = np.concatenate([np.arange((i - 1) * 34 // n, i * 34 // n) for i in some])
    np.testing.assert_array_equal(np.concatenate(parts), whole[rows])


def test_goes_on_after_a_crash(
    prepared: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = command(prepared, prepared.with_name("whole.h5"), weights)
    upsample, done = network.upsample, []

    def crash_once(*args: object, **flags: object) -> np.ndarray:
        done.append(len(args[1]))
        if len(done) == 3:
            raise OSError("the machine is gone")
        return upsample(*args, **flags)

    monkeypatch.setattr(network, "upsample", crash_once)
    with pytest.raises(SystemExit, match="1"):
        command(prepared, prepared.with_name("out.h5"), weights, "--batch=10")
    assert not prepared.with_name("out.h5").exists()
    again = command(prepared, prepared.with_name("out.h5"), weights, "--batch=10")
    np.testing.assert_array_equal(again, whole)
    assert done == [10, 10, 10, 10, 4]  # 20 rows were computed once


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--scale=4", "expected weights of --scale 4, found scale 2"),
        ("--channel=red", "--channel: expected one of"),
        ("--precision=int8", "--precision: expected one of"),
        ("--batch=0", "--batch: expected at least 1, found 0"),
        ("--shard=3/2", "--shard: expected 1 to n"),
        ("--chanel=mean", "did you mean --channel"),
    ],
)
def test_refuses(
    lcz42: Path, weights: Path, capsys: pytest.CaptureFixture[str], flag: str, message: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        command(lcz42, lcz42.with_name("out.h5"), weights, flag)
    assert message in capsys.readouterr().err
    assert [lcz42] == list(lcz42.parent.iterdir())


def renamed(path: Path) -> None:
    tensors = swinir(1).state_dict()
    tensors["layers.0.conv.wait"] = tensors.pop("layers.0.conv.weight")
    save_file(tensors, path)


def not_finite(path: Path) -> None:
    tensors = swinir(1).state_dict()
    tensors["conv_first.weight"][0] = torch.nan
    save_file(tensors, path)


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("a.safetensors", renamed, 'Missing key(s) in state_dict: "layers.0.conv.weight"'),
        ("a.safetensors", renamed, 'Unexpected key(s) in state_dict: "layers.0.conv.wait"'),
        ("a.safetensors", not_finite, "NaN or infinite values in conv_first.weight"),
        ("a.safetensors", lambda p: p.write_bytes(b"not weights"), "found neither ("),
        ("a.pth", lambda p: p.write_bytes(b"not weights"), "found neither ("),
        ("a.pth", lambda p: torch.save({"params": {"a": torch.zeros(1)}}, p), "no key 'conv_first"),
        ("a.pth", lambda p: torch.save(Path("/"), p), "with nothing but tensors"),
    ],
)
def test_refuses_weights(
    lcz42: Path, capsys: pytest.CaptureFixture[str], name: str, make: object, message: str
) -> None:
    path = lcz42.parent.with_name(name)
    make(path)  # type: ignore[operator]
    with pytest.raises(SystemExit, match="2"):
        command(lcz42, lcz42.with_name("out.h5"), path)
    said = capsys.readouterr().err
    assert message in said
    assert str(path) in said
    assert said.count("\n") == 1
    assert [lcz42] == list(lcz42.parent.iterdir())


@pytest.mark.parametrize("fault", ["nan", "bands", "name", "small"])
def test_refuses_rows(
    tmp_path: Path, weights: Path, capsys: pytest.CaptureFixture[str], fault: str
) -> None:
    arrays = pixels(34)
    if fault == "nan":
        arrays["sen2"][33, 3, 3, 3] = np.nan
    elif fault == "name":
        arrays["Sen2"] = arrays.pop("sen2")
    else:
        arrays["sen2"] = arrays["sen2"][..., :9] if fault == "bands" else arrays["sen2"][:, :4]
    (tmp_path / "raw").mkdir()
    src = write_raw(tmp_path / "raw" / "training.h5", arrays)
    with pytest.raises(SystemExit, match="2"):
        command(src, src.with_name("out.h5"), weights)
    message = {
        "nan": "sen2: NaN or infinite values in rows 33",
        "bands": "sen2: expected (N, H, W, 10), found (34, 32, 32, 9)",
        "name": "expected dataset 'sen2', found",
        "small": "expected at least 8 pixels a side, found 4 x 32",
    }[fault]
    assert message in capsys.readouterr().err
    assert [src] == list(src.parent.iterdir())


@pytest.mark.data
def test_real_patches_come_back_when_averaged(real: Path, weights: Path, tmp_path: Path) -> None:
    """A network that starts as an interpolation keeps the low-resolution image of real patches."""
    sen2 = np.load(real / "sentinel2" / "l2a_patches.npy")[:8, 16:48, 16:48] / 1e4
    src = write_raw(tmp_path / "real.h5", {"sen2": sen2, "label": np.eye(17)[:8]})
    tensors = swinir(1).state_dict()
    for key in tensors:  # nothing but nearest-neighbour enlargement is left
        if key.split(".")[0] in ("conv_first", "conv_after_body", "upsample"):
            tensors[key] = torch.zeros_like(tensors[key])
    tensors["conv_first.weight"][0, 0, 1, 1] = 1
    tensors["upsample.0.weight"][:, 0, 1, 1] = 1
    save_file(tensors, weights)
    made = command(src, tmp_path / "x2.h5", weights) / 1e4
    np.testing.assert_allclose(made, sen2.repeat(2, 1).repeat(2, 2), atol=1e-4)
