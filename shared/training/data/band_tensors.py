"""Rows of a dataset as tensors, one a channel, in the least memory that holds what is stored."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shared import patches, progress


def read_channels(
    rows: patches.Rows,
    keys: Mapping[str, int | None],
    runs: Sequence[slice],
    what: str,
    quiet: bool = False,
) -> dict[str, Tensor]:
    """Channels of these runs of rows, in their order, read block by block and checked.

    Args:
        rows: of a dataset.
        keys: name to channel; None takes whole rows.
        runs: of rows.
        what: a word for the progress bar.
        quiet: show none.

    Raises:
        StageError: names rows whose values are not finite; values are not in the right unit.
    """
    count, tensors, place = sum(run.stop - run.start for run in runs), dict[str, Tensor](), 0
    step = next(rows.blocks()).stop
    with progress.bar(count, what, quiet=quiet) as bar:
        for run in runs:
            for start in range(run.start, run.stop, step):
                block = slice(start, min(start + step, run.stop))
                values, end = rows.raw(block), place + block.stop - block.start
                for key, channel in keys.items():
                    part = _compact(values if channel is None else values[..., channel])
                    if part.dtype.kind == "f":
                        rows.check_finite(part, block)
                    _put(tensors, key, torch.from_numpy(part), slice(place, end), count)
                rows.check_units(values, block)
                place = end
                bar.update(block.stop - block.start)
    return tensors


def _put(tensors: dict[str, Tensor], key: str, part: Tensor, place: slice, count: int) -> None:
    """Into one tensor for all rows, which widens when a part needs more than its kind holds."""
    if key not in tensors:
        tensors[key] = torch.empty((count, *part.shape[1:]), dtype=part.dtype)
    if part.dtype == torch.int32:
        tensors[key] = tensors[key].to(torch.int32)
    tensors[key][place] = part


def _compact(stored: NDArray[np.generic]) -> NDArray[np.generic]:
    """Uint16, which torch cannot index, becomes int16 or int32; doubles become float32."""
    if stored.dtype == np.uint16:
        return stored.astype(np.int16 if stored.max(initial=0) < 2**15 else np.int32)
    if stored.dtype == np.float64:
        return stored.astype(np.float32)
    return np.ascontiguousarray(stored)
