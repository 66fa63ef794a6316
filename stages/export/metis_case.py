"""One node of a graph as the rules of the lint ask about it: sizes, attributes, stored inputs.

What is asked for is written as the documents write it: ``auto_pad`` an attribute or the numbers of
a stored input, ``A.shape``, ``A.shape[1]``, ``A.rank``, and besides ``kernel``, the kernel's sizes,
and ``padding[0]``, what a Pad adds at both ends of an axis.
"""

import re
from typing import Any

from onnx import NodeProto, defs, helper

from stages.export.graph_index import GraphIndex, Shape, attributes

UNKNOWN = "computed"  # what an input holds that is not stored
TERM = re.compile(r"(\w+)(\.shape|\.rank)?((?:\[-?\d+\])*)")


class Case:
    """One node, as a rule asks about it.

    Attributes:
        node: of the graph.
        facts: about the graph.
        patterns: which nodes, by their first output, are part of which pattern.
    """

    def __init__(
        self, node: NodeProto, facts: GraphIndex, patterns: dict[str, set[str]], opset: int
    ) -> None:
        self.node, self.facts, self.patterns = node, facts, patterns
        self._given = attributes(node)
        self._schema = defs.get_schema(node.op_type, opset, "")
        required = {name for name, item in self._schema.attributes.items() if item.required}
        if missing := sorted(required - self._given.keys()):
            raise ValueError(f"{node.op_type}: {missing[0]}")
        if len(node.input) < self._schema.min_input:
            name = self._schema.inputs[len(node.input)].name
            raise ValueError(f"{node.op_type}: {name}")
        formal = [(self._schema.inputs, node.input), (self._schema.outputs, node.output)]
        self._tensors = {
            parameter.name: name
            for parameters, names in formal
            for parameter, name in zip(parameters, names, strict=False)
        }

    def tensor(self, name: str) -> str:
        """Name in the graph of an input or output, by its name in ONNX; "" where it is left out."""
        return self._tensors.get(name, "")

    def shape(self, name: str) -> Shape:
        """Sizes of an input or output; ("?",) where they are not known."""
        return self.facts.shapes.get(self.tensor(name), ("?",))

    def value(self, term: str) -> Any:
        """What a term names; None for what is not there."""
        if (found := TERM.fullmatch(term)) is None:
            raise ValueError(f"{term!r}: expected the name of something of a node")
        name, part, places = found.groups()
        content: Any = list(self.shape(name)) if part else self._content(name)
        if part == ".rank":
            return len(content)
        for place in map(int, re.findall(r"-?\d+", places)):
            if content in (None, UNKNOWN) or not -len(content) <= place < len(content):
                return content if content == UNKNOWN else None
            content = content[place]
        return content

    def _content(self, name: str) -> Any:
        if name == "kernel":
            return list(self.shape("W")[2:]) if self.tensor("W") else self.value("kernel_shape")
        if name == "padding":
            pads = self.value("pads")
            if not isinstance(pads, list):
                return pads
            return [list(pair) for pair in zip(pads, pads[len(pads) // 2 :], strict=False)]
        if (attribute := self._schema.attributes.get(name)) is not None:
            default = attribute.default_value
            value = helper.get_attribute_value(default) if default.name else None
            value = self._given.get(name, value)
            return value.decode() if isinstance(value, bytes) else value
        if not (tensor := self.tensor(name)):
            return None
        values = self.facts.constant(tensor)
        return UNKNOWN if values is None else values.tolist() if values.size else None
