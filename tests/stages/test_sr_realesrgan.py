"""sr_realesrgan: the suite of all super-resolution stages, published layouts, the package."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from shared.sr import forward
from stages.sr_realesrgan import network
from tests.conftest import pixels
from tests.stages import sr_suite

PUBLISHED: dict[str, sr_suite.Published] = {
    "RealESRGAN_x4plus": ("params_ema", 4, 16_697_987),
    "RealESRGAN_x2plus": ("params_ema", 2, 16_703_171),
}


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


class TestRealesrgan(sr_suite.Matching):
    """A small ×4 network of three channels."""

    method = "realesrgan"
    title = "Real-ESRGAN"
    tensor = "conv_up2.bias"
    load = staticmethod(network.load)
    scale = 4
    bfloat16_steps = 100

    published = PUBLISHED

    def network(self, channels: int) -> torch.nn.Module:
        """Eight features, two blocks, by the package."""
        return rrdb(channels)

    def published_tensors(self, name: str) -> sr_suite.Tensors:
        """So small that 23 blocks stay finite."""
        shapes = published_layout(PUBLISHED[name][1])
        return {key: torch.randn(shape) * 0.01 for key, shape in shapes.items()}

    def plain(self) -> Iterator[sr_suite.Plain]:
        """Both scales."""
        for scale in (4, 2):
            made = rrdb(3, scale)
            yield (made, made.state_dict(), scale, (12, 10))

    def misfits(self) -> dict[str, sr_suite.Tensors]:
        """A name, or nothing in the tensors that tell the sizes."""
        tensors = rrdb(1).state_dict()
        tensors["conv_1st.weight"] = tensors.pop("conv_first.weight")
        empty = {name: torch.zeros(0, 0, 3, 3) for name in network.TELLING}
        message = "not Real-ESRGAN weights: missing: conv_first.weight"
        return {f"{message}; found: body": tensors, f"{message}, ": empty}

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

    @pytest.mark.gpu
    @pytest.mark.parametrize(("precision", "within"), [("float32", 1e-5), ("float16", 0.01)])
    def test_a_gpu_computes_the_same(self, weights: Path, precision: str, within: float) -> None:
        if not torch.cuda.is_available():
            pytest.skip("no CUDA device")
        sen2 = pixels(5)["sen2"].astype(np.float32)
        made = []
        for where, kind in (("cpu", "float32"), ("cuda", precision)):
            place = forward.prepare_device(where, kind)
            model = forward.prepare_network(network.load(weights, 4, "luma"), place)
            made.append(forward.enlarge_bands(model, sen2, device=where, precision=kind))
        np.testing.assert_allclose(made[0], made[1], atol=within)
