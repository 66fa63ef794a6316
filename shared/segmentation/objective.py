"""What a network learns from: the masks, and a teacher's logits of the same pictures."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from shared.segmentation.losses import MaskLoss, add_up_divergence
from shared.tiles import IGNORE

LEAST = 1e-12  # by what is divided at least: a step without a pixel that counts has the loss 0
Batch = dict[str, Tensor]  # image (N, 3, H, W) as the network takes it, mask (N, H, W)


@dataclass(frozen=True)
class Objective:
    """The loss of a batch, whole or added up over its parts.

    Attributes:
        masks: loss against the masks.
        teacher: (N, 3, H, W) pictures to (N, K, H, W) logits; None learns from masks alone.
        alpha: weight of the masks; 1 - alpha is the weight of the teacher.
        temperature: softens both sides of what is learned from the teacher.
    """

    masks: MaskLoss
    teacher: nn.Module | None = None
    alpha: float = 1.0
    temperature: float = 1.0

    def __call__(self, logits: Tensor, batch: Batch) -> Tensor:
        """() the loss of a whole batch with its (N, K, H, W) logits."""
        return self.add_up(logits, batch, self.weigh(batch))

    def weigh(self, batch: Batch) -> Tensor:
        """(2,) by what the sums over the masks and over the teacher's logits are divided."""
        known = (batch["mask"] != IGNORE).sum().float()
        return torch.stack([self.masks.weigh(batch["mask"]), known])

    def add_up(self, logits: Tensor, batch: Batch, divisors: Tensor) -> Tensor:
        """() the share of a part of a step in its loss.

        Args:
            logits: (N, K, H, W) of the part.
            batch: the part.
            divisors: (2,) sum of `weigh` over all parts of the step.
        """
        hard, soft = divisors.clamp_min(LEAST)
        loss = self.masks.add_up(logits, batch["mask"]) / hard
        if self.teacher is None:
            return loss
        with torch.no_grad():
            taught = self.teacher(batch["image"])
        apart = add_up_divergence(logits, taught, batch["mask"], self.temperature)
        return self.alpha * loss + (1 - self.alpha) * apart / soft
