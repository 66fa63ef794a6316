"""sr_esrgan: which bands go together, whose result is kept, rows, shards, crash, refusals."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from shared import cli, lcz, patches
from shared.sr import forward, triplets
from shared.sr.networks import rrdb
from stages.sr_esrgan import main as stage
from tests.conftest import pixels


def network(channels: int, scale: int = 2) -> nn.Module:
    """A small random RRDBNet whose layers all matter."""
    torch.manual_seed(1)
    return rrdb.build(scale=scale, width=8, blocks=1, growth=8, channels=channels).eval()


def saved(folder: Path, channels: int) -> Path:
    folder.mkdir(exist_ok=True)
    save_file(network(channels).state_dict(), folder / f"{channels}.safetensors")
    return folder / f"{channels}.safetensors"


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Weights of three channels."""
    return saved(tmp_path / "weights", 3)


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


def numbered(count: int = 2) -> np.ndarray:
    """(count, 1, 1, 10): band c of patch n is 100 n + c."""
    patch, band = np.arange(count), np.arange(10)
    return (100 * patch[:, None, None, None] + band).astype(np.float32)


def test_triplets_are_those_of_the_reference() -> None:
    """Zero-based (2,1,0), (6,4,3), (8,9,7), (9,9,5)."""
    made = triplets.gather(numbered()).reshape(2, 4, 3)
    first = [[2, 1, 0], [6, 4, 3], [8, 9, 7], [9, 9, 5]]
    assert made[0].tolist() == first
    assert made[1].tolist() == [[100 + band for band in triplet] for triplet in first]


def test_scatter_is_the_inverse_of_gather_in_any_order_of_the_bands() -> None:
    images = np.random.default_rng(0).random((3, 4, 5, 10), dtype=np.float32)
    order = lcz.SEN2.bands[::-1]
    np.testing.assert_array_equal(triplets.scatter(triplets.gather(images)), images)
    np.testing.assert_array_equal(triplets.scatter(triplets.gather(images, order), order), images)
    swapped = triplets.gather(images[..., ::-1], order)
    np.testing.assert_array_equal(swapped, triplets.gather(images))


def test_first_write_of_a_band_wins() -> None:
    written = np.arange(12, dtype=np.float32).reshape(4, 3, 1, 1)  # B12 is in places 7, 9 and 10
    made = triplets.scatter(written)[0, 0, 0]
    assert dict(zip(lcz.SEN2.bands, made.tolist(), strict=True)) == {
        "B4": 0, "B3": 1, "B2": 2, "B8": 3, "B6": 4, "B5": 5,
        "B11": 6, "B12": 7, "B8A": 8, "B7": 11,
    }  # fmt: skip


class Marked(nn.Module):
    """Enlarges by repetition and adds the number of the channel: 0, 1 or 2."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(M, 3, h, w) to (M, 3, 2 h, 2 w)."""
        return x.repeat_interleave(2, 2).repeat_interleave(2, 3) + torch.arange(3.0).view(3, 1, 1)


def test_each_channel_has_its_own_range_and_place() -> None:
    sen2 = pixels(2)["sen2"].astype(np.float32)
    sen2[1, :, :, 5] = 0.25  # B7, constant
    made = forward.enlarge_triplets(
        Marked(), sen2, names=lcz.SEN2.bands, device="cpu", precision="float32"
    )
    place = np.array([2, 1, 0, 2, 1, 2, 0, 2, 0, 1])  # of each band in its triplet
    span = sen2.max((1, 2)) - sen2.min((1, 2))
    expected = sen2.repeat(2, 1).repeat(2, 2) + (place * span)[:, None, None]
    np.testing.assert_allclose(made, expected, atol=1e-6)
    assert (made[1, :, :, 5] == 0.25).all()


def test_three_bands_go_through_the_network_together(few: Path, weights: Path) -> None:
    stored = command(few, few.with_name("x2.h5"), weights)
    with h5py.File(few) as file:
        bands = file["sen2"][4].astype(np.float32).transpose(2, 0, 1)[[6, 4, 3]]
    low, span = bands.min((1, 2), keepdims=True), np.ptp(bands, (1, 2), keepdims=True)
    with torch.inference_mode():
        made = network(3)(torch.from_numpy((bands - low) / span)[None])[0].numpy()
    expected = (made * span + low).clip(0, 2.8).transpose(1, 2, 0)
    np.testing.assert_allclose(stored[4][..., [6, 4, 3]] / 1e4, expected, atol=6e-5)


def test_weights_of_one_channel_take_single_bands(few: Path, tmp_path: Path) -> None:
    stored = command(few, few.with_name("x2.h5"), saved(tmp_path / "weights", 1))
    with h5py.File(few) as file:
        band = file["sen2"][4, :, :, 7].astype(np.float32)
    unit = torch.from_numpy((band - band.min()) / np.ptp(band))
    with torch.inference_mode():
        made = network(1)(unit[None, None])[0, 0].numpy() * np.ptp(band) + band.min()
    np.testing.assert_allclose(stored[4, :, :, 7] / 1e4, made.clip(0, 2.8), atol=6e-5)


def test_constant_bands_stay_constant_and_labels_go_along(few: Path, weights: Path) -> None:
    with h5py.File(few, "a") as file:
        file["sen2"][3, :, :, 2] = 0.125
        file["sen2"][4] = 0  # nodata
        file["sen2"][5, :, :, 1] = 5.5
        file["sen2"][6, 3:5] = (-0.5, 7.0, *[0.1] * 8)
    made = command(few, few.with_name("x2.h5"), weights)
    assert made.shape == (7, 24, 20, 10)
    assert made.dtype == np.uint16
    assert (made[3, :, :, 2] == 1250).all()
    assert not made[4].any()
    assert (made[5, :, :, 1] == 28_000).all()
    with patches.read(few.with_name("x2.h5"), "sen2", "label") as source:
        assert source.labels().tolist() == list(range(7))
        assert 0 <= source["sen2"][:].min() <= source["sen2"][:].max() <= np.float32(2.8)


@pytest.mark.parametrize("n", [2, 9])  # 9 shards of 7 rows: some are empty
@pytest.mark.parametrize("channels", [1, 3])
def test_shards_joined_are_the_whole_whatever_the_batch(
    few: Path, tmp_path: Path, n: int, channels: int
) -> None:
    weights = saved(tmp_path / "weights", channels)
    whole = command(few, few.with_name("whole.h5"), weights)
    parts = [
        command(few, few.with_name(f"{i}.h5"), weights, f"--shard={i}/{n}", f"--batch={n}")
        for i in range(1, n + 1)
    ]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_goes_on_after_a_crash(few: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = command(few, few.with_name("whole.h5"), weights)
    call, done = forward.apply, []

    def crash_once(network: nn.Module, images: np.ndarray, **flags: object) -> np.ndarray:
        done.append(len(images) // 4)
        if len(done) == 3:
            raise OSError("the machine is gone")
        return call(network, images, **flags)  # type: ignore[arg-type]

    monkeypatch.setattr(forward, "apply", crash_once)
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
        ("--precision=int8", "--precision: expected float32, bfloat16 or float16, found 'int8'"),
        ("--precision=float16", "--precision: float16 needs a CUDA device"),
        ("--batch=0", "--batch: expected at least 1, found 0"),
        ("--shard=3/2", "--shard: expected 1 to n"),
        ("--channel=luma", "--channel"),
    ],
)
def test_refuses(
    few: Path, weights: Path, capsys: pytest.CaptureFixture[str], flag: str, message: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        command(few, few.with_name("out.h5"), weights, flag)
    assert message in capsys.readouterr().err
    assert [few] == list(few.parent.iterdir())


def other_bands(src: Path, _: Path) -> None:
    names = ["B1", *lcz.SEN2.bands[1:]]
    with h5py.File(src, "a") as file:
        file["sen2"].attrs["bands"] = names


def two_channels(_: Path, weights: Path) -> None:
    save_file(network(2).state_dict(), weights)


def renamed(_: Path, weights: Path) -> None:
    tensors = network(3).state_dict()
    tensors["model.1.sub.0.RDB2.conv3.0.wait"] = tensors.pop("model.1.sub.0.RDB2.conv3.0.weight")
    save_file(tensors, weights)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (other_bands, "training.h5: sen2: expected the bands B11, B12, B2"),
        (two_channels, "3.safetensors: expected weights of 1 or 3 channels, found 2"),
        (renamed, "missing: model.1.sub.0.RDB2.conv3.0.weight; extra: model.1.sub.0.RDB2.conv3.0"),
    ],
)
def test_refuses_files(
    few: Path, weights: Path, capsys: pytest.CaptureFixture[str], change: object, message: str
) -> None:
    change(few, weights)  # type: ignore[operator]
    with pytest.raises(SystemExit, match="2"):
        command(few, few.with_name("out.h5"), weights)
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert [few] == list(few.parent.iterdir())


def test_other_bands_are_enlarged_singly_with_weights_of_one_channel(
    few: Path, tmp_path: Path
) -> None:
    other_bands(few, few)
    command(few, few.with_name("x2.h5"), saved(tmp_path / "weights", 1))
    with patches.read(few.with_name("x2.h5"), "sen2") as source:
        layout = source["sen2"].layout
        assert layout is not None
        assert layout.bands[:2] == ("B1", "B3")
