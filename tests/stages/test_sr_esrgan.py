"""sr_esrgan: the suite of all super-resolution stages, which bands go together."""

from pathlib import Path

import h5py
import numpy as np
import torch
from torch import nn

from shared import lcz, patches
from shared.sr import forward, triplets
from shared.sr.networks import rrdb
from tests.conftest import pixels
from tests.stages import sr_suite


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


def rename_a_band(src: Path) -> None:
    """Bands that are not those of the triplets."""
    with h5py.File(src, "a") as file:
        file["sen2"].attrs["bands"] = ["B1", *lcz.SEN2.bands[1:]]


class Esrgan(sr_suite.Suite):
    """What weights of one and of three channels have in common."""

    method = "esrgan"
    title = "RRDBNet"
    tensor = "model.1.sub.0.RDB2.conv3.0.weight"
    load = staticmethod(rrdb.load)

    def network(self, channels: int) -> nn.Module:
        """Eight features, one block, by spandrel."""
        torch.manual_seed(1)
        return rrdb.build(scale=2, width=8, blocks=1, growth=8, channels=channels).eval()


class TestEsrganOfOneChannel(Esrgan):
    """Weights of one channel take single bands."""

    def test_other_bands_are_enlarged_too(self, few: Path, weights: Path) -> None:
        rename_a_band(few)
        self.command(few, few.with_name("x2.h5"), weights)
        with patches.read(few.with_name("x2.h5"), "sen2") as source:
            layout = source["sen2"].layout
            assert layout is not None
            assert layout.bands[:2] == ("B1", "B3")


class TestEsrgan(Esrgan):
    """Weights of three channels take three bands together."""

    channels = 3

    def misfits(self) -> dict[str, sr_suite.Tensors]:
        """Neither a band nor three."""
        message = "small.safetensors: expected weights of 1 or 3 channels, found 2"
        return {message: self.network(2).state_dict()}

    def test_every_band_is_enlarged_on_its_own(self, few: Path, weights: Path) -> None:
        """Not here: three bands go through the network together, each in its own range."""
        values = self.command(few, few.with_name("x2.h5"), weights)
        with h5py.File(few) as file:
            bands = file["sen2"][4].astype(np.float32).transpose(2, 0, 1)[[6, 4, 3]]
        low, span = bands.min((1, 2), keepdims=True), np.ptp(bands, (1, 2), keepdims=True)
        with torch.inference_mode():
            large = self.network(3)(torch.from_numpy((bands - low) / span)[None])[0].numpy()
        expected = (large * span + low).clip(0, 2.8).transpose(1, 2, 0)
        np.testing.assert_allclose(values[4][..., [6, 4, 3]] / 1e4, expected, atol=6e-5)

    def test_refuses_other_bands(self, few: Path, weights: Path, capsys: sr_suite.Capture) -> None:
        rename_a_band(few)
        message = "training.h5: sen2: expected the bands B11, B12, B2"
        assert message in self.refuse(few, weights, capsys)
