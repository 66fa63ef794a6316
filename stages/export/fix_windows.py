"""Convolutions and pools in the forms that Metis lists."""

import dataclasses
import itertools
from collections.abc import Iterator

import numpy as np
from onnx import NodeProto, helper

from stages.export.fix_site import Instead, Site
from stages.export.graph_index import attributes

PARTS = 25  # of a pool, at most: so many small ones beside each other are slow anywhere


@dataclasses.dataclass(frozen=True)
class Span:
    """Windows along one axis that lie side by side and are equally long.

    Attributes:
        start, end: of the values that they cover.
        length: of each.
    """

    start: int
    end: int
    length: int


def uncounted(node: NodeProto, site: Site) -> Instead:
    """A mean that leaves padding out: without pads, of the whole, or in parts without pads.

    A window over the border covers fewer values, and is a pool of its own without padding.
    """
    given, sizes = attributes(node), site.shape(node.input[0])
    made = site.shape(node.output[0])
    if len(sizes) != 4 or len(made) != 4 or {*given.get("dilations", [1])} != {1}:
        return {}
    kernel, pads = given["kernel_shape"], given.get("pads", [0] * 4)
    strides = given.get("strides", [1, 1])
    axes = [
        [*_spans(*one)] for one in zip(sizes[2:], made[2:], kernel, strides, pads, strict=False)
    ]
    whole = all(spans == [Span(0, size, size)] for spans, size in zip(axes, sizes[2:], strict=True))
    if any(span.length <= 0 for spans in axes for span in spans):
        return {}  # rounded up, a window may lie beyond all values
    if whole and made[2:] == (1, 1):
        return site.chain(node, ("GlobalAveragePool", node.input))
    if len(axes[0]) * len(axes[1]) > PARTS:
        return {}
    return {node.output[0]: [*_in_parts(node, site, axes, strides)]}


def _spans(size: int, count: int, length: int, stride: int, pad: int) -> Iterator[Span]:
    """The windows of one axis, cut off where the values end."""
    windows = [(at * stride - pad, at * stride - pad + length) for at in range(count)]
    cut = [(max(start, 0), min(end, size)) for start, end in windows]
    for inside, some in itertools.groupby(cut, lambda window: window[1] - window[0] == length):
        several = [*some]
        if inside:
            yield Span(several[0][0], several[-1][1], length)
        else:
            yield from (Span(start, end, end - start) for start, end in several)


def _in_parts(
    node: NodeProto, site: Site, axes: list[list[Span]], strides: list[int]
) -> Iterator[NodeProto]:
    like, x = node.output[0], node.input[0]
    rows = []
    for down in axes[0]:
        strip, parts = x, []
        if len(axes[0]) > 1:
            cut = _cut(site, x, 2, down, like)
            yield cut
            strip = cut.output[0]
        for across in axes[1]:
            piece = strip
            if len(axes[1]) > 1:
                cut = _cut(site, strip, 3, across, like)
                yield cut
                piece = cut.output[0]
            last = len(axes[0]) == len(axes[1]) == 1
            name = like if last else site.fresh(f"{like}_part")
            kernel = [down.length, across.length]
            yield helper.make_node(
                "AveragePool", [piece], [name], site.fresh(f"{node.name}_AveragePool"),
                kernel_shape=kernel, strides=strides,
            )  # fmt: skip
            parts.append(name)
        if len(parts) > 1:
            name = like if len(axes[0]) == 1 else site.fresh(f"{like}_part")
            label = site.fresh(f"{node.name}_Concat")
            yield helper.make_node("Concat", parts, [name], label, axis=3)
            parts = [name]
        rows += parts
    if len(rows) > 1:
        yield helper.make_node("Concat", rows, [like], site.fresh(f"{node.name}_Concat"), axis=2)


def _cut(site: Site, x: str, axis: int, span: Span, like: str) -> NodeProto:
    numbers = [site.store([n], like, np.int64) for n in (span.start, span.end, axis)]
    name, label = site.fresh(f"{like}_part"), site.fresh(f"{like}_Slice")
    return helper.make_node("Slice", [x, *numbers], [name], label)


def pad_before(node: NodeProto, site: Site) -> Instead:
    """A mean that counts its padding gets it from a Pad of zeros."""
    given = attributes(node)
    if not given.get("count_include_pad", 0) or given.get("ceil_mode", 0):
        return {}
    top, left, bottom, right = given["pads"]
    wide = site.store([0, 0, top, left, 0, 0, bottom, right], node.output[0], np.int64)
    kept = {k: v for k, v in given.items() if k not in ("pads", "count_include_pad")}
    return site.chain(node, ("Pad", [node.input[0], wide]), ("AveragePool", ["<"], kept))


def without_order(node: NodeProto, site: Site) -> Instead:
    """Positions of maxima that nobody asks for need no order."""
    return {} if any(node.output[1:]) else site.changed(node, storage_order=None)


def into_users(node: NodeProto, site: Site) -> Instead:
    """Zeros around a picture become pads of the convolutions and counting pools that read it."""
    wide = site.constant(node.input[1])
    value = site.constant(node.input[2]) if len(node.input) > 2 and node.input[2] else np.zeros(1)
    mode = attributes(node).get("mode", "constant")
    if wide is None or value is None or np.any(value != 0) or mode != "constant":
        return {}
    numbers, found = wide.tolist(), Instead()
    if len(numbers) != 8 or any(numbers[k] for k in (0, 1, 4, 5)) or min(numbers) < 0:
        return {}
    for user in site.facts.users[node.output[0]]:
        given = attributes(user)
        pool = user.op_type == "AveragePool" and not given.get("ceil_mode", 0)
        if pool and any(given.get("pads", ())) and not given.get("count_include_pad", 0):
            return {}
        if not pool and (user.op_type != "Conv" or user.input[0] != node.output[0]):
            return {}
        if given.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
            return {}  # how much it pads itself depends on the size that it is given
        own = given.get("pads", [0] * 4)
        pads = [a + b for a, b in zip(own, numbers[2:4] + numbers[6:8], strict=True)]
        if pool and any(a >= b for a, b in zip(pads, given["kernel_shape"] * 2, strict=True)):
            return {}  # a window would hold padding alone
        more = {"count_include_pad": 1} if pool else {}
        names = [node.input[0], *user.input[1:]]
        found |= site.changed(user, names, pads=pads, auto_pad=None, **more)
    return {} if node.output[0] in site.facts.outputs else found
