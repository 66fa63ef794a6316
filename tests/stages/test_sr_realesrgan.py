"""sr_realesrgan: the suite of all super-resolution stages, published layouts, the package."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from shared.sr import forward
from stages.sr_realesrgan import main as stage
from stages.sr_realesrgan import network
from tests.conftest import pixels
from tests.stages import sr_suite
from tests.stages.sr_suite import few, stored

__all__ = ["few", "stored"]

PUBLISHED = {"RealESRGAN_x4plus": (4, 16_697_987), "RealESRGAN_x2plus": (2, 16_703_171)}
LUMA = torch.tensor([0.299, 0.587, 0.114])  # ITU-R BT.601


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
    loaded = network.load(tmp_path / "w.pth", scale, "luma")
    with torch.inference_mode():
        made = loaded(torch.rand(1, 1, 8, 8))
    assert made.shape == (1, 1, 8 * scale, 8 * scale)


@pytest.mark.parametrize("channel", ["first", "mean", "luma"])
@pytest.mark.parametrize("scale", [4, 2])
def test_folded_is_the_same_network(tmp_path: Path, scale: int, channel: str) -> None:
    torch.save({"params": rrdb(3, scale).state_dict()}, tmp_path / "w.pth")
    grey = torch.rand(2, 1, 12, 10)
    with torch.inference_mode():
        out = rrdb(3, scale)(grey.expand(-1, 3, -1, -1))
        enlarged = network.load(tmp_path / "w.pth", scale, channel)(grey)
    mix = {"first": [1, 0, 0], "mean": [1 / 3] * 3, "luma": LUMA.tolist()}[channel]
    expected = torch.einsum("mkhw,k->mhw", out, torch.tensor(mix, dtype=torch.float32))[:, None]
    assert (out[:, 0] - out[:, 1]).abs().max() > 0.01  # the choice of a channel is one
    torch.testing.assert_close(enlarged, expected, atol=1e-5, rtol=0)


def test_one_channel_of_sr_train_is_used_as_it_is(tmp_path: Path) -> None:
    save_file(rrdb(1).state_dict(), tmp_path / "w.safetensors")
    grey = torch.rand(2, 1, 9, 7)
    with torch.inference_mode():
        enlarged = network.load(tmp_path / "w.safetensors", 4, "luma")(grey)
        torch.testing.assert_close(enlarged, rrdb(1)(grey), atol=1e-6, rtol=0)


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


class TestRealesrgan(sr_suite.Suite):
    """A small ×4 network of three channels."""

    method = "realesrgan"
    title = "Real-ESRGAN"
    tensor = "conv_up2.bias"
    scale = 4
    bfloat16_steps = 100

    def tensors(self) -> sr_suite.Tensors:
        """Eight features, two blocks."""
        return rrdb(3).state_dict()

    def band(self, weights: Path, unit: torch.Tensor) -> torch.Tensor:
        """By the package's network, three equal channels in and the luma of those out."""
        return torch.einsum("khw,k->hw", rrdb(3)(unit.expand(1, 3, *unit.shape))[0], LUMA)

    @pytest.mark.parametrize("precision", ["float32", "bfloat16"])
    def test_twice_as_large_by_one_channel_whatever_the_batch(
        self, stored: Path, weights: Path, precision: str
    ) -> None:
        """A ×2 network of one channel, as sr-train saves it."""
        save_file(rrdb(1, 2).state_dict(), weights)
        flags = ("--scale=2", f"--precision={precision}")
        whole = self.command(stored, stored.with_name("a.h5"), weights, *flags)
        other = self.command(stored, stored.with_name("b.h5"), weights, *flags, "--batch=1")
        np.testing.assert_array_equal(other, whole)
        assert whole.shape == (7, 32, 24, 10)

    @pytest.mark.parametrize("change", ["renamed", "empty"])
    def test_names_what_does_not_fit(
        self, few: Path, weights: Path, capsys: pytest.CaptureFixture[str], change: str
    ) -> None:
        tensors = rrdb(1).state_dict()
        tensors["conv_1st.weight"] = tensors.pop("conv_first.weight")
        if change == "empty":
            tensors = {name: torch.zeros(0) for name in network.TELLING}
        save_file(tensors, weights)
        message = "not Real-ESRGAN weights: missing: conv_first.weight"
        assert message in self.refuse(few, weights, capsys)
