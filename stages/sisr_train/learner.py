"""The network in training: its losses, and a step that several processes share.

Weights, history, checkpoints and the choice of the epoch are those of
`shared.training.loop.Learner`. Its step is not: it takes rows with one label each.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts

from shared.sisr_networks import Enlarger
from shared.training.loop import Learner, Recipe
from shared.training.loop import recipe as recipes
from stages.sisr_train.objective import Objective
from stages.sisr_train.prepared import Batch

NAME, MONITOR = "network", "PSNR"


@dataclass(frozen=True)
class Restarts:
    """When the learning rate starts again.

    Attributes:
        t_0: steps of the first period.
        t_mult: how much longer each period is than the one before.
    """

    t_0: int
    t_mult: int


class PairLearner(Learner):
    """A super-resolution network and how far it is.

    Args:
        network: trained in place.
        objective: what it learns from.
        recipe: how.
        restarts: of the learning rate.
        seed: of what is drawn.
    """

    def __init__(
        self, network: Enlarger, objective: Objective, recipe: Recipe, restarts: Restarts, seed: int
    ) -> None:
        def refuse(*_: object) -> Tensor:
            raise TypeError("the objective takes a network and a batch")

        super().__init__(NAME, network, nn.Identity(), refuse, recipe, seed=seed)
        self.objective, self.restarts = objective, restarts

    def begin(self, fabric: Fabric, state: dict[str, Any] | None = None) -> None:
        """Move to the device, make the optimiser; gradients are shared in `step`."""
        self.network.to(fabric.device)
        self.optimiser = recipes.build_optimiser(self.network, self.recipe)
        steps = CosineAnnealingWarmRestarts(self.optimiser, self.restarts.t_0, self.restarts.t_mult)
        self.schedule: Any = steps
        if state:
            self.optimiser.load_state_dict(state["optimiser"])
            steps.load_state_dict(state["schedule"])
        self.totals = torch.zeros(2, dtype=torch.float64, device=fabric.device)

    def step(self, fabric: Fabric, batch: Batch, rows: int, step: int) -> None:
        """One step of the optimiser; nothing is drawn in it.

        Args:
            fabric: where.
            batch: this process's part, standardised.
            rows: of the whole step, in all processes.
            step: number in the epoch.
        """
        with fabric.autocast():
            loss, _ = self.objective.measure(self.network, batch)
        self.descend(fabric, loss, loss, Share.of(fabric, len(batch["input"]), rows))

    def descend(self, fabric: Fabric, loss: Tensor, whole: Tensor, share: "Share") -> None:
        """Follow a loss, and count another one.

        Args:
            fabric: where.
            loss: () that is noted.
            whole: () whose gradient is followed.
            share: of this process in the step.
        """
        self.optimiser.zero_grad()
        whole.backward()
        share_gradients(fabric, self.network, share)
        self.log.step(loss, self.optimiser.param_groups[0]["lr"])
        self.optimiser.step()
        self.schedule.step()
        self.totals += share.weigh(loss)

    def close_epoch(self, fabric: Fabric, held_out: float) -> None:
        """Note the loss of the epoch and the PSNR on the validation rows; keep the best weights.

        Raises:
            StageError: the loss is no longer finite.
        """
        told = {"loss": take_mean(fabric, self.totals), **self.more(fabric)}
        self.note_epoch(told, {MONITOR: held_out})

    def more(self, fabric: Fabric) -> dict[str, float]:
        """Further measures of the epoch that has ended, the same in every process."""
        del fabric
        return {}

    def note_epoch(self, train: Any, held_out: Any) -> None:
        """As every learner; a PSNR that is no number is a training that ran away, too."""
        finite = all(np.isfinite(value) for value in held_out.values())
        super().note_epoch(train if finite else {"loss": float("nan")}, held_out)


def take_mean(fabric: Fabric, totals: Tensor) -> float:
    """The mean of an epoch over all processes; its sums (2,), of values and weights, become 0."""
    whole = totals.clone()
    if fabric.world_size > 1:
        whole = fabric.all_reduce(whole, reduce_op="sum")
    total, weight = whole.tolist()
    totals.zero_()
    return float(total / weight) if weight else 0.0


@dataclass(frozen=True)
class Share:
    """What a process has of a step.

    Attributes:
        rows: that it stands for; those of all processes sum to the rows of the step.
        whole: rows of the step.
    """

    rows: float
    whole: int

    @classmethod
    def of(cls, fabric: Fabric, rows: int, whole: int) -> "Share":
        """The share of a process that sees so many rows; of a small step, each one sees all."""
        return cls(whole / fabric.world_size if rows == whole else rows, whole)

    def weigh(self, loss: Tensor) -> Tensor:
        """(2,) a loss times the rows it stands for, and these."""
        value = loss.detach().double()
        return torch.stack([value * self.rows, value.new_tensor(self.rows)])


def share_gradients(fabric: Fabric, network: nn.Module, share: Share) -> None:
    """Make the gradient of each process that of the whole step.

    Args:
        fabric: its processes.
        network: whose gradient is that of a mean over the rows of this process.
        share: of this process.
    """
    if fabric.world_size == 1:
        return
    for tensor in network.parameters():
        if tensor.grad is not None:
            mine = tensor.grad * (share.rows / share.whole)
            tensor.grad.copy_(fabric.all_reduce(mine, reduce_op="sum"))
