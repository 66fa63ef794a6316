"""SwinIR of sisr-train: the published network, its grid and reach, its ONNX file, its weights."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import save_file
from spandrel.architectures.SwinIR import SwinIR
from torch import nn

from shared import cli
from shared.errors import StageError
from shared.sisr import cards
from shared.sisr_networks import building, layers, windows
from stages.sisr_train import export
from stages.sisr_train import main as stage
from stages.sisr_train.objective import Scale
from tests import pair_drawings

pytestmark = pytest.mark.filterwarnings("ignore:torch.meshgrid")  # spandrel's old way to call it

# Even and odd windows, odd and even numbers of layers, both factors.
SMALL = [("swinir-2x2x6h2w4", 2), ("swinir-1x3x4h1w5", 2), ("swinir-1x1x4h2w3", 4)]


def published(bands: int, sizes: dict[str, Any]) -> SwinIR:
    """That of spandrel, as `sr-train` builds it."""
    return SwinIR(
        img_size=8 * sizes["window"], in_chans=bands, embed_dim=sizes["width"],
        depths=[sizes["layers"]] * sizes["blocks"], num_heads=[sizes["heads"]] * sizes["blocks"],
        window_size=sizes["window"], mlp_ratio=2.0, drop_path_rate=0.0, upscale=2,
        upsampler="pixelshuffledirect",
    ).eval()  # fmt: skip


def build(name: str, factor: int, bands: int = 3, gain: float = 2.0) -> building.Enlarger:
    """An untrained network that makes something, and of which all pixels differ."""
    torch.manual_seed(1)
    network = building.build(name, bands, bands, factor).eval()
    for label, tensor in network.network.named_parameters():
        if "table" in label or (label.endswith("weight") and "norm" not in label):
            tensor.data.mul_(gain)
    nn.init.normal_(network.network.last.weight, std=0.2)
    return network


@pytest.mark.parametrize("name", ["swinir-2x3x12h3", "swinir-1x2x6h2w5"])
def test_it_is_the_published_network_with_mirrored_edges(name: str) -> None:
    """With zeros outside, as published, all numbers are the same at any size."""
    ours = build(name, 2).network
    theirs = published(3, building.check(name, 2))
    theirs.mean.zero_()
    assert ours.state_dict().keys() <= theirs.state_dict().keys()
    theirs.load_state_dict({**theirs.state_dict(), **ours.state_dict()})
    for layer in ours.modules():
        if isinstance(layer, nn.Conv2d):
            layer.padding_mode = "zeros"
    for shape in ((16, 24), (19, 29), (40, 9)):
        x = torch.randn(2, 3, *shape)
        with torch.no_grad():
            torch.testing.assert_close(ours(x), theirs(x))


@pytest.mark.parametrize("size", [2, 3, 7, 8, 9, 16])
def test_pixels_behind_the_end_are_mirrored(size: int) -> None:
    x = np.random.default_rng(0).random((1, 1, size, 11)).astype(np.float32)
    made = windows.complete(torch.from_numpy(x), 8).numpy()
    assert made.shape == (1, 1, -(-size // 8) * 8, 16)
    missing = ((0, 0), (0, 0), (0, -size % 8), (0, 5))
    np.testing.assert_array_equal(made, np.pad(x, missing, mode="reflect"))


@pytest.mark.parametrize(("name", "factor"), SMALL)
def test_the_reach_is_what_gradients_say(name: str, factor: int) -> None:
    """Of every place in a window: from an edge on the grid downwards, from any edge upwards."""
    network = build(name, factor).double()
    grid, low = network.grid, network.reach // factor
    side = windows.complete(torch.zeros(1, 1, 2 * low + 3 * grid, 1 + grid), grid).shape[2]
    x = torch.randn(1, 3, side, side, dtype=torch.double, requires_grad=True)
    made, first, furthest = network(x), side // 2 // grid * grid, 0
    for place, phase in np.ndindex(grid, factor):
        row = made[0, :, factor * (first + place) + phase, factor * (side // 2)]
        (gradient,) = torch.autograd.grad(row.sum(), x, retain_graph=True)
        seen = gradient[0].abs().amax((0, 2)).nonzero()
        top, bottom = int(seen.min()), int(seen.max())
        assert top > 0
        assert bottom < side - 1
        edge = (top // grid + 1) * grid  # the first one that cuts off something that was seen
        furthest = max(
            furthest, factor * (first + place - edge) + phase + 1,
            factor * (bottom - first - place) - phase,
        )  # fmt: skip
    assert furthest == network.reach
    assert network.margin % (factor * grid) == 0
    assert 0 <= network.margin - network.reach < factor * grid


@pytest.mark.parametrize(("name", "factor"), SMALL)
def test_on_its_grid_a_part_is_a_part_of_the_whole(name: str, factor: int) -> None:
    """Parts of any size; off the grid they are not, so that this says something."""
    network = build(name, factor)
    grid, margin = network.grid, network.margin
    least = 2 * margin // factor
    x = torch.randn(1, 3, least + 5 * grid, least + 5 * grid)

    def compare(top: int, left: int, height: int, width: int) -> float:
        part = network(x[:, :, top : top + height, left : left + width])
        rows, columns = (
            slice(factor * first + margin, factor * (first + size) - margin)
            for first, size in ((top, height), (left, width))
        )
        inside = slice(margin, -margin)
        return float((part[:, :, inside, inside] - whole[:, :, rows, columns]).abs().max())

    with torch.no_grad():
        whole = network(x)
        for more in (1, grid - 1, grid, grid + 2):
            assert compare(grid, 2 * grid, least + more, least + 2 * grid) < 1e-5
            assert compare(0, grid, least + 3, least + more) < 1e-5
        assert compare(1, grid, least + 4, least + 4) > 1e-3


@pytest.mark.parametrize(("name", "factor"), SMALL)
def test_the_onnx_file_is_the_network_at_any_size(name: str, factor: int, tmp_path: Path) -> None:
    network, scale = build(name, factor), Scale((0.1, 0.2, 0.3), (0.1, 0.1, 0.2))
    assert export.export_network(network, scale, tmp_path / "n.onnx") < 1e-5
    session = onnxruntime.InferenceSession(tmp_path / "n.onnx")
    whole = export.Reflectance(network, scale)
    for count, height, width in ((1, 2, 3), (2, 8, 16), (1, 15, 20), (3, 31, 7)):
        x = 0.1 * torch.randn(count, 3, height, width) + 0.2
        with torch.no_grad():
            expected = whole(x).numpy()
        (made,) = session.run(None, {"input": x.numpy()})
        np.testing.assert_allclose(made, expected, atol=1e-5)


def test_weights_of_sr_train_start_it(tmp_path: Path) -> None:
    """The mean of the bands goes in; it begins as the enlargement, with what was learned below."""
    name = "swinir-1x2x6h2w4"
    given = published(1, building.check(name, 2))
    save_file(given.state_dict(), tmp_path / "swinir.safetensors")
    network = building.build(name, 3, 3, 2)
    building.load_weights(network, tmp_path / "swinir.safetensors")
    x = torch.randn(1, 3, 12, 16)
    torch.testing.assert_close(network(x), layers.Cubic(2, 3)(x))
    mine, theirs = network.network.state_dict(), given.state_dict()
    for label in mine.keys() - {"conv_first.weight", "upsample.0.weight", "upsample.0.bias"}:
        torch.testing.assert_close(mine[label], theirs[label])
    first = theirs["conv_first.weight"]
    torch.testing.assert_close(mine["conv_first.weight"], first.expand(-1, 3, -1, -1) / 3)
    for other in ("swinir-1x2x6h3w4", "swinir-1x2x6h2w5", "swinir-2x2x6h2w4"):
        with pytest.raises(StageError, match="not such weights"):
            building.load_weights(building.build(other, 3, 3, 2), tmp_path / "swinir.safetensors")
    with pytest.raises(StageError, match=r"not such weights.*upsample\.0\.weight"):
        building.load_weights(building.build(name, 3, 3, 4), tmp_path / "swinir.safetensors")


def test_a_training_from_such_weights(tmp_path: Path) -> None:
    """The card tells the grid; the product begins with the bits that the seed decides."""
    pair_drawings.write(tmp_path / "all.h5", 24, coarse=True)
    name = "swinir-1x2x6h2w4"
    save_file(published(1, building.check(name, 2)).state_dict(), tmp_path / "swinir.safetensors")
    words = [
        f"--src={tmp_path / 'all.h5'}", "--mode=baseline", f"--architecture={name}", "--epochs=2",
        "--batch=3", "--lr=0.003", "--t_0=4", "--border=4", "--device=cpu",
        f"--weights={tmp_path / 'swinir.safetensors'}",
    ]  # fmt: skip
    for folder in ("one", "two"):
        cli.main(stage.run, [*words, f"--dst={tmp_path / folder}"])
    card = cards.read(tmp_path / "one")
    # A pixel of a convolution, 4 and 2 of the windows, three of convolutions.
    assert (card.grid, card.margin, card.architecture) == (4, 24, name)
    for file in ("network.onnx", "network.safetensors", "metrics.json", "sisr.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
