"""Work on tiles: the next ones are read while others are computed and written."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Read = TypeVar("Read")
Made = TypeVar("Made")


def run(
    items: Iterable[Item],
    read: Callable[[Item], Read],
    make: Callable[[Read, Item], Made],
    together: int,
) -> Iterator[tuple[Item, Made]]:
    """Each item and what is made of it, in order.

    Args:
        items: of which two more than `together` are in memory.
        read: called by one thread alone, in order: GDAL's open files are not for several.
        make: called by several threads.
        together: how many of these there are.
    """
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(together) as makers:
        waiting: deque[tuple[Item, Future[Made]]] = deque()

        def begin(item: Item) -> Future[Made]:
            found = reader.submit(read, item)
            return makers.submit(lambda: make(found.result(), item))

        try:
            for item in items:
                if len(waiting) > together:
                    first, made = waiting.popleft()
                    yield first, made.result()
                waiting.append((item, begin(item)))
            for first, made in waiting:
                yield first, made.result()
        finally:
            for executor in (reader, makers):
                executor.shutdown(wait=False, cancel_futures=True)
