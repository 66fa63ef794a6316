"""One split, compact as stored and band by band, handed out in whole batches.

It lies in memory where it may, else it is read in shuffled pieces (see `stream`).
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shared import lcz, models, patches
from shared.errors import StageError
from shared.training.data import band_tensors

Batch = dict[str, Tensor]
Numbers = NDArray[np.integer]


@dataclass(frozen=True)
class Band:
    """One channel of every row, or whole rows that are no picture.

    Attributes:
        stored: (N, H, W) integers or floats as on disk; (N, F) for features.
        layout: how they decode and scale; None for what is no picture.
    """

    stored: Tensor
    layout: lcz.Layout | None = None


@dataclass(frozen=True)
class Input:
    """What is wanted of one dataset of one patch file.

    Attributes:
        path: patch file.
        dataset: such as "sen2" or "features".
        keys: name in a batch to channel of the dataset; None takes whole rows.
    """

    path: Path
    dataset: str
    keys: Mapping[str, int | None]


class Split:
    """Rows of one split in memory.

    Attributes:
        bands: by their names in a batch.
        extra: further (N, …) tensors by name: label, teacher.
        at_once: rows of a piece when it is trained on in pieces; None when in any order.
    """

    def __init__(self, bands: Mapping[str, Band], extra: Batch, at_once: int | None = None) -> None:
        self.bands, self.extra, self.at_once = dict(bands), extra, at_once

    def __len__(self) -> int:
        return len(self.extra["label"])

    def __getitem__(self, rows: Sequence[int] | Numbers) -> Batch:
        """A batch of these rows: band and extra names to (B, …) tensors as stored."""
        index = torch.as_tensor(np.asarray(rows), device=self.extra["label"].device)
        stored = {name: band.stored for name, band in self.bands.items()}
        return {name: of.index_select(0, index) for name, of in (stored | self.extra).items()}

    def batches(self, order: Iterable[Numbers]) -> Iterator[Batch]:
        """One batch after the other."""
        return (self[rows] for rows in order)

    @property
    def layouts(self) -> dict[str, lcz.Layout]:
        """How each band decodes and scales."""
        return {name: band.layout for name, band in self.bands.items() if band.layout}

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        tensors = [*(band.stored for band in self.bands.values()), *self.extra.values()]
        return sum(tensor.nbytes for tensor in tensors)

    def to(self, device: torch.device) -> "Split":
        """The same on another device."""
        bands = {n: Band(band.stored.to(device), band.layout) for n, band in self.bands.items()}
        extra = {name: tensor.to(device) for name, tensor in self.extra.items()}
        return Split(bands, extra, self.at_once)


def locate_inputs(path: Path, bands: Iterable[str], prefix: str = "") -> list[Input]:
    """The named bands of a patch file; in a batch they are called prefix + band.

    Raises:
        StageError: a band is missing, or patches are not square.
    """
    bands = tuple(bands)
    with patches.read(path) as source:
        places = dict(zip(bands, models.locate_bands(source, bands), strict=True))
        for name in {dataset for dataset, _ in places.values()}:
            if source[name].shape[1] != source[name].shape[2]:
                sides = f"{source[name].shape[1]} × {source[name].shape[2]}"
                raise StageError(f"{path}: {name}: expected square patches, found {sides}")
    keys: dict[str, dict[str, int | None]] = {}
    for band, (dataset, channel) in places.items():
        keys.setdefault(dataset, {})[prefix + band] = channel
    return [Input(path, dataset, channels) for dataset, channels in keys.items()]


def merge_inputs(inputs: Iterable[Input]) -> list[Input]:
    """The same wants with every dataset named once, so that it is read once."""
    channels_of: dict[tuple[Path, str], dict[str, int | None]] = {}
    for want in inputs:
        channels_of.setdefault((want.path, want.dataset), {}).update(want.keys)
    return [Input(path, dataset, keys) for (path, dataset), keys in channels_of.items()]


def read_bands(path: Path, bands: Iterable[str], prefix: str = "") -> dict[str, Band]:
    """The named bands of a whole patch file, block by block, checked for NaN.

    Raises:
        StageError: as `locate_inputs`; a value is not finite.
    """
    return read_inputs(locate_inputs(path, bands, prefix))


def read_inputs(
    inputs: Iterable[Input],
    runs: Sequence[slice] | None = None,
    opened: dict[Path, patches.Source] | None = None,
) -> dict[str, Band]:
    """What is wanted, of these runs of rows or of all, in their order.

    Args:
        inputs: what is wanted of which files.
        runs: of rows; None takes all.
        opened: files that stay open for the next call, and remember which chunks they have read.

    Raises:
        StageError: names rows whose values are not finite.
    """
    bands: dict[str, Band] = {}
    for want in merge_inputs(inputs):
        with contextlib.ExitStack() as stack:
            if opened is None:
                source = stack.enter_context(patches.read(want.path))
            else:
                opened[want.path] = opened.get(want.path) or patches.read(want.path)
                source = opened[want.path]
            rows = source[want.dataset]
            chosen = [slice(0, len(rows))] if runs is None else runs
            what = f"{want.path.parent.name}/{want.path.stem} {want.dataset}"
            quiet = runs is not None
            stored = band_tensors.read_channels(rows, want.keys, chosen, what, quiet=quiet)
            bands |= {key: Band(tensor, rows.layout) for key, tensor in stored.items()}
    return bands


def read_label_pair(train: Path, test: Path, classes: tuple[str, ...]) -> tuple[Tensor, Tensor]:
    """Class numbers of both splits.

    Raises:
        StageError: classes differ, a row is not one-hot, or training knows a single class only.
    """
    pair = read_labels(train, classes), read_labels(test, classes)
    if len(pair[0].unique()) < 2:
        raise StageError(f"{train}: label: one class only; expected at least two to train on")
    return pair


def read_labels(path: Path, classes: tuple[str, ...]) -> Tensor:
    """(N,) class numbers of a patch file whose classes must be these.

    Raises:
        StageError: other class names, or a row that is not one-hot.
    """
    with patches.read(path, "label") as source:
        source.expect_classes(classes)
        return torch.from_numpy(source.labels())
