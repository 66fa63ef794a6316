"""(N, K) outputs: logits, probabilities or the logarithms of those, and the order of classes."""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from shared.models import scores
from shared.onnx_graphs.network import Network
from shared.onnx_graphs.nodes import attributes
from shared.onnx_graphs.rewriting import LOGITS, Form

Rows = NDArray[np.float32]


def name_form(rows: Rows) -> Form:
    """By numbers that are not negative and sum to 1, or are not positive and their powers do."""
    if rows.min() >= 0 and np.allclose(rows.sum(1), 1, atol=1e-3):
        return "probabilities"
    if rows.max() <= 0 and np.allclose(np.exp(rows).sum(1), 1, atol=1e-3):
        return "logarithms"
    return "logits"


def in_form_of(others: Rows, logits: Rows) -> Rows:
    """(N, K) logits as another network would have said them: as they are, or through a softmax."""
    form = name_form(others)
    if form == "logits":
        return logits
    if form == "probabilities":
        return np.asarray(scores.softmax(logits), np.float32)
    shifted = logits - logits.max(1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(1, keepdims=True)), np.float32)


def compare(logits: Rows, others: Rows) -> float:
    """Largest difference between logits and others' outputs, in the form of the others."""
    return float(np.abs(in_form_of(others, logits) - others).max())


def match_classes(given: Any, classes: tuple[str, ...]) -> tuple[str, ...]:
    """Names of outputs as the data spells them: a permutation of the classes, or of 1 … K.

    Nothing when they are neither.
    """
    numbers = {str(number): name for number, name in enumerate(classes, 1)}
    names = [str(name) for name in given]
    if sorted(names) == sorted(numbers):
        return tuple(numbers[name] for name in names)
    return tuple(names) if sorted(names) == sorted(classes) else ()


def permute_outputs(model: onnx.ModelProto, order: tuple[int, ...]) -> onnx.ModelProto:
    """A copy whose output (N, K) has its columns in another order.

    In the weights of the last Gemm where there is one, so that no operator is added.

    Args:
        model: network in the common form.
        order: old place of each new column.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    network, places = Network(copy), np.array(order)
    last = network.makers[LOGITS]
    stored = [network.constant(name) for name in last.input[1:]] if last.op_type == "Gemm" else []
    if stored and all(values is not None for values in stored):
        axes = [0 if attributes(last).get("transB", 0) else 1, -1]
        for place, (values, axis) in enumerate(zip(stored, axes, strict=False), 1):
            assert values is not None
            if values.shape and values.shape[axis] > 1:
                name = network.store(f"{last.input[place]}_ordered", values.take(places, axis))
                last.input[place] = name
        network.drop_unused()
        return copy
    given = network.fresh("unordered")
    last.output[:] = [given if name == LOGITS else name for name in last.output]
    for user in network.users.get(LOGITS, []):
        user.input[:] = [given if name == LOGITS else name for name in user.input]
    stored_order = network.store("class_order", places.astype(np.int64))
    gather = helper.make_node("Gather", [given, stored_order], [LOGITS], "class_order", axis=1)
    network.set_nodes([*network.graph.node, gather])
    return copy
