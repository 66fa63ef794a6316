"""What the compiler asks of a whole file: opset, IR version, one file, one input and output."""

from collections.abc import Iterator

import onnx
from onnx import TensorProto

from stages.export import metis_rules
from stages.export.graph_index import inputs, opset_version, shape_of

# What is meant, what is there and was expected, and which remedy helps.
Found = Iterator[tuple[str, str, str]]


def check_file(model: onnx.ModelProto, inferred: onnx.ModelProto) -> Found:
    """What is wrong with a file; the second model has its shapes."""
    rules = metis_rules.load_file_rules()
    opset, (low, high), newest = opset_version(model), rules["opsets"], rules["ir_version"]
    if not low <= opset <= high:
        yield "opset", f"expected {low} to {high}, found {opset}", "opset"
    if model.ir_version > newest:
        found = f"expected {newest} or lower, found {model.ir_version}"
        yield "IR version", found, "IR version"
    outside = [t.name for t in model.graph.initializer if t.data_location == TensorProto.EXTERNAL]
    if outside:
        some = f"{outside[0]!r}" + f" and {len(outside) - 1} more" * (len(outside) > 1)
        yield "external data", f"expected one file, found {some} in another", "external data"
    yield from _check_ends(model.graph)
    yield from _check_inner(inferred)


def _check_ends(graph: onnx.GraphProto) -> Found:
    given = {"inputs": (inputs(graph), 4), "outputs": (list(graph.output), _rank_of_output(graph))}
    for name, (values, rank) in given.items():
        if len(values) != 1:
            yield name, f"expected one, found {[value.name for value in values]}", name
        for value in values:
            kind, shape = value.type.tensor_type.elem_type, shape_of(value)
            if kind != TensorProto.FLOAT:
                type_name = TensorProto.DataType.Name(kind)
                yield value.name, f"expected float32, found {type_name}", "type"
            if len(shape) != rank:
                yield value.name, f"expected {rank} dimensions, found {list(shape)}", "rank"
            elif not all(isinstance(size, int) for size in shape):
                yield value.name, f"expected a static shape, found {list(shape)}", "static"
            elif shape[:1] != (1,):
                yield value.name, f"expected batch 1, found {list(shape)}", "batch"


def _rank_of_output(graph: onnx.GraphProto) -> int:
    """2 of a class for each picture; 4 where there is one for each pixel, as in the zoo's maps."""
    ends = [shape_of(value) for value in (*inputs(graph)[:1], *graph.output[:1])]
    per_pixel = len(ends) == 2 and all(len(shape) == 4 for shape in ends)
    return 4 if per_pixel and ends[0][2:] == ends[1][2:] != (1, 1) else 2


def _check_inner(model: onnx.ModelProto) -> Found:
    """The first tensor inside without a static shape, if input and output have one."""
    ends = (*inputs(model.graph), *model.graph.output)
    if all(isinstance(size, int) for value in ends for size in shape_of(value)):
        for value in model.graph.value_info:
            if not all(isinstance(size, int) for size in shape_of(value)):
                rule = f"expected a static shape, found {list(shape_of(value))}"
                yield value.name, rule, "static"
                return
