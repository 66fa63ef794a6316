"""sr_vdsr: every band on its own, rows, shards, going on after a crash, refusals."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from shared import cli, patches
from shared.sr import forward
from shared.sr.networks import vdsr
from stages.sr_vdsr import main as stage
from tests.conftest import pixels, write_raw


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A small network of one channel, as sr-train saves it."""
    (tmp_path / "weights").mkdir()
    torch.manual_seed(1)
    path = tmp_path / "weights" / "x2.safetensors"
    save_file(vdsr.VDSR(8, 3, 2).state_dict(), path)
    return path


def command(src: Path, dst: Path, weights: Path, *flags: str) -> np.ndarray:
    """Run the stage as its container does; the stored sen2."""
    flags = (f"--src={src}", f"--dst={dst}", f"--weights={weights}", "--device=cpu", *flags)
    cli.main(stage.run, list(flags))
    with h5py.File(dst) as file:
        return np.asarray(file["sen2"])


def test_every_band_of_every_patch_is_enlarged_on_its_own(prepared: Path, weights: Path) -> None:
    made = command(prepared, prepared.with_name("x2.h5"), weights)
    band = pixels(34)["sen2"][4, :, :, 7].astype(np.float32)
    unit = (band - band.min()) / np.ptp(band)
    with torch.inference_mode():
        large = vdsr.load(weights, 2, "first")(torch.from_numpy(unit)[None, None])[0, 0].numpy()
    expected = (large * np.ptp(band) + band.min()).clip(0, 2.8)
    np.testing.assert_allclose(made[4, :, :, 7] / 1e4, expected, atol=5.1e-5)


def test_constant_bands_stay_constant_and_labels_go_along(lcz42: Path, weights: Path) -> None:
    with h5py.File(lcz42, "a") as file:
        file["sen2"][3, :, :, 2] = 0.125
        file["sen2"][5, :, :, 0] = 0
        file["sen2"][6] = 0  # nodata
        file["sen2"][7, :, :, 1] = 5.5
        file["sen2"][8, 3:5] = (-0.5, 7.0, *[0.1] * 8)
    made = command(lcz42, lcz42.with_name("x2.h5"), weights)
    assert made.shape == (34, 64, 64, 10)
    assert made.dtype == np.uint16
    assert (made[3, :, :, 2] == 1250).all()
    assert not made[5, :, :, 0].any()
    assert not made[6].any()
    assert (made[7, :, :, 1] == 28_000).all()
    with patches.read(lcz42.with_name("x2.h5"), "sen2", "label") as source:
        assert source.labels().tolist() == [i % 17 for i in range(34)]
        assert 0 <= source["sen2"][:].min() <= source["sen2"][:].max() <= np.float32(2.8)


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


def test_bfloat16_is_close(prepared: Path, weights: Path) -> None:
    exact = command(prepared, prepared.with_name("a.h5"), weights).astype(int)
    rounded = command(prepared, prepared.with_name("b.h5"), weights, "--precision=bfloat16")
    assert 0 < np.abs(rounded - exact).max() < 10  # steps of 0.0001; a band spans about 200


def test_goes_on_after_a_crash(
    prepared: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = command(prepared, prepared.with_name("whole.h5"), weights)
    singly, done = forward.enlarge_bands, []

    def crash_once(*args: object, **flags: object) -> np.ndarray:
        done.append(len(args[1]))  # type: ignore[arg-type]
        if len(done) == 3:
            raise OSError("the machine is gone")
        return singly(*args, **flags)  # type: ignore[arg-type]

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
        ("--scale=5", "--scale: expected 2 to 4, found 5"),
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


@pytest.mark.parametrize("fault", ["renamed", "cut"])
def test_refuses_weights(
    lcz42: Path, weights: Path, capsys: pytest.CaptureFixture[str], fault: str
) -> None:
    if fault == "cut":
        weights.write_bytes(weights.read_bytes()[:-1])
    else:
        tensors = vdsr.VDSR(8, 3, 2).state_dict()
        tensors["residual_layer.1.conv.wait"] = tensors.pop("residual_layer.1.conv.weight")
        save_file(tensors, weights)
    with pytest.raises(SystemExit, match="2"):
        command(lcz42, lcz42.with_name("out.h5"), weights)
    said = capsys.readouterr().err
    messages = {
        "renamed": "missing: residual_layer.1.conv.weight; extra: residual_layer.1.conv.wait",
        "cut": "expected weights (.safetensors, or .pth with nothing but tensors), found neither (",
    }
    assert messages[fault] in said
    assert str(weights) in said
    assert said.count("\n") == 1
    assert [lcz42] == list(lcz42.parent.iterdir())


@pytest.mark.data
def test_real_patches_come_back_when_averaged(real: Path, weights: Path, tmp_path: Path) -> None:
    """A network that adds nothing enlarges real patches without changing their means."""
    sen2 = np.load(real / "sentinel2" / "l2a_patches.npy")[:8, 16:48, 16:48] / 1e4
    src = write_raw(tmp_path / "real.h5", {"sen2": sen2, "label": np.eye(17)[:8]})
    save_file({name: 0 * value for name, value in vdsr.VDSR(8, 3, 2).state_dict().items()}, weights)
    made = command(src, tmp_path / "x2.h5", weights) / 1e4
    boxes = made.reshape(8, 32, 2, 32, 2, 10).mean((2, 4))
    error = np.sqrt(np.mean((boxes - sen2)[:, 2:-2, 2:-2] ** 2))
    assert error < 0.1 * sen2.std()
