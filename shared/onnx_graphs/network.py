"""A graph that is being rewritten: who makes and who reads a tensor, constants, shapes, names."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, numpy_helper, shape_inference

from shared.onnx_graphs.nodes import (
    UnconvertibleError,
    all_nodes,
    call,
    first_line,
    inner_names,
)

Shape = tuple[int | None, ...]


class Network:
    """One ONNX graph and look-ups in it, which `refresh` renews after an edit.

    Attributes:
        model: what is rewritten, in place.
        graph: of the model.
        weights: stored tensors by name.
        makers: the node that writes a tensor.
        users: the nodes that read a tensor.
        shapes: sizes by name, as of the last `infer`; None for a size that is not known.
        kinds: element types likewise.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model, self.graph = model, model.graph
        self.shapes: dict[str, Shape] = {}
        self.kinds: dict[str, int] = {}
        self.refresh()

    @property
    def opset(self) -> int:
        """Version of the standard operators."""
        return next((o.version for o in self.model.opset_import if o.domain in ("", "ai.onnx")), 0)

    @property
    def input(self) -> onnx.ValueInfoProto:
        """The one input: the picture."""
        return self.graph.input[0]

    @property
    def output(self) -> onnx.ValueInfoProto:
        """The one output."""
        return self.graph.output[0]

    def refresh(self) -> None:
        """Read the graph again after an edit."""
        self.weights = {tensor.name: tensor for tensor in self.graph.initializer}
        self.makers: dict[str, NodeProto] = {}
        self.users: dict[str, list[NodeProto]] = {}
        for node in self.graph.node:
            self.makers |= {name: node for name in node.output if name}
            for name in filter(None, node.input):
                self.users.setdefault(name, []).append(node)

    def infer(self, batch: int | None) -> None:
        """Shapes and types of all tensors for so many pictures, None for any number."""
        del self.graph.value_info[:]
        self.output.type.tensor_type.ClearField("shape")
        dims = self.input.type.tensor_type.shape.dim
        dims[0].Clear()
        if batch is None:
            dims[0].dim_param = "batch"
        else:
            dims[0].dim_value = batch
        try:
            inferred = shape_inference.infer_shapes(self.model, data_prop=True).graph
        except shape_inference.InferenceError as error:
            raise UnconvertibleError(f"shapes cannot be inferred ({first_line(error)})") from None
        values = (*inferred.value_info, *inferred.input, *inferred.output)
        self.kinds = {value.name: value.type.tensor_type.elem_type for value in values}
        self.shapes = {v.name: _shape(v) for v in values if v.type.tensor_type.HasField("shape")}
        self.shapes |= {name: tuple(tensor.dims) for name, tensor in self.weights.items()}
        self.kinds |= {name: tensor.data_type for name, tensor in self.weights.items()}

    def sizes(self, name: str) -> tuple[int, ...] | None:
        """The shape of a tensor, if every size of it is known."""
        shape = self.shapes.get(name, (None,))
        sizes = tuple(size for size in shape if size is not None)
        return sizes if len(sizes) == len(shape) else None

    def constant(self, name: str) -> NDArray[Any] | None:
        """Values of a stored tensor; None for all else."""
        tensor = self.weights.get(name)
        return None if tensor is None else np.asarray(numpy_helper.to_array(tensor))

    def store(self, stem: str, values: NDArray[Any]) -> str:
        """Store a tensor; its name."""
        name = self.fresh(stem)
        tensor = numpy_helper.from_array(np.asarray(values, order="C"), name)
        self.graph.initializer.append(tensor)
        self.weights[name] = self.graph.initializer[-1]
        self.shapes[name] = values.shape
        return name

    def fresh(self, stem: str) -> str:
        """A name that no tensor has, like this one."""
        taken = (
            self.makers.keys() | self.weights.keys() | {value.name for value in self.graph.input}
        )
        name, number = stem, 0
        while name in taken:
            number += 1
            name = f"{stem}_{number}"
        return name

    def rewrite(self, rule: Callable[[NodeProto], Iterable[NodeProto] | None]) -> None:
        """Put what the rule gives in the place of every node; None keeps the node."""
        nodes: list[NodeProto] = []
        for node in self.graph.node:
            instead = rule(node)
            nodes += [node] if instead is None else instead
        self.set_nodes(nodes)

    def set_nodes(self, nodes: Iterable[NodeProto]) -> None:
        """These nodes instead of all, in this order."""
        kept = list(nodes)
        del self.graph.node[:]
        self.graph.node.extend(kept)
        self.refresh()

    def redirect(self, old: str, new: str) -> None:
        """Let all that read one tensor, the output too, read another one."""
        for node in all_nodes(self.graph):
            if old in node.input:
                node.input[:] = [new if name == old else name for name in node.input]
        if self.output.name == old:
            self.output.name = new

    def drop_unused(self) -> None:
        """Without nodes and tensors that the output does not need."""
        needed, kept = {self.output.name}, []
        for node in reversed(sort_nodes(self.graph)):
            if needed & set(node.output):
                kept.append(node)
                needed |= set(node.input) | inner_names(node)
        weights = [tensor for tensor in self.graph.initializer if tensor.name in needed]
        del self.graph.initializer[:]
        self.graph.initializer.extend(weights)
        self.set_nodes(reversed(kept))


def sort_nodes(graph: onnx.GraphProto) -> list[NodeProto]:
    """The nodes, each one after those that it reads from."""
    made = {name for node in graph.node for name in node.output}
    ready: set[str] = {""}
    waiting, ordered = list(graph.node), []
    while waiting:
        later = []
        for node in waiting:
            if (set(node.input) | inner_names(node)) & made <= ready:
                ordered.append(node)
                ready |= set(node.output)
            else:
                later.append(node)
        if len(later) == len(waiting):
            raise UnconvertibleError(f"{call(waiting[0])}: reads what is made after it")
        waiting = later
    return ordered


def _shape(value: onnx.ValueInfoProto) -> Shape:
    dims = value.type.tensor_type.shape.dim
    return tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in dims)
