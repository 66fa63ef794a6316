"""Classifiers that Keras saved: what they say, in which orders they are read, what is refused."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray

from shared import keras_files, lcz, models, onnx_graphs
from shared.errors import StageError
from shared.onnx_graphs.adoption import has_common_form
from tests import keras_files as made

PUBLISHED = "S2_RESNET20_BS16_LR2e-4_IN32-32-10_PRO-52-0R12_2019-06-27.h5"


def ask(path: Path, images: NDArray[Any]) -> NDArray[np.float32]:
    """(N, S, S, C) reflectance to (N, K) logits by our ONNX."""
    session = onnx_graphs.open_session(keras_files.to_onnx(keras_files.read(path)))
    pictures = np.ascontiguousarray(images.transpose(0, 3, 1, 2), np.float32)
    return np.asarray(session.run(["logits"], {"image": pictures})[0])


@pytest.mark.parametrize(("blocks", "channels", "classes"), [(1, 10, 17), (2, 13, 10), (3, 7, 5)])
def test_says_what_a_plain_computation_says(
    tmp_path: Path, blocks: int, channels: int, classes: int
) -> None:
    tensors = made.draw(blocks, channels, classes)
    path = made.write(tmp_path / "net.h5", tensors)
    images = np.random.default_rng(1).random((3, 32, 32, channels)) * 0.4
    expected = made.forward(tensors, images)
    np.testing.assert_allclose(ask(path, images), expected, atol=1e-4 * np.abs(expected).max())
    network = keras_files.read(path)
    assert network.architecture == f"keras-resnet{9 * blocks + 2}-v2"
    assert (network.channels, network.classes, network.size) == (channels, classes, 32)


@pytest.mark.parametrize("order", ["alphabetic", "reversed"])
@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("whole", [True, False])
def test_the_order_of_the_list_does_not_matter(
    tmp_path: Path, order: str, named: bool, whole: bool
) -> None:
    tensors = made.draw(blocks=2)  # conv2d_10 is before conv2d_2 in the alphabet
    config = made.configuration(tensors) if whole and named else {} if whole else None
    if config == {}:
        config = {"config": {"layers": [
            {"class_name": "GlobalAveragePooling2D", "config": {"name": "mean"}}]}}  # fmt: skip
    path = made.write(tmp_path / "net.h5", tensors, order, config, named)
    plain = made.write(tmp_path / "plain.h5", tensors)
    first, second = (keras_files.to_onnx(keras_files.read(one)) for one in (path, plain))
    values = [onnx.numpy_helper.to_array(tensor) for tensor in first.graph.initializer]
    others = [onnx.numpy_helper.to_array(tensor) for tensor in second.graph.initializer]
    for one, other in zip(values, others, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_whole_model_says_its_epsilon_and_its_size(tmp_path: Path) -> None:
    tensors = made.draw()
    config = made.configuration(tensors, epsilon=0.01, side=64)
    path = made.write(tmp_path / "net.h5", tensors, config=config)
    images = np.random.default_rng(1).random((2, 64, 64, 10))
    expected = made.forward(tensors, images, epsilon=0.01)
    np.testing.assert_allclose(ask(path, images), expected, atol=1e-4 * np.abs(expected).max())
    assert np.abs(made.forward(tensors, images) - expected).max() > 1e-3
    assert keras_files.read(path).size == 64


def test_the_form_is_ours(tmp_path: Path) -> None:
    path = made.write(tmp_path / "net.h5", made.draw())
    model = keras_files.to_onnx(keras_files.read(path))
    assert has_common_form(model)
    again = keras_files.to_onnx(keras_files.read(path))
    assert again.SerializeToString() == model.SerializeToString()


def test_reflectance_goes_in_as_it_is(tmp_path: Path) -> None:
    path = made.write(tmp_path / "net.h5", made.draw())
    network = keras_files.read(path)
    card = keras_files.fit_card(path, network, "x.onnx", lcz.SEN2, lcz.CLASSES)
    reflectance = np.random.default_rng(0).random((2, 32, 32, 10), np.float32)
    seen = models.preprocess(lcz.SEN2.scale(reflectance).astype(np.float32), card)
    np.testing.assert_allclose(seen, reflectance.transpose(0, 3, 1, 2), atol=1e-6)


def damage(tensors: made.Tensors, what: str) -> made.Tensors:
    first = next(iter(tensors))
    if what == "layer":
        del tensors["conv2d_9"]
    elif what == "norm":
        tensors["batch_normalization_99"] = tensors["batch_normalization_1"]
    elif what == "shape":
        tensors["conv2d_3"]["kernel"] = tensors["conv2d_3"]["kernel"][..., :-1]
    elif what == "nan":
        tensors[first]["kernel"][0, 0, 0, 0] = np.nan
    elif what == "kind":
        tensors["depthwise_conv2d_1"] = tensors["conv2d_1"]
    elif what == "numbers":
        tensors[first]["kernel"] = tensors[first]["kernel"].astype("i4")
    elif what == "negative":
        tensors["batch_normalization_1"]["moving_variance"][0] = -1
    return tensors


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("layer", "conv2d_10: expected kernel (1, 1, 16, 32), found (1, 1, 32, 32)"),
        ("norm", "batch_normalization_99: a layer more than expected; the ResNet v2 of Keras'"),
        ("shape", "conv2d_3: expected kernel (3, 3, 4, 4), found (3, 3, 4, 3)"),
        ("nan", "conv2d_1/conv2d_1/kernel:0: NaN or infinite values"),
        ("kind", "dense_… with weights, found 'depthwise_conv2d_1'"),
        ("numbers", "conv2d_1/kernel:0: expected floating-point numbers, found int32"),
        ("negative", "batch_normalization_1: a negative variance"),
    ],
)
def test_refuses_other_networks(tmp_path: Path, what: str, message: str) -> None:
    path = made.write(tmp_path / "net.h5", damage(made.draw(), what))
    with pytest.raises(StageError) as refusal:
        keras_files.read(path)
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


def alter(config: dict[str, Any], kind: str, **changes: Any) -> str:
    layers = config["config"]["layers"]
    next(layer for layer in layers if layer["class_name"] == kind)["config"].update(changes)
    return json.dumps(config)


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("Conv2D", {"strides": [2, 2]}, ""),  # of the stem: no layer of a block is checked
        ("Conv2D", {"padding": "valid"}, "conv2d_1: padding: expected 'same', found 'valid'"),
        ("BatchNormalization", {"axis": [1]}, "batch_normalization_1: axis: expected 3, found [1]"),
        ("BatchNormalization", {"epsilon": -1}, "epsilon between 0 and 1"),
        ("AveragePooling2D", {"pool_size": [4, 4]}, "last map of 8 pixels, found 4"),
        ("InputLayer", {"batch_input_shape": [None, 32, 30, 10]}, "input 32 x 30 x 10"),
        ("Dense", {"activation": "sigmoid"}, "activation: expected 'softmax', found 'sigmoid'"),
    ],
)
def test_refuses_other_configurations(
    tmp_path: Path, kind: str, changes: dict[str, Any], message: str
) -> None:
    tensors = made.draw()
    text = alter(made.configuration(tensors), kind, **changes)
    path = made.write(tmp_path / "net.h5", tensors, config=json.loads(text))
    with pytest.raises(StageError) as refusal:
        keras_files.read(path)
    assert (message or "conv2d_1: expected stride 1, found [2, 2]") in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "model_config: not a model of Keras"),
        ('{"config": 3}', "model_config: not a model of Keras"),
        ("[" * 100_000, "model_config: not a model of Keras"),
        ('{"config": {"layers": [{"class_name": "LSTM", "config": {}}]}}', "a layer 'LSTM' of"),
    ],
)
def test_refuses_strange_texts(tmp_path: Path, text: str, message: str) -> None:
    path = made.write(tmp_path / "net.h5", made.draw(), config={})
    with h5py.File(path, "a") as file:
        del file.attrs["model_config"]
        file["text"] = 0  # attributes above 64 KB are stored apart, where a file allows it
        file.attrs["model_config"] = text[:60_000]
    with pytest.raises(StageError, match=r"model_config|LSTM") as refusal:
        keras_files.read(path)
    assert message in str(refusal.value)


def test_refuses_files_that_are_no_classifier(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file["sen2"] = np.zeros(3)
    with pytest.raises(StageError, match="expected a classifier saved by Keras, found no layer_"):
        keras_files.read(path)
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"conv2d_1"]
        file["conv2d_1"] = np.zeros(3)
    with pytest.raises(StageError, match="expected groups of layers, found a dataset"):
        keras_files.read(path)
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(StageError, match="not a complete HDF5 file"):
        keras_files.read(path)


def test_a_small_file_cannot_fill_the_memory(tmp_path: Path) -> None:
    path = made.write(tmp_path / "net.h5", made.draw())
    with h5py.File(path, "a") as file:
        del file["conv2d_1/conv2d_1/kernel:0"]
        file["conv2d_1"].create_dataset(
            "conv2d_1/kernel:0", (3, 3, 10, 2**30), "f4", chunks=(3, 3, 10, 64)
        )[0, 0, 0, 0] = 1
    with pytest.raises(StageError, match="many times the size of the file"):
        keras_files.read(path)


# --- the published network on real scenes ---------------------------------------------------------
def cut(scene: NDArray[Any]) -> NDArray[Any]:
    """(H, W, C) to (N, 32, 32, C), stride 32."""
    down, across = scene.shape[0] // 32, scene.shape[1] // 32
    rows = scene[: down * 32, : across * 32].reshape(down, 32, across, 32, -1)
    return rows.swapaxes(1, 2).reshape(down * across, 32, 32, -1)


def enlarge(bands: NDArray[Any]) -> NDArray[Any]:
    """(h, w, C) to twice that, bicubically."""
    tensor = torch.from_numpy(bands.astype("f4")).permute(2, 0, 1)[None]
    twice = torch.nn.functional.interpolate(tensor, scale_factor=2, mode="bicubic")
    return twice[0].permute(1, 2, 0).numpy()


def read_scene(path: Path) -> NDArray[Any]:
    """(H, W, 10) reflectance in So2Sat's order."""
    stored = np.load(path)
    fine, coarse = stored["b10m"] / 1e4, enlarge(stored["b20m"] / 1e4)
    both = np.concatenate([fine, coarse], -1)
    return both[..., [0, 1, 2, 4, 5, 6, 3, 7, 8, 9]]


def count_zones(path: Path, cuts: NDArray[Any]) -> Counter[int]:
    return Counter((ask(path, cuts).argmax(1) + 1).tolist())


@pytest.mark.parametrize(
    ("scene", "counts"),
    [
        ("l1c_t33uub_20170527", {14: 288, 9: 24, 6: 5, 17: 3}),
        ("l1c_t49jgm_20171022", {12: 109, 14: 87, 17: 80, 16: 42}),
    ],
)
def test_published_network_on_scenes(real: Path, scene: str, counts: dict[int, int]) -> None:
    path = real / "weights" / PUBLISHED
    if not path.is_file():
        pytest.skip("no published weights here")
    found = count_zones(path, cut(read_scene(real / "sentinel2" / f"{scene}.npz")))
    assert {zone: found[zone] for zone in counts} == counts
    assert sum(found.values()) == 324


def test_published_network_on_dates_and_in_numpy(real: Path) -> None:
    path = real / "weights" / PUBLISHED
    if not path.is_file():
        pytest.skip("no published weights here")
    scenes = np.load(real / "sentinel2" / "l1c_eolearn_scenes.npy")[2:] / 1e4
    scenes = scenes[..., [1, 2, 3, 4, 5, 6, 7, 8, 11, 12]]
    cuts = np.concatenate([cut(scene) for scene in scenes])
    assert count_zones(path, cuts) == {11: 24, 12: 3}
    with h5py.File(path) as file:
        tensors: made.Tensors = {}
        kinds = ("conv2d_", "batch_normalization_", "dense_")
        names = [name for name in file if name.startswith(kinds)]
        for name in sorted(names, key=lambda one: int(one.rpartition("_")[2])):
            tensors[name] = {one[:-2]: np.asarray(v) for one, v in file[f"{name}/{name}"].items()}
    assert sum(values.size for layer in tensors.values() for values in layer.values()) == 576_897
    expected = made.forward(tensors, cuts[:4])
    np.testing.assert_allclose(ask(path, cuts[:4]), expected, atol=1e-4)
