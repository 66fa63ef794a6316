"""A network that learns to restore, step by step, under Lightning."""

import math
from typing import Any

import numpy as np
import pytorch_lightning
import torch
from torch import nn
from torch.nn import functional

from stages.sr_train.pairs import Pairs

WARM_UP = 0.05  # part of the steps in which the rate grows


class Trainee(pytorch_lightning.LightningModule):
    """A network and its batches, which are drawn on its device and depend on seed and step only.

    Attributes:
        moves: optimiser steps in one step of the training.
    """

    moves = 1

    def __init__(
        self, network: nn.Module, pairs: Pairs, *, steps: int, batch: int, lr: float, seed: int
    ) -> None:
        super().__init__()
        self.network, self.steps, self.batch, self.lr, self.seed = network, steps, batch, lr, seed
        self.register_buffer("low", torch.from_numpy(pairs.low), persistent=False)
        self.register_buffer("high", torch.from_numpy(pairs.high), persistent=False)

    def draw(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """(batch, K, h, w) and (batch, K, H, W): random bands, turned and mirrored together."""
        rng = np.random.default_rng((self.seed, step))
        index = torch.from_numpy(rng.integers(len(self.low), size=self.batch)).to(self.low.device)
        turns, mirror = int(rng.integers(4)), bool(rng.integers(2))
        pair = [torch.rot90(part[index], turns, (2, 3)) for part in (self.low, self.high)]
        low, high = [part.flip(3) for part in pair] if mirror else pair
        return low, high

    def training_step(self, *_: Any) -> torch.Tensor | None:
        """L1 between restored and true bands."""
        low, high = self.draw(self.global_step)
        return functional.l1_loss(self.network(low), high)

    def configure_optimizers(self) -> Any:
        """Adam as SwinIR was trained, its rate warmed up and then brought to zero by a cosine."""
        optimizer, schedule = self.optimizer(self.network)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def optimizer(self, network: nn.Module) -> tuple[torch.optim.Optimizer, Any]:
        """Adam for the parameters of a network, and the course of its rate."""
        optimizer = torch.optim.Adam(network.parameters(), self.lr, betas=(0.9, 0.99))
        warm = max(1, int(self.steps * WARM_UP))

        def rate(step: int) -> float:
            return min(1.0, (step + 1) / warm) * (1 + math.cos(math.pi * step / self.steps)) / 2

        return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
