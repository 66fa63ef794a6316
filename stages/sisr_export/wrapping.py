"""The graph that the client runs: digital numbers in and out, around the trainer's network."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, compose, helper, numpy_helper

from shared import onnx_graphs, sisr_client
from shared.errors import StageError
from stages.sisr_export.settings import HIGHEST, LEAST, LOWEST, MOST, PER_UNIT, PRODUCT

if TYPE_CHECKING:
    from shared.sisr import cards

OPSET, IR_VERSION = 17, 8
INNER = "network/"  # before every name of the trainer's network
FIRST, LAST = "input", "output"


@dataclass(frozen=True)
class Scale:
    """The numbers in the graph.

    Attributes:
        factor: output pixels along one of the input.
        mean: (C,) reflectance of the training rows.
        reach: input pixels to each side that a filled pixel is averaged from.
        grid: input pixels at whose multiples a tile must begin.
    """

    factor: int
    mean: tuple[float, ...]
    reach: int
    grid: int = 1


def load(path: Path) -> onnx.ModelProto:
    """The trainer's network, which must have one input and one output and be of opset 17.

    Raises:
        StageError: it is none.
    """
    model = onnx_graphs.load(path)
    opsets = {item.domain: item.version for item in model.opset_import}
    if opsets.get("", opsets.get("ai.onnx")) != OPSET:
        raise StageError(f"{path}: expected opset {OPSET}, found {opsets}")
    ends = [[value.name for value in part] for part in (model.graph.input, model.graph.output)]
    if ends != [[FIRST], [LAST]]:
        raise StageError(f"{path}: expected one input {FIRST} and one output {LAST}, found {ends}")
    return model


def _before(scale: Scale) -> list[NodeProto]:
    """Nodes from digital numbers to reflectance; pixels that any band lacks are filled.

    A filled pixel is the mean of the known ones around it, to which the mean of the training rows
    counts as one more: so there is always one, and the step at the end of the reach is small.
    """
    side = 2 * scale.reach + 1
    box = {"kernel_shape": [side] * 2, "pads": [scale.reach] * 4, "count_include_pad": 1}
    node = helper.make_node
    return [
        node("Greater", [FIRST, "lowest"], ["above"], "above"),  # NaN is neither above nor below
        node("Less", [FIRST, "highest"], ["below"], "below"),
        node("And", ["above", "below"], ["known"], "known"),
        node("Cast", ["known"], ["one"], "one", to=TensorProto.FLOAT),
        node("ReduceMin", ["one"], ["valid"], "valid", axes=[1], keepdims=1),
        node("Greater", ["valid", "half"], ["is_valid"], "is_valid"),
        node("Where", ["is_valid", FIRST, "zero"], ["clean"], "clean"),
        node("Div", ["clean", "per_unit"], ["reflectance"], "to_reflectance"),
        node("AveragePool", ["reflectance"], ["sum"], "sum", **box),
        node("AveragePool", ["valid"], ["share"], "share", **box),
        node("Add", ["sum", "mean_as_one"], ["sum_and_mean"], "sum_and_mean"),
        node("Add", ["share", "one_pixel"], ["share_and_mean"], "share_and_mean"),
        node("Div", ["sum_and_mean", "share_and_mean"], ["fill"], "fill"),
        node("Where", ["is_valid", "reflectance", "fill"], [INNER + FIRST], "filled"),
    ]


def _after() -> list[NodeProto]:
    """Nodes from reflectance to whole digital numbers, NaN where a pixel was filled."""
    node = helper.make_node
    nearest = {
        "mode": "nearest", "nearest_mode": "floor", "coordinate_transformation_mode": "asymmetric",
    }  # fmt: skip
    return [
        node("Mul", [INNER + LAST, "per_unit"], ["numbers"], "to_numbers"),
        node("Round", ["numbers"], ["whole"], "whole"),  # half to even
        node("Clip", ["whole", "least", "most"], ["safe"], "safe"),
        # Each input pixel becomes factor * factor equal ones.
        node("Resize", ["valid", "", "scales"], ["fine_valid"], "mask", **nearest),
        node("Greater", ["fine_valid", "half"], ["is_made"], "is_made"),
        node("Where", ["is_made", "safe", "nan"], [LAST], "with_nan"),
    ]


def _constants(scale: Scale) -> list[TensorProto]:
    pixel = 1 / (2 * scale.reach + 1) ** 2
    mean = np.array(scale.mean, np.float64)[None, :, None, None]
    values = {
        "lowest": LOWEST, "highest": HIGHEST, "half": 0.5, "zero": 0.0, "per_unit": PER_UNIT,
        "mean_as_one": mean * pixel, "one_pixel": pixel, "least": LEAST, "most": MOST,
        "scales": [1, 1, scale.factor, scale.factor], "nan": np.nan,
    }  # fmt: skip
    return [numpy_helper.from_array(np.array(v, np.float32), n) for n, v in values.items()]


def wrap(model: onnx.ModelProto, scale: Scale) -> onnx.ModelProto:
    """The network that the client runs.

    Args:
        model: (N, C, h, w) reflectance to (N, C, factor * h, factor * w), as `load` gives it.
        scale: the numbers around it.

    Returns:
        `input` (b, C, h, w) digital numbers of any height and width, NaN or -10,000 where there is
        no data, to `output` (b, C, factor * h, factor * w) whole digital numbers from -1,000 to
        32,767, NaN where a band of the input has no data; float32. A grid is a property of the file
        (`sisr_client.GRID`).
    """
    inner = compose.add_prefix(model, INNER)
    bands = len(scale.mean)
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["b", bands, *sides])
        for name, sides in ((FIRST, ["h", "w"]), (LAST, ["H", "W"]))
    ]
    nodes = [*_before(scale), *inner.graph.node, *_after()]
    tensors = [*_constants(scale), *inner.graph.initializer]
    graph = helper.make_graph(nodes, "super-resolution", ends[:1], ends[1:], tensors)
    graph.sparse_initializer.extend(inner.graph.sparse_initializer)
    made = helper.make_model(
        graph, opset_imports=list(model.opset_import), functions=list(inner.functions),
        ir_version=IR_VERSION, producer_name="lcz42-edge",
    )  # fmt: skip
    if scale.grid > 1:
        helper.set_model_props(made, {sisr_client.GRID: str(scale.grid)})
    onnx.checker.check_model(made)
    return made


def find_margin(card: "cards.Card", reach: int) -> int:
    """Output pixels that a tile needs around it, a multiple of the factor.

    The receptive field of the network, and what the filled pixels in it are averaged from. The
    client's tiles begin at the lower left, and those at the top are cut off: with a grid, they all
    begin on it where what lies between the margins of a product is a multiple of it. So is that of
    a whole product of Sentinel-2.
    """
    low, side = -(-card.margin // card.factor) + reach, int(PRODUCT / card.metres)
    while (side - 2 * low) % card.grid:
        low += 1
    return low * card.factor
