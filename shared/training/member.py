"""One network of an ensemble: what it is, what it reads and what it is trained on."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shared import models
from shared.training import networks
from shared.training.data import Split
from shared.training.loop import Learner, Loss, Recipe

Export = Callable[[nn.Module, dict[str, Tensor], Path], float]


@dataclasses.dataclass(frozen=True)
class Member:
    """One network to train.

    Attributes:
        name: "member-01", also the stem of its ONNX file.
        card: what it eats.
        network: makes it, untrained.
        view: a batch to its first input.
        loss: of its logits and a batch.
        seed: of its weights, views and dropout.
        train: training rows, the same object for all members of a pass.
        test: test rows, likewise.
        held_out: (M,) row numbers of `train_members` kept back to measure each epoch, if any.
        dropped: (D,) row numbers that are neither trained on nor measured, if any.
        image: name of its first ONNX input.
        features: name in a batch of what goes into the second ONNX input, `tda`, if there is one.
        trained: whether `network` makes one that is trained already, elsewhere.
        beside: networks that the loss asks of every batch.
        export: writes the ONNX file as `networks.to_onnx` does; the largest logit difference.
        exported: names below the product of the files that `export` writes; None: the card's file.
    """

    name: str
    card: models.Card
    network: Callable[[], nn.Module]
    view: nn.Module
    loss: Loss
    seed: int
    train: Split
    test: Split
    held_out: NDArray[np.intp] | None = None
    dropped: NDArray[np.intp] | None = None
    image: str = "image"
    features: str = ""
    trained: bool = False
    beside: tuple[nn.Module, ...] = ()
    export: Export = networks.to_onnx
    exported: tuple[str, ...] | None = None

    @property
    def files(self) -> tuple[str, ...]:
        """Names below the product of the files that hold the finished network."""
        return (self.card.file,) if self.exported is None else self.exported

    def learner(self, recipe: Recipe) -> Learner:
        """What the engine trains, with fresh weights."""
        torch.manual_seed(self.seed)
        return Learner(
            self.name, self.network(), self.view, self.loss, recipe,
            seed=self.seed, features=self.features, beside=self.beside,
        )  # fmt: skip


def example_inputs(member: Member) -> dict[str, Tensor]:
    """The first test rows by ONNX input name: the image's, and `tda` where there are features."""
    batch = member.test[np.arange(min(8, len(member.test)))]
    inputs = {member.image: member.view.cpu()(batch)}
    return inputs | ({"tda": batch[member.features].float()} if member.features else {})
