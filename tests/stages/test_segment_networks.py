"""Segmentation networks: sizes as published, levels, padding, frozen groups, weights of others.

Run with the environment of `segment`.
"""

from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from shared.errors import StageError
from shared.segmentation import networks, pyramids
from stages.segment import start
from stages.segment.settings import Network
from stages.weights import conversion

NAMES = ("pyramid-tiny", "deeplabv3_mobilenet", "unet-mobilenetv4", "fpn-resnet18")


def count(network: nn.Module) -> int:
    return sum(of.numel() for of in network.parameters())


def swin(level: pyramids.Level = "finest", taps: pyramids.Taps = "stages") -> pyramids.Pyramid:
    """The smallest Swin of torchvision, with a narrow pyramid."""
    torch.manual_seed(0)
    network = networks.build("swin_v2_t", 5, level=level, taps=taps, width=16)
    assert isinstance(network, pyramids.Pyramid)
    return network


def test_parameters_of_the_published_network() -> None:
    with torch.device("meta"):
        network = networks.build("swin_v2_b", 5, level="coarsest", taps="mergings")
    assert isinstance(network, pyramids.Pyramid)
    parts = (network.backbone, network.fpn, network.head, network)
    assert [count(part) for part in parts] == [61_675_448, 2_852_864, 295_685, 64_823_997]
    network.freeze(5)
    learning = sum(of.numel() for of in network.parameters() if of.requires_grad)
    assert learning == 62_166_053


def test_names_are_those_of_torchvision() -> None:
    network = swin()
    whole = torchvision.models.swin_v2_t().state_dict()
    own = network.backbone.state_dict()
    assert own.keys() == {name for name in whole if name.startswith("features.")}
    assert {name.partition(".")[0] for name in network.state_dict()} == {"backbone", "fpn", "head"}


def test_taps_are_behind_stages_or_mergings() -> None:
    """The maps of a feature extractor of torchvision at the published nodes, and our own."""
    images = torch.randn(1, 3, 64, 96)
    for taps, numbers in (("mergings", (0, 2, 4, 6)), ("stages", (1, 3, 5, 7))):
        backbone = swin(taps=taps).backbone.eval()  # type: ignore[arg-type]
        assert isinstance(backbone, pyramids.SwinMaps)
        values, expected = images, []
        for number, part in enumerate(backbone.features):
            values = part(values) if number else part[0](values)
            if number in numbers:
                expected.append(values if number == 0 else values.permute(0, 3, 1, 2))
            values = values if number else part[2](part[1](values))
        given = backbone(images)
        assert [of.shape[-2:] for of in given] == [(64 // s, 96 // s) for s in (4, 8, 16, 32)]
        for ours, theirs in zip(given, expected, strict=True):
            torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("name", ["swin", "pyramid-tiny"])
def test_everything_learns_with_the_finest_level_and_little_with_the_coarsest(name: str) -> None:
    def untouched(level: pyramids.Level) -> set[str]:
        network = swin(level) if name == "swin" else networks.build(name, 5, level=level)
        network.eval()  # no path is dropped
        network(torch.randn(2, 3, 64, 64)).square().mean().backward()
        return {n for n, of in network.named_parameters() if of.grad is None or not of.grad.any()}

    assert not untouched("finest")
    left = untouched("coarsest")
    assert {f"fpn.inner_blocks.{n}.0.weight" for n in range(3)} <= left
    assert not {one for one in left if one.startswith(("backbone", "head"))}


@pytest.mark.parametrize("name", NAMES)
def test_any_size_is_padded_by_its_border_and_cropped_again(name: str) -> None:
    torch.manual_seed(0)
    network = networks.build(name, 4).eval()
    images = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        assert network(images).shape == (1, 4, 64, 96)
        part = network(images[..., :50, :70])
        assert part.shape == (1, 4, 50, 70)
        padded = images[..., :50, :70]
        padded = torch.cat([padded, padded[..., -1:].expand(1, 3, 50, 26)], -1)
        padded = torch.cat([padded, padded[..., -1:, :].expand(1, 3, 14, 96)], -2)
        torch.testing.assert_close(part, network(padded)[..., :50, :70])
        assert network(images[..., :1, :1]).shape == (1, 4, 1, 1)


def test_frozen_groups_say_the_same_while_the_others_learn() -> None:
    """In training mode, where paths of Swin are dropped and batch norms move."""
    network = swin()
    network.freeze(6)  # four mergings and stages, and the third stage: paths are dropped there
    network.train()
    backbone = network.backbone
    assert isinstance(backbone, pyramids.SwinMaps)
    images = torch.randn(2, 3, 64, 64)
    first, second = backbone(images), backbone(images)
    assert all(torch.equal(*pair) for pair in zip(first[:3], second[:3], strict=True))
    assert not torch.equal(first[3], second[3])
    network(images).mean().backward()
    learning = {name for name, of in network.named_parameters() if of.grad is not None}
    frozen = tuple(f"backbone.features.{n}." for n in range(6))
    assert learning
    assert not [name for name in learning if name.startswith(frozen)]


def test_frozen_batch_norms_keep_their_means() -> None:
    network = networks.build("unet-resnet18", 3)
    network.freeze(2)
    network.train()
    before = {name: of.clone() for name, of in network.backbone.named_buffers()}
    network(torch.randn(2, 3, 64, 64))
    after = dict(network.backbone.named_buffers())
    assert torch.equal(before["bn1.running_mean"], after["bn1.running_mean"])
    assert not torch.equal(before["layer1.0.bn1.running_mean"], after["layer1.0.bn1.running_mean"])


def test_weights_of_satlas_may_be_converted_first(tmp_path: Path) -> None:
    """`weights --src` keeps the names by which segment knows that no z-score is expected."""
    torch.manual_seed(1)
    whole = torchvision.models.swin_v2_t().state_dict()
    given = {f"backbone.backbone.{name}": of for name, of in whole.items()}
    given |= {"backbone.fpn.inner_blocks.0.0.weight": torch.zeros(1)}
    torch.save(given, tmp_path / "sentinel2_swinb_si_rgb.pth")
    made = tmp_path / "satlas.safetensors"
    conversion.convert(tmp_path / "sentinel2_swinb_si_rgb.pth", made, "", "")
    assert networks.find_origin(made) == start.SATLAS
    network = swin()
    networks.load_backbone(network, made)
    assert all(torch.equal(of, whole[name]) for name, of in network.backbone.state_dict().items())
    wanted = Network("swin_v2_t", weights=made)
    assert start.choose_input(wanted, [127.5] * 3, [25.5] * 3) == ((0.0,) * 3, (1.0,) * 3)


@pytest.mark.parametrize("prefix", ["", "backbone.backbone.", "module.encoder."])
def test_weights_of_a_backbone_are_found_in_larger_files(tmp_path: Path, prefix: str) -> None:
    """A whole classifier; Satlas' keys; a network around it."""
    torch.manual_seed(1)
    whole = torchvision.models.swin_v2_t().state_dict()
    other = {} if not prefix else {"fpn.inner_blocks.0.0.weight": torch.zeros(1)}
    file = tmp_path / "w.safetensors"
    save_file({prefix + name: of for name, of in whole.items()} | other, file)
    for taps in ("stages",) if prefix else ("stages", "mergings"):
        network = swin(taps=taps)  # type: ignore[arg-type]
        networks.load_backbone(network, file)
        for name, of in network.backbone.state_dict().items():
            assert torch.equal(of, whole[name])
    satlas = networks.find_origin(file) == start.SATLAS
    assert satlas == (prefix == "backbone.backbone.")
    expected = ((0.0,) * 3, (1.0,) * 3) if satlas else ((0.5, 0.4, 0.2), (0.1, 0.2, 0.1))
    of_file = Network("swin_v2_t", weights=file)
    mean, std = [127.5, 102.0, 51.0], [25.5, 51.0, 25.5]
    assert start.choose_input(of_file, mean, std) == expected
    assert of_file.frozen == 5
    assert Network().frozen == 0


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    tensors = torchvision.models.swin_v2_t().state_dict()
    del tensors["features.1.0.attn.proj.weight"]
    file = tmp_path / "w.safetensors"
    save_file(tensors, file)
    with pytest.raises(StageError, match=r"missing: features\.1\.0\.attn"):
        networks.load_backbone(swin(), file)
    with pytest.raises(StageError, match="does not fit the backbone"):
        networks.load_backbone(networks.build("unet-resnet18", 3), file)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"name": "swin_v2_x"}, "--architecture: .*near: swin_v2"),
        ({"name": "unet-resnet19"}, "--architecture: .*near: unet-resnet1"),
        ({"name": "unet"}, "--architecture: expected"),
        ({"name": "segformer-resnet18"}, "--architecture: expected"),
        ({"name": "unet-resnet18", "level": "coarsest"}, "--level: concerns"),
        ({"name": "pyramid-tiny", "taps": "mergings"}, "--taps: concerns"),
    ],
)
def test_unknown_networks_are_refused(given: dict[str, str], named: str) -> None:
    with pytest.raises(StageError, match=named):
        networks.build(given.pop("name"), 5, **given)  # type: ignore[arg-type]
