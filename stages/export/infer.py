"""Running the very files that are shipped, one row at a time, several rows at once."""

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from shared import model, progress
from shared.model import Card
from shared.source import Source


def session(path: Path) -> onnxruntime.InferenceSession:
    """A single-threaded CPU session, whose numbers do not depend on how many run at once."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    # Processors without VNNI saturate in their 8-bit products; this takes the exact way there.
    options.add_session_config_entry("session.x64quantprecision", "1")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def prepared(source: Source, card: Card, batch: int) -> Iterator[NDArray[np.float32]]:
    """All rows of a patch file as network input, (batch, C, size, size) at a time."""
    for start in range(0, source.total, batch):
        rows = slice(start, min(start + batch, source.total))
        yield model.prepare(model.scaled(source, card.bands, rows), card)


def logits(
    path: Path, blocks: Iterable[NDArray[np.float32]], total: int, threads: int
) -> NDArray[np.float32]:
    """(N, K) output of a static batch-1 network.

    A CNN gains next to nothing from larger batches on a CPU, so rows run beside each other instead.

    Args:
        path: ONNX file with one input (1, C, H, W) and one output (1, K).
        blocks: (n, C, H, W) inputs, N rows altogether.
        total: N, for the progress bar.
        threads: rows at once.
    """
    network, found = session(path), []
    name = network.get_inputs()[0].name

    def one(image: NDArray[np.float32]) -> NDArray[np.float32]:
        row: NDArray[np.float32] = network.run(None, {name: image[None]})[0][0]
        return row

    with ThreadPoolExecutor(threads) as pool, progress.bar(total, path.stem) as bar:
        for block in blocks:
            found += list(pool.map(one, block))
            bar.update(len(block))
    return np.stack(found)


def latency(paths: dict[str, Path], runs: int, seed: int) -> dict[str, dict[str, float]]:
    """Median and 95th percentile of one row on one thread, in ms; the networks take turns.

    Args:
        paths: ONNX files by name, all with the same static input.
        runs: timed runs of each, after ten that are not counted.
        seed: of the random input.
    """
    sessions = {name: session(path) for name, path in paths.items()}
    first = next(iter(sessions.values())).get_inputs()[0]
    image = np.random.default_rng(seed).standard_normal(first.shape).astype(np.float32)
    times: dict[str, list[float]] = {name: [] for name in paths}
    with progress.bar(runs + 10, "latency", unit="runs") as bar:
        for _ in range(runs + 10):
            for name, network in sessions.items():
                start = time.perf_counter()
                network.run(None, {first.name: image})
                times[name].append(1e3 * (time.perf_counter() - start))
            bar.update()
    return {
        name: {
            "median_ms": float(np.median(counted := taken[10:])),
            "p95_ms": float(np.percentile(counted, 95)),
        }
        for name, taken in times.items()
    }
