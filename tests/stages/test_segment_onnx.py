"""Segmentation networks as ONNX: the same logits as torch at any size, for any number of pictures.

Run with the environment of `segment`.
"""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn
from torchvision.models import swin_transformer as swin

from shared.segmentation import networks, onnx_file, pyramids

SIDE = 8  # of a window
SIZES = [(3, 5), (8, 8), (8, 24), (24, 7), (16, 17), (33, 20)]  # of a map


class SmallSwin(pyramids.Segmenter):
    """Four blocks of a Swin of either version, every second one shifted, and a head."""

    def __init__(self, version: int) -> None:
        super().__init__()
        block = (swin.SwinTransformerBlock, swin.SwinTransformerBlockV2)[version - 1]
        merging = (swin.PatchMerging, swin.PatchMergingV2)[version - 1]
        whole = swin.SwinTransformer(
            [4, 4], 16, [2, 2], [2, 4], [SIDE, SIDE], block=block, downsample_layer=merging
        )
        self.backbone, self.head = whole.features, nn.Linear(32, 5)

    def compute(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.backbone(images))
        return logits.permute(0, 3, 1, 2)


@pytest.mark.parametrize("shift", [[0, 0], [4, 4], [4, 0]])
@pytest.mark.parametrize("kind", [swin.ShiftedWindowAttention, swin.ShiftedWindowAttentionV2])
def test_attention_without_sizes_is_that_of_torchvision(
    kind: type[swin.ShiftedWindowAttention], shift: list[int]
) -> None:
    torch.manual_seed(0)
    trained = kind(12, [SIDE, SIDE], shift, 3).eval()
    nn.init.normal_(trained.qkv.bias)  # of keys, too, which the second version leaves out
    ours = onnx_file.SizelessAttention(trained).eval()
    for height, width in SIZES:
        maps = torch.randn(2, height, width, 12)
        with torch.no_grad():
            torch.testing.assert_close(ours(maps), trained(maps), rtol=0, atol=2e-6)


@pytest.mark.parametrize("version", [1, 2])
def test_shifted_windows_take_any_size(tmp_path: Path, version: int) -> None:
    torch.manual_seed(version)
    network = SmallSwin(version)
    assert onnx_file.export_network(network, tmp_path / "n.onnx") < 1e-5
    for height, width in [(1, 1), (31, 33), (32, 96), (64, 64), (65, 256), (128, 40)]:
        images = np.random.default_rng(height).standard_normal((2, 3, height, width), np.float32)
        with torch.no_grad():
            expected = network.eval()(torch.from_numpy(images)).numpy()
        found = onnx_file.run_onnx(tmp_path / "n.onnx", images)
        assert found.shape == (2, 5, height, width)
        np.testing.assert_allclose(found, expected, atol=1e-4)
    nodes = onnx.load(tmp_path / "n.onnx").graph.node
    assert sum(node.op_type == "Softmax" for node in nodes) == 4
    assert not any("cpb_mlp" in node.name for node in nodes)  # positions are computed once


@pytest.mark.parametrize("name", ["pyramid-tiny", "deeplabv3_mobilenet", "unet-mobilenetv4"])
def test_networks_by_name_become_files_of_our_form(tmp_path: Path, name: str) -> None:
    torch.manual_seed(0)
    network = networks.build(name, 5).train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    assert onnx_file.export_network(network, tmp_path / "n.onnx") < 1e-4
    model = onnx.load(tmp_path / "n.onnx")
    onnx.checker.check_model(model)
    assert {item.domain: item.version for item in model.opset_import} == {"": 17}
    (image,), (logits,) = model.graph.input, model.graph.output
    assert (image.name, logits.name) == ("image", "logits")
    assert [axis.dim_param for axis in image.type.tensor_type.shape.dim] == [
        "batch", "", "height", "width",
    ]  # fmt: skip
    assert [path.name for path in tmp_path.iterdir()] == ["n.onnx"]
    assert network.training  # it is not changed
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())


def test_a_file_that_says_something_else_is_not_kept_quiet(tmp_path: Path) -> None:
    class Sized(nn.Module):
        """Divides by the size of the example, which a trace writes down as a number."""

        def forward(self, images: Tensor) -> Tensor:
            return images / int(images.shape[-1])

    with pytest.raises(onnx_file.ParityError, match=r"n\.onnx: differs from its network by"):
        onnx_file.export_network(Sized(), tmp_path / "n.onnx")
