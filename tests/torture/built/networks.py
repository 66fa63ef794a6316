"""ONNX: tensors that lie elsewhere or claim much, shapes, loops, operators, unknown fields."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from hypothesis import strategies as st
from onnx import TensorProto, helper

ELSEWHERE = st.sampled_from([
    "../../outside/secret.bin", "../../outside/secret.onnx", "/etc/passwd", "/dev/zero", "", ".",
    "gone.bin", "./../../outside/secret.bin", "x/../../../outside/secret.bin", "model.json",
    "a\x1b[2J", "\x00", "x" * 5000, "/proc/self/mem", "..\\..\\outside\\secret.bin",
])  # fmt: skip
NUMBERS = st.sampled_from([-1, 0, 1, 2, 3, 7, 64, 10**6, 10**9, 10**12, 2**31, 2**62, 2**63 - 1])
TEXTS = st.sampled_from(["", "x", "input", "image", "logits", "a\x1b[2J", "\u202e", "x" * 10_000])
OPERATORS = st.sampled_from([
    "Loop", "If", "Scan", "Identity", "Expand", "ConstantOfShape", "Tile", "Range", "Resize", "Pad",
    "RandomNormal", "Gather", "Reshape", "MatMul", "Nothing", "Softmax", "Relu", "NonZero", "Where",
])  # fmt: skip


def _elsewhere(model: Any, number: int, place: str, offset: str, length: str) -> None:
    """A tensor whose values lie in another file."""
    tensors = model.graph.initializer
    tensor = tensors[number % len(tensors)]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", place), ("offset", offset), ("length", length)):
        if value:
            tensor.external_data.add(key=key, value=value)


def _shape(model: Any, number: int, axis: int, size: int) -> None:
    """A tensor, the picture or the output claims another size."""
    tensors = model.graph.initializer
    if number < len(tensors):
        dims = tensors[number].dims
        if dims:
            dims[axis % len(dims)] = size
        else:
            dims.append(size)
        return
    ends = (model.graph.input, model.graph.output)[number % 2]
    dims = ends[0].type.tensor_type.shape.dim
    dims[axis % len(dims)].dim_value = size


def _operator(model: Any, number: int, kind: str, ends: int) -> None:
    """Another operator in the place of one."""
    node = model.graph.node[number % len(model.graph.node)]
    node.op_type = kind
    if ends == 0:
        del node.input[:]
    elif ends == 1:
        node.input.append(node.output[0])  # itself
    elif ends == 2:
        del node.attribute[:]


def _enlarge(model: Any, shape: list[int], kind: str) -> None:
    """A node that makes far more of the picture than memory holds."""
    node = model.graph.node[0]
    sizes = helper.make_tensor("huge", TensorProto.INT64, [len(shape)], [abs(n) for n in shape])
    model.graph.initializer.append(sizes)
    made = helper.make_node(kind, [node.input[0], "huge"], ["enlarged"], "enlarge")
    if kind == "ConstantOfShape":
        made = helper.make_node(kind, ["huge"], ["enlarged"], "enlarge")
    node.input[0] = "enlarged"
    model.graph.node.insert(0, made)


def add_loop(model: Any, count: int) -> None:
    """A loop of so many rounds, which does nothing."""
    node = model.graph.node[0]
    entry = node.input[0]
    flag = helper.make_tensor_value_info("on", TensorProto.BOOL, [])
    step = helper.make_tensor_value_info("i", TensorProto.INT64, [])
    end = helper.make_tensor_value_info("off", TensorProto.BOOL, [])
    value = helper.make_tensor_value_info("v", TensorProto.FLOAT, None)
    same = helper.make_tensor_value_info("w", TensorProto.FLOAT, None)
    body = helper.make_graph(
        [helper.make_node("Identity", ["on"], ["off"]), helper.make_node("Identity", ["v"], ["w"])],
        "body", [step, flag, value], [end, same],
    )  # fmt: skip
    model.graph.initializer.append(helper.make_tensor("rounds", TensorProto.INT64, [], [count]))
    model.graph.initializer.append(helper.make_tensor("yes", TensorProto.BOOL, [], [True]))
    made = helper.make_node("Loop", ["rounds", "yes", entry], ["looped"], "loop", body=body)
    node.input[0] = "looped"
    model.graph.node.insert(0, made)


def _nest(model: Any, depth: int) -> None:
    """Graphs in graphs."""
    inner = helper.make_graph([], "deepest", [], [])
    for level in range(depth):
        node = helper.make_node("If", ["yes"], [f"n{level}"], then_branch=inner, else_branch=inner)
        inner = helper.make_graph([node], "g", [], [])
        if inner.ByteSize() > 2_000_000:
            break
    model.graph.node.append(inner.node[0] if inner.node else helper.make_node("If", [], []))


def _name(model: Any, number: int, text: str) -> None:
    """Names that nothing else has, or everything."""
    node = model.graph.node[number % len(model.graph.node)]
    (node.input if number % 2 else node.output)[0] = text
    node.name = text


def _versions(model: Any, opset: int, form: int, domain: str) -> None:
    model.ir_version = max(-(2**63), min(form, 2**63 - 1))
    model.opset_import[0].version = opset
    model.opset_import[0].domain = domain


def _values(model: Any, number: int, value: float) -> None:
    """A tensor of one value."""
    tensors = model.graph.initializer
    tensor = tensors[number % len(tensors)]
    count = len(tensor.raw_data) // 4
    tensor.raw_data = np.full(count, value, np.float32).tobytes()


def draw(good: Path, _: str) -> Any:
    """Contents of an ONNX file."""
    model = onnx.load(good)
    numbers = st.integers(0, 12)
    sizes = st.lists(NUMBERS, max_size=4)
    offsets = st.sampled_from(["", "0", "-1", "4", "9" * 30, "x", "18446744073709551615"])
    shorter = st.sampled_from([0, 1, 3, 10, 10**3, 10**6, 10**9, 2**62])
    edits = st.one_of(
        st.tuples(st.just(_elsewhere), numbers, ELSEWHERE, offsets, offsets),
        st.tuples(st.just(_shape), numbers, st.integers(0, 4), NUMBERS),
        st.tuples(st.just(_operator), numbers, OPERATORS, st.integers(0, 3)),
        st.tuples(st.just(_enlarge), sizes, st.sampled_from(["Expand", "Tile", "ConstantOfShape"])),
        st.tuples(st.just(add_loop), shorter),
        st.tuples(st.just(_nest), st.sampled_from([1, 5, 15])),
        st.tuples(st.just(_name), numbers, TEXTS),
        st.tuples(st.just(_versions), NUMBERS, st.sampled_from([8, 0, -1, 3, 10**6]),
                  st.sampled_from(["", "", "x", "com.microsoft"])),
        st.tuples(st.just(_values), numbers, st.sampled_from([np.nan, np.inf, 0.0, 1e30, -1e30])),
    )  # fmt: skip

    def change(listed: list[tuple[Any, ...]], more: bytes) -> bytes:
        made = copy.deepcopy(model)
        for edit, *arguments in listed:
            edit(made, *arguments)
        return bytes(made.SerializeToString()) + more

    more = st.one_of(st.just(b""), st.just(b""), st.binary(max_size=8))
    return st.builds(change, st.lists(edits, min_size=1, max_size=2), more)
