"""A network as Metis compiles it: static batch 1, all shapes known, nothing but what it lists."""

import collections
from pathlib import Path
from typing import Any

import onnx
from onnx import shape_inference

from shared.errors import StageError
from shared.models import Card
from stages.export.constant_folding import constants, drop_unused, fold_constants
from stages.export.graph_index import GraphIndex, inputs, opset_version, shape_of
from stages.export.metis_rules import load_file_rules

IR: int = load_file_rules()["ir_version"]


def make_static(model: onnx.ModelProto, card: Card, path: Path) -> onnx.ModelProto:
    """`input` (1, C, size, size) float32 to `logits`, opset 17, all shapes known.

    Logits are (1, K) of a classifier and (1, K, size, size) of a segmentation network.

    Args:
        model: a network in the common form (`shared.onnx_graphs`).
        card: what the image input and the classes are.
        path: where the graph came from, for messages.

    Raises:
        StageError: another number of inputs or outputs, shapes that do not fit.
    """
    model.ir_version = min(model.ir_version, IR)
    graph, given = model.graph, inputs(model.graph)
    if len(given) != 1 or len(graph.output) != 1:
        names = f"{[v.name for v in given]} to {[v.name for v in graph.output]}"
        raise StageError(f"{path}: expected one input and one output, found {names}")
    shape = (1, len(card.bands), card.size, card.size)
    _set_shape(given[0], shape, path)
    pixels = shape[2:] if card.task == "segmentation" else ()
    _set_shape(graph.output[0], (1, len(card.classes), *pixels), path)
    _rename(graph, given[0].name, "input")
    _rename(graph, graph.output[0].name, "logits")
    del graph.input[:]  # weights may be listed there, and could then be replaced by a caller
    graph.input.extend(given)
    _drop_identities(graph)
    model = _fold_sizes(model, path)
    fold_constants(model)
    _drop_idle(model.graph)
    return _infer_shapes(model, path)


def _fold_sizes(model: onnx.ModelProto, path: Path) -> onnx.ModelProto:
    """With all shapes known, where they can be: each pass folds what those before it tell."""
    model, before = _infer_shapes(model, path), 0
    while len(model.graph.node) != before and not _are_known(model.graph):
        before = len(model.graph.node)
        constants(model, exact=True)
        model = _infer_shapes(model, path)
    return model


def _are_known(graph: onnx.GraphProto) -> bool:
    """Whether the sizes of all tensors are inferred."""
    shapes = GraphIndex(graph).shapes
    made = (name for node in graph.node for name in node.output if name)
    return all(isinstance(size, int) for name in made for size in shapes.get(name, ("?",)))


def _infer_shapes(model: onnx.ModelProto, path: Path) -> onnx.ModelProto:
    """The model with all shapes known, and checked."""
    del model.graph.value_info[:]
    try:
        inferred = shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
        onnx.checker.check_model(inferred)
    except (shape_inference.InferenceError, onnx.checker.ValidationError) as error:
        reason, shape = str(error).strip().splitlines()[0], shape_of(model.graph.input[0])
        raise StageError(f"{path}: does not work as {shape} to (1, K): {reason}") from None
    return inferred


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    for value in (*graph.input, *graph.output):
        if value.name == old:
            value.name = new
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [new if name == old else name for name in names]


def _drop_identities(graph: onnx.GraphProto) -> None:
    """Without Identity, which shares equal weights in torch's exports, and without Dropout."""
    kept = []
    for node in graph.node:
        idle = node.op_type in ("Identity", "Dropout") and not any(node.output[1:])
        if idle and node.output[0] != graph.output[0].name:
            for user in graph.node:
                user.input[:] = [node.input[0] if n == node.output[0] else n for n in user.input]
        else:
            kept.append(node)
    del graph.node[:]
    graph.node.extend(kept)


def _drop_idle(graph: onnx.GraphProto) -> None:
    """Without Pad and Slice that leave all as it is, which networks of any size need for others."""
    for node in list(graph.node):
        facts = GraphIndex(graph)
        if not _is_idle(node, facts):
            continue
        given, made = node.input[0], node.output[0]
        if made in facts.outputs:
            if given not in facts.makers:
                continue
            given, made = made, given  # the output keeps its name
        graph.node.remove(node)
        for other in graph.node:
            for names in (other.input, other.output):
                names[:] = [given if name == made else name for name in names]
    drop_unused(graph)


def _is_idle(node: onnx.NodeProto, facts: GraphIndex) -> bool:
    if node.op_type not in ("Pad", "Slice"):
        return False
    before, after = (facts.shapes.get(name) for name in (node.input[0], node.output[0]))
    if before is None or before != after or not all(isinstance(size, int) for size in before):
        return False
    if node.op_type == "Pad":  # what is cut off at one end may be added at the other
        pads = facts.constant(node.input[1]) if len(node.input) > 1 else None
        return pads is not None and not pads.any()
    steps = facts.constant(node.input[4]) if len(node.input) > 4 else None
    return len(node.input) < 5 or (steps is not None and bool((steps == 1).all()))


def _set_shape(value: onnx.ValueInfoProto, shape: tuple[int, ...], path: Path) -> None:
    sizes = [dim.dim_value or dim.dim_param for dim in value.type.tensor_type.shape.dim]
    fits = len(sizes) == len(shape) and all(
        not isinstance(have, int) or have == want for have, want in zip(sizes, shape, strict=True)
    )
    if not fits:
        raise StageError(f"{path}: {value.name}: expected shape {shape}, found {sizes}")
    for dim, want in zip(value.type.tensor_type.shape.dim, shape, strict=True):
        dim.dim_value = want


def with_dynamic_batch(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of a fitted graph that takes any number of rows, to measure with."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.value_info[:]  # of one row
    for value in (*copy.graph.input, *copy.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    return copy


def describe(model: onnx.ModelProto) -> dict[str, Any]:
    """Opset, IR version and how often each operator occurs."""
    counts = collections.Counter(node.op_type for node in model.graph.node)
    return {
        "opset": opset_version(model),
        "ir_version": model.ir_version,
        "operators": dict(sorted(counts.items())),
    }
