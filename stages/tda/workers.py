"""The work on one block of patches, spread over processes by band and by runs of patches."""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shared.errors import StageError

if TYPE_CHECKING:
    from stages.tda.grids import Setting

CHUNK = 32  # patches of one band per task
Pool = Callable[..., Iterable[Any]]  # like map: results in the order of the tasks
Points = tuple[NDArray[np.float64], NDArray[np.float64]]  # H0 and H1, each (birth persistence, M)


@contextlib.contextmanager
def pool(jobs: int) -> Iterator[Pool]:
    """A `map` over that many processes; 0 is every core this process may use, 1 no process.

    The processes are started afresh (a fork would keep the caller's lock and HDF5 files) and end
    with this one, however it ends.
    """
    jobs = jobs or _cores()
    if jobs == 1:
        yield map
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, spawn, initializer=_follow) as executor:
        try:
            yield executor.map
        finally:
            executor.shutdown(cancel_futures=True)


def _cores() -> int:
    """Cores this process may use; all, where the system does not say."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _follow() -> None:
    """End this process when its parent is gone; leave Ctrl-C to the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            wait([parent.sentinel])
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def features(
    scaled: NDArray[np.float64], table: NDArray[np.float64], setting: "Setting", pool: Pool
) -> NDArray[np.float16]:
    """(N, H, W, C) patches scaled to 0 … 255 to (N, C * 2 * bins * bins) features.

    Order of the last axis: band, homology dimension, persistence descending, birth ascending.

    Args:
        scaled: (N, H, W, C) finite.
        table: (C, 2, 2, 2) the grid.
        setting: bins, sigma and whether the essential class is kept.
        pool: from `pool`.

    Raises:
        StageError: a value beyond float16.
    """
    count, bands = scaled.shape[0], scaled.shape[3]
    tasks = [(b, slice(n, n + CHUNK)) for b in range(bands) for n in range(0, count, CHUNK)]
    out = np.empty((count, bands, 2, setting.bins, setting.bins), np.float16)
    size = len(tasks)
    done = pool(
        _images,
        (np.ascontiguousarray(scaled[rows, :, :, b]) for b, rows in tasks),
        (table[b] for b, _ in tasks),
        [setting.bins] * size,
        [setting.sigma] * size,
        [setting.essential] * size,
    )
    for (band, rows), block in zip(tasks, done, strict=True):
        out[rows, band] = block
    return out.reshape(count, -1)


def points(scaled: NDArray[np.float64], pool: Pool) -> list[Points]:
    """(N, H, W, C) scaled patches to the points of all of them, one pair H0, H1 per band.

    The essential class is left out: one point per patch, longer than all others, it would stretch
    the axis until most of the others fall into one cell.
    """
    each = (np.ascontiguousarray(scaled[..., band]) for band in range(scaled.shape[3]))
    return list(pool(_points, each))


def _images(
    band: NDArray[np.float64], table: NDArray[np.float64], bins: int, sigma: float, essential: bool
) -> NDArray[np.float16]:
    """(N, H, W) to (N, 2, bins, bins) on one band's grid (2, 2, 2)."""
    from stages.tda import diagrams, images

    found = diagrams.diagrams(band, essential)
    both = [
        images.image(*diagrams.points(found, d), len(band), table[d], bins, sigma) for d in (0, 1)
    ]
    stacked = np.stack(both, axis=1)
    if stacked.max() > np.finfo(np.float16).max:
        raise StageError(f"--sigma: {sigma} makes features beyond float16; take a larger one")
    return stacked.astype(np.float16)


def _points(band: NDArray[np.float64]) -> Points:
    from stages.tda import diagrams

    found = diagrams.diagrams(band, essential=False)
    (_, birth0, persistence0), (_, birth1, persistence1) = (
        diagrams.points(found, d) for d in diagrams.DIMENSIONS
    )
    return np.stack([birth0, persistence0]), np.stack([birth1, persistence1])
