"""Whether Metis would compile a graph: every reason why not, by node, operator and attribute."""

import collections
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, shape_inference

from shared.errors import StageError
from shared.progress import say
from stages.export import metis_operators
from stages.export.graph_index import GraphIndex, inputs, opset_version, shape_of

OPSETS = (14, 17)  # the reference and the newest of either version of the SDK
IR = 10  # the newest that the SDK's onnx 1.17 and onnxruntime 1.21 open
STANDARD = ("", "ai.onnx")
# What the SDK does by the YAML, and cuts off when it eats the picture.
PICTURE = {"Sub", "Div", "Mul", "Add", "Cast", "Transpose", "Resize", "Upsample"}


@dataclasses.dataclass(frozen=True)
class Violation:
    """One reason.

    Attributes:
        node: name of the node, of its first output where it has no name, or "" for the file.
        operator: of the node, or "".
        attribute: of the node, or what of the file is meant: "opset", "external data", a tensor.
        rule: what is there and what was expected.
    """

    node: str
    operator: str
    attribute: str
    rule: str

    def __str__(self) -> str:
        place = f"{self.node} ({self.operator}): " if self.operator else ""
        return f"{place}{self.attribute}: {self.rule}" if self.attribute else place + self.rule


def lint(model: onnx.ModelProto, metis: str = metis_operators.OLD) -> list[Violation]:
    """What the SDK's compiler would not take; empty when nothing.

    Args:
        model: any classifier, from an exporter or from `static_graph.make_static`; external data
            need not be loaded.
        metis: version of the SDK whose rules are asked, one of `metis_operators.VERSIONS`.

    Raises:
        StageError: a version without rules.
    """
    if metis not in metis_operators.VERSIONS:
        known = ", ".join(metis_operators.VERSIONS)
        raise StageError(f"--metis: expected one of {known}, found {metis!r}")
    try:
        inferred, violations = shape_inference.infer_shapes(model, data_prop=True), []
    except shape_inference.InferenceError as error:
        inferred, reason = model, str(error).strip().splitlines()[0]
        violations = [Violation("", "", "shapes", f"cannot be inferred: {reason}")]
    violations += [*_file(model), *_ends(model.graph), *_inner(inferred)]
    return violations + list(_nodes(inferred.graph, metis))


def report_violations(model: onnx.ModelProto, path: Path, metis: str, strict: bool) -> None:
    """Say every violation; refuse the network when strict.

    Raises:
        StageError: some, and strict.
    """
    if not (violations := lint(model, metis)):
        return
    for violation in violations:
        say(f"Metis {metis}: {violation}")
    kinds = collections.Counter(
        violation.operator or violation.attribute for violation in violations
    )
    counted = ", ".join(f"{count} × {kind}" for kind, count in kinds.most_common())
    what = f"{path}: Metis {metis} does not compile it: {counted}; first: {violations[0]}"
    if strict:
        raise StageError(f"{what} (--nostrict goes on all the same)")
    say(what)


def write_lint(folder: Path, model: onnx.ModelProto, metis: str) -> dict[str, Any]:
    """lint.json with the violations of every version; how many, and the version that counts."""
    violations = {version: lint(model, version) for version in metis_operators.VERSIONS}
    content = {name: [dataclasses.asdict(v) for v in some] for name, some in violations.items()}
    (folder / "lint.json").write_text(json.dumps(content, indent=1) + "\n")
    return {"version": metis, "violations": {name: len(some) for name, some in violations.items()}}


def _file(model: onnx.ModelProto) -> Iterator[Violation]:
    opset, (low, high) = opset_version(model), OPSETS
    if not low <= opset <= high:
        yield Violation("", "", "opset", f"expected {low} to {high}, found {opset}")
    if model.ir_version > IR:
        yield Violation("", "", "IR version", f"expected {IR} or lower, found {model.ir_version}")
    outside = [t.name for t in model.graph.initializer if t.data_location == TensorProto.EXTERNAL]
    if outside:
        some = f"{outside[0]!r}" + f" and {len(outside) - 1} more" * (len(outside) > 1)
        yield Violation("", "", "external data", f"expected one file, found {some} in another")


def _ends(graph: onnx.GraphProto) -> Iterator[Violation]:
    given = {"inputs": (inputs(graph), 4), "outputs": (list(graph.output), 2)}
    for name, (values, rank) in given.items():
        if len(values) != 1:
            names = [value.name for value in values]
            yield Violation("", "", name, f"expected one, found {names}")
        for value in values:
            kind, shape = value.type.tensor_type.elem_type, shape_of(value)
            if kind != TensorProto.FLOAT:
                type_name = TensorProto.DataType.Name(kind)
                yield Violation("", "", value.name, f"expected float32, found {type_name}")
            if len(shape) != rank:
                rule = f"expected {rank} dimensions, found {list(shape)}"
                yield Violation("", "", value.name, rule)
            elif not all(isinstance(size, int) for size in shape):
                rule = f"expected a static shape, found {list(shape)}"
                yield Violation("", "", value.name, rule)
            elif shape[:1] != (1,):
                yield Violation("", "", value.name, f"expected batch 1, found {list(shape)}")


def _inner(model: onnx.ModelProto) -> Iterator[Violation]:
    """The first tensor inside without a static shape, if input and output have one."""
    ends = (*inputs(model.graph), *model.graph.output)
    if all(isinstance(size, int) for value in ends for size in shape_of(value)):
        for value in model.graph.value_info:
            if not all(isinstance(size, int) for size in shape_of(value)):
                rule = f"expected a static shape, found {list(shape_of(value))}"
                yield Violation("", "", value.name, rule)
                return


def _nodes(graph: onnx.GraphProto, metis: str) -> Iterator[Violation]:
    facts, rules = GraphIndex(graph), metis_operators.RULES[metis]
    pictures = {value.name for value in inputs(graph)}
    for node in graph.node:
        name, kind = node.name or node.output[0], node.op_type
        if kind == "Constant" or (kind == "Identity" and node.input[0] in facts.weights):
            continue  # two ways to store a weight, which the zoo's networks have as well
        if node.domain not in STANDARD:
            yield Violation(name, kind, "domain", f"expected a standard one, found {node.domain!r}")
        elif kind in PICTURE and pictures & set(node.input):
            rule = "prepares the picture, which the SDK does by its YAML"
            yield Violation(name, kind, "input", rule)
        elif kind not in rules:
            yield Violation(name, kind, "", metis_operators.UNLISTED[metis])
        else:
            for attribute, rule in rules[kind](node, facts, metis):
                yield Violation(name, kind, attribute, rule)
