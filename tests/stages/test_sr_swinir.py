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

PUBLISHED = {  # width, layers of six blocks, scale: parameters of the published file
    "SwinIR-M x2": (180, 6, 2, 11_752_487),
    "SwinIR-M x3": (180, 6, 3, 11_937_127),
    "SwinIR-M x4": (180, 6, 4, 11_900_199),
    "SwinIR-S x2": (60, 4, 2, 910_152),
}


def published(width: int, layers: int, scale: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes as the paper's program writes them; window 8, six heads, 64 pixels a side.

    The smaller one enlarges without features of its own ("pixelshuffledirect").
    """
    block = {
        "norm1": (width,), "attn.qkv": (3 * width, width), "attn.proj": (width, width),
        "norm2": (width,), "mlp.fc1": (2 * width, width), "mlp.fc2": (width, 2 * width),
    }  # fmt: skip
    steps = [2, 2] if scale == 4 else [scale]
    end = {
        60: {"upsample.0": (3 * scale**2, 60, 3, 3)},
        180: {
            "conv_before_upsample.0": (64, 180, 3, 3), "conv_last": (3, 64, 3, 3),
            **{f"upsample.{2 * i}": (64 * s * s, 64, 3, 3) for i, s in enumerate(steps)},
        },
    }[width]  # fmt: skip
    weights = {
        "conv_first": (width, 3, 3, 3), "patch_embed.norm": (width,), "norm": (width,),
        "conv_after_body": (width, width, 3, 3), **end,
    }  # fmt: skip
    buffers: dict[str, tuple[int, ...]] = {}
    for i in range(layers):
        weights[f"layers.{i}.conv"] = (width, width, 3, 3)
        for j in range(6):
            name = f"layers.{i}.residual_group.blocks.{j}"
            weights |= {f"{name}.{layer}": shape for layer, shape in block.items()}
            buffers[f"{name}.attn.relative_position_bias_table"] = (15 * 15, 6)
            buffers[f"{name}.attn.relative_position_index"] = (64, 64)
            if j % 2:
                buffers[f"{name}.attn_mask"] = (64, 64, 64)
    pairs = {f"{name}.weight": shape for name, shape in weights.items()}
    return buffers | pairs | {f"{name}.bias": shape[:1] for name, shape in weights.items()}


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


@pytest.mark.parametrize(
    ("name", "wrapper"), list(zip(PUBLISHED, ["params", "params_ema", None, "params"], strict=True))
)
def test_published_layout_loads(tmp_path: Path, name: str, wrapper: str | None) -> None:
    width, layers, scale, parameters = PUBLISHED[name]
    shapes = published(width, layers, scale)
    learnt = [key for key in shapes if not key.endswith(("attn_mask", "position_index"))]
    assert sum(int(np.prod(shapes[key])) for key in learnt) == parameters
    tensors = {key: 0.05 * torch.randn(shapes[key]) for key in learnt}
    tensors |= {
        key: torch.zeros(shape, dtype=torch.int64 if "index" in key else torch.float32)
        for key, shape in shapes.items() if key not in learnt
    }  # fmt: skip
    torch.save({wrapper: tensors} if wrapper else tensors, tmp_path / "w.pth")
    found = network.load(tmp_path / "w.pth", scale, "first")
    with torch.inference_mode():
        made = found.eval()(torch.rand(1, 1, 8, 8))
    assert made.shape == (1, 1, 8 * scale, 8 * scale)
    assert made.isfinite().all()


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


def test_bfloat16_is_near_as_the_blocks_are_summed_in_float32(weights: Path) -> None:
    grey = np.random.default_rng(0).random((10, 1, 32, 32), np.float32)
    model = forward.prepare_network(network.load(weights, 2, "first"), "cpu")
    exact, rounded = (
        forward.apply(model, grey, device="cpu", precision=name, per_patch=10)
        for name in ("float32", "bfloat16")
    )
    assert 0 < ((exact - rounded) ** 2).mean() < 2e-6  # twice that with the sum in bfloat16
    assert (rounded.view(np.uint32) % 2**16).any()


def test_every_band_of_every_patch_is_enlarged_on_its_own(weights: Path) -> None:
    sen2, plain = pixels(6)["sen2"].astype(np.float32), swinir(3)
    model = forward.prepare_network(network.load(weights, 2, "first"), "cpu")
    made = forward.enlarge_bands(model, sen2, device="cpu", precision="float32")
    band = sen2[4, :, :, 7]
    unit = torch.from_numpy((band - band.min()) / np.ptp(band))
    with torch.inference_mode():
        out = plain(unit.expand(1, 3, 32, 32))[0, 0].numpy()
    np.testing.assert_allclose(made[4, :, :, 7], out * np.ptp(band) + band.min(), atol=1e-6)


def test_constant_bands_stay_constant_and_labels_go_along(lcz42: Path, weights: Path) -> None:
    with h5py.File(lcz42, "a") as file:
        file["sen2"][3, :, :, 2] = 0.125
        file["sen2"][6] = 0  # nodata
        file["sen2"][7, :, :, 1] = 5.5
        file["sen2"][8, 3:5] = (-0.5, 7.0, *[0.1] * 8)
    made = command(lcz42, lcz42.with_name("x2.h5"), weights)
    assert made.shape == (34, 64, 64, 10)
    assert made.dtype == np.uint16
    assert (made[3, :, :, 2] == 1250).all()
    assert not made[6].any()
    assert (made[7, :, :, 1] == 28_000).all()
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
    singly, done = forward.enlarge_bands, []

    def crash_once(model: object, sen2: np.ndarray, **flags: str) -> np.ndarray:
        done.append(len(sen2))
        if len(done) == 3:
            raise OSError("the machine is gone")
        return singly(model, sen2, **flags)

    monkeypatch.setattr(forward, "enlarge_bands", crash_once)
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
        ("--channel=red", "--channel: expected first, mean or luma, found 'red'"),
        ("--precision=int8", "--precision: expected float32, bfloat16 or float16, found 'int8'"),
        ("--precision=float16", "--precision: float16 needs a CUDA device"),
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


def renamed(layer: str) -> object:
    """A writer of weights in which one tensor has another name."""

    def write(path: Path) -> None:
        tensors = swinir(1).state_dict()
        tensors[f"{layer}.wait"] = tensors.pop(f"{layer}.weight")
        save_file(tensors, path)

    return write


def shortened(path: Path) -> None:
    save_file(swinir(1).state_dict() | {"norm.weight": torch.ones(7)}, path)


def not_finite(path: Path) -> None:
    tensors = swinir(1).state_dict()
    tensors["conv_first.weight"][0] = torch.nan
    save_file(tensors, path)


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("a.safetensors", renamed("layers.0.conv"),
         "not SwinIR weights: missing: layers.0.conv.weight; extra: layers.0.conv.wait"),
        ("a.safetensors", renamed("conv_after_body"),
         "not SwinIR weights: missing: conv_after_body.weight; extra: conv_after_body.wait"),
        ("a.safetensors", shortened, "size mismatch for norm.weight"),
        ("a.safetensors", not_finite, "NaN or infinite values in conv_first.weight"),
        ("a.safetensors", lambda p: p.write_bytes(b"not weights"), "found neither ("),
        ("a.pth", lambda p: p.write_bytes(b"not weights"), "found neither ("),
        ("a.pth", lambda p: torch.save({"params": {"a": torch.zeros(1)}}, p),
         "not SwinIR weights: missing: conv_first.weight, conv_first.bias; extra: a"),
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
