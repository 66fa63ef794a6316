"""A network under Lightning: what happens in a step and after an epoch."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor, nn

from shared.errors import StageError
from shared.learn.split import Batch
from shared.learn.view import View

Loss = Callable[[Tensor, Batch], Tensor]
Measure = Callable[[], float]


@dataclass(frozen=True)
class Recipe:
    """How to train.

    Attributes:
        epochs: passes over the split.
        batch: rows a step.
        lr: learning rate.
        seed: of weights, order, views, dropout.
        optimiser: "sgd" or "adamw".
        momentum: of SGD.
        weight_decay: L2 (SGD) or decoupled (AdamW).
        cosine: whether the rate falls to zero along a cosine.
        clip: largest gradient norm, 0 for no limit.
        augment: whether training sees random views.
        device: "auto", "cpu" or "cuda".
        precision: Lightning's name: "32-true", "bf16-mixed", "16-mixed".
        keep_best: keep the epoch with the best validation accuracy instead of the last one.
    """

    epochs: int
    batch: int
    lr: float
    seed: int
    optimiser: str = "sgd"
    momentum: float = 0.9
    weight_decay: float = 1e-4
    cosine: bool = False
    clip: float = 0.0
    augment: bool = True
    device: str = "auto"
    precision: str = "32-true"
    keep_best: bool = False


@dataclass
class History:
    """Values per epoch, by quantity: "train loss", "train accuracy", "validation accuracy"."""

    series: dict[str, list[float]] = field(default_factory=dict)

    def add(self, quantity: str, value: float) -> None:
        """Append one epoch's value."""
        self.series.setdefault(quantity, []).append(value)


class Learner(lightning.LightningModule):
    """A network, its view of the data and its loss, as Lightning wants them."""

    def __init__(
        self, network: nn.Module, view: View, loss: Loss, recipe: Recipe, measure: Measure | None
    ) -> None:
        super().__init__()
        self.network, self.view, self.loss, self.recipe = network, view, loss, recipe
        self.measure = measure
        self.history = History()
        self.best: tuple[float, dict[str, Tensor]] = (-1.0, {})
        self.totals = torch.zeros(3, dtype=torch.float64)

    def forward(self, batch: Batch, generator: torch.Generator | None = None) -> Tensor:
        """(N, K) logits of a stored batch."""
        return apply(self.network, self.view, batch, generator)

    def on_train_epoch_start(self) -> None:
        """Start counting."""
        self.totals.zero_()

    def training_step(self, batch: Batch, step: int) -> Tensor:
        """Mean loss of one batch; what it draws depends on seed, epoch and step alone."""
        seed = hash((self.recipe.seed, self.current_epoch, step)) % 2**63
        torch.manual_seed(seed)  # of dropout; a loader made anew draws from the same generator
        generator = torch.Generator().manual_seed(seed) if self.recipe.augment else None
        logits = self(batch, generator)
        loss = self.loss(logits, batch)
        hits, count = (logits.argmax(1) == batch["label"]).sum().item(), len(logits)
        self.totals += torch.tensor([loss.item() * count, hits, count])
        return loss

    def on_train_epoch_end(self) -> None:
        """Note loss and accuracy of the epoch; keep the weights if they are the best so far."""
        loss, hits, count = self.totals.tolist()
        if not np.isfinite(loss):
            raise StageError(f"training diverged in epoch {self.current_epoch + 1}; lower --lr")
        self.history.add("train loss", loss / count)
        self.history.add("train accuracy", hits / count)
        if self.measure is not None:
            accuracy = self.measure()
            self.history.add("validation accuracy", accuracy)
            if self.recipe.keep_best and accuracy > self.best[0]:
                weights = self.network.state_dict()
                self.best = (accuracy, {k: v.detach().cpu().clone() for k, v in weights.items()})

    def configure_optimizers(self) -> Any:
        """SGD or AdamW, with a cosine over the whole run when asked for."""
        recipe, weights = self.recipe, self.network.parameters()
        optimiser: torch.optim.Optimizer
        if recipe.optimiser == "adamw":
            optimiser = torch.optim.AdamW(weights, recipe.lr, weight_decay=recipe.weight_decay)
        else:
            optimiser = torch.optim.SGD(
                weights, recipe.lr, recipe.momentum, weight_decay=recipe.weight_decay
            )
        if not recipe.cosine:
            return optimiser
        return [optimiser], [torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, recipe.epochs)]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """History and best weights travel with the checkpoint."""
        checkpoint["history"], checkpoint["best"] = self.history.series, self.best

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take them up again."""
        self.history, self.best = History(checkpoint["history"]), checkpoint["best"]


def apply(
    network: nn.Module, view: View, batch: Batch, generator: torch.Generator | None = None
) -> Tensor:
    """Logits of a stored batch; networks with a topological branch take it as second input."""
    images = view(batch, generator)
    return network(images, batch["tda"].float()) if "tda" in batch else network(images)
