"""sr_swinir: published layouts load, one fused call is the same, rows, shards, crash, refusals."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from spandrel.architectures.SwinIR import SwinIR

from shared import cli, patches
from shared.sr import forward
from stages.sr_swinir import attention, network
from stages.sr_swinir import main as stage
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
    other = {"img_size": 64, "window_size": 8, "mlp_ratio": 2.0} | small | sizes
    return SwinIR(in_chans=channels, upscale=scale, **other).eval()


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


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize("wrapper", ["params", "params_ema", None])
def test_published_layout_loads(tmp_path: Path, name: str, wrapper: str | None) -> None:
    sizes, parameters = PUBLISHED[name]
    tensors = swinir(3, **sizes).state_dict()
    torch.save({wrapper: tensors} if wrapper else tensors, tmp_path / "w.pth")
    network.load(tmp_path / "w.pth", 2, "first")
    assert parameters == sum(
        tensor.numel() for key, tensor in tensors.items()
        if "attn_mask" not in key and "relative_position_index" not in key
    )  # fmt: skip


MIX = {"first": (1.0, 0.0, 0.0), "mean": (1 / 3, 1 / 3, 1 / 3), "luma": (0.299, 0.587, 0.114)}


@pytest.mark.parametrize("channel", MIX)
@pytest.mark.parametrize("upsampler", ["pixelshuffle", "pixelshuffledirect"])
@pytest.mark.parametrize("side", [32, 29, 64])
def test_folded_and_fused_is_the_published_network(
    weights: Path, channel: str, upsampler: str, side: int
) -> None:
    """Three equal channels in, one of three out; also at the border, where 0 is not the mean."""
    plain = swinir(3, upsampler=upsampler)
    save_file(plain.state_dict(), weights)
    grey = torch.rand(3, 1, side, side)
    with torch.inference_mode():
        three = plain(grey.expand(-1, 3, -1, -1))
        found = network.load(weights, 2, channel).eval()(grey)
    expected = torch.einsum("mkhw,k->mhw", three, torch.tensor(MIX[channel]))[:, None]
    assert found.shape == (3, 1, 2 * side, 2 * side)
    torch.testing.assert_close(found, expected, atol=2e-6, rtol=0)


@pytest.mark.parametrize("size", [(16, 24), (40, 8)])
def test_shift_mask_is_that_of_the_published_network(size: tuple[int, int]) -> None:
    block = swinir(1).layers[0].residual_group.blocks[1]
    found = attention.shift_mask(*size, block.window_size, block.shift_size)
    torch.testing.assert_close(found, block.calculate_mask(size), atol=0, rtol=0)


def test_bfloat16_is_near_and_its_last_layer_exact(weights: Path) -> None:
    grey = np.random.default_rng(0).random((10, 1, 32, 32), np.float32)
    model = forward.ready(network.load(weights, 2, "first"), "cpu")
    exact, rounded = (
        forward.call(model, grey, device="cpu", precision=name, each=10)
        for name in ("float32", "bfloat16")
    )
    assert 0 < ((exact - rounded) ** 2).mean() < 1e-5  # 50 dB
    assert (rounded.view(np.uint32) % 2**16).any()


def test_every_band_of_every_patch_is_enlarged_on_its_own(weights: Path) -> None:
    sen2, plain = pixels(6)["sen2"].astype(np.float32), swinir(3)
    model = forward.ready(network.load(weights, 2, "first"), "cpu")
    made = forward.singly(model, sen2, device="cpu", precision="float32")
    band = sen2[4, :, :, 7]
    unit = torch.from_numpy((band - band.min()) / np.ptp(band))
    with torch.inference_mode():
        out = plain(unit.expand(1, 3, 32, 32))[0, 0].numpy()
    np.testing.assert_allclose(made[4, :, :, 7], out * np.ptp(band) + band.min(), atol=1e-6)


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


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("batch", [1, 7])
def test_reruns_and_batches_have_the_same_bytes(
    prepared: Path, weights: Path, batch: int, precision: str
) -> None:
    first, second = prepared.with_name("a.h5"), prepared.with_name("b.h5")
    command(prepared, first, weights, f"--precision={precision}")
    command(prepared, second, weights, f"--precision={precision}", f"--batch={batch}")
    assert first.read_bytes() == second.read_bytes()


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
    singly, done = forward.singly, []

    def crash_once(model: object, sen2: np.ndarray, **flags: str) -> np.ndarray:
        done.append(len(sen2))
        if len(done) == 3:
            raise OSError("the machine is gone")
        return singly(model, sen2, **flags)

    monkeypatch.setattr(forward, "singly", crash_once)
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
        ("a.pth", lambda p: torch.save({"params": {"a": torch.zeros(1)}}, p),
         "missing: conv_first.weight; found: a"),
        ("a.pth", lambda p: torch.save(Path("/"), p), "with nothing but tensors"),
    ],
)  # fmt: skip
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


def test_refuses_patches_smaller_than_the_window_of_the_weights(
    lcz42: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_file(swinir(1, window_size=64).state_dict(), weights)
    with pytest.raises(SystemExit, match="2"):
        command(lcz42, lcz42.with_name("out.h5"), weights)
    assert "at least the 64 pixels a side of the weights' window" in capsys.readouterr().err
    assert [lcz42] == list(lcz42.parent.iterdir())


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
