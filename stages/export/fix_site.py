"""The graph in which the lint's remedies are carried out, and what they add to it."""

from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike, NDArray
from onnx import NodeProto, helper, numpy_helper

from stages.export.graph_index import GraphIndex, attributes

# What stands in the place of nodes, by their first output: other nodes, the last of which writes
# that output, or the name of a tensor that says the same already. Nothing where no remedy fits.
Instead = dict[str, list[NodeProto] | str]


class Site:
    """A graph with inferred static shapes; new tensors and nodes get names that nothing has.

    Attributes:
        facts: about the graph.
        stored: new constants.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self.facts = GraphIndex(model.graph)
        self.stored: list[onnx.TensorProto] = []
        self._taken = {*self.facts.shapes, *self.facts.makers, *self.facts.users}
        self._taken |= {node.name for node in model.graph.node}

    def fresh(self, like: str) -> str:
        """A name of its own."""
        name, number = like, 0
        while name in self._taken:
            number += 1
            name = f"{like}_{number}"
        self._taken.add(name)
        return name

    def store(self, values: ArrayLike, like: str, kind: type = np.float32) -> str:
        """The name of a new constant; a single float32 has no axes."""
        name = self.fresh(f"{like}_fixed")
        self.stored.append(numpy_helper.from_array(np.asarray(values, kind), name))
        return name

    def chain(self, node: NodeProto, *steps: tuple[Any, ...]) -> Instead:
        """Instead of a node: (operator, inputs, attributes) in turn, "<" being the one before."""
        made: list[NodeProto] = []
        for place, (kind, names, *given) in enumerate(steps):
            last = place == len(steps) - 1
            name = node.output[0] if last else self.fresh(f"{node.output[0]}_part")
            inputs = [made[-1].output[0] if one == "<" else one for one in names]
            label = self.fresh(f"{node.name or node.output[0]}_{kind}")
            made.append(helper.make_node(kind, inputs, [name], label, **dict(*given)))
        return {node.output[0]: made}

    def changed(self, node: NodeProto, inputs: list[str] | None = None, **given: Any) -> Instead:
        """Instead of a node: the same with other inputs and attributes; None takes one away."""
        values = {key: v for key, v in (attributes(node) | given).items() if v is not None}
        names = list(node.input) if inputs is None else inputs
        return {
            node.output[0]: [
                helper.make_node(node.op_type, names, node.output, node.name, **values)
            ]
        }

    def alias(self, node: NodeProto, name: str) -> Instead:
        """Instead of a node: nothing, unless the graph ends with it."""
        return {} if node.output[0] in self.facts.outputs else {node.output[0]: name}

    def constant(self, name: str) -> NDArray[Any] | None:
        """Values of a stored tensor."""
        return self.facts.constant(name)

    def shape(self, name: str) -> tuple[int, ...]:
        """Sizes of a tensor; empty where not all are known."""
        sizes = self.facts.shapes.get(name, ())
        numbers = tuple(size for size in sizes if isinstance(size, int))
        return numbers if len(numbers) == len(sizes) else ()
