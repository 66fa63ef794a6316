"""Sums and products with constants in the shapes that Metis lists, and what becomes one of them."""

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto

from stages.export.fix_site import Instead, Site


def constants(node: NodeProto, site: Site) -> Instead:
    """Add, Mul or Sub with a constant: the constant is one number or one per channel."""
    if node.op_type == "Sub":
        return subtract(node, site)
    if (found := _operand(node, site)) is None:
        return {}
    x, values = found
    return site.chain(node, (node.op_type, [x, site.store(values, node.output[0])]))


def subtract(node: NodeProto, site: Site) -> Instead:
    """The negative is added; of a constant that takes no operation."""
    minus, found = site.store(-1, node.output[0]), _operand(node, site)
    if found is None:
        sizes = {site.shape(name) for name in (*node.input, node.output[0])}
        if len(sizes) != 1 or any(site.constant(name) is not None for name in node.input):
            return {}
        one, other = node.input
        return site.chain(node, ("Mul", [other, minus]), ("Add", ["<", one]))
    x, values = found
    if site.constant(node.input[0]) is None:
        return site.chain(node, ("Add", [x, site.store(-values, node.output[0])]))
    stored = site.store(values, node.output[0])
    return site.chain(node, ("Mul", [x, minus]), ("Add", ["<", stored]))


def divide(node: NodeProto, site: Site) -> Instead:
    """The reciprocal of a constant is multiplied with."""
    found = _operand(node, site)
    if found is None or site.constant(node.input[1]) is None or not np.all(found[1]):
        return {}
    with np.errstate(over="ignore"):
        reciprocal = (1 / found[1].astype(np.float64)).astype(np.float32)
    if not np.isfinite(reciprocal).all():
        return {}
    return site.chain(node, ("Mul", [found[0], site.store(reciprocal, node.output[0])]))


def negate(node: NodeProto, site: Site) -> Instead:
    """A product with -1."""
    return site.chain(node, ("Mul", [node.input[0], site.store(-1, node.output[0])]))


def add_up(node: NodeProto, site: Site) -> Instead:
    """A Sum of several, two at a time."""
    first, *others = node.input
    if not others:
        return site.alias(node, first)
    steps = [("Add", ["<" if place else first, name]) for place, name in enumerate(others)]
    return site.chain(node, *steps)


def _operand(node: NodeProto, site: Site) -> tuple[str, NDArray[np.float32]] | None:
    """The tensor of a node of two, and its constant as one number or (1, C, 1, 1)."""
    stored = [site.constant(name) for name in node.input]
    if len(stored) != 2 or (stored[0] is None) == (stored[1] is None):
        return None
    place = 0 if stored[0] is None else 1
    x, values, sizes = node.input[place], stored[1 - place], site.shape(node.input[place])
    if values is None or not sizes or site.shape(node.output[0]) != sizes or not values.size:
        return None
    if np.all(values == values.reshape(-1)[0]):
        return x, np.asarray(values.reshape(-1)[0], np.float32)
    whole = np.broadcast_to(values, sizes)
    if len(sizes) != 4 or np.any(whole != whole[:1, :, :1, :1]):
        return None
    return x, np.asarray(whole[:1, :, :1, :1], np.float32)
