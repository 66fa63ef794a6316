"""How a network is trained: the settings, and the optimiser they mean."""

from dataclasses import dataclass

import torch
from torch import nn

from shared.errors import StageError
from shared.training.groups import Plan, Validation


@dataclass(frozen=True)
class Recipe:
    """How to train.

    Attributes:
        epochs: passes over the split, at most.
        batch: rows a step, of all processes together.
        lr: learning rate.
        seed: of the order of the rows.
        optimiser: "sgd" or "adamw".
        momentum: of SGD.
        weight_decay: L2 (SGD) or decoupled (AdamW).
        cosine: whether the rate falls to zero along a cosine.
        clip: largest gradient norm, 0 for no limit.
        augment: whether training sees random views.
        device: "auto", "cpu" or "cuda".
        precision: "auto", "float32" or "bfloat16".
        keep_best: keep the epoch with the best validation accuracy instead of the last one.
        patience: epochs without a better validation accuracy after which to stop, 0 for never.
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
    precision: str = "auto"
    keep_best: bool = False
    patience: int = 0


def recipe_of(plan: Plan, *, clip: float = 0.0, augment: bool = True) -> Recipe:
    """The recipe of an ensemble.

    Args:
        plan: what its stage was asked for.
        clip: largest gradient norm, 0 for no limit.
        augment: False where there is no picture to augment.

    Raises:
        StageError: patience without rows held out.
    """
    descent, held_out, machine = plan.descent, plan.held_out, plan.machine
    check_patience(held_out)
    return Recipe(
        epochs=descent.epochs, batch=descent.batch, lr=descent.lr, seed=plan.ensemble.seed,
        momentum=descent.momentum, weight_decay=descent.weight_decay, cosine=descent.cosine,
        clip=clip, augment=plan.network.augment and augment, device=machine.device,
        precision=machine.precision, keep_best=held_out.validation > 0, patience=held_out.patience,
    )  # fmt: skip


def check_patience(held_out: Validation) -> None:
    """Refuse patience where no rows are held out to measure an epoch."""
    if held_out.patience and not held_out.validation:
        raise StageError("--patience: expected 0 without rows held out by --validation")


def build_optimiser(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """SGD or AdamW over all weights, in one pass over them a step."""
    weights, more = network.parameters(), {"weight_decay": recipe.weight_decay, "fused": True}
    if recipe.optimiser == "sgd":
        return torch.optim.SGD(weights, recipe.lr, recipe.momentum, **more)  # type: ignore[arg-type]
    return torch.optim.AdamW(weights, recipe.lr, **more)  # type: ignore[arg-type]
