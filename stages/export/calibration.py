"""What values the tensors of a network take over training rows, to choose INT8 scales from."""

import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from shared import models, progress
from shared.int8 import TensorObserver
from shared.models import Card
from shared.patches import Source
from stages.export import inference
from stages.export.graph_index import GraphIndex, is_depthwise

BLOCK = 16  # rows in memory at once


def choose_rows(labels: NDArray[np.integer], per_class: int, seed: int) -> NDArray[np.intp]:
    """Sorted row numbers: `per_class` of each class, or all of it where a class has fewer.

    Args:
        labels: (N,) zero-based classes.
        per_class: rows of each class.
        seed: of the choice; a class's choice does not depend on the other classes.
    """
    taken = []
    for number in np.unique(labels):
        rows = np.flatnonzero(labels == number)
        taken.append(np.random.default_rng((seed, int(number))).permutation(rows)[:per_class])
    return np.sort(np.concatenate(taken))


def iterate_blocks(
    source: Source, card: Card, rows: NDArray[np.intp]
) -> Iterator[NDArray[np.float32]]:
    """Prepared rows of a patch file, up to BLOCK at a time: (n, C, size, size)."""
    for start in range(0, len(rows), BLOCK):
        taken = rows[start : start + BLOCK].tolist()
        values = [models.read_scaled(source, card.bands, slice(row, row + 1)) for row in taken]
        yield models.preprocess(np.concatenate(values), card)


class InstrumentedNetwork:
    """A network whose every computed tensor can be seen.

    Args:
        fp32: static graph of `static_graph.make_static`.
        folder: scratch.

    Attributes:
        names: the input's and the output's, then those between.
        depthwise: of those, the inputs of depthwise convolutions.
    """

    def __init__(self, fp32: Path, folder: Path) -> None:
        model = onnx.load(fp32)
        inner = [
            value for value in model.graph.value_info
            if value.type.tensor_type.elem_type == TensorProto.FLOAT
        ]  # fmt: skip
        ends = (model.graph.input[0], model.graph.output[0])
        self.names = tuple(value.name for value in (*ends, *inner))
        index = GraphIndex(model.graph)
        self.depthwise = {n.input[0] for n in model.graph.node if is_depthwise(n, index)}
        model.graph.output.extend(inner)
        onnx.save(model, folder / "opened.onnx")
        self.session = inference.open_session(folder / "opened.onnx")

    def __call__(self, image: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Values of all tensors for one row (C, H, W), in the order of `names`; batch 1."""
        given = image[None]
        return [given, *self.session.run(self.names[1:], {self.names[0]: given})]

    def observers(self) -> dict[str, TensorObserver]:
        """What remembers the values of each tensor, by name."""
        return {name: TensorObserver(depthwise=name in self.depthwise) for name in self.names}


def observe_tensors(
    fp32: Path, source: Source, card: Card, rows: NDArray[np.intp], threads: int
) -> dict[str, TensorObserver]:
    """What values each tensor takes, over the calibration rows, one after the other in their order.

    One pass: memory is that of as many rows as there are threads, and of a histogram per tensor.

    Args:
        fp32: static graph of `static_graph.make_static`.
        source: open patch file.
        card: how the network wants patches.
        rows: (M,) row numbers.
        threads: rows that are evaluated, and tensors that are counted, at the same time; changes
            time, not results.
    """
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(threads) as pool:
        network = InstrumentedNetwork(fp32, Path(folder))
        observers = network.observers()

        def observe(observer: TensorObserver, *rows: NDArray[np.float32]) -> None:
            for values in rows:
                observer.observe(values)

        with progress.bar(len(rows), "calibrate") as bar:
            for images in iterate_blocks(source, card, rows):
                for start in range(0, len(images), threads):
                    seen = list(pool.map(network, images[start : start + threads]))
                    list(pool.map(observe, observers.values(), *seen))
                    bar.update(len(seen))
    return observers
