"""What is measured on the rows held out after each epoch, and which epoch is the best by that."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy


class Measured(NamedTuple):
    """Of one network on the rows held out, after one epoch.

    Attributes:
        accuracy: share of the rows that it tells right.
        loss: mean cross-entropy of the rows, whatever the network is trained with.
    """

    accuracy: float
    loss: float


def measure(logits: NDArray[np.float32], truth: NDArray[np.integer]) -> Measured:
    """Accuracy and loss.

    Args:
        logits: (N, K) of the rows.
        truth: (N,) class numbers.
    """
    right = float((logits.argmax(1) == truth).mean())
    # In double precision, so that the order of the sum does not show.
    loss = cross_entropy(torch.from_numpy(logits).double(), torch.from_numpy(truth).long())
    return Measured(right, loss.item())


def find_best(values: Sequence[float], monitor: str, improvement: float = 0.0) -> int:
    """Position of the best epoch: the last that was better than every one before it.

    Args:
        values: of the monitored quantity, one an epoch.
        monitor: "accuracy", of which more is better, or "loss", of which less is.
        improvement: an epoch counts as better by more than this only.

    Returns:
        zero-based; -1 where no epoch has a value.
    """
    best, place = -np.inf, -1
    for epoch, value in enumerate(values):
        score = -value if monitor == "loss" else value
        if score > best + improvement:
            best, place = score, epoch
    return place
