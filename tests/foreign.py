"""Networks as other people's exporters write them, all with the same numbers inside.

Each style takes (N, C, S, S) pictures, or the same with channels last: a convolution, an
activation, means over the four quarters of the picture, weighed, and a linear classifier.
"""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from shared import lcz

CHANNELS, FEATURES, CLASSES, SIDE = 3, 8, 17, 32
QUARTERS = np.array([0.1, 0.2, 0.3, 0.4])  # of the means; they differ, so that their order counts
Weights = dict[str, np.ndarray]
Build = Callable[[Weights, int], onnx.ModelProto]


def weights(channels: int = CHANNELS, seed: int = 0) -> Weights:
    """Of all styles; float32."""
    rng = np.random.default_rng(seed)
    shapes = {
        "kernel": (FEATURES, channels, 3, 3),
        "shift": (FEATURES,),
        "matrix": (FEATURES, CLASSES),
        "bias": (CLASSES,),
    }
    return {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


def logits(images: np.ndarray, by: Weights, act: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """(N, K) of (N, C, S, S), by numpy alone and in double precision."""
    padded = np.pad(images.astype(float), ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))
    maps = act(np.einsum("nchwij,fcij->nfhw", windows, by["kernel"]) + by["shift"][:, None, None])
    count, features, side, _ = maps.shape
    half = side // 2
    quarters = (
        maps.reshape(count, features, 2, half, 2, half).mean((3, 5)).reshape(count, features, 4)
    )
    return quarters @ QUARTERS @ by["matrix"] + by["bias"]


def pictures(count: int, channels: int = CHANNELS, side: int = SIDE) -> np.ndarray:
    """(N, C, S, S) that a network tells apart: each has a colour of its own, and noise."""
    rng = np.random.default_rng(5)
    colours = rng.standard_normal((count, channels, 1, 1))
    return (2 * colours + rng.standard_normal((count, channels, side, side))).astype(np.float32)


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def relu6(x: np.ndarray) -> np.ndarray:
    return np.clip(x, 0, 6)


def gelu(x: np.ndarray) -> np.ndarray:
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def gelu_tanh(x: np.ndarray) -> np.ndarray:
    x = relu(x)
    return x * 0.5 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def normalised(x: np.ndarray) -> np.ndarray:
    """Two groups with mean 0 and deviation 1, then scaled and moved by channel."""
    groups = relu(x).reshape(len(x), 2, -1)
    plain = (groups - groups.mean(2, keepdims=True)) / np.sqrt(groups.var(2, keepdims=True) + 1e-5)
    steps = np.arange(FEATURES).reshape(-1, 1, 1)
    return plain.reshape(x.shape) * (1 + steps) - steps


def mish(x: np.ndarray) -> np.ndarray:
    return x * np.tanh(np.log1p(np.exp(x)))


@dataclass
class Builder:
    """Nodes and tensors of a network that is written down."""

    by: Weights
    opset: int
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    tensors: list[TensorProto] = field(default_factory=list)
    side: int = SIDE

    def add(self, kind: str, *inputs: str, to: str = "", **attributes: Any) -> str:
        to = to or f"t{len(self.nodes)}"
        self.nodes.append(
            helper.make_node(kind, inputs, [to], f"{kind}_{len(self.nodes)}", **attributes)
        )
        return to

    def store(self, values: Any, kind: type = np.float32) -> str:
        name = f"w{len(self.tensors)}"
        self.tensors.append(numpy_helper.from_array(np.asarray(values, kind), name))
        return name

    def conv(self, given: str, **pads: Any) -> str:
        pads = pads or {"pads": [1, 1, 1, 1]}
        return self.add(
            "Conv", given, self.store(self.by["kernel"]), self.store(self.by["shift"]), **pads
        )

    def quarters(self, given: str) -> str:
        half = self.side // 2
        return self.add("AveragePool", given, kernel_shape=[half, half], strides=[half, half])

    def matrix(self, last: bool = False) -> np.ndarray:
        """(4 F, K) of the flattened quarters, channels first or last."""
        places = "cqk->qck" if last else "cqk->cqk"
        whole = np.einsum("ck,q->cqk", self.by["matrix"], QUARTERS)
        return np.einsum(places, whole).reshape(-1, CLASSES).astype(np.float32)

    def model(
        self, made: str, *, batch: int | str = "N", last: bool = False,
        outputs: tuple[int, ...] = (CLASSES,), ir: int = 8, listed: bool = False, name: str = "x",
    ) -> onnx.ModelProto:  # fmt: skip
        channels = self.by["kernel"].shape[1]
        picture = [self.side, self.side, channels] if last else [channels, self.side, self.side]
        values = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, *picture]),
            helper.make_tensor_value_info(made, TensorProto.FLOAT, [batch, *outputs]),
        ]
        inputs = values[:1]
        if listed:
            inputs = [
                *values[:1],
                *(helper.make_tensor_value_info(t.name, t.data_type, t.dims) for t in self.tensors),
            ]
        graph = helper.make_graph(self.nodes, "foreign", inputs, values[1:], self.tensors)
        return helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=ir
        )


@dataclass(frozen=True)
class Style:
    """One way to write a network.

    Attributes:
        build: weights and side to the model.
        act: activation in it.
        form: "logits", "probabilities" or "logarithms".
        close: largest accepted difference over the largest logit.
        external: whether the weights lie in another file.
        shift: what the network subtracts from the picture.
        scale: what it divides by then.
    """

    build: Build
    act: Callable[[np.ndarray], np.ndarray] = relu
    form: str = "logits"
    close: float = 1e-4
    external: bool = False
    shift: float = 0.0
    scale: float = 1.0

    def logits(self, images: np.ndarray, by: Weights | None = None) -> np.ndarray:
        """(N, K) that a network of this style is about, by numpy alone."""
        return logits((images - self.shift) / self.scale, by or weights(), self.act)

    def check(self, said: np.ndarray, images: np.ndarray, by: Weights | None = None) -> None:
        """Whether (N, K) logits are those of this style, up to what a softmax does not tell."""
        expected = self.logits(images, by)
        if self.form != "logits":
            said, expected = (x - x.max(1, keepdims=True) for x in (said, expected))
        np.testing.assert_allclose(said, expected, 0, self.close * np.abs(expected).max())
        assert (said.argmax(1) == expected.argmax(1)).all()
        assert len({*expected.argmax(1)}) > 1  # the pictures differ, so this says something

    def save(self, path: Path, by: Weights | None = None, side: int = SIDE) -> Path:
        path.parent.mkdir(exist_ok=True, parents=True)
        model = self.build(by or weights(), side)
        if self.external:
            onnx.save(
                model, path, save_as_external_data=True, location="weights.bin", size_threshold=0
            )
        else:
            onnx.save(model, path)
        return path


def keras(
    by: Weights, side: int, batch: int | str = "unk__12", *, pooled: bool = False
) -> onnx.ModelProto:
    """tf2onnx: channels last, SAME pads, MatMul and Add, Softmax, names with slashes and colons."""
    net = Builder(by, 13, side=side)
    given = net.add("Transpose", "input_1:0", perm=[0, 3, 1, 2], to="model/conv2d/Conv2D__6:0")
    maps = net.add("Relu", net.conv(given, auto_pad="SAME_UPPER"), to="model/re_lu/Relu:0")
    quarters = net.quarters(maps)
    back = net.add("Transpose", quarters, perm=[0, 2, 3, 1])
    if pooled:  # weighs the quarters in channels last, then sums
        share = net.store(QUARTERS.reshape(1, 2, 2, 1))
        back = net.add("Mul", back, share)
        rows = net.add("ReduceSum", back, net.store([1, 2], np.int64), keepdims=0)
        matrix = by["matrix"]
    else:
        rows = net.add(
            "Reshape", back, net.store([1 if batch == 1 else -1, 4 * FEATURES], np.int64)
        )
        matrix = net.matrix(last=True)
    scores = net.add("Add", net.add("MatMul", rows, net.store(matrix)), net.store(by["bias"]))
    made = net.add("Softmax", scores, to="Identity:0")
    return net.model(made, batch=batch, last=True, name="input_1:0")


def keras_scaled(by: Weights, side: int) -> onnx.ModelProto:
    """Channels last all along: a Rescaling layer, a Pad and a Concat before the transposes."""
    net = Builder(by, 13, side=side)
    channels = by["kernel"].shape[1]
    scaled = net.add("Mul", "input_1", net.store(np.full(channels, 4.0)))
    moved = net.add("Add", scaled, net.store(0.5))
    turned = net.add("Sub", net.store([[[0.75]]]), moved)  # 0.25 - 4 x
    plain = net.add("Div", turned, net.store(np.full(channels, -8.0)))
    padded = net.add("Pad", plain, net.store([0, 1, 1, 0, 0, 1, 1, 0], np.int64), net.store(0.0))
    first = net.add("Transpose", padded, perm=[0, 3, 1, 2])
    maps = net.conv(first, auto_pad="VALID")
    last = net.add("Relu", net.add("Transpose", maps, perm=[0, 2, 3, 1]))
    twice = net.add("Concat", last, last, axis=3)
    once = net.add("Transpose", twice, perm=[0, 3, 1, 2])
    quarters = net.add("Transpose", net.quarters(once), perm=[0, 2, 3, 1])
    flat = net.add("Reshape", quarters, net.store([-1, 8 * FEATURES], np.int64))
    half = net.matrix(last=True).reshape(4, FEATURES, CLASSES) / 2
    matrix = np.concatenate([half, half], 1).reshape(-1, CLASSES)
    scores = net.add("Add", net.add("MatMul", flat, net.store(matrix)), net.store(by["bias"]))
    return net.model(net.add("Softmax", scores), batch="unk__3", last=True, name="input_1")


def matlab(by: Weights, side: int) -> onnx.ModelProto:
    """MATLAB's: one picture, weights among the inputs, zscore inside, scores of four axes."""
    net = Builder(by, 9, side=side)
    mean = np.full((1, by["kernel"].shape[1], 1, 1), 0.0625)
    moved = net.add("Sub", "image input", net.store(mean), to="image input_Sub")
    plain = net.add("Div", moved, net.store(0 * mean + 2), to="image input_Div")
    maps = net.add("Relu", net.conv(plain), to="relu-1 (öse)")
    quarters = net.quarters(maps)
    shape = (CLASSES, FEATURES, 2, 2)
    kernel = net.matrix().T.reshape(shape)  # a fully connected layer is a convolution there
    scores = net.add("Conv", quarters, net.store(kernel), net.store(by["bias"]))
    soft = net.add("Softmax", net.add("Flatten", scores), axis=1)
    made = net.add("Reshape", soft, net.store([1, CLASSES, 1, 1], np.int64), to="soft max:out")
    return net.model(made, batch=1, outputs=(CLASSES, 1, 1), ir=3, listed=True, name="image input")


def matlab_flat(by: Weights, side: int) -> onnx.ModelProto:
    """Scores without an axis for pictures, and a softmax over all that is left."""
    net = Builder(by, 8, side=side)
    quarters = net.quarters(net.add("Relu", net.conv("in put")))
    rows = net.add("Flatten", quarters)
    scores = net.add("Gemm", rows, net.store(net.matrix().T), net.store(by["bias"]), transB=1)
    made = net.add("Reshape", net.add("Softmax", scores), net.store([CLASSES], np.int64))
    model = net.model(made, batch=1, ir=3, listed=True, name="in put")
    scores_alone = helper.make_tensor_value_info(made, TensorProto.FLOAT, [CLASSES])
    model.graph.output[0].CopyFrom(scores_alone)
    return model


def torch_old(by: Weights, side: int) -> onnx.ModelProto:
    """Opset 7: what are inputs today were attributes; a Dropout, an Upsample and more."""
    net = Builder(by, 7, side=side)
    padded = net.add("Pad", "input.1", pads=[0, 0, 1, 1, 0, 0, 1, 1], mode="constant", value=0.0)
    maps = net.conv(padded, pads=[0, 0, 0, 0])
    ones, none = net.store(np.ones(FEATURES)), net.store(np.zeros(FEATURES))
    maps = net.add("BatchNormalization", maps, ones, none, none, ones, epsilon=0.0, spatial=1)
    maps = net.add("Clip", maps, min=0.0, max=6.0)
    maps = net.add("Dropout", net.quarters(maps), ratio=0.5)
    maps = net.add("Upsample", maps, mode="nearest", scales=[1.0, 1.0, 2.0, 2.0])
    maps = net.add("Slice", maps, starts=[0, 0], ends=[3, 3], axes=[2, 3])
    maps = net.add("MaxPool", maps, kernel_shape=[1, 1], strides=[2, 2])
    shape = helper.make_tensor("c", TensorProto.INT64, [2], [1, -1])
    rows = net.add("Reshape", maps, net.add("Constant", value=shape))
    rows = net.add(
        "Unsqueeze", net.add("Squeeze", net.add("Unsqueeze", rows, axes=[2]), axes=[2]), axes=[2, 3]
    )
    rows = net.add("Flatten", rows)
    scores = net.add("Gemm", rows, net.store(net.matrix()), net.store(by["bias"]))
    return net.model(net.add("Softmax", scores), batch=1, ir=3, listed=True, name="input.1")


def torch_twelve(by: Weights, side: int) -> onnx.ModelProto:
    """Opset 12: a Softmax of four axes counted from the second one on, Split by an attribute."""
    net = Builder(by, 12, side=side)
    maps = net.add("Relu", net.conv("image"))
    one, other = "half:0", "half:1"
    net.nodes.append(helper.make_node("Split", [maps], [one, other], "split", axis=1, split=[4, 4]))
    quarters = net.quarters(net.add("Concat", one, other, axis=1))
    kernel = net.matrix().T.reshape(CLASSES, FEATURES, 2, 2)
    scores = net.add("Conv", quarters, net.store(kernel), net.store(by["bias"]))
    rows = net.add("Squeeze", net.add("Softmax", scores), axes=[2, 3])
    return net.model(rows, batch="batch_size", name="image")


def torch_new(by: Weights, side: int, kind: str = "Mish", opset: int = 18) -> onnx.ModelProto:
    """Opset 18 and later: axes of reductions as inputs, parts without sizes, new activations."""
    net = Builder(by, opset, side=side)
    maps = net.add(kind, net.conv("x"))
    one, other = "parts:0", "parts:1"
    net.nodes.append(
        helper.make_node("Split", [maps], [one, other], "split", axis=1, num_outputs=2)
    )
    quarters = net.quarters(net.add("Concat", one, other, axis=1))
    weighed = net.add("Mul", quarters, net.store(4 * QUARTERS.reshape(1, 1, 2, 2)))
    rows = net.add("ReduceMean", weighed, net.store([2, 3], np.int64), keepdims=1)
    rows = net.add("Reshape", rows, net.store([1, FEATURES], np.int64), allowzero=1)
    scores = net.add("Gemm", rows, net.store(by["matrix"]), net.store(by["bias"]))
    return net.model(scores, batch=1)


def plain(
    by: Weights, side: int, batch: int | str = "N", end: str = "", opset: int = 17
) -> onnx.ModelProto:
    """Conv to Gemm, with something at the end."""
    net = Builder(by, opset, side=side)
    rows = net.add("Flatten", net.quarters(net.add("Relu", net.conv("x"))))
    made = net.add("Gemm", rows, net.store(net.matrix()), net.store(by["bias"]))
    if end == "quotient":
        powers = net.add("Exp", made)
        made = net.add("Div", powers, net.add("ReduceSum", powers, net.store([1], np.int64)))
    elif end:
        made = net.add(end, made)
    return net.model(made, batch=batch)


def taken_names(by: Weights, side: int) -> onnx.ModelProto:
    """Inner tensors that have the names of our ends."""
    model = plain(by, side)
    new = {"t0": "input", "t1": "logits", "t2": "image"}
    for node in model.graph.node:
        node.input[:] = [new.get(name, name) for name in node.input]
        node.output[:] = [new.get(name, name) for name in node.output]
    return model


def retyped(by: Weights, side: int, kind: int) -> onnx.ModelProto:
    """All numbers in another precision."""
    model = plain(by, side, end="Softmax")
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    for tensor in model.graph.initializer:
        tensor.CopyFrom(
            numpy_helper.from_array(numpy_helper.to_array(tensor).astype(dtype), tensor.name)
        )
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = kind
    return model


def folder(place: Path, style: Style, **card: Any) -> Path:
    """A network as `a.onnx` and a model.json written by hand."""
    style.save(place / "a.onnx")
    member = {
        "file": "a.onnx", "architecture": "foreign", "bands": ["B8", "B4", "B11"],
        "mean": [0.04] * CHANNELS, "std": [0.02] * CHANNELS, "size": SIDE,
        "interpolation": "bilinear", "classes": list(lcz.CLASSES), **card,
    }  # fmt: skip
    (place / "model.json").write_text(json.dumps({"members": [member]}))
    return place


def added(
    by: Weights, side: int, *, kind: str, opset: int, stored: tuple[tuple[Any, type], ...] = (),
    **more: Any,
) -> onnx.ModelProto:  # fmt: skip
    """A network with one more node before its classifier."""
    net = Builder(by, opset, side=side)
    maps = net.add("Relu", net.conv("x"))
    quarters = net.quarters(net.add(kind, maps, *(net.store(*one) for one in stored), **more))
    rows = net.add("Flatten", quarters)
    return net.model(net.add("Gemm", rows, net.store(net.matrix()), net.store(by["bias"])))


GROUPS: Build = partial(
    added, kind="GroupNormalization", opset=21, num_groups=2,
    stored=((1 + np.arange(FEATURES), np.float32), (-np.arange(FEATURES), np.float32)),
)  # fmt: skip
TANH: Build = partial(added, kind="Gelu", opset=20, approximate="tanh")
SOFT = Style(plain, form="probabilities")
STYLES = {
    "keras": replace(SOFT, build=keras),
    "keras-batch-1": replace(SOFT, build=lambda by, side: keras(by, side, 1)),
    "keras-pooled": replace(SOFT, build=lambda by, side: keras(by, side, pooled=True)),
    "keras-scaled": replace(SOFT, build=keras_scaled, shift=0.0625, scale=2.0),
    "matlab": replace(SOFT, build=matlab, shift=0.0625, scale=2.0),
    "matlab-flat": replace(SOFT, build=matlab_flat),
    "torch-7": replace(SOFT, build=torch_old, act=relu6),
    "torch-12": replace(SOFT, build=torch_twelve),
    "torch-18": Style(torch_new, act=mish),
    "torch-20": Style(lambda by, side: torch_new(by, side, "Gelu", 20), act=gelu),
    "torch-20-tanh": Style(TANH, act=gelu_tanh),
    "torch-21-groups": Style(GROUPS, act=normalised),
    "torch-21": Style(lambda by, side: torch_new(by, side, "Relu", 21)),
    "gemm": Style(plain),
    "batch-4": replace(SOFT, build=lambda by, side: plain(by, side, 4, "Softmax")),
    "identity": Style(lambda by, side: plain(by, side, end="Identity", opset=11)),
    "log-softmax": Style(lambda by, side: plain(by, side, 1, "LogSoftmax"), form="logarithms"),
    "quotient": replace(SOFT, build=lambda by, side: plain(by, side, end="quotient")),
    "taken-names": Style(taken_names),
    "float16": replace(SOFT, build=partial(retyped, kind=TensorProto.FLOAT16), close=0.02),
    "float64": replace(SOFT, build=partial(retyped, kind=TensorProto.DOUBLE)),
    "external": replace(SOFT, external=True),
}  # fmt: skip

# Of these, all operators are among those that Metis compiles.
LISTED = (
    "keras", "keras-batch-1", "keras-scaled", "matlab", "matlab-flat", "torch-12", "gemm",
    "batch-4", "identity", "log-softmax", "quotient", "taken-names", "float16", "float64",
    "external",
)  # fmt: skip


def merged(by: Weights, side: int) -> onnx.ModelProto:
    """The pictures of a batch become one row each of something else."""
    net = Builder(by, 17, side=side)
    channels = net.add("Reshape", "x", net.store([by["kernel"].shape[1], -1], np.int64))
    rows = net.add("MatMul", channels, net.store(np.ones((side * side, CLASSES)) / side**2))
    return net.model(net.add("ReduceMean", rows, axes=[0], keepdims=1), batch=1)


def mixed(by: Weights, side: int) -> onnx.ModelProto:
    """Every row less the mean of the batch."""
    model = plain(by, side, 2)
    made = model.graph.output[0].name
    mean = helper.make_node("ReduceMean", [made], ["mean"], axes=[0], keepdims=1)
    model.graph.node.extend([mean, helper.make_node("Sub", [made, "mean"], ["less"])])
    model.graph.output[0].name = "less"
    return model


def two_ends(by: Weights, side: int, where: str) -> onnx.ModelProto:
    """A second input or output."""
    model = plain(by, side)
    if where == "output":
        value = helper.make_tensor_value_info("t1", TensorProto.FLOAT, ["N", 8, side, side])
        model.graph.output.append(value)
    else:
        value = helper.make_tensor_value_info("tda", TensorProto.FLOAT, ["N", 8])
        model.graph.input.append(value)
    return model


def whole_numbers(by: Weights, side: int) -> onnx.ModelProto:
    """A picture of bytes."""
    model = plain(by, side)
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    cast = helper.make_node("Cast", ["x"], ["values"], to=TensorProto.FLOAT)
    model.graph.node[0].input[0] = "values"
    nodes = [cast, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


CROPPED = partial(
    added, kind="CenterCropPad", opset=18, axes=[2, 3], stored=(([32, 32], np.int64),)
)
DILATED = partial(
    added, kind="AveragePool", opset=19, kernel_shape=[3, 3], dilations=[2, 2], pads=[2] * 4
)
# What no stage takes: how to build it, and what all of them say.
REFUSED: dict[str, tuple[Build, str]] = {
    "merged": (merged, "cannot take two pictures at once (Gemm 'MatMul_1': "),
    "mixed": (mixed, "its output for a picture depends on the other pictures of the batch"),
    "inputs": (partial(two_ends, where="input"), "expected one picture as the input, of floating"),
    "outputs": (partial(two_ends, where="output"), "expected one output, of floating point, found"),
    "bytes": (whole_numbers, "one picture as the input, of floating point, found x tensor(uint8)"),
    "size": (lambda by, side: plain(by, side + 16), "(N, 32, 32, 3), found (N, 3, 48, 48)"),
    "new": (CROPPED, "CenterCropPad 'CenterCropPad_2': opset 17 has no such operator, found 18"),
    "dilated": (DILATED, "AveragePool 'AveragePool_2': dilations=[2, 2]: opset 17 cannot say it"),
    "not-finite": (
        lambda by, side: plain(by | {"bias": by["bias"] * np.inf}, side),
        "expected 17 finite numbers a picture, found shape (2, 17)",
    ),
}  # fmt: skip
