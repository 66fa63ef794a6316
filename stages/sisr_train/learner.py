"""The network in training: its losses, and a step that several processes share.

Weights, history, checkpoints and the choice of the epoch are those of
`shared.training.loop.Learner`. Its step is not: it takes rows with one label each.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from lightning.fabric import Fabric
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts

from shared.sisr_networks import Enlarger
from shared.training.loop import Learner, Recipe
from shared.training.loop.recipe import build_optimiser
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


@dataclass(frozen=True)
class Scale:
    """Reflectance to what the network sees, and back.

    Attributes:
        mean: (C,) of the bands that go in and come out.
        std: (C,), above 0.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def standardise(self, images: Tensor) -> Tensor:
        """(N, C', H, W) reflectance of the first C' bands: less the mean, in deviations."""
        mean, std = self._shape(images)
        return (images - mean) / std

    def restore(self, images: Tensor) -> Tensor:
        """The inverse of `standardise`."""
        mean, std = self._shape(images)
        return images * std + mean

    def _shape(self, images: Tensor) -> tuple[Tensor, Tensor]:
        bands = images.shape[1]
        mean, std = (images.new_tensor(of[:bands]).view(1, -1, 1, 1) for of in vars(self).values())
        return mean, std


@dataclass(frozen=True)
class Objective:
    """The loss of a batch, in deviations of the bands.

    Attributes:
        border: output pixels at each side that do not count.
        wald: weight of the bands without a reference.
    """

    border: int
    wald: float = 1.0

    def measure(self, network: nn.Module, batch: Batch) -> Tensor:
        """() smooth L1 of the bands with a reference, plus that of the others by Wald's protocol.

        Each of the two is a mean over its bands.

        Args:
            network: (N, C, h, w) to (N, C, f·h, f·w).
            batch: standardised `input`, `target` of the first bands, and where the others count
                `coarser`, the input of pixels f times as large.
        """
        bands = batch["target"].shape[1]
        made = network(batch["input"])[:, :bands]
        loss = self._compare(made, batch["target"])
        if "coarser" in batch:
            restored = network(batch["coarser"])[:, bands:]
            loss = loss + self.wald * self._compare(restored, batch["input"][:, bands:])
        return loss

    def _compare(self, made: Tensor, wanted: Tensor) -> Tensor:
        ours, theirs = (cut_border(images.float(), self.border) for images in (made, wanted))
        return functional.smooth_l1_loss(ours, theirs)


def cut_border(images: Tensor, border: int) -> Tensor:
    """(N, C, H, W) without this many pixels at each side."""
    high, wide = images.shape[-2:]
    return images[..., border : high - border, border : wide - border]


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
        self.optimiser = build_optimiser(self.network, self.recipe)
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
        count = len(batch["input"])
        with fabric.autocast():
            loss = self.objective.measure(self.network, batch)
        self.optimiser.zero_grad()
        loss.backward()
        share_gradients(fabric, self.network, count / rows)
        self.log.step(loss, self.optimiser.param_groups[0]["lr"])
        self.optimiser.step()
        self.schedule.step()
        self.totals += torch.stack([loss.detach().double() * count, loss.new_tensor(count)])

    def close_epoch(self, fabric: Fabric, held_out: float) -> None:
        """Note the loss of the epoch and the PSNR on the validation rows; keep the best weights.

        Raises:
            StageError: the loss is no longer finite.
        """
        totals = self.totals
        if fabric.world_size > 1:
            totals = fabric.all_reduce(totals.clone(), reduce_op="sum")
        loss, count = totals.tolist()
        self.totals = torch.zeros_like(self.totals)
        self.note_epoch({"loss": loss / count}, {MONITOR: held_out})

    def note_epoch(self, train: Any, held_out: Any) -> None:
        """As every learner; a PSNR that is no number is a training that ran away, too."""
        finite = all(np.isfinite(value) for value in held_out.values())
        super().note_epoch(train if finite else {"loss": float("nan")}, held_out)


def share_gradients(fabric: Fabric, network: nn.Module, share: float) -> None:
    """Make the gradient of each process that of the whole step.

    Args:
        fabric: its processes.
        network: whose gradient is that of a mean over the rows of this process.
        share: of the rows of the step; the shares of all processes sum to 1, or are all 1 where a
            step is too small to be parted.
    """
    if fabric.world_size == 1:
        return
    total = float(fabric.all_reduce(torch.tensor(share, device=fabric.device), reduce_op="sum"))
    for tensor in network.parameters():
        if tensor.grad is not None:
            mine = tensor.grad * (share / total)
            tensor.grad.copy_(fabric.all_reduce(mine, reduce_op="sum"))
