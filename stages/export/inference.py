"""Running the very files that are shipped: their logits, and how long they take."""

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from shared import models, onnx_graphs, progress
from shared.models import Card
from shared.names import open_by_name
from shared.patches import Source
from stages.export import static_graph

BATCHES = (1, 8, 32)  # rows of one call, as latencies are told


def open_session(network: Path | bytes, threads: int = 1) -> onnxruntime.InferenceSession:
    """A CPU session; with one thread its numbers do not depend on how many run at once."""
    options = onnx_graphs.make_options(threads)
    given = network if isinstance(network, bytes) else open_by_name(network)
    return onnxruntime.InferenceSession(given, options, providers=["CPUExecutionProvider"])


def iterate_inputs(source: Source, card: Card, batch: int) -> Iterator[NDArray[np.float32]]:
    """All rows of a patch file as network input, (batch, C, size, size) at a time."""
    for start in range(0, source.total, batch):
        rows = slice(start, min(start + batch, source.total))
        yield models.preprocess(models.read_scaled(source, card.bands, rows), card)


def compute_logits(
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
    network, rows = open_session(path), []
    name = network.get_inputs()[0].name

    def one(image: NDArray[np.float32]) -> NDArray[np.float32]:
        row: NDArray[np.float32] = network.run(None, {name: image[None]})[0][0]
        return row

    with ThreadPoolExecutor(threads) as pool, progress.bar(total, path.stem) as bar:
        for block in blocks:
            rows += list(pool.map(one, block))
            bar.update(len(block))
    return np.stack(rows)


def measure_latency(
    paths: dict[str, Path], runs: int, seed: int, batches: tuple[int, ...] = BATCHES
) -> dict[str, dict[str, Any]]:
    """How long each network takes on one thread of this computer; the networks take turns.

    Args:
        paths: static ONNX files by name, all with the same input.
        runs: timed runs of one row, after a tenth as many that do not count; of larger batches
            fewer, so that about as many rows are run.
        seed: of the random input.
        batches: rows of one call that are timed, the first of which is 1.

    Returns:
        By name: median, 90th, 95th and 99th percentile of one row in ms; under "rows", by batch
        size, the median in ms and rows per second.
    """
    latencies: dict[str, dict[str, Any]] = {name: {} for name in paths}
    for rows in batches:
        repeats = max(3, runs // rows)
        for name, times in time_runs(paths, rows, repeats, seed).items():
            middle = float(np.median(times))
            if rows == 1:
                ends = zip((90, 95, 99), np.percentile(times, (90, 95, 99)).tolist(), strict=True)
                latencies[name] = {"median_ms": middle} | {f"p{end}_ms": ms for end, ms in ends}
                latencies[name]["rows"] = {}
            entry = {"median_ms": middle, "rows_per_second": 1e3 * rows / middle}
            latencies[name]["rows"][str(rows)] = entry
    return latencies


def time_runs(
    paths: dict[str, Path], rows: int, repeats: int, seed: int, threads: int = 1
) -> dict[str, NDArray[np.float64]]:
    """(repeats,) times in ms of one call with so many rows, by name; the networks take turns."""
    batched = {
        name: static_graph.with_dynamic_batch(onnx.load(path)).SerializeToString()
        for name, path in paths.items()
    }
    sessions = {name: open_session(content, threads) for name, content in batched.items()}
    first = next(iter(sessions.values())).get_inputs()[0]
    shape = (rows, *first.shape[1:])
    images = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    before, times = max(1, repeats // 10), np.zeros((len(paths), repeats))
    with progress.bar(repeats + before, f"latency, {rows} at once", unit="runs") as bar:
        for turn in range(-before, repeats):
            for place, network in enumerate(sessions.values()):
                start = time.perf_counter()
                network.run(None, {first.name: images})
                if turn >= 0:
                    times[place, turn] = 1e3 * (time.perf_counter() - start)
            bar.update()
    return dict(zip(paths, times, strict=True))
