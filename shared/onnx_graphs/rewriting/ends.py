"""The two ends of a network: `image` (batch, C, size, size) in, `logits` (batch, K) out."""

import math

import numpy as np
import onnx
from onnx import NodeProto, helper

from shared.onnx_graphs.network import Network
from shared.onnx_graphs.nodes import attributes, entry

IMAGE, LOGITS, BATCH = "image", "logits", "batch"
LEAST = np.float32(1e-30)  # of a probability, before its logarithm
RESERVED = (IMAGE, LOGITS, "input")
SOFT = {"Softmax", "LogSoftmax"}
LOGARITHM = {"Log", "Max"}  # of probabilities, kept above 0
# Nodes at the end that give the same numbers in the same order.
SAME_ORDER = {"Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Dropout"}


def cut_tail(network: Network, rows: int, classes: int, soft: bool) -> bool:
    """Cut off what only reshapes the scores, and a softmax; whether a softmax was cut off.

    Args:
        network: shapes are inferred for ``rows`` pictures.
        rows: pictures that the shapes are of.
        classes: K.
        soft: whether the output is probabilities or their logarithms, so that a softmax may go.
    """
    name, gone, best = network.output.name, set[str](), (network.output.name, False)
    holds = True
    while (node := network.makers.get(name)) and _is_tail(network, node, soft):
        name = entry(node)
        gone.add(node.op_type)
        logarithm = gone & LOGARITHM and not gone & SOFT
        same = node.op_type not in SAME_ORDER | {"Transpose"}
        holds = (holds and same) or _holds_scores(network, name, rows, classes)
        if holds and not logarithm:
            best = name, bool(gone & SOFT)
        if gone & SOFT and node.op_type not in SAME_ORDER | SOFT:
            break
    softmax = best[1]
    network.output.name = best[0]
    if soft and not softmax and (scores := _before_quotient(network, best[0])):
        network.output.name, softmax = scores, True
        network.shapes[scores] = network.shapes.get(best[0], (0, 0))
    best = network.output.name, softmax
    if len(network.shapes.get(best[0], (0, 0))) != 2:
        flat = network.fresh("scores")
        network.graph.node.append(helper.make_node("Flatten", [best[0]], [flat], axis=1))
        network.output.name = flat
    network.drop_unused()
    return best[1]


def _is_tail(network: Network, node: NodeProto, soft: bool) -> bool:
    if node.op_type == "Transpose":  # of one axis that is not 1
        shape = network.shapes.get(entry(node), (0, 0, 0))
        return sum(size != 1 for size in shape[1:]) <= 1 and attributes(node)["perm"][0] == 0
    return node.op_type in SAME_ORDER or (soft and node.op_type in SOFT | LOGARITHM)


def _holds_scores(network: Network, name: str, rows: int, classes: int) -> bool:
    sizes = network.sizes(name)
    return sizes is not None and sizes[:1] == (rows,) and math.prod(sizes) == rows * classes


def _before_quotient(network: Network, name: str) -> str:
    """What a softmax of single nodes is of: Exp over the sum of all Exp; "" for all else."""
    quotient = network.makers.get(name)
    if quotient is None or quotient.op_type != "Div":
        return ""
    power, total = (network.makers.get(given) for given in quotient.input)
    kinds = (power.op_type if power else "", total.op_type if total else "")
    if not power or not total or kinds != ("Exp", "ReduceSum"):
        return ""
    if entry(total) != entry(quotient):
        return ""
    less = network.makers.get(entry(power))
    largest = network.makers.get(less.input[1]) if less and less.op_type == "Sub" else None
    if less and largest and largest.op_type == "ReduceMax" and entry(largest) == entry(less):
        return str(entry(less))
    return str(entry(power))


def add_logarithm(network: Network) -> None:
    """Probabilities become their logarithms: a softmax over those gives them back."""
    given = network.output.name
    positive, logs = network.fresh("positive"), network.fresh("logarithms")
    least = network.store("least", np.array(LEAST))
    nodes = [
        helper.make_node("Max", [given, least], [positive]),
        helper.make_node("Log", [positive], [logs]),
    ]
    network.output.name = logs
    network.set_nodes([*network.graph.node, *nodes])


def name_picture(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with `image` as its input, which our own students call `input`."""
    if model.graph.input[0].name == IMAGE:
        return model
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    network = Network(copy)
    if IMAGE in network.makers or IMAGE in network.weights:
        _rename(network, IMAGE, network.fresh(f"inner_{IMAGE}"))
    _rename(network, network.input.name, IMAGE)
    return copy


def name_ends(network: Network, shape: tuple[int, int, int], classes: int) -> None:
    """Our names and shapes for both ends; what had these names inside gets others.

    Args:
        network: with one picture (N, C, S, S) in and one output (N, K).
        shape: (C, S, S).
        classes: K.
    """
    for name in RESERVED:
        if name in network.makers or name in network.weights:
            _rename(network, name, network.fresh(f"inner_{name}"))
    for value, name, sizes in (
        (network.input, IMAGE, shape),
        (network.output, LOGITS, (classes,)),
    ):
        if value.name != name:
            _rename(network, value.name, name)
        value.CopyFrom(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [BATCH, *sizes]))
    del network.graph.value_info[:]


def _rename(network: Network, old: str, new: str) -> None:
    """Another name for a tensor, wherever it is written, read or stored."""
    network.redirect(old, new)
    for node in network.graph.node:
        node.output[:] = [new if name == old else name for name in node.output]
    for stored in (*network.graph.initializer, *network.graph.input):
        if stored.name == old:
            stored.name = new
    network.refresh()
