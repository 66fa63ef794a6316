"""Patches from one file through a function into another; reading and writing hide behind it."""

import dataclasses
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from shared import lcz, patches
from shared.errors import StageError

Array = NDArray[np.float32]
Enlarge = Callable[[Array], Array]
Item = TypeVar("Item")
Value = TypeVar("Value")


def enlarge_file(
    src: Path, dst: Path, load: Callable[[], Enlarge],
    *, scale: int, batch: int, shard: str, side: int = 1,
) -> None:  # fmt: skip
    """Enlarge the sen2 patches of one file, in row order; labels and classes go with them.

    While one block is computed the next is read and the one before is written, each in a thread of
    its own, so three blocks are in memory whatever the file holds. A row counts as done when it is
    on disk.

    Args:
        src: patch file with sen2 (N, H, W, C) reflectance.
        dst: patch file to write; goes on where an earlier run stopped.
        load: called once the file is known to be good; gives (N, H, W, C) to
            (N, H * scale, W * scale, C), which is clipped here.
        scale: factor on height and width.
        batch: patches in one block.
        shard: "i/n".
        side: pixels a side that the network needs.

    Raises:
        StageError: no sen2, too small, NaN in it or in what the network makes of it, no room.
    """
    with ExitStack() as stack:
        source = stack.enter_context(patches.read(src, "sen2"))
        total, height, width, bands = source["sen2"].shape
        if min(height, width) < side:
            size = f"{height} x {width}"
            raise StageError(f"{src}: sen2: expected at least {side} pixels a side, found {size}")
        layout = dataclasses.replace(source["sen2"].layout or lcz.SEN2, per_unit=lcz.SEN2.per_unit)
        field = patches.Field((height * scale, width * scale, bands), storage_type(layout), layout)
        enlarge = load()
        sink = stack.enter_context(patches.Writer(dst, total, shard, like=source, sen2=field))
        writer = stack.enter_context(ThreadPoolExecutor(1))
        blocks = prefetch(sink.todo(batch), lambda rows: source["sen2"][rows])
        written = None
        for rows, sen2 in stack.enter_context(closing(blocks)):
            large = enlarge(sen2)
            if not np.isfinite(large).all():
                block = f"rows {rows.start} to {rows.stop - 1}"
                hint = "take other weights, or --precision float32"
                raise StageError(
                    f"{src}: sen2: the network makes NaN or infinity of {block}; {hint}"
                )
            if written:
                written.result()
            written = writer.submit(sink.put, rows, sen2=large.clip(layout.low, layout.high))
        if written:
            written.result()


def storage_type(layout: lcz.Layout) -> str:
    """Type that holds the range of a layout: uint16, or float32 for one that is not So2Sat's."""
    limits = np.iinfo(np.uint16)
    low, high = layout.low * layout.per_unit, layout.high * layout.per_unit
    return "uint16" if limits.min <= low and high <= limits.max else "float32"


def prefetch(
    items: Generator[Item, None, None], read: Callable[[Item], Value]
) -> Generator[tuple[Item, Value], None, None]:
    """Each item with what ``read`` finds for it; the next one is read while this one is used."""
    with closing(items), ThreadPoolExecutor(1) as reader:  # closed, as a progress bar waits in it
        waiting = None
        for item in items:
            coming = reader.submit(read, item)
            if waiting:
                yield waiting[0], waiting[1].result()
            waiting = (item, coming)
        if waiting:
            yield waiting[0], waiting[1].result()
