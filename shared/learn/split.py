"""One split in memory, compact as stored, handed out in whole batches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from shared import lcz, model, patches
from shared.errors import StageError

Batch = dict[str, Tensor]


@dataclass(frozen=True)
class Part:
    """Some channels of a network's input, from one dataset of one file.

    Attributes:
        stored: (N, H, W, C) integers or float16, as on disk.
        layout: how they decode and scale.
        channels: (C,) places of these channels in the network's input.
    """

    stored: Tensor
    layout: lcz.Layout
    channels: tuple[int, ...]


class Split(Dataset[Batch]):
    """Rows of one split; ``split[rows]`` is a whole batch.

    Attributes:
        parts: image channels, "image0", "image1", … in a batch.
        extra: further (N, …) tensors by name: label, tda, teacher.
    """

    def __init__(self, parts: Sequence[Part], extra: Batch) -> None:
        self.parts, self.extra = list(parts), extra

    def __len__(self) -> int:
        return len(self.extra["label"])

    def __getitem__(self, rows: Sequence[int]) -> Batch:
        index = torch.as_tensor(rows)
        images = {f"image{i}": part.stored[index] for i, part in enumerate(self.parts)}
        return images | {name: tensor[index] for name, tensor in self.extra.items()}


class Batches(Sampler[list[int]]):
    """Shuffled whole batches; the order depends on the seed and the epoch alone.

    Args:
        rows: (N,) row numbers to go through.
        batch: rows in a batch. A last batch of one row is dropped: batch norm cannot use it.
        seed: of the shuffle; None keeps the order.
    """

    def __init__(self, rows: NDArray[np.intp], batch: int, seed: int | None) -> None:
        self.rows, self.batch, self.seed, self.epoch = rows, batch, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before every epoch, and after resuming."""
        self.epoch = epoch

    def __len__(self) -> int:
        whole, rest = divmod(len(self.rows), self.batch)
        return whole + (rest > 0 if self.seed is None else rest > 1)

    def __iter__(self) -> Iterator[list[int]]:
        order = self.rows.copy()
        if self.seed is not None:
            np.random.default_rng((self.seed, self.epoch)).shuffle(order)
        for step in range(len(self)):
            yield order[step * self.batch : (step + 1) * self.batch].tolist()


def load(path: Path, bands: tuple[str, ...], first: int = 0) -> list[Part]:
    """The named bands of a patch file, read block by block, checked for NaN.

    Args:
        path: patch file.
        bands: one name per channel.
        first: place of the first of them in the network's input.

    Raises:
        StageError: a band is missing, a value is not finite, patches are not square.
    """
    with patches.read(path) as source:
        places = model.locate(source, bands)
        parts = [_part(source, name, places) for name in dict(places)]
    return [Part(p.stored, p.layout, tuple(c + first for c in p.channels)) for p in parts]


def _part(source: patches.Source, name: str, places: list[tuple[str, int]]) -> Part:
    chosen = [
        (channel, index) for channel, (dataset, index) in enumerate(places) if dataset == name
    ]
    columns = [index for _, index in chosen]
    rows, layout = source[name], source[name].layout
    assert layout is not None
    if rows.shape[1] != rows.shape[2]:
        found = f"{rows.shape[1]} × {rows.shape[2]}"
        raise StageError(f"{source.path}: {name}: expected square patches, found {found}")
    blocks = [_compact(rows, block, columns) for block in rows.blocks()]
    return Part(torch.cat(blocks), layout, tuple(channel for channel, _ in chosen))


def _compact(rows: patches.Rows, block: slice, columns: list[int]) -> Tensor:
    """Stored numbers of some channels; uint16, which torch cannot index, becomes int16 or int32."""
    stored = rows.raw(block)[..., columns]
    if stored.dtype == np.uint16:
        stored = stored.astype(np.int16 if stored.max() < 2**15 else np.int32)
    elif np.issubdtype(stored.dtype, np.floating):
        stored = stored.astype(np.float16 if stored.dtype == np.float16 else np.float32)
        rows.refuse_nonfinite(stored, block)
    return torch.from_numpy(np.ascontiguousarray(stored))


def label_pair(train: Path, test: Path, classes: tuple[str, ...]) -> tuple[Tensor, Tensor]:
    """Class numbers of both splits.

    Raises:
        StageError: classes differ, a row is not one-hot, or training knows a single class only.
    """
    found = labels(train, classes), labels(test, classes)
    if len(found[0].unique()) < 2:
        raise StageError(f"{train}: label: one class only; expected at least two to train on")
    return found


def labels(path: Path, classes: tuple[str, ...]) -> Tensor:
    """(N,) class numbers of a patch file whose classes must be these.

    Raises:
        StageError: other class names, or a row that is not one-hot.
    """
    with patches.read(path, "label") as source:
        source.expect_classes(classes)
        return torch.from_numpy(source.labels())
