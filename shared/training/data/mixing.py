"""Mixup: each row is laid over another row of its batch, and so are their labels.

A mixed batch holds its own rows, then their partners, and the `share` of the own ones. Whatever
becomes network input or a target of training is made of both halves and mixed here. Source: Zhang
et al. 2018, "mixup: beyond empirical risk minimization".
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shared.training.data.split import Batch

SHARE = "share"


@dataclass(frozen=True)
class Pairing:
    """What is mixed with what in one batch.

    Attributes:
        partners: (B,) place in the whole batch of each row's partner.
        share: of the own row, 0 … 1; the partner has the rest.
    """

    partners: NDArray[np.intp]
    share: float

    def places(self, part: slice) -> NDArray[np.intp]:
        """(2 b,) places in the whole batch: b rows of this part, then their partners."""
        return np.concatenate([np.arange(len(self.partners))[part], self.partners[part]])

    def mark(self, batch: Batch) -> Batch:
        """The rows of `places`, as a mixed batch."""
        return batch | {SHARE: torch.tensor(self.share, device=batch["label"].device)}


def draw_pairing(rows: int, alpha: float, seed: int, epoch: int, step: int) -> Pairing:
    """Partners and share of one batch, the same on every device and in every process.

    Args:
        rows: B of the whole batch.
        alpha: of the Beta distribution (alpha, alpha) that the share is drawn from, above 0.
        seed: of the order of the rows.
        epoch: counted from 0.
        step: in the epoch, counted from 0.
    """
    rng = np.random.default_rng((seed, epoch, step, 2))  # numbers that no order is drawn from
    return Pairing(rng.permutation(rows), float(rng.beta(alpha, alpha)))


def mix(values: Tensor, batch: Batch) -> Tensor:
    """(b, …) of the (2 b, …) values of a mixed batch; the values themselves of another one."""
    if SHARE not in batch:
        return values
    own, partners = values.chunk(2)
    return torch.lerp(partners, own, batch[SHARE].to(values.dtype))


def over_labels(term: Callable[[Tensor], Tensor], batch: Batch) -> Tensor:
    """What depends on labels: share · term(own) + (1 - share) · term(partners').

    Args:
        term: of (b,) class numbers, to a number.
        batch: mixed; of another one the term is that of its labels.
    """
    if SHARE not in batch:
        return term(batch["label"])
    own, partners = batch["label"].chunk(2)
    return batch[SHARE] * term(own) + (1 - batch[SHARE]) * term(partners)


def mix_softened(logits: Tensor, batch: Batch, temperature: float) -> Tensor:
    """(b, K) logits whose softened probabilities are the mixed ones of (2 b, K) logits.

    Args:
        logits: of own rows and partners; of a batch that is not mixed they stay as they are.
        batch: whose they are.
        temperature: T that softens them.
    """
    if SHARE not in batch:
        return logits
    own, partners = (logits / temperature).log_softmax(1).chunk(2)
    share = batch[SHARE].to(own.dtype)
    return temperature * torch.logaddexp(own + share.log(), partners + (1 - share).log())
