"""Losses of masks, as sums over pictures or pixels and what these sums are divided by.

A step may go through the network in parts. What is divided by follows from the masks of the whole
step alone, so that the gradients of its parts add up to those of the step at once. All of them
leave out pixels with IGNORE. Computed in single precision, whatever the network computes in.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from shared.tiles import IGNORE

Kind = Literal["ce", "dice", "focal"]


@dataclass(frozen=True)
class MaskLoss:
    """How far logits are from masks.

    Attributes:
        weights: (K,) of the classes, on any device: they are taken to that of the masks.
        kind: ce (cross-entropy), dice (1 - the overlap of each class that a picture has, Milletari
            2016) or focal (cross-entropy, less of what is right already, Lin 2017).
        smoothing: of the labels, 0 to 1, of ce.
        gamma: of focal: 0 is cross-entropy.
    """

    weights: Tensor
    kind: Kind = "ce"
    smoothing: float = 0.0
    gamma: float = 2.0

    def weigh(self, masks: Tensor) -> Tensor:
        """() by what the sum over these (N, H, W) masks is divided: it adds up over parts."""
        weights = self.weights.to(masks.device)
        if self.kind == "dice":
            return (self._present(masks) * weights).sum(1).gt(0).float().sum()
        known = masks[masks != IGNORE].long()
        return weights[known].double().sum().float()

    def add_up(self, logits: Tensor, masks: Tensor) -> Tensor:
        """() the sum; divided by `weigh` of the whole step it is the loss.

        Args:
            logits: (N, K, H, W).
            masks: (N, H, W) class numbers, or IGNORE.
        """
        logits, masks = logits.float(), masks.long()
        if self.kind == "dice":
            return self._add_up_dice(logits, masks)
        # One row a pixel: the kernel for rows adds up alike every time, on a GPU too.
        rows = logits.permute(0, 2, 3, 1).reshape(-1, logits.shape[1])
        truth = masks.reshape(-1)
        if self.kind == "focal":
            return self._add_up_focal(rows, truth)
        return functional.cross_entropy(
            rows, truth, self.weights.to(truth.device), ignore_index=IGNORE, reduction="sum",
            label_smoothing=self.smoothing,
        )  # fmt: skip

    def _add_up_focal(self, rows: Tensor, truth: Tensor) -> Tensor:
        plain = functional.cross_entropy(rows, truth, ignore_index=IGNORE, reduction="none")
        known = truth.where(truth != IGNORE, 0)  # plain is 0 where it is ignored
        factor = self.weights.to(truth.device)[known]
        return (factor * (1 - (-plain).exp()).clamp_min(0) ** self.gamma * plain).sum()

    def _add_up_dice(self, logits: Tensor, masks: Tensor) -> Tensor:
        """Of each picture the weighted mean over its own classes, one smoothed pixel each."""
        known = (masks != IGNORE).unsqueeze(1)
        said = logits.softmax(1) * known
        truth = functional.one_hot(masks.where(masks != IGNORE, 0), logits.shape[1])
        truth = truth.permute(0, 3, 1, 2) * known
        overlap, both = (said * truth).sum((2, 3)), (said + truth).sum((2, 3))
        apart = 1 - (2 * overlap + 1) / (both + 1)
        weights = self._present(masks) * self.weights.to(masks.device)
        return ((apart * weights).sum(1) / weights.sum(1).clamp_min(1e-12)).sum()

    def _present(self, masks: Tensor) -> Tensor:
        """(N, K) 1 where a picture has a class, else 0."""
        numbers = torch.arange(len(self.weights), device=masks.device)
        return (masks.flatten(1)[:, :, None] == numbers).any(1).float()


def add_up_divergence(logits: Tensor, teacher: Tensor, masks: Tensor, temperature: float) -> Tensor:
    """() KL divergence of pixels from a teacher to a student, both softened; Hinton 2015.

    Times the square of the temperature, which keeps its gradients as large as those of labels.

    Args:
        logits: (N, K, H, W) of the student.
        teacher: (N, K, H, W) logits.
        masks: (N, H, W); where IGNORE is, what the teacher says does not count either, as there
            may be no picture at all.
        temperature: of both.
    """
    wanted = (teacher.float() / temperature).log_softmax(1)
    said = (logits.float() / temperature).log_softmax(1)
    apart = (wanted.exp() * (wanted - said)).sum(1)
    return (apart * (masks != IGNORE)).sum() * temperature**2
