"""What Metis does with a graph: which nodes it accelerates, and every reason why not the others."""

import collections
import dataclasses
from collections.abc import Iterator

import onnx
from onnx import NodeProto, shape_inference

from shared import onnx_graphs
from shared.errors import StageError
from shared.voyager import describe_input
from stages.export import metis_rules
from stages.export.graph_index import GraphIndex, inputs, opset_version, shape_of
from stages.export.metis_case import Case
from stages.export.metis_file import check_file
from stages.export.metis_patterns import find_patterns
from stages.export.metis_rules import ACCELERATED, REFUSED, VERDICTS, Profile

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
        verdict: "host" where only speed is lost, "refused" where nothing is compiled.
        remedy: how to get rid of it, in one sentence.
        name: of the rule in the profile, or "".
    """

    node: str
    operator: str
    attribute: str
    rule: str
    verdict: str = REFUSED
    remedy: str = ""
    name: str = ""

    def __str__(self) -> str:
        place = f"{self.node} ({self.operator}): " if self.operator else ""
        return f"{place}{self.attribute}: {self.rule}" if self.attribute else place + self.rule


@dataclasses.dataclass(frozen=True)
class Node:
    """What becomes of one node: one of `metis_rules.VERDICTS`, and how much it computes."""

    node: str
    operator: str
    verdict: str
    macs: int


@dataclasses.dataclass(frozen=True)
class Judgement:
    """All that is said of one network, nodes in their order, and how its input gets to Metis."""

    violations: list[Violation]
    nodes: list[Node]
    input: str

    def share(self) -> float | None:
        """How much of the MACs is accelerated, 0 to 1; None where none can be counted.

        Node by node: what lies between two nodes of the host counts as accelerated.
        """
        if not (total := sum(node.macs for node in self.nodes)):
            return None
        fast = sum(node.macs for node in self.nodes if node.verdict == ACCELERATED)
        return round(fast / total, 6)

    def count(self) -> dict[str, int]:
        """Nodes by verdict."""
        counts = collections.Counter(node.verdict for node in self.nodes)
        return {verdict: counts[verdict] for verdict in VERDICTS}

    def refusals(self) -> list[Violation]:
        """The violations for which nothing is compiled."""
        return [violation for violation in self.violations if violation.verdict == REFUSED]


def lint(model: onnx.ModelProto, metis: str = metis_rules.NEWEST) -> list[Violation]:
    """The violations of `judge`."""
    return judge(model, metis).violations


def judge(model: onnx.ModelProto, metis: str = metis_rules.NEWEST) -> Judgement:
    """What the SDK's compiler would accelerate, leave to the host, and not take.

    Args:
        model: any classifier, from an exporter or from `static_graph.make_static`; external data
            need not be loaded.
        metis: version of the SDK whose rules are asked, one of `metis_rules.VERSIONS`.

    Raises:
        StageError: a version without rules.
    """
    if metis not in metis_rules.VERSIONS:
        known = ", ".join(metis_rules.VERSIONS)
        raise StageError(f"--metis: expected one of {known}, found {metis!r}")
    remedies = metis_rules.load_file_rules()["remedies"]
    try:
        inferred, violations = shape_inference.infer_shapes(model, data_prop=True), []
    except shape_inference.InferenceError as error:
        inferred, reason = model, str(error).strip().splitlines()[0]
        told = f"cannot be inferred: {reason}"
        violations = [Violation("", "", "shapes", told, remedy=remedies["shapes"])]
    for what, rule, remedy in check_file(model, inferred):
        violations.append(Violation("", "", what, rule, remedy=remedies[remedy]))
    facts, nodes = GraphIndex(inferred.graph), []
    for node, found in _check_nodes(inferred, facts, metis_rules.load(metis)):
        violations += found
        verdicts = [ACCELERATED, *(violation.verdict for violation in found)]
        macs = onnx_graphs.count_macs(node, facts.shapes)
        nodes.append(Node(_name(node), node.op_type, max(verdicts, key=VERDICTS.index), macs))
    return Judgement(violations, nodes, _describe_input(inferred.graph))


def _describe_input(graph: onnx.GraphProto) -> str:
    """How the network's input gets to Metis."""
    given = inputs(graph)
    shape = shape_of(given[0]) if given else ()
    channels = shape[1] if len(shape) == 4 and isinstance(shape[1], int) else None
    return describe_input(channels, len(given))


def _name(node: NodeProto) -> str:
    return node.name or node.output[0]


def _check_nodes(
    model: onnx.ModelProto, facts: GraphIndex, profile: Profile
) -> Iterator[tuple[NodeProto, list[Violation]]]:
    """Each node that computes, and what is wrong with it."""
    oldest = min(profile.operators.values())  # an older file is refused as a whole, once
    patterns, opset = find_patterns(facts), max(opset_version(model), oldest)
    pictures = {value.name for value in inputs(model.graph)}
    remedies = metis_rules.load_file_rules()["remedies"]
    for node in model.graph.node:
        name, kind = _name(node), node.op_type
        if kind == "Constant" or (kind == "Identity" and node.input[0] in facts.weights):
            continue  # two ways to store a weight, which the zoo's networks have as well
        found: list[Violation] = []
        if node.domain not in STANDARD:
            rule = f"expected a standard one, found {node.domain!r}"
            found = [Violation(name, kind, "domain", rule, remedy=remedies["domain"])]
        elif kind in PICTURE and pictures & set(node.input):
            rule = "prepares the picture, which the SDK does by its YAML"
            found = [Violation(name, kind, "input", rule, remedy=remedies["picture"])]
        elif opset < profile.operators.get(kind, opset + 1):
            verdict, message = profile.unlisted
            remedy = profile.remedies.get(kind, profile.remedies["default"])
            found = [Violation(name, kind, "", message, verdict, remedy)]
        elif rules := profile.rules_of(kind):
            case = Case(node, facts, patterns, opset)
            found = [
                Violation(
                    name, kind, rule.attribute, rule.describe(case), profile.outside,
                    remedy=rule.remedy, name=rule.name,
                )
                for rule in rules if not rule.allows(case)
            ]  # fmt: skip
        yield node, found
