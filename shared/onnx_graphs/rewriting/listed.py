"""The same numbers in the operators that compilers list: Gemm, and pads that are written out."""

from collections.abc import Sequence

import numpy as np
from onnx import NodeProto, helper

from shared.onnx_graphs.network import Network
from shared.onnx_graphs.nodes import attributes, entry, result, take

WINDOWS = {"Conv", "MaxPool", "AveragePool"}
ROWS = {"Flatten", "Reshape", "Squeeze"}


def write_pads(network: Network) -> None:
    """Windows with ``auto_pad`` get explicit pads, where the size of the picture is known."""
    for node in network.graph.node:
        mode = attributes(node).get("auto_pad", "NOTSET")
        if node.op_type not in WINDOWS or node.domain not in ("", "ai.onnx") or mode == "NOTSET":
            continue
        sizes, kernel = network.sizes(entry(node)), _kernel(network, node)
        if mode == "VALID":
            pads = [0] * (2 * len(kernel or ()))
        elif sizes is None or kernel is None:
            continue
        else:
            pads = _same_pads(node, sizes[2:], kernel, mode)
        take(node, "auto_pad")
        take(node, "pads")
        if pads:
            node.attribute.append(helper.make_attribute("pads", pads))


def _kernel(network: Network, node: NodeProto) -> list[int] | None:
    if node.op_type != "Conv":
        return list(attributes(node)["kernel_shape"])
    sizes = network.sizes(node.input[1])
    return None if sizes is None else list(sizes[2:])


def _same_pads(
    node: NodeProto, sizes: Sequence[int], kernel: Sequence[int], mode: str
) -> list[int]:
    """Begins, then ends, of SAME_UPPER or SAME_LOWER: the odd one goes to the end or the begin."""
    given = attributes(node)
    strides, steps = (given.get(name, [1] * len(sizes)) for name in ("strides", "dilations"))
    begins, ends = [], []
    for size, width, stride, step in zip(sizes, kernel, strides, steps, strict=True):
        reach = (width - 1) * step + 1
        whole = max((-(-size // stride) - 1) * stride + reach - size, 0)
        small, large = whole // 2, whole - whole // 2
        begins.append(small if mode == "SAME_UPPER" else large)
        ends.append(large if mode == "SAME_UPPER" else small)
    return begins + ends


def write_gemms(network: Network) -> None:
    """Classifiers that are written as something else: a product and a sum, or a convolution.

    A product of rows and a stored matrix is a Gemm; so is a convolution whose kernel is as large as
    what it reads, before the node that makes rows of it.
    """
    _from_convolutions(network)
    kept: list[NodeProto] = []
    merged: set[str] = set()
    for node in network.graph.node:
        if result(node) in merged:
            continue
        gemm = _gemm(network, node)
        if gemm is not None:
            merged.update(gemm.output)
        kept.append(node if gemm is None else gemm)
    network.set_nodes(kept)


def _gemm(network: Network, node: NodeProto) -> NodeProto | None:
    if node.op_type != "MatMul" or len(network.shapes.get(entry(node), ())) != 2:
        return None
    matrix = network.constant(node.input[1])
    if matrix is None or matrix.ndim != 2 or matrix.dtype != np.float32:
        return None
    users, product = network.users.get(result(node), []), result(node)
    sums = [user for user in users if user.op_type == "Add"]
    if len(users) == len(sums) == 1 and network.output.name != product:
        (add,) = sums
        (other,) = [name for name in add.input if name != product] or [product]
        bias = network.constant(other)
        if bias is not None and bias.size == matrix.shape[1] and bias.size == max(bias.shape[-1:]):
            stored = network.store(f"{other}_row", bias.reshape(-1))
            return helper.make_node(
                "Gemm", [*node.input, stored], add.output, node.name or add.name
            )
    return helper.make_node("Gemm", node.input, node.output, node.name)


def _from_convolutions(network: Network) -> None:
    for node in list(network.graph.node):
        users = network.users.get(result(node), [])
        if node.op_type != "Conv" or len(users) != 1:
            continue
        (user,) = users
        rows = network.shapes.get(result(user), ())
        if len(rows) != 2 or user.op_type not in ROWS:
            continue
        before, kernel = network.shapes.get(entry(node), ()), network.constant(node.input[1])
        given = attributes(node)
        plain = not any(given.get("pads", ())) and given.get("group", 1) == 1
        if kernel is None or not plain or (before[1:], before[:1]) != (kernel.shape[1:], rows[:1]):
            continue
        matrix = network.store(f"{node.input[1]}_rows", kernel.reshape(len(kernel), -1).T)
        flat = network.fresh(f"{result(node)}_flat")
        gemm = helper.make_node("Gemm", [flat, matrix, *node.input[2:]], user.output, node.name)
        flatten = helper.make_node("Flatten", node.input[:1], [flat], axis=1)
        kept = [other for other in network.graph.node if result(other) != result(user)]
        place = [result(other) for other in kept].index(result(node))
        network.set_nodes([*kept[:place], flatten, gemm, *kept[place + 1 :]])
