"""sr_swinir: the suite of all super-resolution stages, published layouts, the fused network."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from spandrel.architectures.SwinIR import SwinIR

from shared.sr import forward
from stages.sr_swinir import attention, network
from tests.stages import sr_suite
from tests.stages.sr_suite import few, stored

__all__ = ["few", "stored"]

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
    loaded = network.load(tmp_path / "w.pth", scale, "first")
    with torch.inference_mode():
        made = loaded.eval()(torch.rand(1, 1, 8, 8))
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
        enlarged = network.load(weights, 2, channel).eval()(grey)
    expected = torch.einsum("mkhw,k->mhw", three, torch.tensor(MIX[channel]))[:, None]
    assert enlarged.shape == (3, 1, 2 * side, 2 * side)
    torch.testing.assert_close(enlarged, expected, atol=2e-6, rtol=0)


@pytest.mark.parametrize("size", [(16, 24), (40, 8)])
def test_shift_mask_is_that_of_the_published_network(size: tuple[int, int]) -> None:
    block = swinir(1).layers[0].residual_group.blocks[1]
    mask = attention.shift_mask(*size, block.window_size, block.shift_size)
    torch.testing.assert_close(mask, block.calculate_mask(size), atol=0, rtol=0)


def test_bfloat16_is_near_as_the_blocks_are_summed_in_float32(weights: Path) -> None:
    grey = np.random.default_rng(0).random((10, 1, 32, 32), np.float32)
    model = forward.prepare_network(network.load(weights, 2, "first"), "cpu")
    exact, rounded = (
        forward.apply(model, grey, device="cpu", precision=name, per_patch=10)
        for name in ("float32", "bfloat16")
    )
    assert 0 < ((exact - rounded) ** 2).mean() < 2e-6  # twice that with the sum in bfloat16
    assert (rounded.view(np.uint32) % 2**16).any()


class TestSwinir(sr_suite.Suite):
    """A small network of three channels."""

    method = "swinir"
    title = "SwinIR"
    tensor = "layers.0.conv.weight"
    side = 8

    def tensors(self) -> sr_suite.Tensors:
        """Eight features, two blocks."""
        return swinir(3).state_dict()

    def band(self, weights: Path, unit: torch.Tensor) -> torch.Tensor:
        """By spandrel's network, three equal channels in and the first one out."""
        return swinir(3)(unit.expand(1, 3, *unit.shape))[0, 0]

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (
                "conv_after_body.weight",
                "missing: conv_after_body.weight; extra: conv_after_body.wait",
            ),
            ("norm.weight", "size mismatch for norm.weight"),
            ("a", "not SwinIR weights: missing: conv_first.weight, conv_first.bias; extra: a"),
        ],
    )
    def test_names_what_does_not_fit(
        self, few: Path, weights: Path, capsys: pytest.CaptureFixture[str],
        change: str, message: str,
    ) -> None:  # fmt: skip
        tensors = swinir(1).state_dict()
        if change == "norm.weight":
            tensors[change] = torch.ones(7)
        elif change == "a":
            tensors = {"a": torch.zeros(1)}
        else:
            tensors[change.replace("weight", "wait")] = tensors.pop(change)
        save_file(tensors, weights)
        assert message in self.refuse(few, weights, capsys)

    def test_refuses_patches_smaller_than_the_window_of_the_weights(
        self, few: Path, weights: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        save_file(swinir(1, window_size=64).state_dict(), weights)
        message = "at least the 64 pixels a side of the weights' window"
        assert message in self.refuse(few, weights, capsys)

    @pytest.mark.data
    def test_real_patches_come_back_when_averaged(self, real: Path, tmp_path: Path) -> None:
        """A network that starts as an interpolation keeps the low-resolution image of patches."""
        tensors = swinir(1).state_dict()
        for key in tensors:  # nothing but nearest-neighbour enlargement is left
            if key.split(".")[0] in ("conv_first", "conv_after_body", "upsample"):
                tensors[key] = torch.zeros_like(tensors[key])
        tensors["conv_first.weight"][0, 0, 1, 1] = 1
        tensors["upsample.0.weight"][:, 0, 1, 1] = 1
        sen2, large = self.enlarge_real(real, tmp_path, tensors)
        np.testing.assert_allclose(large, sen2.repeat(2, 1).repeat(2, 2), atol=1e-4)
