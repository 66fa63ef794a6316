"""How a network is trained: the settings, and the optimiser they mean."""

from dataclasses import dataclass

import torch
from torch import nn


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
        precision: "auto", "32-true" or "bf16-mixed".
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


def optimiser(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """SGD or AdamW over all weights, in one pass over them a step."""
    weights, more = network.parameters(), {"weight_decay": recipe.weight_decay, "fused": True}
    if recipe.optimiser == "sgd":
        return torch.optim.SGD(weights, recipe.lr, recipe.momentum, **more)  # type: ignore[arg-type]
    return torch.optim.AdamW(weights, recipe.lr, **more)  # type: ignore[arg-type]
