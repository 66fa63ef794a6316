"""Threads that work on one tile each: torch's own would share each of many small steps."""

import functools
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

T = TypeVar("T")


def each(function: Callable[[T], None], items: Sequence[T]) -> None:
    """Call a function with each item, in as many threads as torch has; what it raises is raised.

    Args:
        function: which runs in one thread, whatever torch would do.
        items: in any order.
    """
    for _ in _pool(torch.get_num_threads()).map(function, items):
        pass


@functools.lru_cache(maxsize=1)
def _pool(threads: int) -> ThreadPoolExecutor:
    """Threads in which torch takes one thread; those of the caller stay as they are."""
    ready = threading.Barrier(threads + 1)

    def begin() -> None:
        torch.get_num_threads()  # else the first work would set the number again
        torch.set_num_threads(1)  # of this thread, and of those that begin later
        ready.wait()

    pool = ThreadPoolExecutor(threads, "tile", initializer=begin)
    for _ in range(threads):
        pool.submit(int)
    ready.wait()
    torch.set_num_threads(threads)
    return pool
