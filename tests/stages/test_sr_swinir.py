"""sr_swinir: the suite of all super-resolution stages, published layouts, the fused network."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from spandrel.architectures.SwinIR import SwinIR

from shared.sr import forward
from stages.sr_swinir import attention, network
from tests.stages import sr_suite

PUBLISHED: dict[str, sr_suite.Published] = {
    "SwinIR-M x2": ("params", 2, 11_752_487),
    "SwinIR-M x3": ("params_ema", 3, 11_937_127),
    "SwinIR-M x4": ("", 4, 11_900_199),
    "SwinIR-S x2": ("params", 2, 910_152),
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


@pytest.mark.parametrize("size", [(16, 24), (40, 8)])
def test_shift_mask_is_that_of_the_published_network(size: tuple[int, int]) -> None:
    block = swinir(1).layers[0].residual_group.blocks[1]
    mask = attention.shift_mask(*size, block.window_size, block.shift_size)
    torch.testing.assert_close(mask, block.calculate_mask(size), atol=0, rtol=0)


class TestSwinir(sr_suite.ThreeChannels):
    """A small network of three channels."""

    method = "swinir"
    title = "SwinIR"
    tensor = "layers.0.conv.weight"
    load = staticmethod(network.load)
    side = 8
    published = PUBLISHED
    folded_within = 2e-6

    def network(self, channels: int) -> torch.nn.Module:
        """Eight features, two blocks, by spandrel."""
        return swinir(channels)

    def published_tensors(self, name: str) -> sr_suite.Tensors:
        """Six layers 180 wide (M) or four 60 wide (S), each of six blocks."""
        width, layers = (180, 6) if "-M" in name else (60, 4)
        return {
            key: torch.zeros(shape, dtype=torch.int64) if key.endswith("_index")
            else (0 if key.endswith("mask") else 0.05) * torch.randn(shape)
            for key, shape in published(width, layers, PUBLISHED[name][1]).items()
        }  # fmt: skip

    def plain(self) -> Iterator[sr_suite.Plain]:
        """With and without features of its own at the end; sides that the window divides or not."""
        for upsampler in ("pixelshuffle", "pixelshuffledirect"):
            for side in (32, 29, 64):
                made = swinir(3, upsampler=upsampler)
                yield (made, made.state_dict(), 2, (side, side))

    def misfits(self) -> dict[str, sr_suite.Tensors]:
        """A name, a shape, everything, or the window of the weights."""
        tensors = swinir(1).state_dict()
        renamed = {n.replace("body.weight", "body.wait"): t for n, t in tensors.items()}
        return {
            "missing: conv_after_body.weight; extra: conv_after_body.wait": renamed,
            "size mismatch for norm.weight": tensors | {"norm.weight": torch.ones(7)},
            "not SwinIR weights: missing: conv_first.weight, conv_first.bias; extra: a":
                {"a": torch.zeros(1)},
            "at least the 64 pixels a side of the weights' window":
                swinir(1, window_size=64).state_dict(),
        }  # fmt: skip

    def neutral(self) -> sr_suite.Tensors:
        """Nothing but nearest-neighbour enlargement is left."""
        tensors = swinir(1).state_dict()
        for key in tensors:
            if key.split(".")[0] in ("conv_first", "conv_after_body", "upsample"):
                tensors[key] = torch.zeros_like(tensors[key])
        tensors["conv_first.weight"][0, 0, 1, 1] = 1
        tensors["upsample.0.weight"][:, 0, 1, 1] = 1
        return tensors

    def test_bfloat16_is_near_as_the_blocks_are_summed_in_float32(self, weights: Path) -> None:
        grey = np.random.default_rng(0).random((10, 1, 32, 32), np.float32)
        model = forward.prepare_network(network.load(weights, 2, "first"), "cpu")
        exact, rounded = (
            forward.apply(model, grey, device="cpu", precision=name, per_patch=10)
            for name in ("float32", "bfloat16")
        )
        assert 0 < ((exact - rounded) ** 2).mean() < 2e-6  # twice that with the sum in bfloat16
        assert (rounded.view(np.uint32) % 2**16).any()
