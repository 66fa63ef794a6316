"""Topological features of a split: in memory as stored, their statistics, their grid."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from shared import patches
from shared.errors import StageError

# Attributes of a grid on which the meaning of the features depends, beside its own numbers.
FACTS = (
    "kind", "modality", "bands", "bins", "sigma", "essential", "low", "high", "clip", "layers",
    "power",
)  # fmt: skip


def count(path: Path) -> int:
    """Numbers per row of a features file."""
    with patches.read(path, "features") as source:
        return int(source["features"].shape[1])


def read(path: Path) -> Tensor:
    """(N, F) as stored; StageError names rows that are not finite."""
    with patches.read(path, "features") as source:
        rows = source["features"]
        stored = np.empty(rows.shape, rows.stored.dtype)
        for block in rows.blocks():
            stored[block] = rows.raw(block)
            rows.refuse_nonfinite(stored[block], block)
    return torch.from_numpy(stored)


def statistics(features: Tensor) -> Tensor:
    """(2, F) mean and standard deviation per column; deviations below 1e-6 become 1."""
    total, squares = torch.zeros(2, features.shape[1], dtype=torch.float64)
    for block in features.split(4096):
        values = block.double()
        total += values.sum(0)
        squares += (values**2).sum(0)
    mean = total / len(features)
    std = (squares / len(features) - mean**2).clamp_min(0).sqrt()
    std[std < 1e-6] = 1
    return torch.stack([mean, std]).float()


def grid(path: Path) -> dict[str, Any]:
    """Facts about the grid of a features file, and its numbers; empty when it has no grid."""
    with patches.read(path) as source:
        if "grid" not in source:
            return {}
        stored = source["grid"]
        facts = {name: np.asarray(stored.attribute(name)).tolist() for name in FACTS}
        return facts | {"range": stored.raw(slice(None)).tolist()}


def agree(train: Path, test: Path) -> None:
    """StageError unless the features of both splits were made on one grid."""
    ours, theirs = grid(train), grid(test)
    if ours != theirs:
        other = [name for name in (*FACTS, "range") if ours.get(name) != theirs.get(name)]
        raise StageError(
            f"{test}: its grid is not that of {train}: other {', '.join(other)}; "
            f"make it anew with --grid {train}"
        )
