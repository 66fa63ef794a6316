"""What values the tensors of a network take over training rows, to choose INT8 scales from."""

import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from shared import models, progress
from shared.models import Card
from shared.patches import Source
from stages.export import activation_ranges, inference
from stages.export.activation_ranges import Histogram

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
    """

    def __init__(self, fp32: Path, folder: Path) -> None:
        model = onnx.load(fp32)
        inner = [
            value for value in model.graph.value_info
            if value.type.tensor_type.elem_type == TensorProto.FLOAT
        ]  # fmt: skip
        ends = (model.graph.input[0], model.graph.output[0])
        self.names = tuple(value.name for value in (*ends, *inner))
        model.graph.output.extend(inner)
        onnx.save(model, folder / "opened.onnx")
        self.session = inference.open_session(folder / "opened.onnx")

    def __call__(self, image: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Values of all tensors for one row (C, H, W), in the order of `names`."""
        return [image, *self.session.run(self.names[1:], {self.names[0]: image[None]})]


def observe_tensors(
    fp32: Path, source: Source, card: Card, rows: NDArray[np.intp], threads: int
) -> dict[str, Histogram]:
    """How often each value occurs in each tensor, over the calibration rows.

    Two passes, first for the ends and then for the counts: memory is that of a few rows, and
    nothing depends on their order.

    Args:
        fp32: static graph of `static_graph.make_static`.
        source: open patch file.
        card: how the network wants patches.
        rows: (M,) row numbers.
        threads: rows at once; changes time, not results.
    """
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(threads) as pool:
        network = InstrumentedNetwork(fp32, Path(folder))

        def scan(title: str, look: Callable[[NDArray[np.float32]], Any]) -> Iterator[Any]:
            with progress.bar(len(rows), f"calibrate, {title}") as bar:
                for images in iterate_blocks(source, card, rows):
                    yield from pool.map(look, images)
                    bar.update(len(images))

        def ends(image: NDArray[np.float32]) -> NDArray[np.float64]:
            return np.array([(values.min(), values.max()) for values in network(image)], np.float64)

        def counts(image: NDArray[np.float32]) -> NDArray[np.int64]:
            pairs = zip(network(image), limits, strict=True)
            return np.stack(
                [activation_ranges.count_values(values, limit) for values, limit in pairs]
            )

        both = np.stack(list(scan("ends", ends)))
        low, high = both[..., 0].min(0), both[..., 1].max(0)
        limits = np.maximum(np.maximum(-low, high), np.finfo(np.float32).tiny).tolist()
        total = np.zeros((len(network.names), 2 * activation_ranges.BINS), np.int64)
        for row_counts in scan("counts", counts):
            total += row_counts
    everything = zip(network.names, low.tolist(), high.tolist(), total, strict=True)
    return {name: Histogram(least, most, row) for name, least, most, row in everything}
