"""Small super-resolution networks for tests, made with onnx alone: a cubic and a convolution.

The output is the input, enlarged by a cubic, and `detail` times what a random convolution of the
coarse pixels gives each fine one. Options break it in the ways that a check must see.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

REACH = 2  # input pixels that a cubic looks to each side


@dataclass(frozen=True)
class Options:
    """What a network does.

    Attributes:
        factor: output pixels along one of the input.
        side: of the kernel, input pixels; an odd number.
        detail: weight of the convolution.
        coordinates: of Resize; "asymmetric" moves the image by (factor - 1) / 2 output pixels.
        order: of the bands at the end; () leaves them as they are.
        bias: added at the end.
        names: of input and output.
        free: whether the height, and the width, may be any.
        opset: of ONNX.
        seed: of the kernel.
        grid: pixels of windows, from the corner of a tile on, each of which is brightened by
            `detail` times its mean: a tile must begin between them.
    """

    factor: int = 2
    side: int = 3
    detail: float = 0.02
    coordinates: str = "half_pixel"
    order: tuple[int, ...] = ()
    bias: float = 0.0
    names: tuple[str, str] = ("input", "output")
    free: tuple[bool, bool] = (True, True)
    opset: int = 17
    seed: int = 0
    grid: int = 1

    @property
    def margin(self) -> int:
        """Output pixels by which an input pixel reaches further than itself."""
        reach = max(REACH, self.side // 2, self.grid - 1)
        return self.factor * self.grid * -(-reach // self.grid)


def graph(bands: int, options: Options = Options()) -> onnx.ModelProto:
    """(N, C, h, w) to (N, C, factor * h, factor * w)."""
    rng, factor, side = np.random.default_rng(options.seed), options.factor, options.side
    kernel = rng.standard_normal((bands * factor**2, bands, side, side))
    kernel -= kernel.mean((1, 2, 3), keepdims=True)  # the level of an image stays as it is,
    phases = kernel.reshape(factor**2, bands, bands, side, side)
    phases -= phases.mean(0)  # and so does each mean of factor * factor output pixels
    order = options.order or tuple(range(bands))
    constants = {
        "kernel": (options.detail * kernel).astype(np.float32),
        "scales": np.array([1, 1, factor, factor], np.float32),
        "order": np.array(order, np.int64),
        "bias": np.array(options.bias, np.float32),
    }
    first, last = options.names
    cubic = {
        "mode": "cubic", "cubic_coeff_a": -0.5,
        "coordinate_transformation_mode": options.coordinates,
    }  # fmt: skip
    nodes = [
        helper.make_node("Resize", [first, "", "scales"], ["smooth"], "enlarge", **cubic),
        helper.make_node("Conv", [first, "kernel"], ["c"], "conv", pads=[side // 2] * 4),
        helper.make_node("DepthToSpace", ["c"], ["fine"], "shuffle", blocksize=factor),
        helper.make_node("Add", ["smooth", "fine"], ["sum"], "add"),
        helper.make_node("Gather", ["sum", "order"], ["sorted"], "order", axis=1),
        helper.make_node("Add", ["sorted", "bias"], [last], "level"),
    ]
    if options.grid > 1:
        nodes = [*_windows(first, options, constants), *nodes]
        nodes[-1].input[1] = "windows"
    size = [side if free else 64 for side, free in zip("hw", options.free, strict=True)]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", bands, *sides])
        for name, sides in ((first, size), (last, ["H", "W"]))
    ]
    tensors = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    whole = helper.make_graph(nodes, "enlarge", ends[:1], ends[1:], tensors)
    return helper.make_model(
        whole, opset_imports=[helper.make_opsetid("", options.opset)], ir_version=8
    )


def _windows(first: str, options: Options, constants: dict[str, Any]) -> list[Any]:
    """Nodes that make `windows` of the input: the mean of each window, as large as the output."""
    side, node = options.grid, helper.make_node
    large = np.array([1, 1, *[side * options.factor] * 2], np.float32)
    constants |= {
        "large": large,
        "detail": np.float32(options.detail),
        "begin": np.array([0, 0], np.int64),
        "sides": np.array([2, 3], np.int64),
        "twice": np.array(options.factor, np.int64),
    }
    nearest = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric",
               "nearest_mode": "floor"}  # fmt: skip
    pool = {"kernel_shape": [side] * 2, "strides": [side] * 2, "ceil_mode": 1}
    return [
        node("AveragePool", [first], ["means"], **pool),
        node("Resize", ["means", "", "large"], ["blocks"], **nearest),
        node("Shape", [first], ["size"], start=2),
        node("Mul", ["size", "twice"], ["end"]),
        node("Slice", ["blocks", "begin", "end", "sides"], ["cut"]),
        node("Mul", ["cut", "detail"], ["part"]),
        node("Add", ["part", "bias"], ["windows"]),
    ]


def pair(folder: Path, bands: tuple[str, ...], options: Options = Options()) -> Path:
    """pair.yaml and pair.onnx, as others may publish them: no scaling, no rounding, no mask."""
    folder.mkdir(parents=True, exist_ok=True)
    model = graph(len(bands), options)
    if options.grid > 1:
        helper.set_model_props(model, {"lcz42-edge.grid": str(options.grid)})
    onnx.save(model, folder / "pair.onnx")
    path = folder / "pair.yaml"
    path.write_text(
        f"bands: [{', '.join(bands)}]\nfactor: {options.factor}.0\n"
        f"margin: {options.margin}\nmodel: pair.onnx\n"
    )
    return path


def trained(
    folder: Path, bands: tuple[str, ...], options: Options = Options(), /, **entries: Any
) -> Path:
    """A folder as sisr-train leaves it; its network is `graph`, whatever the card says."""
    from shared.sisr import cards  # which needs scipy

    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(graph(len(bands), options), folder / cards.ONNX)
    cards.write(folder, sisr_card(bands, options, **entries))
    return folder


def sisr_card(bands: tuple[str, ...], options: Options, /, **entries: Any) -> Any:
    """What sisr-train says of such a network, but for some entries."""
    from shared.sisr import SENTINEL2_MTF, cards

    level = dict(zip(bands, np.linspace(0.05, 0.25, len(bands)).tolist(), strict=True))
    card = cards.Card(
        bands=bands, made=bands, metres=10.0, factor=options.factor, margin=options.margin,
        architecture="cubic", mode="geometric", mtf={band: SENTINEL2_MTF[band] for band in bands},
        mean=tuple(level.values()), std=(0.1,) * len(bands), grid=options.grid,
    )  # fmt: skip
    return replace(card, **entries)
