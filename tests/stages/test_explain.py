"""explain: maps by hand and against hooks, choice of rows, bands, the product, refusals."""

import csv
import dataclasses
import json
import os
import re
import warnings
from pathlib import Path

import h5py
import matplotlib.image
import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from shared import cli, models, patches
from shared.models import Card, scores
from shared.training import networks as torch_networks
from stages.explain import (
    attribution,
    band_chart,
    canvas,
    classifiers,
    findings,
    main,
    pictures,
    product,
    sheet,
    test_rows,
)
from stages.explain.settings import Maps
from tests import hostile, networks

NAME = "test_resnet"  # the smallest of timm
SIZE = 64


# --- Grad-CAM -------------------------------------------------------------------------------------
class TwoMaps(nn.Module):
    """Two copies of the picture, the second one doubled; each class adds up one of them."""

    def __init__(self) -> None:
        super().__init__()
        self.maps, self.act = nn.Conv2d(1, 2, 1, bias=False), nn.ReLU(inplace=True)
        self.head = nn.Linear(2, 2, bias=False)
        self.maps.weight.data = torch.tensor([1.0, 2.0])[:, None, None, None]
        self.head.weight.data = torch.tensor([[1.0, 0.5], [-1.0, 0.0]])

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.act(self.maps(images)).mean((2, 3)))


def test_grad_cam_by_hand() -> None:
    network, image = TwoMaps().eval(), np.array([[[1, 3], [-2, 5]]], np.float32)
    made = attribution.grad_cam(network, network.maps, image, 0, (2, 2))
    # Gradients are w/4 where the ReLU lets them through, 3 of 4 places: weights 3/16 and 1.5/16.
    # Weighted sums are (1·3 + 2·1.5)/16 of the picture; negative ones are cut, then 0 … 5 is 0 … 1.
    assert made == pytest.approx(np.array([[0.2, 0.6], [0, 1]]), abs=1e-6)
    other = attribution.grad_cam(network, network.maps, image, 1, (2, 2))  # speaks against it
    assert other == pytest.approx(np.array([[0, 0], [1, 0]]), abs=1e-6)
    flat = attribution.grad_cam(network, network.maps, np.ones((1, 2, 2), np.float32), 1, (4, 6))
    assert flat.tolist() == np.zeros((4, 6)).tolist()


def grad_cam_with_hooks(network: nn.Module, layer: nn.Module, image: Tensor, k: int) -> Tensor:
    kept: dict[str, Tensor] = {}

    def keep(_: object, __: object, output: Tensor) -> Tensor:
        kept["maps"] = output.clone().detach()
        copy = output.clone()
        copy.register_hook(lambda gradient: kept.update(gradient=gradient))
        return copy

    hook = layer.register_forward_hook(keep)
    network(image)[0, k].backward()
    hook.remove()
    weights = kept["gradient"].mean((2, 3), keepdim=True)
    coarse = torch.relu((weights * kept["maps"]).sum(1, keepdim=True))
    return (coarse - coarse.min()) / (coarse.max() - coarse.min())


@pytest.mark.parametrize("name", ["conv1", "layer2.0.conv2", "layer2.0.bn2", "layer3"])
def test_grad_cam_is_that_of_a_few_lines_with_hooks(name: str) -> None:
    """Also where the next layer works in place, as it does after a batch norm of a ResNet."""
    torch.manual_seed(2)
    network = torch_networks.build("resnet18", 3, 5).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
    layer = network.get_submodule(name)
    image = torch.randn(1, 3, SIZE, SIZE)
    target = int(network(image).argmax())
    wanted = grad_cam_with_hooks(network, layer, image, target)
    fine = nn.functional.interpolate(wanted, (20, 30), mode="bilinear")[0, 0]
    made = attribution.grad_cam(network, layer, image[0].numpy(), target, (20, 30))
    assert made.std() > 0.05
    np.testing.assert_allclose(made, fine.numpy(), atol=1e-5)


def test_layers_with_maps_in_the_order_in_which_they_run() -> None:
    network = torch_networks.build("mobilenetv3_small_100", 3, 5).eval()
    image = np.zeros((3, SIZE, SIZE), np.float32)
    there = attribution.list_layers(network, image)
    assert next(iter(there)) == "conv_stem"
    assert "blocks.5.0.conv" in there
    assert not [name for name in there if ".se.conv" in name or name == "conv_head"]  # one place
    assert attribution.choose_layers(there, ()) == ["blocks.5.0.conv"]
    assert attribution.choose_layers(there, ("nowhere",)) == ["blocks.5.0.conv"]
    wanted = ("blocks.1", "conv_stem", "blocks.1")
    assert attribution.choose_layers(there, wanted) == ["blocks.1", "conv_stem"]


# --- occlusion and ranks --------------------------------------------------------------------------
def test_occlusion_by_hand() -> None:
    image = np.array([[[1, 0, 0], [0, 0, 4]]], np.float32)

    def logits(images: np.ndarray) -> np.ndarray:
        total = images.sum((1, 2, 3))
        return np.stack([np.zeros(len(total)), total], 1).astype(np.float32)

    made = attribution.occlude(logits, image, 1, (2, 3), 2)
    # Squares begin at each place; those that begin in the last line and column reach beyond it no
    # more: two squares, with 1 and 4 in them; the middle column has the mean of both.
    np.testing.assert_allclose(made, [[1, 2.5, 4], [1, 2.5, 4]])
    assert not attribution.occlude(logits, image, 0, (2, 3), 2).any()


def test_occlusion_is_that_of_a_loop_over_squares() -> None:
    rng = np.random.default_rng(0)
    weights, image = rng.random((2, 3, 18, 18)), rng.standard_normal((3, 18, 18))
    height, width, side, step = 6, 9, 4, 2  # pixels of the patch; three and two of the input each

    def logits(images: np.ndarray) -> np.ndarray:
        return np.tanh(np.einsum("nchw,kchw->nk", images, weights) / 30).astype(np.float32)

    total, count = np.zeros((height, width)), np.zeros((height, width))
    for top in range(0, height - side + step, step):
        for left in range(0, width - side + step, step):
            rows, columns = slice(top, top + side), slice(left, left + side)
            covered = image.copy()
            covered[:, 3 * top : 3 * (top + side), 2 * left : 2 * (left + side)] = 0
            total[rows, columns] += (logits(image[None]) - logits(covered[None]))[0, 1]
            count[rows, columns] += 1
    made = attribution.occlude(logits, image.astype(np.float32), 1, (height, width), side)
    np.testing.assert_allclose(made, total / count, atol=1e-5)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([1, 2, 2, 3], [1, 3, 2, 4], 4.5 / 22.5**0.5),  # ranks 1 2.5 2.5 4 and 1 3 2 4
        ([0, 1, 5, 9], [7, 3, 2, -1], -1),
        ([1, 10, 100, 1000], [1, 2, 3, 4], 1),
        ([1, 1, 1, 1], [1, 2, 3, 4], None),
    ],
)
def test_correlation_of_ranks(one: list[int], other: list[int], expected: float | None) -> None:
    maps = [np.array(values, np.float32).reshape(2, 2) for values in (one, other)]
    assert attribution.correlate_ranks(maps[0], maps[1]) == (
        None if expected is None else pytest.approx(expected)
    )


# --- rows and bands -------------------------------------------------------------------------------
def test_bands_by_hand() -> None:
    """The second band alone decides; without it everything is the first class."""
    images = np.zeros((4, 2, 3, 3), np.float32)
    images[:, 0], images[[1, 3], 1] = 5, 1
    labels = np.array([0, 1, 0, 1])

    def logits(images: np.ndarray) -> np.ndarray:
        second = images[:, 1].mean((1, 2))
        return np.stack([np.zeros(len(second)), 10 * second - 5], 1).astype(np.float32)

    without = test_rows.occlude_bands(logits, images)
    assert images[0, 0, 0, 0] == 5
    said = test_rows.Said(("B4", "B8"), logits(images), without)
    first, second = test_rows.measure_bands(said, labels)
    likely = 1 / (1 + np.exp(-5))
    assert (first.band, first.rows, first.accuracy, first.accuracy_without) == ("B4", 4, 1, 1)
    assert (second.band, second.accuracy, second.accuracy_without) == ("B8", 1, 0.5)
    assert [first.score, first.score_without] == pytest.approx([likely, likely])
    assert [second.score, second.score_without] == pytest.approx([likely, 0.5])


def test_rows_evenly_spread() -> None:
    assert test_rows.sample(10, 3) == [0, 4, 9]
    assert test_rows.sample(4, 9) == [0, 1, 2, 3]
    assert test_rows.sample(7, 1) == [0]


def test_one_row_of_each_class() -> None:
    labels, good = np.array([2, 0, 2, 2, 1]), np.array([True, True, False, True, False])
    chosen = [test_rows.choose_by_class(labels, good, seed) for seed in range(20)]
    assert {tuple(one) for one in chosen} == {(0, 2)}  # class 1 has none
    assert {one[2] for one in chosen} == {0, 3}
    assert chosen[7] == test_rows.choose_by_class(labels, good, 7)


def sample(*predicted: list[int]) -> product.Sample:
    """Rows 10, 11, … of classes 0 0 1 1, and what networks say of them."""
    said = [test_rows.Said((), np.eye(2)[p], np.zeros((0, 4, 2))) for p in predicted]  # type: ignore[arg-type]
    return product.Sample(np.arange(10, 14), np.array([0, 0, 1, 1]), said)


def test_best_and_worst() -> None:
    both = sample([0, 1, 0, 0], [0, 1, 1, 0], [1, 1, 1, 0])
    assert both.accuracies() == [0.25, 0.5, 0.25]
    assert product.choose_versus(both, 0) == ((1, 0), [12])
    assert product.choose_versus(sample([0, 0, 1, 1]), 0)[1] == []


def test_classes_without_wrong_rows_are_left_out_and_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    labels = np.repeat([0, 1], 20)
    lines, groups = product.choose_lines(
        sample([0, 0, 1, 0]), labels, ("road", "roof"), product.Choice(seed=1)
    )
    assert groups == ["right", "wrong"]
    assert lines[0][0] == "road"
    assert lines[0][1][0] in (10, 11)
    assert lines[0][1][1] is None
    assert lines[1] == ("roof", [12, 13])
    assert capsys.readouterr().err == "no wrong row among the 4 of the sample: road\n"
    lines, groups = product.choose_lines(
        sample([0, 0, 1, 1]), labels, ("road", "roof"), product.Choice()
    )
    assert groups == ["right"]
    assert [len(rows) for _, rows in lines] == [1, 1]
    lines, groups = product.choose_lines(
        sample([0, 0, 1, 1]), labels, ("road", "roof"), product.Choice(rows=(39, 3, 39))
    )
    assert (lines, groups) == ([("roof", [39]), ("road", [3])], ["chosen rows"])


# --- pictures -------------------------------------------------------------------------------------
def test_a_map_lies_over_the_patch_in_grey() -> None:
    picture = np.array([[[200, 100, 50], [0, 0, 0]]], np.uint8).repeat(2, 0)
    cell = sheet.Cell(picture, values=np.zeros((2, 2), np.float32))
    grey = round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)
    shown = sheet.overlay(cell, 4, 0.0)
    assert shown.shape == (4, 4, 3)
    assert shown[0, :, 0].tolist() == [grey, grey, 0, 0]
    dark = 255 * np.array(matplotlib.colormaps["plasma"](0.0)[:3])
    assert sheet.overlay(cell, 4, 1.0)[3, 3].tolist() == dark.round().tolist()
    half = (0.25 * dark + 0.75 * grey)[0]
    assert sheet.overlay(cell, 4, 0.25)[0, 0, 0] == pytest.approx(half, abs=1)
    plain = sheet.Cell(picture)
    assert sheet.overlay(plain, 4, 1.0)[2].tolist() == [[200, 100, 50]] * 2 + [[0, 0, 0]] * 2


def test_texts_are_cut_to_their_place() -> None:
    text = "HerbaceousVegetation" * 3
    cut = canvas.shorten(text, 100)
    assert cut.endswith("…")
    assert canvas.measure(cut) <= 100 < canvas.measure(text[: len(cut) + 2])
    assert canvas.shorten("Forest", 100) == "Forest"
    assert canvas.measure("Forest", weight="bold") > canvas.measure("Forest") > 0


def test_true_colour_or_the_first_bands(prepared: Path) -> None:
    with patches.read(prepared, "label") as source:
        shown = pictures.show_patches(source, [0, 16], ("B8", "B4"))
        values = models.read_scaled(source, ("B4", "B3", "B2"), slice(16, 17))[0]
    assert shown[0].shape == (32, 32, 3)
    assert shown[16].mean() > shown[0].mean() + 50  # stretched together
    order = np.argsort(values[..., 0].ravel(), kind="stable")
    assert (np.diff(shown[16][..., 0].ravel()[order].astype(int)) >= 0).all()
    with h5py.File(prepared, "r+") as file:
        names = [f"X{number}" for number in range(10)]
        file["sen2"].attrs["bands"] = names
    with patches.read(prepared, "label") as source:
        shown = pictures.show_patches(source, [0, 16], ("X3", "X1"))
        first = pictures.show_patches(source, [0, 16], ("X3",))
    assert (shown[0][..., 1] == shown[0][..., 2]).all()
    assert (first[0][..., 0] == first[0][..., 2]).all()
    assert (first[0][..., 0] == shown[0][..., 0]).all()


def test_cells_lie_in_their_places(tmp_path: Path) -> None:
    red, blue = (np.full((2, 3, 3), colour, np.uint8) for colour in ((200, 0, 0), (0, 0, 200)))
    lines = [
        sheet.Line("first", [[sheet.Cell(red), sheet.Cell(blue)], [sheet.Cell(red)]]),
        sheet.Line("second", [[], [sheet.Cell(blue)]]),
    ]
    headings = [("right", ["a", "b"]), ("wrong", ["a"])]
    whole = sheet.Sheet("title", "note", headings, lines, 0.5, side=40)
    sheet.draw(tmp_path / "sheet.png", whole)
    picture = (255 * matplotlib.image.imread(tmp_path / "sheet.png")[..., :3]).round().astype(int)
    found = {
        name: np.argwhere((picture == colour).all(2))
        for name, colour in (("red", (200, 0, 0)), ("blue", (0, 0, 200)))
    }
    assert {name: len(places) for name, places in found.items()} == {"red": 3200, "blue": 3200}
    (top, first), (end, last) = found["red"].min(0), found["red"].max(0)
    assert end - top == 39  # both in the first line, in the first column of the two groups
    assert last - first == 2 * 40 + sheet.GAP + sheet.APART + 39
    (above, left), (below, right) = found["blue"].min(0), found["blue"].max(0)
    assert (above, left) == (top, first + 40 + sheet.GAP)
    assert (below, right) == (end + 40 + sheet.CAPTION, last)


def test_what_is_said_below_a_map() -> None:
    values = np.zeros((2, 2), np.float32)
    made = findings.Drawn("Grad-CAM", "conv1", values, -0.251)
    classifier = classifiers.Classifier("a", "a", ())
    looker = findings.Looker(classifier, (), 6, (2, 2))
    covered = findings.Drawn("occlusion", "", values)
    wrong = findings.Finding(7, 1, looker, 0, 0.756, (made, covered))
    right = dataclasses.replace(wrong, row=8, label=0)
    patch = {row: np.zeros((2, 2, 3), np.uint8) for row in (7, 8)}
    seen = {(one.row, "a"): one for one in (wrong, right)}
    scene = pictures.Scene([looker], ("road", "roof"), 0.5, patch, seen)
    cells = [*scene.seen_by(looker, 7), *scene.seen_by(looker, 8)]
    captions = ["road\n0.76 · ρ -0.25", "road\n0.76"]
    assert [cell.caption for cell in cells] == captions * 2
    assert [cell.colour for cell in cells] == [canvas.WRONG] * 2 + [canvas.INK] * 2
    assert scene.columns(looker) == ["a\nGrad-CAM\nconv1", "\nocclusion\n6 × 6 pixels"]


def test_losses_of_bands_in_percent() -> None:
    bands = [test_rows.Band("B4", 9, 0.9, 0.6, 0.8, 0.7), test_rows.Band("B8", 9, 0.9, 1, 0.8, 0.8)]
    accuracy, score = (values for values, _ in band_chart.losses(bands).values())
    assert accuracy == pytest.approx([30, -10])
    assert score == pytest.approx([10, 0])


def test_falls_are_shares_of_the_largest() -> None:
    fall = np.array([[-2, 1], [4, 0]], np.float32)
    assert findings.share_of_largest(fall).tolist() == [[0, 0.25], [1, 0]]
    assert findings.share_of_largest(-abs(fall)).tolist() == [[0, 0], [0, 0]]


# --- the stage ------------------------------------------------------------------------------------
def student(folder: Path, source: Path, bands: tuple[str, ...] = ("B4", "B3", "B2")) -> Path:
    """A network with random weights of an architecture that torch knows, as distill leaves it."""
    folder.mkdir(parents=True)
    torch.manual_seed(5)
    network = torch_networks.build(NAME, len(bands), 17).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        example = {"input": torch.zeros(2, len(bands), SIZE, SIZE)}
        torch_networks.to_onnx(network, example, folder / "student.onnx")
    save_file(network.state_dict(), folder / "student.safetensors")
    with patches.read(source, "label") as opened:
        mean, std = models.band_statistics(opened, bands)
        card = Card("student.onnx", NAME, bands, mean, std, SIZE, "bilinear", opened.classes)
    models.save(folder, [card])
    return folder


@pytest.fixture
def products(prepared: Path, prepared_test: Path) -> dict[str, Path]:
    """A student of torch, a network that torch does not know, and the test file."""
    folder = prepared.parents[1]
    known = networks.student(folder / "onnx", prepared, prepared_test, ("B8", "B11", "VV"))
    return {"student": student(folder / "distill" / "a", prepared), "onnx": known,
            "test": prepared_test}  # fmt: skip


def command(src: str, test: Path, dst: Path, *flags: str) -> dict[str, bytes]:
    cli.main(main.run, [f"--src={src}", f"--test={test}", f"--dst={dst}", *flags])
    return {
        path.relative_to(dst).as_posix(): path.read_bytes()
        for path in sorted(dst.rglob("*"))
        if path.is_file()
    }


def table(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(content.decode().splitlines()))


def test_product_and_the_same_bytes_again(products: dict[str, Path], tmp_path: Path) -> None:
    src = f"{products['onnx']},{products['student']}"
    flags = ("--occlusion=16", "--sample=4")
    made = command(src, products["test"], tmp_path / "out", *flags)
    tables = {"bands.csv", "bands.png", "index.csv", "overview.png", "best-versus-worst.png"}
    assert tables < made.keys()
    assert all(v.startswith(b"\x89PNG") for n, v in made.items() if n.endswith(".png"))
    index = table(made["index.csv"])
    assert {line["file"] for line in index} == made.keys() - tables
    assert list(index[0]) == list(product.INDEX)
    by_method = {(line["product"], line["method"]) for line in index}
    assert by_method == {
        ("onnx", "occlusion"), ("distill/a", "occlusion"), ("distill/a", "Grad-CAM")
    }  # fmt: skip
    grads = [line for line in index if line["method"] == "Grad-CAM"]
    assert all(line["layer"] and -1 <= float(line["correlation"]) <= 1 for line in grads)
    assert all(line["correlation"] == "" for line in index if line["method"] == "occlusion")
    with patches.read(products["test"], "label") as source:
        labels, classes = source.labels(), source.classes
    assert all(classes[labels[int(line["row"])]] == line["class"] for line in index)
    bands = table(made["bands.csv"])
    assert [line["band"] for line in bands] == ["B8", "B11", "VV", "B4", "B3", "B2"]
    assert {line["rows"] for line in bands} == {"4"}
    assert command(src, products["test"], tmp_path / "again", *flags) == made


def test_scores_are_those_of_the_network(
    products: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = command(str(products["onnx"]), products["test"], tmp_path / "out", "--rows=3,11")
    said = "onnx: occlusion alone, no Grad-CAM: --architecture: expected a timm or torchvision name"
    assert said in capsys.readouterr().err
    index = table(made["index.csv"])
    logits = np.load(products["onnx"] / "test_logits.npy")
    labels = np.load(products["onnx"] / "test_labels.npy")
    likely = scores.softmax(logits)
    with patches.read(products["test"], "label") as source:
        classes = source.classes
    assert [int(line["row"]) for line in index] == [3, 11]
    for line in index:
        row = int(line["row"])
        assert float(line["score"]) == pytest.approx(likely[row].max(), abs=1e-3)
        assert line["predicted"] == classes[logits[row].argmax()]
    accuracy = float((logits.argmax(1) == labels).mean())
    bands = table(made["bands.csv"])
    assert [float(x["accuracy"]) for x in bands] == pytest.approx([accuracy] * 3, abs=1e-4)
    assert "best-versus-worst.png" not in made
    assert list(made)[-1] == "overview.png"


def test_maps_without_occlusion_and_of_named_layers(
    products: dict[str, Path], tmp_path: Path
) -> None:
    network = torch_networks.build(NAME, 3, 17).eval()
    names = list(attribution.list_layers(network, np.zeros((3, SIZE, SIZE), np.float32)))[1:3]
    flags = ("--rows=5", "--occlusion=0", f"--layers={','.join(names)}")
    made = command(str(products["student"]), products["test"], tmp_path / "out", *flags)
    index = table(made["index.csv"])
    assert [(line["layer"], line["correlation"]) for line in index] == [(n, "") for n in names]
    assert [line["file"] for line in index] == [
        f"maps/000005-a-grad-cam-{name}.png" for name in names
    ]


def test_a_member_of_an_ensemble(products: dict[str, Path], tmp_path: Path) -> None:
    """Each member sees its own bands; the second one is asked for."""
    first, second = products["student"], student(tmp_path / "b", products["test"], ("B8", "B3"))
    (second / "student.onnx").rename(first / "member-02.onnx")
    other = json.loads((second / "model.json").read_text())["members"][0]
    card = Card(**other | {"file": "member-02.onnx"})
    models.save(first, [*models.load(first), card])
    made = command(
        str(first), products["test"], tmp_path / "out", "--member=2", "--rows=0", "--occlusion=0"
    )
    assert [line["band"] for line in table(made["bands.csv"])] == ["B8", "B3"]
    assert table(made["index.csv"])[0]["method"] == "Grad-CAM"


def test_an_ensemble_as_a_whole(products: dict[str, Path], tmp_path: Path) -> None:
    """Maps are means over the members, classes follow the sum rule, bands are covered for all."""
    first, second = products["student"], student(tmp_path / "b", products["test"], ("B8", "B3"))
    torch.manual_seed(9)
    network = torch_networks.build(NAME, 2, 17).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        example = {"input": torch.zeros(2, 2, SIZE, SIZE)}
        torch_networks.to_onnx(network, example, second / "student.onnx")
    (second / "student.onnx").rename(first / "member-02.onnx")
    other = json.loads((second / "model.json").read_text())["members"][0]
    card = Card(**other | {"file": "member-02.onnx"})
    models.save(first, [*models.load(first), card])
    flags = ("--member=0", "--rows=4,7", "--occlusion=16")
    made = command(str(first), products["test"], tmp_path / "out", *flags)
    index, bands = table(made["index.csv"]), table(made["bands.csv"])
    assert [line["band"] for line in bands] == ["B4", "B3", "B2", "B8"]
    with patches.read(products["test"], "label") as source:
        labels = source.labels()
        (one,) = classifiers.read((first,), source, 0)
        (looker,) = findings.prepare([one], source, Maps(occlusion=16))
        alone = [
            findings.prepare([classifiers.Classifier("x", "x", (m,))], source, Maps(occlusion=16))
            for m in one.members
        ]
        for row, lines in ((4, index[:2]), (7, index[2:])):
            images = [member.read(source, [row]) for member in one.members]
            said = [m.logits(p)[0] for m, p in zip(one.members, images, strict=True)]
            mean = np.mean([np.exp(x) / np.exp(x).sum() for x in said], 0)
            assert {line["predicted"] for line in lines} == {source.classes[mean.argmax()]}
            assert float(lines[0]["score"]) == pytest.approx(mean.max(), abs=1e-4)
            found = findings.look(looker, source, row, int(labels[row]))
            target, falls, maps = int(mean.argmax()), [], []
            for (single,), picture in zip(alone, images, strict=True):
                (member,), (layers,) = single.classifier.members, single.layers
                ((_, layer),) = layers.items()
                shape = looker.shape
                maps.append(attribution.grad_cam(member.network, layer, picture[0], target, shape))
                falls.append(attribution.occlude(member.logits, picture[0], target, shape, 16))
            np.testing.assert_allclose(found.maps[0].values, (maps[0] + maps[1]) / 2, atol=1e-6)
            fall = findings.share_of_largest(np.asarray((falls[0] + falls[1]) / 2, np.float32))
            np.testing.assert_allclose(found.maps[1].values, fall, atol=1e-5)


def test_bands_of_an_ensemble_by_hand() -> None:
    """A band that one member sees is covered there; the other one goes on as before."""
    first = test_rows.Said(
        ("a", "b"), *(np.array(v, np.float32) for v in ([[0, 0]], [[[3, 0]], [[0, 3]]]))
    )
    other = test_rows.Said(("b",), np.array([[1, 0]], np.float32), np.array([[[0, 9]]], np.float32))
    joined = test_rows.join_members([first, other])
    assert joined.bands == ("a", "b")

    def odds(*logits: float) -> float:
        return float(np.mean([1 / (1 + np.exp(-x)) for x in logits]))

    found = scores.softmax(np.stack([joined.logits, *joined.without])[:, 0])[:, 0]
    assert found == pytest.approx([odds(0, 1), odds(3, 1), odds(-3, -9)], abs=1e-6)
    assert test_rows.join_members([first]).logits is first.logits


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--rows=4,17", "--rows: expected 0 to 16, found 17"),
        ("--occlusion=33", "--occlusion: expected 0 to 32, found 33"),
        ("--layers=conv9", r"--layers: expected of conv1\.0, .*, layer4, found 'conv9'"),
        ("--opacity=2", "--opacity: expected 0 to 1, found 2"),
        ("--sample=0", "--sample: expected at least 1, found 0"),
    ],
)
def test_refuses_flags(
    products: dict[str, Path], capsys: pytest.CaptureFixture[str], flag: str, message: str
) -> None:
    dst = products["test"].with_name("out")
    before = sorted(products["test"].parent.iterdir())
    with pytest.raises(SystemExit, match="2"):
        command(str(products["student"]), products["test"], dst, flag)
    assert re.search(message, capsys.readouterr().err)
    assert sorted(products["test"].parent.iterdir()) == before


def test_refuses_products(
    products: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known, onnx_alone, test = products["student"], products["onnx"], products["test"]

    def refused(src: str, *flags: str) -> str:
        with pytest.raises(SystemExit, match="2"):
            command(src, test, tmp_path / "out", *flags)
        assert not (tmp_path / "out").exists()
        return capsys.readouterr().err.splitlines()[-1]

    said = refused(str(onnx_alone), "--occlusion=0")
    assert "onnx: expected --occlusion of at least 1, as it has no layers for Grad-CAM" in said
    said = refused(str(onnx_alone), "--layers=conv1")
    assert "expected of none, as no network is known to torch, found 'conv1'" in said
    assert "one of them twice" in refused(f"{known},{known}")
    assert "model.json" in refused(str(test.parent))
    card = models.load(known)[0]
    models.save(known, [dataclasses.replace(card, bands=("B4", "B3", "B13"))])
    assert "expected band 'B13'" in refused(str(known))
    models.save(known, [dataclasses.replace(card, features=4)])
    assert "takes 4 tda features as well" in refused(str(known))
    models.save(known, [card, card])
    assert f"--member: expected 0 to 2 for {known}, found 3" in refused(str(known), "--member=3")
    models.save(known, [dataclasses.replace(card, classes=tuple("abcdefghijklmnopq"))])
    assert "expected 17 classes a, b, c …, found 17 classes" in refused(str(known))


def test_classes_in_another_order(products: dict[str, Path], tmp_path: Path) -> None:
    """What is said is told in the words of the data; gradients would be those of other classes."""
    folder = products["onnx"]
    card = models.load(folder)[0]
    turned = onnx.load(folder / card.file)
    for tensor in turned.graph.initializer:
        if tensor.name in ("matrix", "bias"):
            values = onnx.numpy_helper.to_array(tensor)[..., ::-1]
            tensor.CopyFrom(onnx.numpy_helper.from_array(values.copy(), tensor.name))
    onnx.save(turned, folder / card.file)
    models.save(folder, [dataclasses.replace(card, classes=card.classes[::-1])])
    made = command(str(folder), products["test"], tmp_path / "out", "--rows=2,9")
    logits = np.load(folder / "test_logits.npy")
    expected = [card.classes[logits[row].argmax()] for row in (2, 9)]
    assert [line["predicted"] for line in table(made["index.csv"])] == expected


def test_names_of_products_tell_them_apart(tmp_path: Path) -> None:
    one, other = tmp_path / "distill" / "a", tmp_path / "teacher" / "a"
    assert classifiers.name_products((one,)) == ["a"]
    assert classifiers.name_products((one, other)) == ["distill/a", "teacher/a"]
    assert classifiers.name_products((one, one.with_name("b"))) == ["a", "b"]
    strange = tmp_path / os.fsdecode(b"For\xeat\n")
    assert classifiers.name_products((strange,)) == [r"For\xeat\n"]


@pytest.mark.parametrize("name", hostile.ODD.values(), ids=hostile.ODD)
def test_odd_names_of_classes_bands_and_folders(
    products: dict[str, Path], tmp_path: Path, name: str
) -> None:
    """They stand in pictures and tables, and what no file name can have is left out of theirs."""
    bands = (name, "B3", "B2")
    card = models.load(products["onnx"])[0]
    place = products["onnx"].rename(tmp_path / name.replace(",", ";").replace("/", "|"))
    classes = (name, *card.classes[1:])
    models.save(place, [dataclasses.replace(card, classes=classes, bands=bands)])
    with h5py.File(products["test"], "r+") as file:
        file["sen2"].attrs["bands"] = [name, "B3", "B2", *map(str, range(7))]
        file.attrs["classes"] = classes
    made = command(str(place), products["test"], tmp_path / "out", "--rows=0", "--sample=4")
    assert {line["class"] for line in table(made["index.csv"])} == {name}
    assert [line["band"] for line in table(made["bands.csv"])] == [*bands]
    assert all(v.startswith(b"\x89PNG") for n, v in made.items() if n.endswith(".png"))
