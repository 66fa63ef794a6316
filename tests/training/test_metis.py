"""Real students, as torch exports them, before the rules of the accelerator's compiler."""

import collections
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn
from torch.ao.quantization.observer import HistogramObserver
from torchvision.models import swin_transformer

from shared import int8, onnx_graphs
from shared.models import Card
from shared.segmentation import onnx_file
from shared.training import networks, students
from stages.export import calibration, metis_fixes, static_graph
from stages.export.metis_lint import judge, lint
from stages.export.metis_rules import VERSIONS

SIDE, CLASSES = 32, tuple(f"class {k}" for k in range(17))


def fitted(
    name: str, folder: Path, side: int = SIDE, bands: int = 3, fix: str = ""
) -> tuple[np.ndarray, np.ndarray, list[collections.Counter]]:
    """Logits before and after export fits a network, and what each SDK says of it.

    With `fix`, the remedies for that version are carried out.
    """
    torch.manual_seed(0)
    network = networks.build(name, bands, len(CLASSES), size=side)
    images = torch.randn(2, bands, side, side)
    networks.to_onnx(network, {"input": images}, folder / "student.onnx")
    before = networks.run_onnx(folder / "student.onnx", {"input": images})[:1]
    names = tuple(f"B{k}" for k in range(bands))
    zeros, ones = (0.0,) * bands, (1.0,) * bands
    card = Card("", name, names, zeros, ones, side, "bilinear", CLASSES)
    path = folder / "student.onnx"
    made = static_graph.make_static(onnx_graphs.load(path), card, path)
    made = metis_fixes.fix(made, fix)[0] if fix else made
    session = onnxruntime.InferenceSession(made.SerializeToString())
    after = session.run(None, {"input": images[:1].numpy()})[0]
    violations = [collections.Counter(v.operator for v in lint(made, m)) for m in VERSIONS]
    return before, after, violations


ZOO = ("resnet18", "mobilenetv4_conv_medium", "efficientnet_b0", "mobilenetv2_100", "densenet121")


@pytest.mark.parametrize("name", ZOO)
def test_students_of_the_zoo_pass(name: str, tmp_path: Path) -> None:
    before, after, violations = fitted(name, tmp_path)
    np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-6 * np.abs(before).max())
    assert violations == [{}, {}, {}]


class SmallSwin(nn.Module):
    """Two blocks of Swin V2, one shifted, behind a padding as that of a Segmenter, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.body = swin_transformer.SwinTransformer(
            [4, 4], 16, [2], [2], [8, 8], block=swin_transformer.SwinTransformerBlockV2
        ).features
        self.head = nn.Conv2d(16, 5, 1)

    def forward(self, images: Tensor) -> Tensor:
        high, wide = images.shape[-2:]
        padded = nn.functional.pad(images, (0, -wide % 4, 0, -high % 4), mode="replicate")
        logits = self.head(self.body(padded).permute(0, 3, 1, 2))
        logits = nn.functional.interpolate(logits, padded.shape[-2:], mode="bilinear")
        return logits[..., :high, :wide]


def test_swin_of_any_size_becomes_static_and_the_host_runs_a_part(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network, path = SmallSwin().eval(), tmp_path / "network.onnx"
    onnx_file.export_network(network, path)
    card = Card("network.onnx", "swin", ("red", "green", "blue"), (0.0,) * 3, (1.0,) * 3, 64,
                "bilinear", tuple("abcde"), task="segmentation")  # fmt: skip
    made = static_graph.make_static(onnx_graphs.load(path), card, path)
    kinds = {node.op_type for node in made.graph.node}
    assert not kinds & {"Shape", "Range", "Mod", "Pad", "ConstantOfShape", "GreaterOrEqual"}
    images = torch.randn(1, 3, 64, 64)
    said = onnxruntime.InferenceSession(made.SerializeToString())
    with torch.no_grad():
        expected = network(images).numpy()
    found = said.run(None, {"input": images.numpy()})[0]
    np.testing.assert_allclose(found, expected, atol=1e-4)
    judgement = judge(made, "1.8")
    host = {node.operator for node in judgement.nodes if node.verdict == "host"}
    assert host >= {"LayerNormalization", "Gather", "ReduceL2", "Erf"}
    assert judgement.refusals() == []
    assert 0 < (judgement.share() or 0) < 1


# Where a pool does not divide the picture: its padding is not counted in the mean, which all tables
# forbid, or cannot be the same above and on the left, as that of 1.2 wants it. 1.8: on the host.
UNEVEN = {
    ("student-separable", 22): [{"AveragePool": 1}] * 3,
    ("student-separable", 36): [{"Pad": 2}, {}, {}],
    ("student-depthwise-skip", 22): [{"Pad": 2}, {}, {}],
}


@pytest.mark.parametrize(("side", "bands"), [(64, 3), (22, 5), (36, 1)])
@pytest.mark.parametrize("name", students.BUILDERS)
def test_our_own_students_pass_at_any_size(
    name: str, side: int, bands: int, tmp_path: Path
) -> None:
    """At 22 and 36 pixels, each rest of a division by four occurs in one of the pools."""
    before, after, violations = fitted(name, tmp_path, side, bands)
    np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-6 * np.abs(before).max())
    assert violations == UNEVEN.get((name, side), [{}, {}, {}])


def test_mobilenet_v3_passes_from_1_6_on(tmp_path: Path) -> None:
    _, _, violations = fitted("mobilenetv3_small_100", tmp_path)
    assert violations == [{"HardSwish": 19, "HardSigmoid": 9}, {}, {}]


# What --fix makes of those: networks and sizes that an SDK refused or left to the host pass it.
FIXED = [
    ("mobilenetv3_small_100", "1.2", 32, 3), ("student-separable", "1.8", 22, 5),
    ("student-separable", "1.6", 22, 5),
]  # fmt: skip


@pytest.mark.parametrize(("name", "version", "side", "bands"), FIXED)
def test_fix_makes_them_pass(
    name: str, version: str, side: int, bands: int, tmp_path: Path
) -> None:
    before, after, violations = fitted(name, tmp_path, side, bands, version)
    np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-5 * np.abs(before).max())
    assert violations[VERSIONS.index(version)] == {}


@pytest.fixture
def double() -> Iterator[None]:
    """Torch computes in double precision, as our search does: no rounding decides a range."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def observe_both(
    name: str, folder: Path
) -> tuple[dict[str, int8.TensorObserver], dict[str, HistogramObserver]]:
    """Every tensor of a network over four pictures, one by one, the later of more contrast."""
    torch.manual_seed(0)
    network, side = networks.build(name, 3, len(CLASSES), size=SIDE).float(), SIDE
    images = torch.randn(4, 3, side, side) * torch.linspace(0.5, 2, 4).view(-1, 1, 1, 1)
    networks.to_onnx(network, {"input": images[:2].float()}, folder / "student.onnx")
    card = Card("", name, tuple("abc"), (0.0,) * 3, (1.0,) * 3, side, "bilinear", CLASSES)
    path = folder / "student.onnx"
    made = static_graph.make_static(onnx_graphs.load(path), card, path)
    onnx.save(made, folder / "fitted.onnx")
    opened = calibration.InstrumentedNetwork(folder / "fitted.onnx", folder)
    ours = opened.observers()
    theirs = {
        tensor: HistogramObserver(dtype=torch.quint8, factory_kwargs={"dtype": torch.float64})
        for tensor in ours
    }
    for image in images.float().numpy():
        for tensor, values in zip(opened.names, opened(image), strict=True):
            ours[tensor].observe(values.astype(np.float64))
            theirs[tensor](torch.from_numpy(values).double())
    return ours, theirs


@pytest.mark.filterwarnings("ignore:torch.ao.quantization is deprecated")
@pytest.mark.usefixtures("double")
@pytest.mark.parametrize(
    "name", ["student-separable", "resnet18", "mobilenetv3_small_100", "efficientnet_b0"]
)
def test_ranges_are_those_of_torchs_histogram_observer(name: str, tmp_path: Path) -> None:
    ours, theirs = observe_both(name, tmp_path)
    assert len(ours) > 10
    cut = 0
    for tensor, observer in theirs.items():
        low, high = (float(end) for end in observer._non_linear_param_search())
        found = ours[tensor].choose_per_tensor(int8.HISTOGRAM)
        allowed = 1e-6 * max(high - low, abs(low), abs(high))
        assert (float(found.low), float(found.high)) == pytest.approx((low, high), abs=allowed)
        scale, zero = (float(value) for value in observer.calculate_qparams())
        if high > low and scale > observer.eps:
            grid = found.grid()
            assert float(grid[0]) == pytest.approx(scale, rel=1e-5)
            assert int(grid[1]) == zero
        cut += (low, high) != (float(observer.min_val), float(observer.max_val))
    assert cut > 5  # the search did something
