"""What the eight bits of one layer alone cost: its weights and what enters it are rounded.

All the rest stays in single precision, so that the costs of layers can be compared with each other.
"""

import csv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, numpy_helper

from shared import progress, terminal
from shared.int8 import Scheme, TensorObserver, round_weight
from shared.models import Card
from shared.patches import Source
from stages.export import calibration, channel_ranges, inference
from stages.export.graph_index import GraphIndex, attributes, is_depthwise

Floats = NDArray[np.float32]
WORST = 3
COLUMNS = ("layer", "operator", "depthwise", "sqnr_db", "points_lost", "agreement")


def find_layers(model: onnx.ModelProto) -> list[NodeProto]:
    """Convolutions and products with a stored matrix, in the order of the graph."""
    index, kinds = GraphIndex(model.graph), ("Conv", "Gemm", "MatMul")
    return [n for n in model.graph.node if n.op_type in kinds and n.input[1] in index.weights]


def output_axis(node: NodeProto) -> int:
    """Axis of a layer's weight that counts its outputs."""
    if node.op_type == "Conv":
        return 0
    return 0 if attributes(node).get("transB", 0) else -1


def isolate(model: onnx.ModelProto, layer: str, seen: TensorObserver, scheme: Scheme) -> bytes:
    """The network with one layer's weight and input in eight bits.

    Args:
        model: static graph.
        layer: first output of the layer.
        seen: values of its input.
        scheme: how ranges are chosen.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph, index = copy.graph, GraphIndex(copy.graph)
    place, node = next((k, n) for k, n in enumerate(graph.node) if n.output[0] == layer)
    own = seen.choose(scheme) if is_depthwise(node, index) else seen.choose_per_tensor(scheme)
    weight = numpy_helper.to_array(index.weights[node.input[1]])
    rounded = numpy_helper.from_array(round_weight(weight, output_axis(node)), f"{layer}_weight")
    if len(index.users[node.input[1]]) == 1:
        graph.initializer.remove(index.weights[node.input[1]])
    graph.initializer.append(rounded)
    added = channel_ranges.round_tensor(graph, node.input[0], f"{layer}_input", own)
    node.input[0], node.input[1] = added[-1].output[0], rounded.name
    for offset, each in enumerate(added):
        graph.node.insert(place + offset, each)
    return copy.SerializeToString()


def measure_layers(
    fp32: Path,
    observers: dict[str, TensorObserver],
    scheme: Scheme,
    images: "Rows",
    labels: NDArray[np.integer],
) -> list[dict[str, Any]]:
    """One line per layer, in the order of the network.

    Args:
        fp32: static graph.
        observers: values of each tensor.
        scheme: how ranges are chosen.
        images: rows to measure on.
        labels: (M,) their classes.

    Returns:
        Name, operator, whether it is depthwise; `sqnr_db`: power of the logits over that of their
        change, in dB, None where nothing changes; percentage points of accuracy lost; share of
        rows whose class stays.
    """
    model, lines = onnx.load(fp32), []
    layers = [node for node in find_layers(model) if node.input[0] in observers]
    index = GraphIndex(model.graph)
    whole = images.run(fp32)
    with progress.bar(len(layers), "blame", unit="layers") as bar:
        for node in layers:
            made = isolate(model, node.output[0], observers[node.input[0]], scheme)
            facts = {
                "layer": terminal.escape(node.name or node.output[0]), "operator": node.op_type,
                "depthwise": is_depthwise(node, index),
            }  # fmt: skip
            lines.append(facts | compare(whole, images.run(made), labels))
            bar.update()
    return lines


def compare(whole: Floats, rounded: Floats, labels: NDArray[np.integer]) -> dict[str, Any]:
    """SQNR in dB, points lost and agreement of (M, K) logits with those of FP32."""
    noise = float(((whole.astype(np.float64) - rounded) ** 2).sum())
    power = float((whole.astype(np.float64) ** 2).sum())
    right, still = (float((of.argmax(1) == labels).mean()) for of in (whole, rounded))
    return {
        "sqnr_db": 10 * float(np.log10(power / noise)) if noise and power else None,
        "points_lost": 100 * (right - still),
        "agreement": float((whole.argmax(1) == rounded.argmax(1)).mean()),
    }


class Rows:
    """Some rows of a patch file, to run networks over.

    Args:
        source: open patch file.
        card: how the networks want patches.
        rows: (M,) row numbers.
        threads: rows at once; changes time, not results.
    """

    def __init__(self, source: Source, card: Card, rows: NDArray[np.intp], threads: int) -> None:
        self.source, self.card, self.rows, self.threads = source, card, rows, threads

    def run(self, network: Path | bytes) -> Floats:
        """(M, K) logits."""
        session = inference.open_session(network)
        name = session.get_inputs()[0].name

        def one(image: Floats) -> Floats:
            logits: Floats = session.run(None, {name: image[None]})[0][0]
            return logits

        with ThreadPoolExecutor(self.threads) as pool:
            blocks = calibration.iterate_blocks(self.source, self.card, self.rows)
            return np.stack([row for block in blocks for row in pool.map(one, block)])


def find_worst(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Layers of the lowest SQNR, the lowest first."""
    changed = [line for line in lines if line["sqnr_db"] is not None]
    return sorted(changed, key=lambda line: line["sqnr_db"])[:WORST]


def describe(line: dict[str, Any]) -> str:
    """A phrase on one layer."""
    return f"{line['layer']} ({line['sqnr_db']:.1f} dB, {line['points_lost']:+.2f} points lost)"


def write_table(path: Path, lines: list[dict[str, Any]]) -> None:
    """A CSV file with a line per layer."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, COLUMNS)
        table.writeheader()
        table.writerows(lines)
