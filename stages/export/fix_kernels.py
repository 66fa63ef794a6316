"""Kernels in the forms that Metis lists: more zeros in them, and the same results."""

import numpy as np
from onnx import NodeProto

from stages.export.fix_site import Instead, Site
from stages.export.graph_index import attributes


def one_group(node: NodeProto, site: Site) -> Instead:
    """The kernel of several groups, with zeros between them.

    It has as many times the multiplications as there were groups.
    """
    kernel, groups = site.constant(node.input[1]), attributes(node).get("group", 1)
    if kernel is None:
        return {}
    turned = node.op_type == "ConvTranspose"  # (in, out, …): all inputs come first
    first, second = kernel.shape[0] // groups, kernel.shape[1]
    whole = np.zeros((kernel.shape[0], second * groups, *kernel.shape[2:]), np.float32)
    for group in range(groups):
        rows = slice(group * first, (group + 1) * first)
        whole[rows, group * second : (group + 1) * second] = kernel[rows]
    names = [node.input[0], site.store(whole, node.output[0]), *node.input[2:]]
    return site.changed(node, names, group=None) if groups > 1 or turned else {}


def square(node: NodeProto, site: Site) -> Instead:
    """A kernel with zeros at its border, as high as it is wide, and pads for them."""
    kernel, given = site.constant(node.input[1]), attributes(node)
    if kernel is None or kernel.ndim != 4 or given.get("auto_pad", "NOTSET") != "NOTSET":
        return {}
    sizes, steps = kernel.shape[2:], given.get("dilations", [1, 1])
    along = {step for size, step in zip(sizes, steps, strict=True) if size > 1}
    if sizes[0] == sizes[1] or len(along) > 1:
        return {}
    step, pads, added = max(along), list(given.get("pads", [0] * 4)), [(0, 0), (0, 0)]
    for axis, size in enumerate(sizes):
        more = max(sizes) - size
        before = more // 2
        added.append((before, more - before))
        pads[axis] += before * step
        pads[axis + 2] += (more - before) * step
    stored = site.store(np.pad(kernel, added), node.output[0])
    names = [node.input[0], stored, *node.input[2:]]
    shape = [max(sizes)] * 2
    return site.changed(node, names, kernel_shape=shape, dilations=[step] * 2, pads=pads)
