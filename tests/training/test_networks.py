"""Networks by name, published weights from a file, refusals in one line."""

from pathlib import Path

import pytest
import safetensors.torch
import timm
import torch
import torchvision
from torch import nn

from shared.errors import StageError
from shared.training import networks
from tests import weight_forms


def imagenet(name: str) -> nn.Module:
    """torchvision's network with 1000 classes and weights that no fresh network has."""
    torch.manual_seed(5)
    return torchvision.models.get_model(name).eval()


def body(network: nn.Module, head: str) -> dict[str, torch.Tensor]:
    return {k: v for k, v in network.state_dict().items() if not k.startswith(head)}


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_torchvision_resnet18_loads_into_ours(tmp_path: Path, suffix: str) -> None:
    source, path = imagenet("resnet18"), tmp_path / f"weights{suffix}"
    save = torch.save if suffix == ".pth" else safetensors.torch.save_file
    save(source.state_dict(), path)
    network = networks.build("resnet18", 3, 17, path).eval()
    assert sum(weight.numel() for weight in network.parameters()) == 11_185_233
    for key, value in body(source, "fc.").items():
        assert torch.equal(network.state_dict()[key], value)
    source.fc = nn.Identity()
    network.reset_classifier(0)
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(network(images), source(images), atol=1e-4, rtol=1e-4)


def test_old_densenet_file_loads_into_ours(tmp_path: Path) -> None:
    """torchvision's published DenseNets spell norm.1, and know no batch norm counters."""
    source = imagenet("densenet121")
    old = {
        key.replace(".norm1", ".norm.1").replace(".norm2", ".norm.2")
        .replace(".conv1", ".conv.1").replace(".conv2", ".conv.2"): value
        for key, value in source.state_dict().items() if "num_batches" not in key
    }  # fmt: skip
    assert any("denselayer1.norm.1." in key for key in old)
    torch.save(old, tmp_path / "old.pth")
    network = networks.build("densenet121", 3, 17, tmp_path / "old.pth")
    for key, value in body(source, "classifier.").items():
        assert torch.equal(network.state_dict()[key], value)


def test_densenet201_keys_are_the_same_in_both_libraries() -> None:
    with torch.device("meta"):
        ours = timm.create_model("densenet201", num_classes=17).state_dict()
        theirs = torchvision.models.densenet201(num_classes=17).state_dict()
    assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in theirs.items()}


@pytest.mark.parametrize("name", ["test_convnext", "test_vit", "test_efficientnet"])
def test_heads_are_found_whatever_they_are_called(tmp_path: Path, name: str) -> None:
    torch.manual_seed(1)
    source = timm.create_model(name, num_classes=1000)
    torch.save({"state_dict": source.state_dict()}, tmp_path / "a.pth")
    networks.build(name, 3, 5, tmp_path / "a.pth")
    features = networks.build(name, 3, 0, tmp_path / "a.pth").state_dict()
    assert all(torch.equal(source.state_dict()[key], value) for key, value in features.items())


def test_unknown_name_is_one_line_with_near_ones() -> None:
    with pytest.raises(StageError) as told:
        networks.build("resnet-18", 3, 17)
    ours = "simple-net, student-resnet, student-separable, student-depthwise-skip, student-light"
    assert "--architecture: expected a timm or torchvision name, found 'resnet-18'; near: " in str(
        told.value
    )
    assert str(told.value).endswith(f"; or one of our own: {ours}")
    assert "resnet18" in str(told)
    assert "\n" not in str(told.value)


def test_a_student_of_ours_is_among_the_near_names() -> None:
    with pytest.raises(StageError, match=r"near: .*student-resnet"):
        networks.build("student-resnet18", 3, 17)


def test_torchvision_name_that_timm_does_not_know() -> None:
    assert networks.build("alexnet", 3, 17)(torch.zeros(1, 3, 64, 64)).shape == (1, 17)


def test_weights_that_do_not_fit(tmp_path: Path) -> None:
    source = timm.create_model("test_resnet").state_dict()
    path = tmp_path / "a.pth"
    torch.save({k: v for k, v in source.items() if k != "conv1.0.weight"} | {"odd": v_of()}, path)
    with pytest.raises(StageError, match=r"does not fit: missing: conv1.0.weight; extra: odd"):
        networks.build("test_resnet", 3, 17, path)
    torch.save(source, path)
    with pytest.raises(StageError, match=r"does not fit: other shape: conv1.0.weight "):
        networks.build("test_resnet", 4, 17, path)


def v_of() -> torch.Tensor:
    return torch.zeros(1)


@pytest.mark.parametrize("content", [b"", b"no weights", b"\x80\x04N."])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    for name in ("a.pth", "a.safetensors"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(StageError, match="expected weights"):
            networks.build("test_resnet", 3, 17, tmp_path / name)


def test_a_tensor_is_no_state_dict(tmp_path: Path) -> None:
    torch.save(torch.zeros(3), tmp_path / "a.pth")
    with pytest.raises(StageError, match="found Tensor and no state dict"):
        networks.build("test_resnet", 3, 17, tmp_path / "a.pth")


def test_weights_with_nan_are_refused_by_trainers_too(tmp_path: Path) -> None:
    """There is one reader of weights; the trainers' own let NaN through."""
    tensors = timm.create_model("test_resnet", num_classes=17).state_dict()
    tensors["conv1.0.weight"][0, 0, 0, 0] = float("nan")
    torch.save(tensors, tmp_path / "a.pth")
    with pytest.raises(StageError, match=r"NaN or infinite values in conv1\.0\.weight"):
        networks.build("test_resnet", 3, 17, tmp_path / "a.pth")


def test_a_size_the_network_cannot_take_is_refused_before_data_is_read() -> None:
    networks.check("test_resnet", 5, 32, None)
    with pytest.raises(StageError, match="cannot take --size=48"):
        networks.check("vit_tiny_patch16_224", 5, 48, None)


@pytest.mark.parametrize("form", weight_forms.FORMS)
def test_first_weights_are_read_in_every_form(tmp_path: Path, form: str) -> None:
    torch.manual_seed(2)
    source = timm.create_model("test_resnet", num_classes=5)
    path, expected = weight_forms.write(form, source.state_dict(), tmp_path)
    loaded = networks.build("test_resnet", 3, 17, path).state_dict()
    assert loaded["fc.weight"].shape == (17, 96)
    body = {name for name in expected if not name.startswith("fc.")}
    assert len(body) > 50
    assert all(torch.equal(loaded[name], expected[name]) for name in body)


def test_a_loss_network_beside_is_named_and_not_left_out(tmp_path: Path) -> None:
    source = timm.create_model("test_resnet", num_classes=17).state_dict()
    given = weight_forms.prefixed(source, "model.") | {"loss.weight": torch.zeros(3)}
    torch.save({"state_dict": given}, tmp_path / "a.pth")
    with pytest.raises(StageError) as told:
        networks.build("test_resnet", 3, 17, tmp_path / "a.pth")
    assert "does not fit: extra: " in str(told.value)
    assert "loss.weight" in str(told.value)
    assert "keys fit after taking 'state_dict' and dropping 'model.'; weights --src" in str(
        told.value
    )


def test_a_module_is_refused_with_the_command_that_converts_it(tmp_path: Path) -> None:
    source = timm.create_model("test_resnet", num_classes=17).state_dict()
    path = weight_forms.save_module(tmp_path / "a.pth", source)
    with pytest.raises(
        StageError, match=r"found a pickled module \(network_gone.Net\); .* weights --src"
    ):
        networks.build("test_resnet", 3, 17, path)
