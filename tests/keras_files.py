"""Small classifiers in files as Keras writes them, and what such a network says, by numpy alone."""

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

Tensors = dict[str, dict[str, NDArray[Any]]]  # layer to name to values
NORM = ("gamma", "beta", "moving_mean", "moving_variance")


def draw(
    blocks: int = 1, channels: int = 10, classes: int = 17, width: int = 4, seed: int = 0
) -> Tensors:
    """Random tensors of a ResNet v2 with three stages, by layer in order of creation."""
    rng, made, counts = np.random.default_rng(seed), Tensors(), {"c": 0, "b": 0}

    def convolution(side: int, inputs: int, outputs: int) -> None:
        counts["c"] += 1
        kernel = rng.standard_normal((side, side, inputs, outputs)) / (side * inputs**0.5)
        made[f"conv2d_{counts['c']}"] = {"kernel": kernel, "bias": rng.random(outputs) - 0.5}

    def norm(size: int) -> None:
        counts["b"] += 1
        values = [rng.random(size) + 0.5, *rng.standard_normal((2, size)), rng.random(size) + 0.2]
        made[f"batch_normalization_{counts['b']}"] = dict(zip(NORM, values, strict=True))

    convolution(3, channels, width)
    norm(width)
    inputs = width
    for stage in range(3):
        outputs = inputs * (4 if stage == 0 else 2)
        narrow = inputs
        for block in range(blocks):
            for place, (side, a, b) in enumerate(
                ((1, inputs, narrow), (3, narrow, narrow), (1, narrow, outputs))
            ):
                if (stage, block, place) != (0, 0, 0):
                    norm(a)
                convolution(side, a, b)
            if block == 0:
                convolution(1, inputs, outputs)
            inputs = outputs
    norm(inputs)
    made["dense_1"] = {
        "kernel": rng.standard_normal((inputs, classes)),
        "bias": rng.random(classes),
    }
    return {
        layer: {name: values.astype("f4") for name, values in tensors.items()}
        for layer, tensors in made.items()
    }


def configuration(tensors: Tensors, epsilon: float = 1e-3, side: int = 32) -> dict[str, Any]:
    """`model_config` of these layers."""
    channels = tensors["conv2d_1"]["kernel"].shape[2]
    entry = {"name": "input_1", "batch_input_shape": [None, side, side, channels]}
    layers: list[dict[str, Any]] = [{"class_name": "InputLayer", "config": entry}]
    strided = set(find_strided(tensors))
    for name in tensors:
        if name.startswith("conv"):
            step = 2 if name in strided else 1
            said: dict[str, Any] = {"strides": [step, step], "padding": "same",
                                    "activation": "linear", "dilation_rate": [1, 1]}  # fmt: skip
            layers.append({"class_name": "Conv2D", "config": {"name": name, **said}})
        elif name.startswith("batch"):
            said = {"axis": [3], "epsilon": epsilon, "scale": True, "center": True}
            layers.append({"class_name": "BatchNormalization", "config": {"name": name, **said}})
    pool = {"name": "pool", "pool_size": [side // 4, side // 4]}
    layers.append({"class_name": "AveragePooling2D", "config": pool})
    layers.append({"class_name": "Dense", "config": {"name": "dense_1", "activation": "softmax"}})
    return {"class_name": "Model", "config": {"layers": layers}}


def write(
    path: Path,
    tensors: Tensors,
    order: str = "created",
    config: dict[str, Any] | None = None,
    named: bool = True,
) -> Path:
    """A file of weights, or a whole model where there is a configuration.

    Args:
        path: file to write.
        tensors: by layer.
        order: of `layer_names`: created, alphabetic or reversed.
        config: content of `model_config`.
        named: False numbers from 0 without a number for the first, as Keras does since 2.3.
    """
    names = {name: name if named else _renamed(name) for name in tensors}
    with h5py.File(path, "w") as file:
        root: Any = file
        if config is not None:
            file.attrs["model_config"] = json.dumps(config)
            root = file.create_group("model_weights")
        for layer, values in tensors.items():
            name = names[layer]
            group = root.create_group(name)
            group.attrs["weight_names"] = [f"{name}/{one}:0".encode() for one in values]
            for one, array in values.items():
                group[f"{name}/{one}:0"] = array
        root.create_group("add_1").attrs["weight_names"] = np.array([], "S1")
        every = [*names.values(), "add_1"]
        every = (
            sorted(every) if order == "alphabetic" else every[:: -1 if order == "reversed" else 1]
        )
        root.attrs["layer_names"] = [name.encode() for name in every]
    return path


def _renamed(name: str) -> str:
    stem, _, number = name.rpartition("_")
    return stem if number == "1" else f"{stem}_{int(number) - 1}"


def find_strided(tensors: Tensors) -> list[str]:
    """Convolutions of stride 2: the first of the second and third stage, and their projections."""
    per_stage = (sum(name.startswith("conv") for name in tensors) - 1) // 3
    firsts = [2 + stage * per_stage for stage in (1, 2)]
    return [f"conv2d_{number}" for first in firsts for number in (first, first + 3)]


def forward(tensors: Tensors, images: NDArray[Any], epsilon: float = 1e-3) -> NDArray[Any]:
    """(N, S, S, C) reflectance to (N, K) logits, channels last, in double precision."""
    convolutions = iter([v for n, v in tensors.items() if n.startswith("conv")])
    norms = iter([v for n, v in tensors.items() if n.startswith("batch")])
    strided = set(find_strided(tensors))
    names = iter([name for name in tensors if name.startswith("conv")])

    def convolve(x: NDArray[Any]) -> NDArray[Any]:
        layer, step = next(convolutions), 2 if next(names) in strided else 1
        kernel = layer["kernel"].astype(float)
        edge, (height, width) = kernel.shape[0] // 2, x.shape[1:3]
        padded = np.pad(x, ((0, 0), (edge, edge), (edge, edge), (0, 0)))
        total = sum(
            padded[:, i : i + height : step, j : j + width : step] @ kernel[i, j]
            for i in range(kernel.shape[0]) for j in range(kernel.shape[1])
        )  # fmt: skip
        return np.asarray(total + layer["bias"])

    def normalise(x: NDArray[Any]) -> NDArray[Any]:
        gamma, beta, mean, variance = (next_norm[name].astype(float) for name in NORM)
        return np.maximum((x - mean) / np.sqrt(variance + epsilon) * gamma + beta, 0)

    next_norm = next(norms)
    flow = normalise(convolve(images.astype(float)))
    blocks = (sum(name.startswith("conv") for name in tensors) - 4) // 9
    for stage in range(3):
        for block in range(blocks):
            inner = flow
            for place in range(3):
                if (stage, block, place) != (0, 0, 0):
                    next_norm = next(norms)
                    inner = normalise(inner)
                inner = convolve(inner)
            flow = (convolve(flow) if block == 0 else flow) + inner
    next_norm = next(norms)
    features = normalise(flow).mean((1, 2))
    return np.asarray(features @ tensors["dense_1"]["kernel"] + tensors["dense_1"]["bias"])
