"""Small networks as `sisr-train` and `register` leave them, made with onnx alone."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from shared.sisr import cards


def card(bands: tuple[str, ...] = ("B2", "B8"), **other: Any) -> cards.Card:
    """The card of a network that doubles these bands of 10 m."""
    usual: dict[str, Any] = {
        "bands": bands, "made": bands, "metres": 10.0, "factor": 2, "margin": 8,
        "architecture": "cubic", "mode": "baseline", "mtf": dict.fromkeys(bands, 0.3),
        "mean": (0.2,) * len(bands), "std": (0.1,) * len(bands),
    }  # fmt: skip
    return cards.Card(**(usual | other))


def write(
    folder: Path,
    of: cards.Card,
    *,
    down: int = 0,
    bias: float = 0.0,
    gain: float = 1.0,
    a: float = -0.5,
    side: int | None = None,
) -> Path:
    """A product of sisr-train that enlarges by a cubic, and then spoils what it made.

    Args:
        folder: to make.
        of: its card; of bands that go in, those that come out are taken by their names.
        down: whole pixels by which everything is moved down.
        bias: reflectance that is added.
        gain: factor before that; NaN makes everything NaN.
        a: of the cubic.
        side: pixels that its images must have, which only running it tells; None for any.
    """
    folder.mkdir(parents=True)
    chosen = [of.bands.index(band) for band in of.made if band in of.bands]
    scales = np.array([1, 1, of.factor, of.factor], np.float32)
    constants: dict[str, Any] = {
        "chosen": np.array(chosen, np.int64), "none": np.array([], np.float32), "scales": scales,
        "pads": np.array([0, 0, down, 0, 0, 0, 0, 0], np.int64), "rows": np.array([2], np.int64),
        "first": np.array([0], np.int64), "end": np.array([-down or 2**31], np.int64),
        "gain": np.float32(gain), "bias": np.float32(bias),
        "shape": np.array([0, 0, side or 0, side or 0], np.int64),
    }  # fmt: skip
    cubic = {
        "mode": "cubic", "cubic_coeff_a": a, "coordinate_transformation_mode": "half_pixel",
    }  # fmt: skip
    nodes = [
        helper.make_node("Reshape", ["input", "shape"], ["images"]),  # 0: as it comes
        helper.make_node("Gather", ["images", "chosen"], ["bands"], axis=1),
        helper.make_node("Resize", ["bands", "none", "scales"], ["large"], **cubic),
        helper.make_node("Pad", ["large", "pads"], ["padded"], mode="edge"),
        helper.make_node("Slice", ["padded", "first", "end", "rows"], ["moved"]),
        helper.make_node("Mul", ["moved", "gain"], ["brighter"]),
        helper.make_node("Add", ["brighter", "bias"], ["output"]),
    ]
    shape = ["N", len(of.bands), "h", "w"]
    _save(
        folder / cards.ONNX,
        nodes,
        ("input", shape),
        ("output", ["N", len(of.made), "H", "W"]),
        constants,
    )
    cards.write(folder, of)
    return folder


def write_registration(folder: Path, *, band: str = "B8", metres: float = 10.0) -> Path:
    """A product of register whose flow is 10 * (moving - reference) down and 0.25 to the right."""
    folder.mkdir(parents=True)
    weights = np.array([[-10, 10], [0, 0]], np.float32).reshape(2, 2, 1, 1)
    constants = {"weights": weights, "offset": np.array([0, 0.25], np.float32)}
    nodes = [helper.make_node("Conv", ["images", "weights", "offset"], ["flow"])]
    ends = ("images", ["N", 2, "h", "w"]), ("flow", ["N", 2, "h", "w"])
    _save(folder / "registration.onnx", nodes, *ends, constants)
    told = {"band": band, "metres": metres, "max_offset": 2.0}
    (folder / "registration.json").write_text(json.dumps(told))
    return folder


def _save(path: Path, nodes: list[Any], first: Any, last: Any, constants: dict[str, Any]) -> None:
    tensors = [numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (first, last)]
    graph = helper.make_graph(nodes, "small", ends[:1], ends[1:], tensors)
    domains = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=domains, ir_version=8), path)
