"""What only says where values lie: views of a tensor, numbers of axes, nearest neighbours."""

import math

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto

from stages.export.fix_site import Instead, Site
from stages.export.graph_index import attributes

VIEWS = ("Reshape", "Squeeze", "Unsqueeze", "Flatten", "Transpose", "Identity")


def view(node: NodeProto, site: Site) -> Instead:
    """Nodes in a row that only give other sizes: one Flatten, or none."""
    last = node
    while len(users := site.facts.users[last.output[0]]) == 1 and _keeps_order(users[0], site):
        if last.output[0] in site.facts.outputs:
            break
        last = users[0]
    maker: NodeProto | None = last
    while maker is not None and _keeps_order(maker, site):
        start = maker.input[0]
        maker = site.facts.makers.get(start)
    if not _keeps_order(last, site):
        return {}
    before, after = site.shape(start), site.shape(last.output[0])
    if before and before == after:
        return site.alias(last, start)
    if len(before) != 4 or before[0] != 1 or after != (1, math.prod(before[1:])):
        return {}
    found = site.chain(last, ("Flatten", [start], {"axis": 1}))
    unchanged = last is node and node.op_type == "Flatten" and attributes(node).get("axis", 1) == 1
    return {} if unchanged and start == node.input[0] else found


def _keeps_order(node: NodeProto, site: Site) -> bool:
    """Whether a node writes the values that it reads in the same order."""
    if node.op_type != "Transpose":
        return node.op_type in VIEWS
    sizes = site.shape(node.input[0])
    order = attributes(node).get("perm", [*range(len(sizes))][::-1])
    moved = [axis for axis in order if sizes and sizes[axis] != 1]
    return bool(sizes) and moved == sorted(moved)


def count_axis(node: NodeProto, site: Site) -> Instead:
    """The axis of a Split, counted from the front."""
    axis, rank = attributes(node).get("axis", 0), len(site.shape(node.input[0]))
    return site.changed(node, axis=axis + rank) if axis < 0 and rank else {}


def cut_in_turn(node: NodeProto, site: Site) -> Instead:
    """A Slice along several axes: one after another, where anything is cut off."""
    x, sizes = node.input[0], site.shape(node.input[0])
    given = [site.constant(name) if name else None for name in node.input[1:]]
    stored = len(given) == len([name for name in node.input[1:] if name])
    if not sizes or not stored or given[0] is None or given[1] is None:
        return {}
    starts, ends = given[0].tolist(), given[1].tolist()
    axes = [*range(len(starts))] if len(given) < 3 or given[2] is None else given[2].tolist()
    steps = [1] * len(starts) if len(given) < 4 or given[3] is None else given[3].tolist()
    parts, like = list[tuple[str, list[str]]](), node.output[0]
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if range(*slice(start, end, step).indices(sizes[axis])) == range(sizes[axis]):
            continue
        numbers = [start, end, axis % len(sizes), *([step] if step != 1 else [])]
        names = [site.store([number], like, np.int64) for number in numbers]
        parts.append(("Slice", ["<" if parts else x, *names]))
    return site.chain(node, *parts) if parts else site.alias(node, x)


def whole_region(node: NodeProto, site: Site) -> Instead:
    """A region that no mode but one reads is left out."""
    mode = attributes(node).get("coordinate_transformation_mode", "half_pixel")
    names = [node.input[0], "", *node.input[2:]]
    return {} if mode == "tf_crop_and_resize" else site.changed(node, names)


def nearest(node: NodeProto, site: Site) -> Instead:
    """Nearest neighbours of a whole factor, where they are those of `asymmetric` and `floor`."""
    given = attributes(node)
    before, after = site.shape(node.input[0])[2:], site.shape(node.output[0])[2:]
    mode = given.get("coordinate_transformation_mode", "half_pixel")
    rounding = given.get("nearest_mode", "round_prefer_floor")
    if given.get("mode", "nearest") != "nearest" or len(before) != 2:
        return {}
    for old, new in zip(before, after, strict=True):
        own = _neighbours(old, new, mode, rounding)
        if new % old or own is None or np.any(own != np.arange(new) // (new // old)):
            return {}
    mode, rounding = "asymmetric", "floor"
    return site.changed(node, coordinate_transformation_mode=mode, nearest_mode=rounding)


def _neighbours(old: int, new: int, mode: str, rounding: str) -> NDArray[np.int64] | None:
    """(new,) places that ONNX reads along one axis; None for other modes."""
    at = np.arange(new)
    places = {
        "half_pixel": (at + 0.5) * old / new - 0.5,
        "pytorch_half_pixel": (at + 0.5) * old / new - 0.5 if new > 1 else 0.0 * at,
        "asymmetric": at * old / new,
        "align_corners": at * (old - 1) / max(new - 1, 1),
    }
    if mode not in places:
        return None
    place = places[mode]
    rounded = {
        "floor": np.floor(place), "ceil": np.ceil(place),
        "round_prefer_floor": np.ceil(place - 0.5), "round_prefer_ceil": np.floor(place + 0.5),
    }[rounding]  # fmt: skip
    return np.asarray(np.clip(rounded, 0, old - 1), np.int64)
