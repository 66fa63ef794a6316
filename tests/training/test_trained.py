"""Trained networks as torch modules again: the same logits, by name or by order; refusals."""

import dataclasses
import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from shared.errors import StageError
from shared.models import Card
from shared.training import networks, students, trained

SIZE, CLASSES = 40, ("road", "roof", "tree")


class OwnBias(nn.Module):
    """A convolution that has a bias of its own before its batch norm, and a matrix without one."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
        self.norm, self.head = nn.BatchNorm2d(4), nn.Linear(4, 3, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.norm(self.body(images)).mean((2, 3)))


def unlike(network: nn.Module) -> nn.Module:
    """A network whose weights are as after training: no two channels are alike."""
    torch.manual_seed(3)
    with torch.no_grad():
        for name, values in network.state_dict().items():
            if name.endswith("running_var"):
                values.uniform_(0.5, 1.5)
            elif values.is_floating_point() and values.ndim == 1:
                values.add_(0.2 * torch.randn(len(values)))
    return network.eval()


def store(folder: Path, network: nn.Module, name: str, file: str = "member-01.onnx") -> Card:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        networks.to_onnx(network, {"image": torch.zeros(2, 3, SIZE, SIZE)}, folder / file)
    bands = ("B4", "B3", "B2")
    return Card(file, name, bands, (0.5,) * 3, (0.2,) * 3, SIZE, "bilinear", CLASSES)


def assert_same(one: nn.Module, other: nn.Module) -> None:
    """The same logits, and nothing is left in the network that watched how it runs."""
    for module in one.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
    images = torch.randn(3, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(one(images), other(images), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "name", ["test_resnet", "mobilenetv3_small_100", "densenet121", *students.BUILDERS]
)
def test_a_network_of_an_onnx_file_says_what_it_said(name: str, tmp_path: Path) -> None:
    network = unlike(networks.build(name, 3, len(CLASSES), size=SIZE))
    again = trained.read(tmp_path, store(tmp_path, network, name))
    assert_same(again, network)
    assert not again.training
    assert all(parameter.requires_grad for parameter in again.parameters())


def test_convolutions_with_a_bias_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(networks, "build", lambda *_, **__: OwnBias())
    network = unlike(OwnBias())
    again = trained.read(tmp_path, store(tmp_path, network, "own"))
    assert_same(again, network)
    folded, norm = again.body[0], again.body[1]
    assert folded.bias.tolist() == [0] * 4
    assert norm.running_mean.tolist() == [0] * 4
    torch.testing.assert_close(norm.running_var + norm.eps, torch.ones(4))
    torch.testing.assert_close(again.norm.running_var, network.norm.running_var)


def test_a_student_has_weights_beside_its_file(tmp_path: Path) -> None:
    network = unlike(networks.build("test_resnet", 3, len(CLASSES)))
    card = store(tmp_path, network, "test_resnet", "student.onnx")
    save_file(network.state_dict(), tmp_path / "student.safetensors")
    again = trained.read(tmp_path, card)
    assert all(torch.equal(v, again.state_dict()[k]) for k, v in network.state_dict().items())
    other = dataclasses.replace(card, file="member-01.onnx")
    store(tmp_path, unlike(networks.build("test_resnet", 3, len(CLASSES))), "test_resnet")
    (tmp_path / "student.safetensors").write_bytes(b"not read for another file")
    trained.read(tmp_path, other)


def test_refuses_weights_of_another_network(tmp_path: Path) -> None:
    network = unlike(networks.build("test_resnet", 3, len(CLASSES)))
    card = store(tmp_path, network, "test_resnet", "student.onnx")
    with torch.no_grad():
        network.get_classifier().bias[0] += 1
    save_file(network.state_dict(), tmp_path / "student.safetensors")
    with pytest.raises(StageError, match=r"student.onnx: expected what its arch.*, by 1$"):
        trained.read(tmp_path, card)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tiny", "--architecture: expected a timm or torchvision name, found 'tiny'"),
        (
            "test_efficientnet",
            r"member-01.onnx: expected the \d+ layers of its architecture, found",
        ),
    ],
)
def test_refuses_another_architecture(name: str, message: str, tmp_path: Path) -> None:
    network = unlike(networks.build("test_resnet", 3, len(CLASSES)))
    card = dataclasses.replace(store(tmp_path, network, "test_resnet"), architecture=name)
    with pytest.raises(StageError, match=message):
        trained.read(tmp_path, card)


def test_refuses_the_same_layers_with_other_activations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = unlike(OwnBias())
    card = store(tmp_path, network, "own")
    other = OwnBias()
    other.body[2] = nn.Sigmoid()
    monkeypatch.setattr(networks, "build", lambda *_, **__: other)
    with pytest.raises(StageError, match="found other outputs, by"):
        trained.read(tmp_path, card)
