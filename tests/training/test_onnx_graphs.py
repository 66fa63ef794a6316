"""Networks of others in the common form: torch's exports of many opsets, ours left as they are."""

import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import helper
from torch import nn
from torch.nn import functional

from shared import lcz, onnx_graphs
from shared.errors import StageError
from shared.models import Card
from shared.onnx_graphs import outputs
from shared.training import networks
from shared.training.records import cost
from tests import foreign

SIDE = 32
CARD = Card(
    "a.onnx", "any", ("B4", "B3", "B2"), (0.0,) * 3, (1.0,) * 3, SIDE, "bilinear", lcz.CLASSES
)
PICTURES = torch.from_numpy(foreign.pictures(5))


def session(model: onnx.ModelProto, images: np.ndarray) -> np.ndarray:
    logits: np.ndarray = onnx_graphs.open_session(model).run(["logits"], {"image": images})[0]
    return logits


def exported(network: nn.Module, path: Path, opset: int, batch: int = 1) -> Path:
    """The file that torch's exporter writes for a batch of one size."""
    images = torch.zeros(batch, 3, SIDE, SIDE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(network.eval(), (images,), str(path), dynamo=False, opset_version=opset)
    return path


class Mixed(nn.Module):
    """What changed between opsets: Clip, Pad, Slice, Split, Softmax, BatchNormalization, more."""

    def __init__(self, enlarge: bool) -> None:
        super().__init__()
        self.enlarge, self.slopes = enlarge, nn.PReLU(8)
        self.conv, self.norm = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.drop, self.head = nn.Dropout(), nn.Linear(16, 17)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        one, two = functional.relu6(self.norm(self.conv(images))).chunk(2, 1)
        maps = self.slopes(torch.cat([two, functional.leaky_relu(one)], 1))
        if self.enlarge:
            maps = functional.interpolate(maps, scale_factor=2, mode="nearest")
        maps = functional.max_pool2d(functional.pad(maps, (1, 0, 1, 0)), 3, 2)[:, :, :14, 1:15]
        means = functional.adaptive_avg_pool2d(maps, 1)
        rows = torch.cat([means, functional.max_pool2d(maps, 14)], 1)
        return self.head(self.drop(rows).view(len(images), -1)).softmax(-1)


@pytest.mark.parametrize("opset", [7, 8, 9, 10, 11, 12, 13, 15, 17, 18, 20])
@pytest.mark.parametrize("batch", [1, 4])
def test_torch_of_many_opsets(tmp_path: Path, opset: int, batch: int) -> None:
    torch.manual_seed(0)
    network = Mixed(enlarge=opset > 8)
    path = exported(network, tmp_path / "a.onnx", opset, batch)
    model = onnx_graphs.adopt(path, CARD).model
    with torch.no_grad():
        expected = network(PICTURES).numpy()
    assert onnx_graphs.compare(session(model, PICTURES.numpy()), expected) < 1e-6
    assert [(item.domain, item.version) for item in model.opset_import] == [("", 17)]
    kinds = {node.op_type for node in model.graph.node}
    assert not kinds & {"Softmax", "Dropout", "Identity", "Constant", "Shape", "Upsample", "MatMul"}
    macs = cost.count_cost(network, {"image": PICTURES})[1]
    assert onnx_graphs.count_cost(model)[1] == macs


@pytest.mark.parametrize("name", foreign.STYLES)
def test_styles_of_other_exporters(tmp_path: Path, name: str) -> None:
    """Their numbers by numpy, one picture or several at once."""
    style, images = foreign.STYLES[name], PICTURES.numpy()
    model = onnx_graphs.adopt(style.save(tmp_path / "a.onnx"), CARD).model
    style.check(session(model, images), images)
    ends = [*model.graph.input, *model.graph.output]
    assert [value.name for value in ends] == ["image", "logits"]
    assert not {node.op_type for node in model.graph.node} & {"Transpose", "Softmax", "Identity"}


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_vit", "test_mambaout"])
def test_networks_of_timm_for_one_picture(tmp_path: Path, name: str) -> None:
    """A class token for one picture, reshapes to one picture: any number afterwards."""
    torch.manual_seed(0)
    more = {"img_size": SIDE} if name == "test_vit" else {}
    network = networks.timm.create_model(name, num_classes=17, **more).eval()
    path = exported(network, tmp_path / "a.onnx", 16)
    model = onnx_graphs.adopt(path, CARD).model
    with torch.no_grad():
        expected = network(PICTURES).numpy()
    np.testing.assert_allclose(session(model, PICTURES.numpy()), expected, atol=1e-4)


@pytest.mark.parametrize("entry", ["image", "input"])
def test_files_of_our_own_are_left_as_they_are(tmp_path: Path, entry: str) -> None:
    torch.manual_seed(0)
    path, network = tmp_path / "a.onnx", networks.build("test_resnet", 3, 17)
    networks.to_onnx(network, {entry: PICTURES}, path)
    written, model = onnx.load(path), onnx_graphs.adopt(path, CARD).model
    if entry == "image":
        assert model == written
    else:  # of a student: only the name of the input is another
        assert model.graph.input[0].name == "image"
        model.graph.input[0].name = entry
        for node in model.graph.node:
            node.input[:] = [entry if name == "image" else name for name in node.input]
        assert model == written
    parameters, macs = onnx_graphs.count_cost(model)
    in_torch = cost.count_cost(network, {"image": PICTURES})
    assert macs == in_torch[1]
    assert abs(parameters - in_torch[0]) < 0.01 * in_torch[0]  # batch norms are in convolutions


def test_size_by_hand(tmp_path: Path) -> None:
    for style, border in (("keras-batch-1", 0), ("matlab", 0), ("float16", 0)):
        path = foreign.STYLES[style].save(tmp_path / style / "a.onnx")
        kernel, head = 8 * 3 * 9, 4 * 8 * 17
        counted = onnx_graphs.count_cost(onnx_graphs.adopt(path, CARD).model)
        assert counted == (kernel + 8 + head + 17 + border, SIDE * SIDE * kernel + head), style


@pytest.mark.parametrize(("features", "side"), [(2, 2), (1, 2), (8, 1)])
def test_rows_of_channels_last_are_those_of_channels_first(
    tmp_path: Path, features: int, side: int
) -> None:
    """Weights are put into another order only where there is one: behind a Relu they cannot be."""
    rng, by = np.random.default_rng(0), foreign.weights()
    by = {"kernel": by["kernel"][:features], "shift": by["shift"][:features]}
    net = foreign.Builder(by, 13)
    maps = net.add("Relu", net.conv(net.add("Transpose", "x", perm=[0, 3, 1, 2])))
    step = [SIDE // side] * 2
    maps = net.add("AveragePool", maps, kernel_shape=step, strides=step)
    last = net.add("Transpose", maps, perm=[0, 2, 3, 1])
    rows = net.add("Reshape", last, net.store([-1, features * side**2], np.int64))
    rows = rows if features == 2 else net.add("Relu", rows)
    matrix = rng.standard_normal((features * side**2, foreign.CLASSES))
    made = net.add("MatMul", rows, net.store(matrix))
    onnx.save(net.model(made, last=True), tmp_path / "a.onnx")
    adopted, images = onnx_graphs.adopt(tmp_path / "a.onnx", CARD), PICTURES.numpy()
    kinds = [node.op_type for node in adopted.model.graph.node]
    assert "Transpose" not in kinds
    np.testing.assert_allclose(
        session(adopted.model, images), adopted.given.run(images), 1e-4, 1e-5
    )


def test_a_batch_that_only_looks_free_is_called_row_by_row(tmp_path: Path) -> None:
    """The picture says N, and a Reshape further down makes one row of all that comes."""
    by = foreign.weights()
    net = foreign.Builder(by, 13)
    quarters = net.quarters(net.add("Relu", net.conv("x")))
    rows = net.add("Reshape", quarters, net.store([1, 4 * foreign.FEATURES], np.int64))
    scores = net.add("Gemm", rows, net.store(net.matrix()), net.store(by["bias"]))
    onnx.save(net.model(scores), tmp_path / "a.onnx")
    adopted, images = onnx_graphs.adopt(tmp_path / "a.onnx", CARD), PICTURES.numpy()
    assert adopted.given.rows == 1
    foreign.Style(foreign.keras).check(adopted.given.run(images), images)
    foreign.Style(foreign.keras).check(session(adopted.model, images), images)


def test_softmax_that_is_not_the_last_word_becomes_a_logarithm(tmp_path: Path) -> None:
    """Two softmaxes are averaged, so that there are no logits to go back to."""
    by = foreign.weights()
    net = foreign.Builder(by, 17)
    rows = net.add("Flatten", net.quarters(net.add("Relu", net.conv("x"))))
    scores = net.add("Gemm", rows, net.store(net.matrix()), net.store(by["bias"]))
    half = net.add("Mul", net.add("Softmax", scores), net.store(0.5))
    other = net.add("Mul", net.add("Softmax", net.add("Neg", scores)), net.store(0.5))
    onnx.save(net.model(net.add("Add", half, other)), tmp_path / "a.onnx")
    adopted = onnx_graphs.adopt(tmp_path / "a.onnx", CARD)
    logits, images = session(adopted.model, PICTURES.numpy()), PICTURES.numpy()
    np.testing.assert_allclose(np.exp(logits), adopted.given.run(images), atol=1e-6)
    assert [node.op_type for node in adopted.model.graph.node][-2:] == ["Max", "Log"]


@pytest.mark.parametrize(
    ("rows", "form"),
    [
        ([[0.25, 0.75], [1, 0]], "probabilities"),
        ([[0.25, 0.752], [1, 0]], "logits"),
        ([[0.5, 1.5], [1, 0]], "logits"),
        ([[-0.25, 1.25], [1, 0]], "logits"),
        (np.log([[0.25, 0.75], [0.5, 0.5]]), "logarithms"),
        (np.log([[0.25, 0.753], [0.5, 0.5]]), "logits"),
    ],
)
def test_the_form_of_outputs_is_told_by_their_sums(rows: object, form: str) -> None:
    assert outputs.name_form(np.asarray(rows, np.float32)) == form


def test_a_wrong_conversion_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a rewriting gets wrong shows on noise, and on the stored rows if noise does not say."""
    from shared.onnx_graphs.rewriting import listed

    right = listed.write_gemms

    def wrong(network: listed.Network) -> None:
        right(network)
        for node in network.graph.node:
            if node.op_type == "Relu":
                node.op_type = "Abs"

    monkeypatch.setattr(listed, "write_gemms", wrong)
    path = foreign.STYLES["keras"].save(tmp_path / "a.onnx")
    with pytest.raises(StageError, match=r"a\.onnx: cannot be converted: opset 17 gives"):
        onnx_graphs.adopt(path, CARD)


def test_stored_rows_are_compared_besides_noise(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    """A network that clips: below 6 a Relu says the same, which noise alone cannot tell."""
    from shared.onnx_graphs.rewriting import listed

    by = {name: values / 50 for name, values in foreign.weights().items()}
    net = foreign.Builder(by, 13)
    maps = net.add("Clip", net.conv("x"), net.store(0.0), net.store(6.0))
    rows = net.add("Flatten", net.quarters(maps))
    onnx.save(
        net.model(net.add("Gemm", rows, net.store(net.matrix()), net.store(by["bias"]))),
        tmp_path / "a.onnx",
    )

    def wrong(network: listed.Network) -> None:
        for node in network.graph.node:
            if node.op_type == "Clip":
                node.CopyFrom(helper.make_node("Relu", node.input[:1], node.output))

    monkeypatch.setattr(listed, "write_gemms", wrong)
    onnx_graphs.adopt(tmp_path / "a.onnx", CARD)  # noise is small
    with pytest.raises(StageError, match="cannot be converted: opset 17 gives other"):
        onnx_graphs.adopt(tmp_path / "a.onnx", CARD, 100 * PICTURES.numpy())


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("../out.bin", "points outside the directory"),
        ("x/../../out.bin", "points outside the directory"),
        ("{outside}", "it is an absolute path"),
        ("link.bin", "it is a symbolic link"),
    ],
)
def test_values_outside_of_the_folder_are_not_read(tmp_path: Path, place: str, reason: str) -> None:
    """Also where the values that lie there would fit."""
    folder, outside = tmp_path / "in", tmp_path / "out.bin"
    folder.mkdir()
    model = onnx.load(exported(nn.Conv2d(3, 4, 3), folder / "a.onnx", 17))
    tensor = model.graph.initializer[0]
    outside.write_bytes(tensor.raw_data)
    (folder / "link.bin").symlink_to("../out.bin")
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=place.format(outside=outside))
    (folder / "a.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(StageError, match=reason):
        onnx_graphs.load(folder / "a.onnx")
