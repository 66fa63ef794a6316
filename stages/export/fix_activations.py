"""Activations in the forms that Metis lists: ReLU, a clip of 0 to 6 or -1 to 1, and numbers.

Equal to what they replace but for the rounding of float32.
"""

import numpy as np
from onnx import NodeProto

from stages.export.fix_site import Instead, Site
from stages.export.graph_index import attributes

LARGEST = float(np.finfo(np.float32).max)


def hard_swish(node: NodeProto, site: Site) -> Instead:
    """x · clip(x + 3, 0, 6) / 6."""
    x, like = node.input[0], node.output[0]
    zero, three, six, sixth = (site.store(value, like) for value in (0, 3, 6, 1 / 6))
    return site.chain(
        node, ("Add", [x, three]), ("Clip", ["<", zero, six]), ("Mul", ["<", sixth]),
        ("Mul", ["<", x]),
    )  # fmt: skip


def hard_sigmoid(node: NodeProto, site: Site) -> Instead:
    """clip(αx + β, 0, 1) as clip(6αx + 6β, 0, 6) / 6."""
    given, like = attributes(node), node.output[0]
    slope, offset = 6 * given.get("alpha", 0.2), 6 * given.get("beta", 0.5)
    steps: list[tuple[str, list[str]]] = []
    if np.float32(slope) != 1:
        steps.append(("Mul", [node.input[0], site.store(slope, like)]))
    steps.append(("Add", ["<" if steps else node.input[0], site.store(offset, like)]))
    steps.append(("Clip", ["<", site.store(0, like), site.store(6, like)]))
    return site.chain(node, *steps, ("Mul", ["<", site.store(1 / 6, like)]))


def clip(node: NodeProto, site: Site) -> Instead:
    """Any limits that are stored in the network."""
    ends: list[float | None] = []
    for name in (*node.input[1:], "", "")[:2]:
        values = site.constant(name) if name else None
        if name and (values is None or values.size != 1):
            return {}
        ends.append(None if values is None else float(values.reshape(())))
    return _limit(node, node.input[0], ends[0], ends[1], site)


def limit_of_two(node: NodeProto, site: Site) -> Instead:
    """Max or Min of a tensor and a number, or one of them around the other."""
    users = site.facts.users[node.output[0]]
    if len(users) == 1 and users[0].op_type in {"Max", "Min"} - {node.op_type}:
        node = users[0] if _one_number(users[0], site) else node
    if (outer := _one_number(node, site)) is None:
        return {}
    x, ends = outer[0], {node.op_type: outer[1]}
    inside = site.facts.makers.get(x)
    other = inside is not None and inside.op_type in {"Max", "Min"} - {node.op_type}
    if inside is not None and other and (inner := _one_number(inside, site)):
        x, ends[inside.op_type] = inner
    if ends.get("Max", -LARGEST) >= ends.get("Min", LARGEST):
        return {}
    return _limit(node, x, ends.get("Max"), ends.get("Min"), site)


def _one_number(node: NodeProto, site: Site) -> tuple[str, float] | None:
    """The tensor and the number that a node of two compares."""
    numbers = [site.constant(name) for name in node.input]
    if len(numbers) != 2 or (numbers[0] is None) == (numbers[1] is None):
        return None
    place = 0 if numbers[0] is None else 1
    values = numbers[1 - place]
    if values is None or values.size != 1:
        return None
    return node.input[place], float(values.reshape(()))


def _limit(node: NodeProto, x: str, low: float | None, high: float | None, site: Site) -> Instead:
    """Instead of a node: a tensor between two limits, of which none need be there."""
    like = node.output[0]
    low = None if low is None or low <= -LARGEST else low
    high = None if high is None or high >= LARGEST else high
    if low is None and high is None:
        return site.alias(node, x)
    if low is not None and high is not None:
        return _between(node, x, low, high, site) if low < high else {}
    if high is None:
        if not low:
            return site.chain(node, ("Relu", [x]))
        ends = site.store(-low, like), site.store(low, like)
        return site.chain(node, ("Add", [x, ends[0]]), ("Relu", ["<"]), ("Add", ["<", ends[1]]))
    minus, end = site.store(-1, like), site.store(high, like)
    return site.chain(
        node, ("Mul", [x, minus]), ("Add", ["<", end]), ("Relu", ["<"]), ("Mul", ["<", minus]),
        ("Add", ["<", end]),
    )  # fmt: skip


def _between(node: NodeProto, x: str, low: float, high: float, site: Site) -> Instead:
    like, even = node.output[0], low == -high
    first, last, scale = (-1.0, 1.0, 1 / high) if even else (0.0, 6.0, 6 / (high - low))
    steps: list[tuple[str, list[str]]] = []
    if low and not even:
        steps.append(("Add", [x, site.store(-low, like)]))
    if scale != 1:
        steps.append(("Mul", ["<" if steps else x, site.store(scale, like)]))
    ends = [site.store(first, like), site.store(last, like)]
    steps.append(("Clip", ["<" if steps else x, *ends]))
    if scale != 1:
        steps.append(("Mul", ["<", site.store(1 / scale, like)]))
    if low and not even:
        steps.append(("Add", ["<", site.store(low, like)]))
    return site.chain(node, *steps)
