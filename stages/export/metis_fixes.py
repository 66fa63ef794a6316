"""The remedies of the lint, carried out where they leave a network's outputs as they are.

A remedy is taken only if fewer violations remain where it was than there were before, so that none
moves work to the host. What is said here is equal up to the rounding of float32; `fix_parity` holds
the outputs of the whole network before and after against each other.
"""

import collections
import dataclasses
from typing import NamedTuple

import onnx

from stages.export.fix_graph import name_nodes, replace
from stages.export.fix_remedies import remedy_of
from stages.export.fix_site import Instead, Site
from stages.export.metis_lint import Violation, judge


@dataclasses.dataclass(frozen=True)
class Fix:
    """One remedy that was carried out.

    Attributes:
        node: that broke a rule.
        operator: of it.
        rule: the name of the rule, or "" where the operator is not listed.
        instead: operators that stand in its place, in their order; none where it is left out.
    """

    node: str
    operator: str
    rule: str
    instead: tuple[str, ...]


class Found(NamedTuple):
    """A remedy that fits: against which violation, what it puts in, and constants of that."""

    violation: Violation
    instead: Instead
    tensors: list[onnx.TensorProto]


def fix(model: onnx.ModelProto, metis: str) -> tuple[onnx.ModelProto, list[Fix]]:
    """A copy with fewer violations, and what was done.

    Args:
        model: as from `static_graph.make_static`.
        metis: version of the SDK whose rules count, one of `metis_rules.VERSIONS`.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    name_nodes(copy.graph)
    fixes, refused = list[Fix](), set[tuple[str, str]]()
    while found := _find(copy, metis, refused):
        copy, done = _carry_out(copy, metis, found, refused)
        fixes += done
    return copy, fixes


def _find(model: onnx.ModelProto, metis: str, refused: set[tuple[str, str]]) -> list[Found]:
    """Remedies for violations, no two of which touch the same node."""
    nodes = {node.name: node for node in model.graph.node}
    site, touched, found = Site(model), set[str](), []
    for violation in judge(model, metis).violations:
        remedy = remedy_of(violation)
        if remedy is None or (violation.node, violation.name) in refused:
            continue
        before = len(site.stored)
        instead = remedy(nodes[violation.node], site)
        around = {*instead, nodes[violation.node].output[0]}
        around |= {name for output in instead for name in site.facts.makers[output].input}
        if instead and not around & touched:
            touched |= around
            found.append(Found(violation, instead, site.stored[before:]))
    return found


def _carry_out(
    model: onnx.ModelProto,
    metis: str,
    found: list[Found],
    refused: set[tuple[str, str]],
) -> tuple[onnx.ModelProto, list[Fix]]:
    """The remedies that leave fewer violations; the others are noted as refused."""
    before = _count(model, metis)
    tried = _count(_replace(model, found), metis)
    makers = {name: node.name for node in model.graph.node for name in node.output}
    kept, done = [], []
    for item in found:
        violation, instead = item.violation, item.instead
        old = {violation.node, *(makers[output] for output in instead)}
        made = [node for part in instead.values() if isinstance(part, list) for node in part]
        new = old | {node.name for node in made}
        if sum(tried[name] for name in new) < sum(before[name] for name in old):
            kept.append(item)
            kinds = tuple(node.op_type for node in made)
            done.append(Fix(violation.node, violation.operator, violation.name, kinds))
        else:
            refused.add((violation.node, violation.name))
    return _replace(model, kept) if kept else model, done


def _count(model: onnx.ModelProto, metis: str) -> collections.Counter[str]:
    return collections.Counter(violation.node for violation in judge(model, metis).violations)


def _replace(model: onnx.ModelProto, found: list[Found]) -> onnx.ModelProto:
    instead = {place: nodes for item in found for place, nodes in item.instead.items()}
    return replace(model, instead, [tensor for item in found for tensor in item.tensors])
