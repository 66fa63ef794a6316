"""sr_degrade: what the sensor's blur does, rows, shards, crash, refusals."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from shared import cli, patches
from shared.sr import wald
from stages.sr_degrade import main as stage
from tests.conftest import pixels, write_patches, write_raw


def command(src: Path, dst: Path, *flags: str) -> np.ndarray:
    """Run the stage as its container does; the stored sen2."""
    cli.main(stage.run, [f"--src={src}", f"--dst={dst}", *flags])
    with h5py.File(dst) as file:
        return np.asarray(file["sen2"])


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("band", ["B5", "B11"])
def test_blur_has_the_gain_of_the_mtf_at_the_new_nyquist_frequency(scale: int, band: str) -> None:
    """A wave of two low pixels a period comes out with just the contrast the MTF says."""
    side = 24 * scale
    wave = np.cos(np.pi * (np.arange(side) + 0.5 - scale / 2) / scale)
    low = wald.blur_matrix(side, scale, wald.MTF[band]) @ wave
    np.testing.assert_allclose(np.abs(low[8:-8]), wald.MTF[band], atol=0.005)


def test_constant_patches_stay_and_ramps_keep_their_place() -> None:
    column = (np.arange(32) / 100).astype(np.float32)[:, None, None]
    ramp = np.broadcast_to(column, (1, 32, 32, 1))
    for scale in (2, 3, 4):
        low = wald.degrade(wald.crop(ramp, scale), ("B8",), scale)[0, :, :, 0]
        centre = (np.arange(32 // scale) * scale + (scale - 1) / 2) / 100
        np.testing.assert_allclose(low[3:-3, 0], centre[3:-3], atol=1e-4)
        flat = wald.degrade(np.full((1, 32, 32, 1), 0.3, np.float32), ("B8",), scale)
        np.testing.assert_allclose(flat, 0.3, atol=1e-6)


@pytest.mark.parametrize("scale", [2, 3])
def test_patches_that_are_not_square_are_blurred_along_both_sides(scale: int) -> None:
    """Pixel by pixel from the Gaussian itself, its weights normalised along each side."""
    sen2 = wald.crop(pixels(2)["sen2"][:1, :13, :20, 1:2].astype(np.float32), scale)
    assert sen2.shape == (1, 13 // scale * scale, 20 // scale * scale, 1)
    low = wald.degrade(sen2, ("B3",), scale)[0, :, :, 0]
    assert low.shape == (13 // scale, 20 // scale)
    sigma = scale * np.sqrt(-2 * np.log(wald.MTF["B3"])) / np.pi
    for row, column in np.ndindex(*low.shape):
        weights = np.ones(1)
        for place, side in zip((row, column), sen2.shape[1:3], strict=True):
            away = np.arange(side) - (place * scale + (scale - 1) / 2)
            along = np.exp(-(away**2) / (2 * sigma**2))
            weights = np.multiply.outer(weights, along / along.sum())
        assert low[row, column] == pytest.approx((weights[0] * sen2[0, :, :, 0]).sum(), abs=1e-6)


def test_product_of_patches_that_are_not_square(tmp_path: Path) -> None:
    arrays = {n: a[:, :21, :14] if n != "label" else a for n, a in pixels(3).items()}
    (tmp_path / "raw").mkdir()
    made = command(write_raw(tmp_path / "raw" / "a.h5", arrays), tmp_path / "low.h5", "--scale=3")
    assert made.shape == (3, 7, 4, 10)
    flat = arrays["sen2"].mean((1, 2))
    np.testing.assert_allclose(made.mean((1, 2)) / 1e4, flat, atol=5e-3)


@pytest.mark.parametrize(("scale", "side"), [(2, 16), (3, 10), (4, 8)])
def test_product(prepared: Path, scale: int, side: int) -> None:
    dst = prepared.with_name("low.h5")
    made = command(prepared, dst, f"--scale={scale}")
    assert made.shape == (34, side, side, 10)
    assert made.dtype == np.uint16
    sen2 = pixels(34)["sen2"].astype(np.float32)[:, : side * scale, : side * scale]
    with patches.read(dst, "sen2", "label") as source:
        assert source.labels().tolist() == [i % 17 for i in range(34)]
        layout = source["sen2"].layout
        assert layout is not None
        assert source.statistics("sen2")[0].shape == (10,)
        expected = wald.degrade(sen2, layout.bands, scale)
        np.testing.assert_allclose(source["sen2"][:], expected, atol=0.51e-4)


@pytest.mark.parametrize("n", [2, 40])  # 40 shards of 34 rows: some are empty
def test_shards_joined_are_the_whole(prepared: Path, n: int) -> None:
    whole = command(prepared, prepared.with_name("whole.h5"))
    parts = [
        command(prepared, prepared.with_name(f"{i}.h5"), f"--shard={i}/{n}")
        for i in range(1, n + 1)
    ]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_goes_on_after_a_crash(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = command(prepared, prepared.with_name("whole.h5"))
    degrade, done = wald.degrade, []

    def crash_once(sen2: np.ndarray, bands: tuple[str, ...], scale: int) -> np.ndarray:
        done.append(len(sen2))
        if len(done) == 3:
            raise OSError("the machine is gone")
        return degrade(sen2, bands, scale)

    monkeypatch.setattr(stage, "BATCH", 10)
    monkeypatch.setattr(wald, "degrade", crash_once)
    with pytest.raises(SystemExit, match="1"):
        command(prepared, prepared.with_name("out.h5"))
    assert not prepared.with_name("out.h5").exists()
    np.testing.assert_array_equal(command(prepared, prepared.with_name("out.h5")), whole)
    assert done == [10, 10, 10, 10, 4]  # 20 rows were computed once


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--scale=1", "--scale: expected 2 to 4, found 1"),
        ("--shard=3/2", "--shard: expected 1 to n"),
        ("--scal=2", "did you mean --scale"),
    ],
)
def test_refuses(lcz42: Path, capsys: pytest.CaptureFixture[str], flag: str, message: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        command(lcz42, lcz42.with_name("out.h5"), flag)
    assert message in capsys.readouterr().err
    assert [lcz42] == list(lcz42.parent.iterdir())


@pytest.mark.parametrize("fault", ["nan", "band", "small"])
def test_refuses_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str], fault: str) -> None:
    arrays = pixels(34)
    (tmp_path / "raw").mkdir()
    src = tmp_path / "raw" / "training.h5"
    if fault == "nan":
        arrays["sen2"][33, 3, 3, 3] = np.nan
    elif fault == "small":
        arrays["sen2"] = arrays["sen2"][:, :1]
    if fault == "band":
        write_patches(src, arrays)
        with h5py.File(src, "a") as file:
            names = [*file["sen2"].attrs["bands"]]
            file["sen2"].attrs["bands"] = ["X9", *names[1:]]
    else:
        write_raw(src, arrays)
    with pytest.raises(SystemExit, match="2"):
        command(src, src.with_name("out.h5"))
    message = {
        "nan": "sen2: NaN or infinite values in rows 33",
        "band": "sen2: no MTF known for ['X9'], only for ['B1',",
        "small": "expected at least 2 pixels a side, found 1 x 32",
    }[fault]
    assert message in capsys.readouterr().err
    assert [src] == list(src.parent.iterdir())
