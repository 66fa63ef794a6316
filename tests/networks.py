"""Small trained networks for tests, made with onnx alone: a model folder as `distill` leaves it."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from shared import models, patches
from shared.models import Card

FEATURES = 8


def graph(
    weights: dict[str, np.ndarray], *, batch: int | str = "N", size: int = 48, opset: int = 17
) -> onnx.ModelProto:
    """Conv, BatchNormalization, Relu, GlobalAveragePool, Flatten, Gemm: `image` to `scores`."""
    names = ["gain", "shift", "centre", "spread"]
    nodes = [
        helper.make_node("Conv", ["image", "kernel"], ["c"], "conv", pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["c", *names], ["b"], "norm"),
        helper.make_node("Relu", ["b"], ["r"], "relu"),
        helper.make_node("GlobalAveragePool", ["r"], ["p"], "pool"),
        helper.make_node("Flatten", ["p"], ["f"], "flatten"),
        helper.make_node("Gemm", ["f", "matrix", "bias"], ["scores"], "head"),
    ]
    channels, classes = weights["kernel"].shape[1], weights["matrix"].shape[1]
    shapes = [("image", [batch, channels, size, size]), ("scores", [batch, classes])]
    image, scores = (helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in shapes)
    constants = [numpy_helper.from_array(v.astype(np.float32), n) for n, v in weights.items()]
    whole = helper.make_graph(nodes, "student", [image], [scores], constants)
    return helper.make_model(
        whole, opset_imports=[helper.make_opsetid("", opset)], ir_version=8, producer_name="test"
    )


def segmentation(
    folder: Path, classes: tuple[str, ...], *, side: int = 3, fixed: int = 0, seed: int = 0
) -> Path:
    """A model folder as `segment` leaves it: two random convolutions, pictures of any size.

    Args:
        folder: to make.
        classes: K names.
        side: pixels of a kernel; what is said of a pixel depends on side - 1 pixels around it.
        fixed: height and width of the only pictures that it takes; 0 for any.
        seed: of the weights.
    """
    rng, pads = np.random.default_rng(seed), [side // 2] * 4
    shapes = {"first": (8, 3, side, side), "second": (len(classes), 8, side, side)}
    constants = [
        numpy_helper.from_array((rng.standard_normal(shape) / side).astype(np.float32), name)
        for name, shape in shapes.items()
    ]
    nodes = [
        helper.make_node("Conv", ["image", "first"], ["c"], "conv", pads=pads),
        helper.make_node("Relu", ["c"], ["r"], "relu"),
        helper.make_node("Conv", ["r", "second"], ["logits"], "head", pads=pads),
    ]
    sizes = [1, fixed, fixed] if fixed else ["batch", "height", "width"]
    image, logits = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [sizes[0], count, *sizes[1:]])
        for name, count in (("image", 3), ("logits", len(classes)))
    )
    whole = helper.make_graph(nodes, "network", [image], [logits], constants)
    opset = [helper.make_opsetid("", 17)]
    folder.mkdir()
    onnx.save(helper.make_model(whole, opset_imports=opset, ir_version=8), folder / "network.onnx")
    colours = tuple(f"#{40 * k:02x}{255 - 40 * k:02x}80" for k in range(len(classes)))
    card = Card(
        "network.onnx", "test", ("red", "green", "blue"), (0.37, 0.4, 0.34), (0.1, 0.09, 0.07),
        size=fixed or 64, interpolation="bilinear", classes=classes, decimals=6,
        task="segmentation", colours=colours,
    )  # fmt: skip
    models.save(folder, [card])
    return folder


def run(network: onnx.ModelProto, images: np.ndarray) -> np.ndarray:
    """(N, K) output of a network with a dynamic batch."""
    session = onnxruntime.InferenceSession(network.SerializeToString())
    return session.run(None, {session.get_inputs()[0].name: images})[0]


def images(path: Path, card: Card) -> tuple[np.ndarray, np.ndarray]:
    """(N, C, S, S) network input and (N,) labels of a patch file."""
    with patches.read(path, "label") as source:
        values = models.read_scaled(source, card.bands, slice(0, source.total))
        return models.preprocess(values, card), source.labels()


def fitted(train: Path, card: Card) -> dict[str, np.ndarray]:
    """Weights of a random convolution and, on its features, the classifier of nearest means."""
    rng = np.random.default_rng(0)
    kernel = 0.3 * rng.standard_normal((FEATURES, len(card.bands), 3, 3))
    weights = {
        "kernel": kernel, "gain": np.ones(FEATURES), "shift": np.ones(FEATURES),
        "centre": np.zeros(FEATURES), "spread": np.full(FEATURES, 1.5),
        "matrix": np.eye(FEATURES), "bias": np.zeros(FEATURES),
    }  # fmt: skip
    values, labels = images(train, card)
    features = run(graph(weights, size=card.size), values)
    means = np.stack([features[labels == k].mean(0) for k in range(len(card.classes))])
    return weights | {"matrix": 40 * means.T, "bias": -20 * (means**2).sum(1)}


def student(
    folder: Path,
    train: Path,
    test: Path,
    bands: tuple[str, ...] = ("B4", "B3", "B2"),
    batch: int | str = "N",
) -> Path:
    """A model folder with one network that knows the classes of `train`, tested on `test`."""
    folder.mkdir()
    with patches.read(train, "label") as source:
        mean, std = models.band_statistics(source, bands)
        card = Card("student.onnx", "tiny", bands, mean, std, 48, "bilinear", source.classes)
    weights = fitted(train, card)
    network = graph(weights)
    onnx.save(graph(weights, batch=batch), folder / card.file)
    models.save(folder, [card])
    values, labels = images(test, card)
    np.save(folder / "test_logits.npy", run(network, values))
    np.save(folder / "test_labels.npy", labels)
    return folder
