"""The five students of our own: layers, parameters, sizes, bands, first weights, as ONNX."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn.functional import adaptive_avg_pool2d

from shared.errors import StageError
from shared.training import networks, students
from stages.distill import checkpoint, initial_network, qat_training
from stages.distill.settings import Student

PARAMETERS = {
    "simple-net": 1_315_818, "student-resnet": 168_746, "student-separable": 151_237,
    "student-depthwise-skip": 153_285, "student-light": 8_394_410,
}  # fmt: skip
STEM = ["Conv2d 3-3 3x3 of 3", "Conv2d 3-32 1x1", "BatchNorm2d", "ReLU"]
SECOND = ["Conv2d 32-64 3x3", "BatchNorm2d", "ReLU"]
HEAD = ["Flatten", "Linear 1024-128", "ReLU", "Dropout 0.3", "Linear 128-10"]
LAYERS = {
    "simple-net": [
        "Conv2d 3-16 3x3 +", "ReLU", "Conv2d 16-32 3x3 +", "ReLU", "Flatten", "Linear 131072-10",
    ],
    "student-resnet": [
        "Conv2d 3-32 3x3", "BatchNorm2d", "ReLU", *SECOND, "MaxPool2d 2",
        "Conv2d 64-64 3x3", "BatchNorm2d", "ReLU", "Conv2d 64-64 3x3", "BatchNorm2d",
        "Conv2d 64-128 3x3", "BatchNorm2d", "ReLU", "MaxPool2d 2", "AdaptiveAvgPool2d", "Flatten",
        "Linear 128-10",
    ],
    "student-separable": [*STEM, *SECOND, "MaxPool2d 2", "AdaptivePool", *HEAD],
    "student-depthwise-skip": [*STEM, *SECOND, "Conv2d 32-64 1x1", "AdaptivePool", *HEAD],
    "student-light": [
        "Conv2d 3-16 3x3 +", "ReLU", "Conv2d 16-32 3x3 +", "ReLU", "Flatten", "Linear 131072-64",
        "ReLU", "Dropout 0.4", "Linear 64-10",
    ],
}  # fmt: skip
GRAPHS = {  # without batch norms, which the exporter folds into convolutions
    "simple-net": "Conv Relu Conv Relu Flatten Gemm",
    "student-resnet": "Conv Relu Conv Relu MaxPool Conv Relu Conv Add Relu Conv Relu MaxPool "
    "GlobalAveragePool Flatten Gemm",
    "student-separable": "Conv Conv Relu Conv Relu MaxPool AveragePool Flatten Gemm Relu Gemm",
    "student-depthwise-skip": "Conv Conv Relu Conv Relu Conv Add AveragePool Flatten Gemm Relu "
    "Gemm",
    "student-light": "Conv Relu Conv Relu Flatten Gemm Relu Gemm",
}


def describe(layer: nn.Module) -> str:
    """Kind of a layer and what sets it apart."""
    kind = type(layer).__name__
    if isinstance(layer, nn.Conv2d):
        assert layer.stride == (1, 1)
        assert layer.padding == tuple(side // 2 for side in layer.kernel_size)
        of = f" of {layer.groups}" * (layer.groups > 1) + " +" * (layer.bias is not None)
        return f"{kind} {layer.in_channels}-{layer.out_channels} {layer.kernel_size[0]}x" + (
            f"{layer.kernel_size[1]}{of}"
        )
    if isinstance(layer, nn.Linear):
        return f"{kind} {layer.in_features}-{layer.out_features}"
    known = {nn.MaxPool2d: "kernel_size", nn.Dropout: "p"}
    return f"{kind} {getattr(layer, known[type(layer)])}" if type(layer) in known else kind


def layers_in_order(network: nn.Module, images: torch.Tensor) -> list[str]:
    """What is called on the way from images to logits."""
    seen: list[str] = []
    for layer in network.modules():
        if not list(layer.children()):
            layer.register_forward_hook(lambda one, *_: seen.append(describe(one)))
    network(images)
    return seen


def test_the_five_are_named() -> None:
    assert list(students.BUILDERS) == list(PARAMETERS)


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_and_layers_are_those_of_the_table(name: str) -> None:
    network = networks.build(name, 3, 10, size=64)
    assert sum(weights.numel() for weights in network.parameters()) == PARAMETERS[name]
    assert layers_in_order(network, torch.zeros(2, 3, 64, 64)) == LAYERS[name]


@pytest.mark.parametrize("name", PARAMETERS)
def test_graph_is_opset_17_and_says_what_torch_says(name: str, tmp_path: Path) -> None:
    """The sums of both shortcuts stand where they belong: before or after the activation."""
    torch.manual_seed(1)
    network, images = networks.build(name, 3, 10, size=64), torch.randn(3, 3, 64, 64)
    assert networks.to_onnx(network, {"input": images}, tmp_path / "a.onnx") < 1e-5
    graph = onnx.load(tmp_path / "a.onnx")
    assert [one.version for one in graph.opset_import] == [17]
    constants = {"Constant", "Identity"}
    kinds = [node.op_type for node in graph.graph.node if node.op_type not in constants]
    assert " ".join(kinds) == GRAPHS[name]


@pytest.mark.parametrize(("bands", "classes", "side"), [(1, 2, 17), (13, 17, 32), (4, 5, 22)])
@pytest.mark.parametrize("name", PARAMETERS)
def test_other_bands_classes_and_sizes(
    name: str, bands: int, classes: int, side: int, tmp_path: Path
) -> None:
    network = networks.build(name, bands, classes, size=side)
    images = torch.randn(2, bands, side, side)
    assert networks.to_onnx(network, {"input": images}, tmp_path / "a.onnx") < 1e-5
    assert networks.run_onnx(tmp_path / "a.onnx", {"input": images}).shape == (2, classes)


@pytest.mark.parametrize("side", [*range(4, 24), 33, 34, 35, 64])
def test_pool_is_the_adaptive_average_of_torch(side: int) -> None:
    maps = torch.randn(2, 3, side, side, dtype=torch.float64)
    torch.testing.assert_close(students.AdaptivePool(side)(maps), adaptive_avg_pool2d(maps, 4))


def test_pool_of_six_by_hand() -> None:
    """Windows of 0 … 1, 1 … 2, 3 … 4 and 4 … 5, where rows hold 0, 10, … 50 and columns 0 … 5."""
    rows, columns = torch.meshgrid(torch.arange(6.0), torch.arange(6.0), indexing="ij")
    middles = torch.tensor([0.5, 1.5, 3.5, 4.5])
    expected = 10 * middles[:, None] + middles
    pooled = students.AdaptivePool(6)((10 * rows + columns)[None, None])
    torch.testing.assert_close(pooled[0, 0], expected)


def test_shortcut_is_added_after_the_activation() -> None:
    """With a second convolution of zeros, only the shortcut is left, negative values in it."""
    network = networks.build("student-depthwise-skip", 3, 10, size=64).eval()
    network.conv2.weight.data.zero_()  # type: ignore[union-attr]
    seen: dict[str, torch.Tensor] = {}
    for name in ("shortcut", "average"):
        part = network.get_submodule(name)
        part.register_forward_hook(lambda _, given, made, n=name: seen.update({n: (given, made)}))
    network(torch.randn(2, 3, 64, 64))
    ((joined,), _), (_, shortcut) = seen["average"], seen["shortcut"]
    assert shortcut.min() < 0
    torch.testing.assert_close(joined, shortcut)


@pytest.mark.parametrize("name", PARAMETERS)
def test_first_weights_are_those_of_torch(name: str) -> None:
    """Of the first layers: the same draws as torch's own layer from the same seed."""
    torch.manual_seed(4)
    network = networks.build(name, 3, 10, size=16)
    torch.manual_seed(4)
    first = next(layer for layer in network.modules() if isinstance(layer, nn.Conv2d))
    groups, biased = first.groups, first.bias is not None
    fresh = nn.Conv2d(3, first.out_channels, 3, padding=1, groups=groups, bias=biased)
    assert torch.equal(first.weight, fresh.weight)


@pytest.mark.parametrize(("name", "width"), [
    ("simple-net", 8192), ("student-resnet", 128), ("student-separable", 128),
    ("student-depthwise-skip", 128), ("student-light", 64),
])  # fmt: skip
def test_features_for_fusion(name: str, width: int) -> None:
    network = networks.build(name, 3, 0, size=16)
    assert network.num_features == width
    assert network(torch.zeros(2, 3, 16, 16)).shape == (2, width)


@pytest.mark.parametrize("name", PARAMETERS)
def test_weights_are_read_again(name: str, tmp_path: Path) -> None:
    torch.manual_seed(6)
    source = networks.build(name, 4, 5, size=20)
    qat_training.save_weights(tmp_path / "student.safetensors", source)
    again = checkpoint.read(tmp_path / "student.safetensors", name, 4, 5, 20).state_dict()
    assert all(torch.equal(again[key], value) for key, value in source.state_dict().items())
    assert load_file(tmp_path / "student.safetensors").keys() == again.keys()
    body = networks.build(name, 4, 9, tmp_path / "student.safetensors", 20).state_dict()
    assert all(torch.equal(body[key], again[key]) for key in body if not key.startswith("fc."))
    assert body["fc.bias"].shape == (9,)


def test_weights_of_another_size_are_refused(tmp_path: Path) -> None:
    qat_training.save_weights(tmp_path / "a.safetensors", networks.build("student-light", 3, 5))
    with pytest.raises(StageError, match=r"other shape: hidden.weight \(64, 131072\) instead of"):
        networks.build("student-light", 3, 5, tmp_path / "a.safetensors", 32)


def test_weights_are_spread_over_bands_where_one_convolution_takes_them(tmp_path: Path) -> None:
    qat_training.save_weights(tmp_path / "a.safetensors", networks.build("simple-net", 3, 5))
    given = Student("simple-net", ("B2", "B3", "B4", "B8"), weights=tmp_path / "a.safetensors",
                    adapt=True)  # fmt: skip
    network = initial_network.build(given, 64, 5).state_dict()
    source = load_file(tmp_path / "a.safetensors")
    np.testing.assert_allclose(network["conv1.weight"][:, :3], source["conv1.weight"] * 0.75)
    name = "student-separable"
    qat_training.save_weights(tmp_path / "b.safetensors", networks.build(name, 3, 5))
    given = Student(name, given.bands, weights=tmp_path / "b.safetensors", adapt=True)
    with pytest.raises(StageError, match="--adapt: no layer of 'student-separable' is known"):
        initial_network.build(given, 64, 5)


@pytest.mark.parametrize(("name", "parameters"), [
    ("efficientnet_b4", 17_566_546), ("resnet18", 11_181_642), ("resnet50", 23_528_522),
    ("wide_resnet50_2", 66_854_730), ("convnext_tiny", 27_827_818),
])  # fmt: skip
def test_teachers_of_eurosat(name: str, parameters: int) -> None:
    with torch.device("meta"):
        network = networks.build(name, 3, 10)
    assert sum(weights.numel() for weights in network.parameters()) == parameters
