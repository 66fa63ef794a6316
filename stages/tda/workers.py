"""Blocks of patches spread over processes: read here, computed there, taken back in order."""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing.connection import wait
from typing import Any

Pool = Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[Any]]  # a lazy `map`


@contextlib.contextmanager
def open_pool(jobs: int) -> Iterator[Pool]:
    """A lazy `map` over that many processes; 0 is every core this process may use, 1 no process.

    The processes are started afresh (a fork would keep the caller's lock and HDF5 files) and end
    with this one, however it ends.
    """
    jobs = jobs or _cores()
    if jobs == 1:
        yield map
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, spawn, initializer=_follow) as executor:

        def spread(work: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
            return _ordered(executor, work, items, jobs + 2)

        try:
            yield spread
        finally:
            executor.shutdown(cancel_futures=True)


def _ordered(
    executor: ProcessPoolExecutor,
    work: Callable[[Any], Any],
    items: Iterable[Any],
    most: int,
) -> Iterator[Any]:
    """Results in the order of the items, of which at most so many are taken ahead.

    So every process has work while one result is written and the next item is read, and memory
    stays the same however many items there are.
    """
    waiting: deque[Future[Any]] = deque()
    for item in items:
        waiting.append(executor.submit(work, item))
        if len(waiting) == most:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


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
