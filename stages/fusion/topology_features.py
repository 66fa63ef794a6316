"""Topological features of a split: their statistics, their grid."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from shared import patches
from shared.errors import StageError
from shared.training.data import Split

# Attributes of a grid on which the meaning of the features depends, in addition to its numbers.
FACTS = (
    "kind", "modality", "bands", "bins", "sigma", "essential", "low", "high", "clip", "layers",
    "power",
)  # fmt: skip


def count_features(path: Path) -> int:
    """Numbers per row of a features file."""
    with patches.read(path, "features") as source:
        return int(source["features"].shape[1])


def compute_statistics(blocks: Iterable[Tensor]) -> Tensor:
    """(2, F) mean and standard deviation per column; deviations below 1e-6 become 1.

    Args:
        blocks: (N, F) each, all rows in turn.
    """
    rows, total, squares = 0, torch.zeros(()), torch.zeros(())
    for block in blocks:
        values = block.double()
        rows, total, squares = (
            rows + len(block),
            total + values.sum(0),
            squares + (values**2).sum(0),
        )
    mean = total / rows
    std = (squares / rows - mean**2).clamp_min(0).sqrt()
    std[std < 1e-6] = 1
    return torch.stack([mean, std]).float()


def split_statistics(split: Split, key: str, path: Path) -> Tensor:
    """`compute_statistics` of the features that a split holds under a key, or else of their file.

    Raises:
        StageError: names rows of the file that are not finite.
    """
    with patches.read(path, "features") as source:
        rows = source["features"]
        if key not in split.bands:
            return compute_statistics(_blocks(rows))
        stored = split.bands[key].stored  # in the same blocks, whose sums round alike
        return compute_statistics(stored[block] for block in rows.blocks())


def _blocks(rows: patches.Rows) -> Iterator[Tensor]:
    for block in rows.blocks():
        stored = rows.raw(block)
        rows.check_finite(stored, block)
        yield torch.from_numpy(stored)


def read_grid(path: Path) -> dict[str, Any]:
    """Facts about the grid of a features file, and its numbers; empty when it has no grid."""
    with patches.read(path) as source:
        if "grid" not in source:
            return {}
        stored = source["grid"]
        facts = {name: stored.attribute(name) for name in FACTS}
        return facts | {"range": stored.raw(slice(None)).tolist()}


def check_same_grid(train: Path, test: Path) -> None:
    """StageError unless the features of both splits were made on one grid."""
    ours, theirs = read_grid(train), read_grid(test)
    if ours != theirs:
        other = [name for name in (*FACTS, "range") if ours.get(name) != theirs.get(name)]
        raise StageError(
            f"{test}: its grid differs from that of {train} in {', '.join(other)}; "
            f"make it again with --grid {train}"
        )
