"""ONNX graphs without what makes convolutions slow: mirrored padding, factors in between.

onnxruntime keeps the features of a chain of convolutions in blocks of channels as long as it meets
nothing else: mirrored padding or a factor in between has it lay them out anew, twice. So padding
becomes that of the convolution behind it, which differs at the edge of a tile alone, and a factor
goes into the weights before it. Whether the margin cuts off all that differs, `tuning` finds out.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

PASSING = {"LeakyRelu", "Relu"}  # a positive factor may go through them


@dataclass
class Graph:
    """A graph that is being changed.

    Attributes:
        graph: of the model.
        constants: tensors by name.
    """

    graph: onnx.GraphProto
    constants: dict[str, NDArray[Any]]

    @classmethod
    def of(cls, model: onnx.ModelProto) -> "Graph":
        """With what initializers and Constant nodes hold."""
        made = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
        for node in model.graph.node:
            if node.op_type == "Constant" and node.attribute[0].name == "value":
                made[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
        return cls(model.graph, made)

    def consumers(self) -> Counter[str]:
        """How often each tensor is looked at; outputs of the graph count as well."""
        names = [name for node in self.graph.node for name in node.input]
        return Counter([*names, *(value.name for value in self.graph.output)])

    def rename(self, old: str, new: str) -> None:
        """Let all nodes look at another tensor."""
        for node in self.graph.node:
            node.input[:] = [new if name == old else name for name in node.input]

    def is_output(self, name: str) -> bool:
        """Whether the graph gives this tensor."""
        return any(value.name == name for value in self.graph.output)

    def store(self, name: str, values: NDArray[Any]) -> str:
        """A tensor of its own, by a name that is new."""
        fresh = f"{name}/{len(self.constants)}"
        self.constants[fresh] = values
        self.graph.initializer.append(numpy_helper.from_array(values, fresh))
        return fresh


def fold_padding(graph: Graph) -> int:
    """Mirrored or repeated edges become zeros that the convolution adds; how many were."""
    count = 0
    for pad in [node for node in graph.graph.node if node.op_type == "Pad"]:
        mode = next((a.s for a in pad.attribute if a.name == "mode"), b"constant")
        sizes = graph.constants.get(pad.input[1]) if len(pad.input) > 1 else None
        behind = [n for n in graph.graph.node if pad.output[0] in n.input]
        if mode not in (b"reflect", b"edge") or sizes is None or np.shape(sizes) != (8,):
            continue
        top = [int(size) for size in sizes]
        if any(top[i] for i in (0, 1, 4, 5)) or min(top) < 0 or graph.is_output(pad.output[0]):
            continue
        if not all(_is_bare(node) and node.input[0] == pad.output[0] for node in behind):
            continue
        for node in behind:
            kept = [a for a in node.attribute if a.name not in ("pads", "auto_pad")]
            del node.attribute[:]
            node.attribute.extend([*kept, helper.make_attribute("pads", [*top[2:4], *top[6:8]])])
        graph.rename(pad.output[0], pad.input[0])
        graph.graph.node.remove(pad)
        count += 1
    return count


def _is_bare(node: onnx.NodeProto) -> bool:
    """Whether this is a convolution that adds nothing around its input."""
    told = {a.name: a for a in node.attribute}
    padded = any(told["pads"].ints) if "pads" in told else False
    return node.op_type == "Conv" and not padded and "auto_pad" not in told


def fold_factors(graph: Graph) -> int:
    """Positive factors go into the convolution before them; how many did."""
    count = 0
    for mul in [node for node in graph.graph.node if node.op_type == "Mul"]:
        factors = [graph.constants[name] for name in mul.input if name in graph.constants]
        if len(factors) != 1 or factors[0].size != 1 or graph.is_output(mul.output[0]):
            continue
        factor = float(factors[0].reshape(()).astype(np.float64))
        source = next(name for name in mul.input if name not in graph.constants)
        conv = _find_convolution(graph, source)
        if conv is None or factor <= 0:
            continue
        for place, name in enumerate(conv.input[1:], 1):
            values = graph.constants[name]
            conv.input[place] = graph.store(
                name, np.asarray(values * np.float32(factor), values.dtype)
            )
        graph.rename(mul.output[0], source)
        graph.graph.node.remove(mul)
        count += 1
    return count


def _find_convolution(graph: Graph, name: str) -> onnx.NodeProto | None:
    """The convolution that makes a tensor, where nothing else looks at what lies between."""
    looks = graph.consumers()
    made = {out: node for node in graph.graph.node for out in node.output}
    while looks[name] == 1 and (node := made.get(name)) is not None:
        if node.op_type == "Conv":
            return node if all(n in graph.constants for n in node.input[1:]) else None
        if node.op_type not in PASSING:
            return None
        name = node.input[0]
    return None
