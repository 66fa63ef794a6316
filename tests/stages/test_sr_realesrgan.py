"""sr_realesrgan: published layouts load, as the package computes, rows, shards, crash, refusals."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from shared import cli, patches
from shared.sr import bands, forward
from stages.sr_realesrgan import main as stage
from stages.sr_realesrgan import network
from tests.conftest import pixels, write_raw

PUBLISHED = {"RealESRGAN_x4plus": (4, 16_697_987), "RealESRGAN_x2plus": (2, 16_703_171)}
LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


def published_layout(scale: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes in the published files: 23 blocks, 64 wide, growing by 32."""
    shapes = {"conv_first.weight": (64, 3 if scale == 4 else 12, 3, 3), "conv_first.bias": (64,)}
    for i in range(23):
        for j in (1, 2, 3):
            for k in (1, 2, 3, 4, 5):
                name, out = f"body.{i}.rdb{j}.conv{k}", 64 if k == 5 else 32
                shapes[f"{name}.weight"] = (out, 64 + 32 * (k - 1), 3, 3)
                shapes[f"{name}.bias"] = (out,)
    for name in ("conv_body", "conv_up1", "conv_up2", "conv_hr"):
        shapes |= {f"{name}.weight": (64, 64, 3, 3), f"{name}.bias": (64,)}
    return shapes | {"conv_last.weight": (3, 64, 3, 3), "conv_last.bias": (3,)}


def rrdb(channels: int, scale: int = 4) -> network.RRDBNet:
    """A small random network whose outputs fill 0 … 1 about as a trained one's."""
    torch.manual_seed(1)
    made = network.RRDBNet(channels, channels, scale, num_feat=8, num_block=2, num_grow_ch=4).eval()
    with torch.no_grad():
        made.conv_last.weight *= 5
        made.conv_last.bias += 0.4
    return made


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A small ×4 network of three channels, as the package saves one."""
    (tmp_path / "weights").mkdir()
    path = tmp_path / "weights" / "x4.pth"
    torch.save({"params_ema": rrdb(3).state_dict()}, path)
    return path


@pytest.fixture
def double(weights: Path) -> Path:
    """A ×2 network of one channel, as sr-train would save one; quicker to run."""
    path = weights.with_name("x2.safetensors")
    save_file(rrdb(1, 2).state_dict(), path)
    return path


def command(src: Path, dst: Path, weights: Path, *flags: str) -> np.ndarray:
    """Run the stage as its container does; the stored sen2."""
    flags = (f"--src={src}", f"--dst={dst}", f"--weights={weights}", "--device=cpu", *flags)
    cli.main(stage.run, list(flags))
    with h5py.File(dst) as file:
        return np.asarray(file["sen2"])


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_layout_loads(tmp_path: Path, name: str) -> None:
    scale, parameters = PUBLISHED[name]
    generator = torch.Generator().manual_seed(1)
    tensors = {
        key: torch.randn(shape, generator=generator) * 0.01
        for key, shape in published_layout(scale).items()
    }
    assert sum(tensor.numel() for tensor in tensors.values()) == parameters
    torch.save({"params_ema": tensors}, tmp_path / "w.pth")
    found = network.load(tmp_path / "w.pth", scale, "luma")
    with torch.inference_mode():
        made = found(torch.rand(1, 1, 8, 8))
    assert made.shape == (1, 1, 8 * scale, 8 * scale)


@pytest.mark.parametrize("channel", ["first", "mean", "luma"])
@pytest.mark.parametrize("scale", [4, 2])
def test_folded_is_the_same_network(tmp_path: Path, scale: int, channel: str) -> None:
    torch.save({"params": rrdb(3, scale).state_dict()}, tmp_path / "w.pth")
    grey = torch.rand(2, 1, 12, 10)
    with torch.inference_mode():
        out = rrdb(3, scale)(grey.expand(-1, 3, -1, -1))
        found = network.load(tmp_path / "w.pth", scale, channel)(grey)
    mix = {"first": [1, 0, 0], "mean": [1 / 3] * 3, "luma": LUMA.tolist()}[channel]
    expected = torch.einsum("mkhw,k->mhw", out, torch.tensor(mix, dtype=torch.float32))[:, None]
    assert (out[:, 0] - out[:, 1]).abs().max() > 0.01  # the choice of a channel is one
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_one_channel_of_sr_train_is_used_as_it_is(tmp_path: Path) -> None:
    save_file(rrdb(1).state_dict(), tmp_path / "w.safetensors")
    grey = torch.rand(2, 1, 9, 7)
    with torch.inference_mode():
        found = network.load(tmp_path / "w.safetensors", 4, "luma")(grey)
        torch.testing.assert_close(found, rrdb(1)(grey), atol=1e-6, rtol=0)


@pytest.mark.parametrize(("scale", "side"), [(4, 16), (2, 16), (2, 15)])
def test_the_package_computes_the_same(tmp_path: Path, scale: int, side: int) -> None:
    """RealESRGANer on one band as a 16-bit grey image; 65535 is the most in it, so 1 in [0, 1]."""
    from realesrgan import RealESRGANer

    torch.save({"params_ema": rrdb(3, scale).state_dict()}, tmp_path / "w.pth")
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 65536, (side, side)).astype(np.uint16)
    grey[0, 0], grey[1, 1] = 0, 65535
    theirs = RealESRGANer(
        scale, str(tmp_path / "w.pth"), model=rrdb(3, scale), pre_pad=0, device="cpu"
    ).enhance(grey)[0]
    ours = network.load(tmp_path / "w.pth", scale, "luma")
    with torch.inference_mode():
        made = ours(torch.from_numpy(grey / np.float32(65535))[None, None])[0, 0]
    assert 0 < made.min() < made.max() < 1  # RealESRGANer cuts there
    np.testing.assert_allclose(made.numpy(), theirs / 65535, atol=2e-5)


def test_every_band_of_every_patch_is_enlarged_on_its_own(weights: Path) -> None:
    sen2, plain = pixels(6)["sen2"].astype(np.float32), rrdb(3)
    folded = forward.prepare_network(network.load(weights, 4, "luma"), "cpu")
    made = forward.enlarge_bands(folded, sen2, device="cpu", precision="float32")
    band = sen2[4, :, :, 7]
    unit = torch.from_numpy((band - band.min()) / np.ptp(band))
    with torch.inference_mode():
        out = plain(unit.expand(1, 3, 32, 32))[0].numpy()
    expected = np.einsum("khw,k->hw", out, LUMA) * np.ptp(band) + band.min()
    np.testing.assert_allclose(made[4, :, :, 7], expected, atol=1e-6)


def test_matching_gives_mean_and_deviation_back(weights: Path) -> None:
    sen2 = pixels(4)["sen2"].astype(np.float32)
    sen2[2, :, :, 3] = 0.3
    folded = forward.prepare_network(network.load(weights, 4, "luma"), "cpu")
    enlarge = stage.match_output(
        lambda sen2: forward.enlarge_bands(folded, sen2, device="cpu", precision="float32")
    )
    boxes = enlarge(sen2).reshape(4, 32, 4, 32, 4, 10).mean((2, 4))
    np.testing.assert_allclose(boxes.mean((1, 2)), sen2.mean((1, 2)), atol=1e-6)
    np.testing.assert_allclose(boxes.std((1, 2)), sen2.std((1, 2)), atol=1e-6)


def test_bfloat16_is_close(weights: Path) -> None:
    sen2 = pixels(3)["sen2"].astype(np.float32)
    folded = forward.prepare_network(network.load(weights, 4, "luma"), "cpu")
    exact = forward.enlarge_bands(folded, sen2, device="cpu", precision="float32")
    rounded = forward.enlarge_bands(folded, sen2, device="cpu", precision="bfloat16")
    error = bands.match_statistics(rounded, sen2) - bands.match_statistics(exact, sen2)
    assert 0 < np.abs(error).max() < 0.01


@pytest.mark.parametrize("match", [True, False])
def test_constant_bands_stay_constant_and_labels_go_along(
    lcz42: Path, weights: Path, match: bool
) -> None:
    with h5py.File(lcz42, "a") as file:
        file["sen2"][3, :, :, 2] = 0.125
        file["sen2"][6] = 0  # nodata
        file["sen2"][7, :, :, 1] = 5.5
        file["sen2"][8, 3:5] = (-0.5, 7.0, *[0.1] * 8)
    made = command(lcz42, lcz42.with_name("x4.h5"), weights, f"--match={match}")
    assert made.shape == (34, 128, 128, 10)
    assert made.dtype == np.uint16
    assert (made[3, :, :, 2] == 1250).all()
    assert not made[6].any()
    assert (made[7, :, :, 1] == 28_000).all()
    with patches.read(lcz42.with_name("x4.h5"), "sen2", "label") as source:
        assert source.labels().tolist() == [i % 17 for i in range(34)]
        assert 0 <= source["sen2"][:].min() <= source["sen2"][:].max() <= np.float32(2.8)


@pytest.mark.parametrize("batch", [1, 7])
def test_batch_does_not_change_the_product(prepared: Path, double: Path, batch: int) -> None:
    whole = command(prepared, prepared.with_name("a.h5"), double, "--scale=2")
    flags = ("--scale=2", f"--batch={batch}")
    other = command(prepared, prepared.with_name("b.h5"), double, *flags)
    np.testing.assert_array_equal(other, whole)


def test_shards_joined_are_the_whole(prepared: Path, weights: Path) -> None:
    whole = command(prepared, prepared.with_name("whole.h5"), weights)
    parts = [
        command(prepared, prepared.with_name(f"{i}.h5"), weights, f"--shard={i}/3")
        for i in (1, 2, 3)
    ]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_goes_on_after_a_crash(
    prepared: Path, double: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = command(prepared, prepared.with_name("whole.h5"), double, "--scale=2")
    enlarge, done = forward.enlarge_bands, list[int]()

    def crash_once(*args: Any, **flags: Any) -> np.ndarray:
        done.append(len(args[1]))
        if len(done) == 3:
            raise OSError("the machine is gone")
        return enlarge(*args, **flags)

    monkeypatch.setattr(forward, "enlarge_bands", crash_once)
    out, flags = prepared.with_name("out.h5"), ("--scale=2", "--batch=10")
    with pytest.raises(SystemExit, match="1"):
        command(prepared, out, double, *flags)
    assert not out.exists()
    np.testing.assert_array_equal(command(prepared, out, double, *flags), whole)
    assert done[:3] == [10, 10, 10]
    assert sum(done[3:]) in (14, 24)  # what was on disk when it crashed was computed once


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--scale=2", "expected weights of --scale 2, found scale 4"),
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
    lcz42: Path, weights: Path, capsys: pytest.CaptureFixture[str], flag: str, message: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        command(lcz42, lcz42.with_name("out.h5"), weights, flag)
    assert message in capsys.readouterr().err
    assert [lcz42] == list(lcz42.parent.iterdir())


def changed(name: str, to: str | float) -> object:
    """A writer of weights in which one tensor has another name or a value that is none."""

    def write(path: Path) -> None:
        tensors = rrdb(1).state_dict()
        if isinstance(to, str):
            tensors[to] = tensors.pop(name)
        else:
            tensors[name].view(-1)[0] = to
        save_file(tensors, path)

    return write


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("a.safetensors", changed("conv_up2.bias", "conv_up3.bias"),
         "not Real-ESRGAN weights: missing: conv_up2.bias; extra: conv_up3.bias"),
        ("a.safetensors", changed("conv_first.weight", "conv_1st.weight"),
         "not Real-ESRGAN weights: missing: conv_first.weight; found: "),
        ("a.safetensors", changed("body.1.rdb3.conv5.bias", float("nan")),
         "NaN or infinite values in body.1.rdb3.conv5.bias"),
        ("a.safetensors", lambda p: save_file({n: torch.zeros(0) for n in network.TELLING}, p),
         "not Real-ESRGAN weights: missing: conv_first.weight"),
        ("a.safetensors", lambda p: p.write_bytes(b"not weights"), "found neither ("),
        ("a.pth", lambda p: torch.save({"params": {"a": torch.zeros(1)}}, p), "found: a"),
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
        arrays["sen2"] = arrays["sen2"][..., :9] if fault == "bands" else arrays["sen2"][:, :1]
    (tmp_path / "raw").mkdir()
    src = write_raw(tmp_path / "raw" / "training.h5", arrays)
    with pytest.raises(SystemExit, match="2"):
        command(src, src.with_name("out.h5"), weights)
    message = {
        "nan": "sen2: NaN or infinite values in rows 33",
        "bands": "sen2: expected (N, H, W, 10), found (34, 32, 32, 9)",
        "name": "expected dataset 'sen2', found",
        "small": "expected at least 2 pixels a side, found 1 x 32",
    }[fault]
    assert message in capsys.readouterr().err
    assert [src] == list(src.parent.iterdir())


@pytest.mark.gpu
@pytest.mark.parametrize(("precision", "within"), [("float32", 1e-5), ("float16", 0.01)])
def test_a_gpu_computes_the_same(weights: Path, precision: str, within: float) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    sen2 = pixels(5)["sen2"].astype(np.float32)
    made = [
        forward.enlarge_bands(
            forward.prepare_network(
                network.load(weights, 4, "luma"), forward.prepare_device(where, kind)
            ), sen2,
            device=where, precision=kind,
        )
        for where, kind in (("cpu", "float32"), ("cuda", precision))
    ]  # fmt: skip
    np.testing.assert_allclose(made[0], made[1], atol=within)
