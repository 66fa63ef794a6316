"""A split that is read in pieces, because it may not lie in memory as a whole."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from shared import lcz, patches
from shared.errors import StageError
from shared.training.data import order as orders
from shared.training.data.split import Batch, Input, Numbers, Split, merge_inputs, read_inputs

GB = 1e9


class Streamed(Split):
    """Rows of one split on disk; while one piece of them is worked on, the next one is read.

    Args:
        inputs: what is wanted of which files.
        extra: further (N, …) tensors by name, in memory.
        at_once: rows of a piece; two pieces lie in memory.
    """

    def __init__(self, inputs: list[Input], extra: Batch, at_once: int) -> None:
        super().__init__({}, extra, at_once)
        self.inputs, self.opened = merge_inputs(inputs), dict[Path, patches.Source]()

    def __getitem__(self, rows: Numbers | object) -> Batch:
        wanted = np.asarray(rows)
        known, places = np.unique(wanted, return_inverse=True)
        return self._piece(known)[places]

    def batches(self, order: Iterable[Numbers]) -> Iterator[Batch]:
        """One batch after the other, read in pieces of about `at_once` rows."""
        for rows, of in orders.prefetch(self._pieces(order)):
            for batch in rows:
                yield of[1][np.searchsorted(of[0], batch)]

    def _pieces(
        self, order: Iterable[Numbers]
    ) -> Iterator[tuple[list[Numbers], tuple[Numbers, Split]]]:
        for batches in _grouped(order, self.at_once or 1):
            known = np.unique(np.concatenate(batches))
            yield batches, (known, self._piece(known))

    def _piece(self, rows: NDArray[np.integer]) -> Split:
        runs = [
            slice(int(run[0]), int(run[-1]) + 1)
            for run in np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1)
        ]
        index = torch.as_tensor(rows)
        bands = read_inputs(self.inputs, runs, self.opened)
        return Split(bands, {n: of[index] for n, of in self.extra.items()})

    @property
    def layouts(self) -> dict[str, lcz.Layout]:
        """How each band decodes and scales."""
        return {key: layout for key, (_, layout) in _stored(self.inputs).items()}

    def to(self, device: torch.device) -> Split:
        """Itself: what does not fit into memory stays on disk."""
        return self


def _grouped(order: Iterable[Numbers], at_once: int) -> Iterator[list[Numbers]]:
    """Whole batches that have `at_once` rows together, or few fewer."""
    group: list[Numbers] = []
    for batch in order:
        if group and sum(map(len, group)) + len(batch) > at_once:
            yield group
            group = []
        group.append(batch)
    if group:
        yield group


def load_split(
    inputs: list[Input], extra: Batch, resident: float, batch: int, largest: int = 0
) -> Split:
    """The split in memory when it takes no more than `resident` GB there, else in pieces.

    Args:
        inputs: what is wanted of which files.
        extra: further (N, …) tensors by name.
        resident: GB. What it decides changes the order of the rows and so the result, which is
            why the machine's own memory has no say in it.
        batch: rows a step; a piece holds whole batches.
        largest: `bytes_per_row` that decide about the order, where it is to be that of other passes
            too, which want other bands; 0 for those of these inputs.

    Raises:
        StageError: more than this machine's memory is wanted; as `read_inputs`.
    """
    inputs, count = merge_inputs(inputs), len(extra["label"])
    here = bytes_per_row(inputs)
    largest = largest or here
    at_once = max(1, int(resident * GB / 2 / largest) // batch) * batch
    if count * here <= resident * GB:
        _refuse_too_much(count * here, "--resident")
        ordered = None if count * largest <= resident * GB else at_once
        return Split(read_inputs(inputs), extra, ordered)
    _refuse_too_much(2 * at_once * here, "--batch or --resident")
    return Streamed(inputs, extra, at_once)


def bytes_per_row(inputs: Iterable[Input]) -> int:
    """Bytes that a row of what is wanted takes in memory."""
    return sum(map(_row_bytes, merge_inputs(inputs)))


def check_same_storage(train: Iterable[Input], test: Iterable[Input]) -> None:
    """Refuse splits that are stored differently, as a network sees both through one view.

    Raises:
        StageError: numbers of a band mean other values in the one file than in the other.
    """
    ours, theirs = _stored(train), _stored(test)
    for key, (path, layout) in ours.items():
        other, their_layout = theirs[key]
        said = [
            f"{one.per_unit:g} a unit, {one.low:g} … {one.high:g}{', clipped' * one.clip}"
            for one in (layout, their_layout)
        ]
        if said[0] != said[1]:
            raise StageError(
                f"{other}: {key}: expected to be stored as in {path} ({said[0]}), "
                f"found {said[1]}; prepare both with the same --dtype"
            )


def _stored(inputs: Iterable[Input]) -> dict[str, tuple[Path, lcz.Layout]]:
    """Key to its file and how it is stored there, for what is a picture."""
    layouts: dict[str, tuple[Path, lcz.Layout]] = {}
    for want in merge_inputs(inputs):
        with patches.read(want.path) as source:
            if layout := source[want.dataset].layout:
                layouts |= dict.fromkeys(want.keys, (want.path, layout))
    return layouts


def _row_bytes(want: Input) -> int:
    """Bytes that a row takes in memory."""
    with patches.read(want.path) as source:
        rows = source[want.dataset]
        size = rows.stored.dtype.itemsize * int(np.prod(rows.shape[1:]))
        whole = None in want.keys.values()
        return size if whole else size * len(want.keys) // rows.shape[-1]


def _refuse_too_much(wanted: float, flag: str) -> None:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if wanted > 0.9 * memory:
        raise StageError(
            f"the rows take {wanted / GB:.3g} GB in memory and this machine has "
            f"{memory / GB:.3g} GB: a lower {flag} reads them in pieces"
        )


def iterate_on(split: Split, order: Sequence[Numbers], device: torch.device) -> Iterator[Batch]:
    """Batches of a split on a device."""
    # Not the numbers: "cuda" is "cuda:0" and yet not equal, and what is there cannot be pinned.
    if split.extra["label"].device.type == device.type:
        return split.batches(order)
    pinned = ({n: t.pin_memory() for n, t in of.items()} for of in split.batches(order))
    return (
        {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}
        for batch in orders.prefetch(pinned)
    )


def place_split(split: Split, device: torch.device) -> Split:
    """On the GPU as a whole where it takes half of what is free there at most; else as it is."""
    if device.type != "cuda" or split.nbytes > torch.cuda.mem_get_info(device)[0] / 2:
        return split
    return split.to(device)
