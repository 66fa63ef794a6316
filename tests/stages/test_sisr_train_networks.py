"""Networks of sisr-train: published sizes, how far they see, where they start, their weights."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

from shared import sisr
from shared.errors import StageError
from shared.sisr_networks import building, carn, discriminators, layers
from shared.sr.networks import edsr

SMALL = ["carn-2x1x3g3", "carn-1x2x4g2sw", "esrgan-1x6g3", "edsr-2x5"]


@pytest.mark.parametrize(
    ("name", "bands", "factor", "count", "reach"),
    [
        # Source of the counts: torchsisr's networks; of 41: its own formula.
        ("carn-3x3x64g4sw", 10, 2, 2_492_298, 41),
        ("esrgan-6", 4, 2, 4_432_004, 2 * (15 * 6 + 2) + 3),
        ("esrgan-6", 4, 4, 4_468_932, 4 * (15 * 6 + 2) + 5),
        ("esrgan-5", 4, 4, 3_749_508, 4 * (15 * 5 + 2) + 5),
        # EDSR-base of this toolchain, three channels.
        ("edsr-16x64", 3, 2, 1_369_859, 2 * (2 * 16 + 3) + 1),
        # SwinIR's light form: 24 layers reach half a window each, the first one a whole window.
        ("swinir-4x6x60h6", 3, 2, 910_152, 2 * (12 * 8 + 4 + 3)),
    ],
)
def test_published_sizes(name: str, bands: int, factor: int, count: int, reach: int) -> None:
    with torch.device("meta"):
        network = building.build(name, bands, bands, factor)
    assert building.count(network) == count
    assert network.reach == reach
    whole = factor * (8 if name.startswith("swinir") else 1)
    assert network.margin == -(-reach // whole) * whole


def measure_reach(network: building.Enlarger, bands: int) -> int:
    """How far what lies outside has an influence, by gradients far from any edge.

    All weights are positive, so that no two ways cancel each other.
    """
    for name, tensor in network.network.named_parameters():
        tensor.data.fill_(0.1 if name.endswith("weight") else 0.0)
    network, factor = network.double(), network.factor
    middle = network.reach // factor + 4
    x = torch.ones(1, bands, 2 * middle, 2 * middle, dtype=torch.double, requires_grad=True)
    furthest = 0
    for phase in range(factor):  # of an output pixel in its input pixel
        made = network(x)[0, 0, factor * middle, factor * middle + phase]
        (gradient,) = torch.autograd.grad(made, x)
        first = int(gradient[0].abs().amax((0, 1)).nonzero().min())
        assert first > 0
        furthest = max(furthest, factor * (middle - first - 1) + phase + 1)
    return furthest


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("name", SMALL)
def test_the_reach_is_what_gradients_say(name: str, factor: int) -> None:
    network = building.build(name, 3, 3, factor)
    assert measure_reach(network, 3) == network.reach
    assert network.margin % factor == 0
    assert 0 <= network.margin - network.reach < factor


@pytest.mark.parametrize("name", SMALL)
def test_inside_the_margin_a_part_is_a_part_of_the_whole(name: str) -> None:
    torch.manual_seed(1)
    network = building.build(name, 3, 3, 2)
    nn.init.normal_(network.network.last.weight, std=0.1)
    start, margin = 3, network.margin
    size = margin + 6
    x = torch.randn(1, 3, size + 9, size + 7)
    whole = network(x)
    part = network(x[:, :, start : start + size, 2 : 2 + size])
    inside = slice(margin, 2 * size - margin)
    rows, columns = (slice(2 * o + margin, 2 * o + 2 * size - margin) for o in (start, 2))
    torch.testing.assert_close(
        part[:, :, inside, inside], whole[:, :, rows, columns], atol=1e-5, rtol=0
    )


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("name", [*SMALL, "swinir-1x2x4h2w4"])
def test_a_network_starts_as_the_bicubic_enlargement(name: str, factor: int) -> None:
    image = np.random.default_rng(0).random((7, 9, 2))
    x = torch.from_numpy(image.transpose(2, 0, 1)[None]).float()
    made = building.build(name, 2, 2, factor)(x)[0].permute(1, 2, 0).detach().numpy()
    np.testing.assert_allclose(made, sisr.enlarge(image, factor), atol=1e-5)


def test_other_bands_out_than_in() -> None:
    assert building.build("carn-1x1x4g1", 5, 2, 2)(torch.zeros(1, 5, 6, 8)).shape == (1, 2, 12, 16)


def test_shared_weights_are_one_block_in_each_cascade() -> None:
    apart, shared = (
        building.count(building.build(f"carn-2x3x4g2{end}", 2, 2, 2)) for end in ("", "sw")
    )
    one = building.count(carn.Block(16, 2))
    assert apart - shared == 2 * 2 * one


def test_a_cascade_by_hand() -> None:
    """Running sums: of the input and of what each part gave, mixed before the next part."""

    class Add(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + 1

    class Twice(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 2 * x

    add, twice = Add(), Twice()
    cascade = carn.Cascade([add, twice, add], 1)
    for fusion, factor in zip(cascade.fusions, (10.0, 3.0, 0.5), strict=True):
        nn.init.constant_(fusion.weight, factor)
        nn.init.zeros_(fusion.bias)
    # 1; + 2 = 3, mixed 30; + 60 = 63, mixed 189; + 190 = 253, mixed 126.5
    assert float(cascade(torch.ones(1, 1, 1, 1)).detach()) == pytest.approx(126.5)


def test_a_block_by_hand() -> None:
    """Leaky ReLU 0.2 after both grouped convolutions and after the sum."""
    block = carn.Block(2, 2)
    for place, weight in ((0, -1.0), (2, 1.0), (4, -3.0)):
        nn.init.zeros_(block.body[place].bias)
        kernel = block.body[place].weight.data.zero_()
        size = kernel.shape[-1] // 2
        for feature in range(2):
            kernel[feature, 0 if kernel.shape[1] == 1 else feature, size, size] = weight
    # 5: -5, 0.2 * -5 = -1, 0.2 * -1 = -0.2, times -3 = 0.6, + 5 = 5.6; -5: 5, 5, -15, -20, -4.
    x = torch.tensor([5.0, -5.0]).view(1, 2, 1, 1).expand(1, 2, 3, 3)
    made = block(x)[0, :, 1, 1]
    torch.testing.assert_close(made.detach(), torch.tensor([5.6, -4.0]))


def test_kernels_are_those_of_a_cubic_with_a_half() -> None:
    """torch has this kernel with `antialias`, which changes nothing else when enlarging."""
    x = torch.randn(1, 2, 9, 11)
    expected = functional.interpolate(x, scale_factor=4, mode="bicubic", antialias=True)
    found = layers.Cubic(4, 2)(x)
    torch.testing.assert_close(found[..., 12:-12, 12:-12], expected[..., 12:-12, 12:-12])


@pytest.mark.parametrize(
    ("name", "found"),
    [("carn", "expected carn-"), ("esrgan-0", "from 1 to 4096"), ("edsr-2x5000", "from 1 to 4096"),
     ("carn-1x1x3g5", "divide the 12 features"), ("swinir", "'swinir'"),
     ("swinir-2x2x8", "swinir-BLOCKSxLAYERSxWIDTHhHEADS"), ("swinir-0x2x8h2", "from 1 to 4096"),
     ("swinir-2x2x9h2", "expected heads that divide the 9 features"),
     ("swinir-2x2x8h2w1", "expected windows of 2 to 32 pixels"),
     ("swinir-2x2x8h2w33", "expected windows of 2 to 32 pixels")],
)  # fmt: skip
def test_other_names_are_refused(name: str, found: str) -> None:
    with pytest.raises(StageError, match="--architecture: ") as caught:
        building.build(name, 4, 4, 2)
    assert found in str(caught.value)


def test_weights_of_one_channel_start_a_network_of_several(tmp_path: Path) -> None:
    """The mean of the bands goes in; it begins as the enlargement, with what was learned below."""
    given = edsr.EDSR(2, 6, 1)
    save_file(given.state_dict(), tmp_path / "edsr.safetensors")
    network = building.build("edsr-1x6", 3, 3, 2)
    building.load_weights(network, tmp_path / "edsr.safetensors")
    x = torch.randn(1, 3, 14, 16)
    torch.testing.assert_close(network(x), layers.Cubic(2, 3)(x))
    inner = network.network.network
    inner.tail[1] = given.tail[1]
    expected, found = given(x.mean(1, keepdim=True)), inner(x)
    edge = network.reach  # which is mirrored here, and zero there
    middle = (..., slice(edge, -edge), slice(edge, -edge))
    torch.testing.assert_close(found[middle], expected[middle])


def test_weights_of_a_run_start_another_and_others_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "network.safetensors"
    one, other = (building.build("carn-1x1x4g2", 3, 3, 2) for _ in range(2))
    save_file(one.network.state_dict(), path)
    building.load_weights(other, path)
    for name, tensor in one.network.state_dict().items():
        torch.testing.assert_close(other.network.state_dict()[name], tensor)
    with pytest.raises(StageError, match="not such weights"):
        building.load_weights(building.build("carn-1x2x4g2", 3, 3, 2), path)


# --- discriminators -------------------------------------------------------------------------------
def test_the_published_discriminator_of_real_esrgan() -> None:
    assert building.count(discriminators.UNet(3)) == 4_376_897
    assert discriminators.UNet(2, 4)(torch.zeros(2, 2, 21, 30)).shape == (2, 1, 21, 30)
    assert discriminators.Plain(2, 4)(torch.zeros(2, 2, 41, 50)).shape == (2, 1)


@pytest.mark.parametrize("kind", ["plain", "unet"])
def test_the_smallest_image_that_a_discriminator_takes(kind: discriminators.Kind) -> None:
    judge, least = discriminators.build_discriminator(kind, 2, 0), discriminators.SMALLEST[kind]
    assert judge(torch.zeros(1, 2, least, least)).isfinite().all()
    with pytest.raises((RuntimeError, ValueError)):
        judge(torch.zeros(1, 2, least - 1, least - 1))


def test_a_discriminator_takes_no_random_number_of_others() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    discriminators.build_discriminator("unet", 2, 9)
    torch.testing.assert_close(torch.rand(3), expected)
