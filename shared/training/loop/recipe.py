"""How a network is trained: the settings, and the optimiser and the learning rate they mean."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, ReduceLROnPlateau

from shared.errors import StageError
from shared.training.data import mixing
from shared.training.groups import Descent, Plan, Validation

PLATEAU = "--schedule=plateau: needs rows held out by --validation"
OPTIMISERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}


@dataclass(frozen=True)
class Plateau:
    """When a learning rate falls that follows a measured value.

    Attributes:
        factor: by which the rate falls.
        patience: epochs without a better value that it endures.
        lowest: rate below which it does not fall.
        follows: "loss", of which less is better, or another measure, of which more is.
    """

    factor: float = 0.5
    patience: int = 2
    lowest: float = 0.0
    follows: str = "loss"


@dataclass(frozen=True)
class Recipe:
    """How to train.

    Attributes:
        epochs: passes over the split, at most.
        batch: rows a step, of all processes together.
        lr: learning rate, at the beginning.
        seed: of the order of the rows.
        optimiser: "sgd", "adamw" or "adam".
        momentum: of SGD.
        weight_decay: L2 (SGD, Adam) or decoupled (AdamW).
        schedule: of the learning rate: "constant", "cosine" falls to zero over the epochs, and
            "plateau" falls where the validation loss stays.
        clip: largest gradient norm, 0 for no limit.
        augment: which random views training sees: "none", "lcz", "sharp" or "overhead".
        balance: whether an epoch draws its rows so that classes are alike likely.
        mixup: alpha of the Beta distribution of the shares in which rows are mixed; 0 mixes none.
        device: "auto", "cpu" or "cuda".
        precision: "auto", "float32" or "bfloat16".
        keep_best: keep the epoch that is best on the rows held out instead of the last one.
        patience: epochs without a better one after which to stop, 0 for never.
        monitor: by which an epoch is better: validation "accuracy" or "loss", or what else a
            learner measures, of which more is better.
        min_improvement: an epoch is better by more than this only.
        plateau: how the rate falls with schedule "plateau".
    """

    epochs: int
    batch: int
    lr: float
    seed: int
    optimiser: str = "sgd"
    momentum: float = 0.9
    weight_decay: float = 1e-4
    schedule: str = "constant"
    clip: float = 0.0
    augment: str = "sharp"
    balance: bool = False
    mixup: float = 0.0
    device: str = "auto"
    precision: str = "auto"
    keep_best: bool = False
    patience: int = 0
    monitor: str = "accuracy"
    min_improvement: float = 0.0
    plateau: Plateau = Plateau()

    def pairing(self, rows: int, epoch: int, step: int) -> mixing.Pairing | None:
        """With what the rows of a batch are mixed, if they are; see `mixing.draw_pairing`."""
        if not self.mixup:
            return None
        return mixing.draw_pairing(rows, self.mixup, self.seed, epoch, step)


def recipe_of(plan: Plan, *, clip: float = 0.0, augment: bool = True) -> Recipe:
    """The recipe of an ensemble.

    Args:
        plan: what its stage was asked for.
        clip: largest gradient norm, 0 for no limit.
        augment: False where there is no picture to augment.

    Raises:
        StageError: flags that do not go together, such as patience without rows held out.
    """
    descent, held_out, machine = plan.descent, plan.held_out, plan.machine
    schedule = _choose_schedule(descent)
    check_held_out(held_out, schedule)
    if descent.optimiser != "sgd" and descent.momentum != Descent.momentum:
        raise StageError(f"--momentum: concerns --optimiser sgd, found {descent.optimiser}")
    return Recipe(
        epochs=descent.epochs, batch=descent.batch, lr=descent.lr, seed=plan.ensemble.seed,
        optimiser=descent.optimiser, momentum=descent.momentum, weight_decay=descent.weight_decay,
        schedule=schedule, clip=clip, device=machine.device, balance=plan.sampling.balance,
        mixup=plan.sampling.mixup, augment=plan.network.augment if augment else "none",
        precision=machine.precision,
        keep_best=held_out.validation > 0,
        patience=held_out.patience, monitor=held_out.monitor,
        min_improvement=held_out.min_improvement,
    )  # fmt: skip


def _choose_schedule(descent: Descent) -> str:
    """--cosine is what --schedule cosine was called before; old products are known by it."""
    if not descent.cosine:
        return descent.schedule
    if descent.schedule != "constant":
        raise StageError(
            f"--cosine: the earlier name of --schedule cosine, found --schedule {descent.schedule} "
            "beside it; give --schedule alone"
        )
    return "cosine"


def check_held_out(held_out: Validation, schedule: str) -> None:
    """Refuse what needs measured epochs where no rows are held out to measure them.

    Args:
        held_out: which rows are.
        schedule: of the learning rate.

    Raises:
        StageError: names the flag.
    """
    if held_out.validation:
        return
    for name in ("patience", "min_improvement", "monitor"):
        plain = getattr(Validation, name)
        if getattr(held_out, name) != plain:
            raise StageError(f"--{name}: expected {plain} without rows held out by --validation")
    if schedule == "plateau":
        raise StageError(f"{PLATEAU}; any share above 0 will do where the file marks rows")


def build_optimiser(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """SGD, AdamW or Adam over all weights, in one pass over them a step."""
    weights, more = network.parameters(), {"weight_decay": recipe.weight_decay, "fused": True}
    if recipe.optimiser == "sgd":
        return torch.optim.SGD(weights, recipe.lr, recipe.momentum, **more)  # type: ignore[arg-type]
    return OPTIMISERS[recipe.optimiser](weights, recipe.lr, **more)  # type: ignore[arg-type]


def build_schedule(
    optimiser: torch.optim.Optimizer, recipe: Recipe
) -> CosineAnnealingLR | ReduceLROnPlateau:
    """What changes the learning rate after an epoch; of a constant one, no step is ever taken.

    On a plateau the rate falls, by default to the half, after more epochs in a row than `patience`,
    by default two, whose validation loss is not below the lowest one by a ten-thousandth of it:
    torch's rule and its words.
    """
    if recipe.schedule == "plateau":
        of = recipe.plateau
        mode: Literal["min", "max"] = "min" if of.follows == "loss" else "max"
        return ReduceLROnPlateau(optimiser, mode, of.factor, of.patience, min_lr=of.lowest)
    return CosineAnnealingLR(optimiser, recipe.epochs)


def step_schedule(
    schedule: CosineAnnealingLR | ReduceLROnPlateau, recipe: Recipe, value: float | None
) -> None:
    """Take the rate to the next epoch.

    Args:
        schedule: as `build_schedule` made it.
        recipe: how.
        value: that a plateau follows, of the epoch on the rows held out, if there are any.

    Raises:
        StageError: there are none, and the rate follows their value.
    """
    if recipe.schedule == "cosine":
        schedule.step()
    if recipe.schedule == "plateau":
        if value is None:
            raise StageError(f"{PLATEAU}, and its share is less than one row of each class")
        schedule.step(value)
