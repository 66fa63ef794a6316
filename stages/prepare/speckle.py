"""Radar without speckle: non-local means of OpenCV on eight bits, as in the published setting.

Source: Buades, Coll and Morel 2005, "A non-local algorithm for image denoising". A pixel becomes
the mean of those around it, weighted by how much their neighbourhoods look like its own.
"""

import contextlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared import lcz

STRENGTH = 12  # h, in levels: the difference at which a weight is 1 / e
TEMPLATE, SEARCH = 7, 21  # pixels: sides of a neighbourhood and of the window it is looked for in
REACH = TEMPLATE // 2 + SEARCH // 2  # how far a pixel looks

Block = tuple[slice, dict[str, NDArray[Any]]]  # rows and their datasets by name
Clean = Callable[[Iterable[Block]], Iterator[Block]]


def levels(sen1: NDArray[np.floating]) -> NDArray[np.uint8]:
    """(N, H, W, C) values to 0 … 255: clipped to ±0.5 and scaled as for the networks, rounded."""
    whole: NDArray[np.uint8] = np.rint(lcz.SEN1.scale(sen1)).astype(np.uint8)
    return whole


def values(level: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Levels 0 … 255 back to values of sen1, -0.5 … 0.5."""
    return level / 255 * (lcz.SEN1.high - lcz.SEN1.low) + lcz.SEN1.low


def smooth(level: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Non-local means of every channel of one patch by itself.

    The channels lie side by side in one strip, each with its own mirrored margin, so that none sees
    another: the same numbers as one call per channel, with less set-up of OpenCV's per pixel.

    Args:
        level: (H, W, C).

    Returns:
        (H, W, C).
    """
    import cv2

    height, width, count = level.shape
    margin = ((0, 0), (0, 0), (REACH, REACH))
    wide = np.pad(level.transpose(0, 2, 1), margin, mode="reflect").reshape(height, -1)
    cleaned = cv2.fastNlMeansDenoising(wide, None, STRENGTH, TEMPLATE, SEARCH)
    strips = cleaned.reshape(height, count, width + 2 * REACH)
    return np.asarray(strips[:, :, REACH:-REACH].transpose(0, 2, 1), np.uint8)


@contextlib.contextmanager
def open_cleaner(jobs: int) -> Iterator[Clean]:
    """A lazy map of blocks to the same with clean ``sen1``, in order; one is at work ahead.

    Args:
        jobs: threads, as OpenCV lets go of the interpreter; 0 takes every core.
    """
    import cv2

    cv2.setNumThreads(1)  # patches are spread, not the rows of one
    with ThreadPoolExecutor(jobs or _cores()) as pool:

        def clean(blocks: Iterable[Block]) -> Iterator[Block]:
            waiting: deque[tuple[Block, list[Future[NDArray[np.uint8]]]]] = deque()
            for block in blocks:
                patches = levels(block[1].pop("sen1"))
                waiting.append((block, [pool.submit(smooth, patch) for patch in patches]))
                if len(waiting) == 2:
                    yield _done(*waiting.popleft())
            while waiting:
                yield _done(*waiting.popleft())

        try:
            yield clean
        finally:
            pool.shutdown(cancel_futures=True)


def _done(block: Block, patches: list[Future[NDArray[np.uint8]]]) -> Block:
    rows, others = block
    return rows, {**others, "sen1": values(np.stack([patch.result() for patch in patches]))}


def _cores() -> int:
    """Cores this process may use; all, where the system does not say."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
