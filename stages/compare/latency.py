"""How long the networks of each group take for one row, on one thread of this computer."""

import math
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from shared import models, progress
from shared.errors import StageError
from shared.names import open_by_name

MOST = 10**8  # numbers of a row, hundreds of times as many as networks take


class Networks:
    """The networks of one product, which all see the same row.

    Args:
        folder: product with a model.json; its ONNX files are opened and run once.

    Raises:
        StageError: a network that does not open, or does not run on such a row.
    """

    def __init__(self, folder: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.feeds: list[tuple[onnxruntime.InferenceSession, dict[str, NDArray[np.float32]]]] = []
        for card in models.load(folder):
            session = _open(folder / card.file, options)
            feed = _draw(folder / card.file, session)
            try:
                session.run(None, feed)
            except Exception as error:
                reason = str(error).splitlines()[0]
                raise StageError(f"{folder / card.file}: does not run ({reason})") from None
            self.feeds.append((session, feed))

    def run(self) -> None:
        """One row through all networks."""
        for session, feed in self.feeds:
            session.run(None, feed)


def _open(path: Path, options: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
    try:
        return onnxruntime.InferenceSession(
            open_by_name(path), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime's exceptions have no common class of their own
        reason = str(error).splitlines()[0]
        raise StageError(f"{path}: not a network that onnxruntime opens ({reason})") from None


def _draw(path: Path, session: onnxruntime.InferenceSession) -> dict[str, NDArray[np.float32]]:
    """A row of noise for each input."""
    rng, feed = np.random.default_rng(0), {}
    for at in session.get_inputs():
        shape = [_size(of) for of in at.shape]
        if not 0 < math.prod(shape) <= MOST:
            raise StageError(f"{path}: {at.name}: expected 1 to {MOST:,} numbers, found {shape}")
        feed[at.name] = rng.standard_normal(shape).astype(np.float32)
    return feed


def _size(of: object) -> int:
    """A free axis, which is the first one, has one row."""
    return of if isinstance(of, int) else 1


def measure(folders: Sequence[Path], runs: int) -> list[float]:
    """Median time of one row in ms, of each product; they take turns, so that all see one load.

    Args:
        folders: products with ONNX files.
        runs: timed runs of each, after a tenth as many that do not count.

    Raises:
        StageError: no model.json, or a network that does not open.
    """
    networks = [Networks(folder) for folder in folders]
    before, times = max(1, runs // 10), np.zeros((len(networks), runs))
    with progress.bar(runs + before, "latency", unit="runs") as bar:
        for turn in range(-before, runs):
            for place, network in enumerate(networks):
                start = time.perf_counter()
                network.run()
                if turn >= 0:
                    times[place, turn] = 1e3 * (time.perf_counter() - start)
            bar.update()
    return np.median(times, 1).tolist()
