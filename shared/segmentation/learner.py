"""One segmentation network in training: a step in parts, counts of pixels, what an epoch leaves.

Weights, optimiser, history, checkpoints and the choice of the epoch are those of
`shared.training.loop.Learner`. Its step is not: it takes rows with one label each, and their mean.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor, nn

from shared import tiles
from shared.segmentation.objective import Batch, Objective
from shared.segmentation.pyramids import Segmenter
from shared.training.data import order
from shared.training.loop import Learner, Recipe

NAME = "network"
MONITOR = "IoU"  # of the data set, by which an epoch is better and the rate falls


class Prepared(nn.Module):
    """A batch whose pictures are what the network takes already."""

    def forward(self, batch: Batch) -> Tensor:
        """(N, 3, H, W) float32."""
        return batch["image"]


class MaskLearner(Learner):
    """A segmentation network, its objective, and how far it is.

    Args:
        network: trained in place.
        objective: what it learns from.
        recipe: how; its batch is that of a step.
        seed: of dropout and dropped paths.
        classes: K.
        parts: passes through the network of a step, one after the other, of equal size.

    Attributes:
        matrix: (K, K) pixels of this epoch so far, row = true class, column = predicted.
    """

    def __init__(
        self, network: Segmenter, objective: Objective, recipe: Recipe, *, seed: int, classes: int,
        parts: int = 1,
    ) -> None:  # fmt: skip
        beside = () if objective.teacher is None else (objective.teacher,)
        super().__init__(NAME, network, Prepared(), objective, recipe, seed=seed, beside=beside)
        self.objective, self.classes = objective, classes
        self.rows = -(-recipe.batch // parts)
        self.matrix = torch.zeros((classes, classes), dtype=torch.int64)

    def begin(self, fabric: Fabric, state: dict[str, Any] | None = None) -> None:
        """As every learner; the teacher and the counts are on the device, too."""
        super().begin(fabric, state)
        for network in self.beside:
            network.to(fabric.device)
        self.matrix = self.matrix.to(fabric.device)

    def step(self, fabric: Fabric, batch: Batch, rows: int, step: int) -> None:
        """One step of the optimiser, whose gradient is that of the whole batch at once.

        Args:
            fabric: where.
            batch: this process's part of the step.
            rows: of the whole step, in all processes.
            step: number in the epoch.
        """
        torch.manual_seed(hash((self.seed, self.epoch, step)) % 2**63 + fabric.global_rank)
        divisors = _share(fabric, self.objective.weigh(batch))
        loss = torch.zeros((), device=fabric.device)
        self.optimiser.zero_grad()
        for part in cut(batch, count_passes(rows, self.rows, fabric.world_size)):
            logits = self.logits(part, self.wrapped)
            share = self.objective.add_up(logits, part, divisors)
            fabric.backward(share * fabric.world_size)  # processes are averaged
            loss += share.detach()
            self.matrix += count_pairs(logits.detach(), part["mask"])
        if self.recipe.clip:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip)
        self.log.step(loss * fabric.world_size, self.optimiser.param_groups[0]["lr"])
        self.optimiser.step()
        # Sums over the processes are those of the step: each knows a part of the loss.
        known = divisors[1]
        own = (batch["mask"] != tiles.IGNORE).sum()
        self.totals += torch.stack([loss * known, self.matrix.trace() - self.totals[1], own])

    def close_epoch(self, fabric: Fabric, held_out: Mapping[str, float]) -> None:
        """Note the measures of the epoch; keep the weights if they are the best so far.

        Args:
            fabric: where.
            held_out: measures on the tiles held out, `MONITOR` among them.

        Raises:
            StageError: the loss is no longer finite.
        """
        loss, _, pixels = _share(fabric, self.totals).tolist()
        matrix = _share(fabric, self.matrix).cpu().numpy().copy()  # else it is zeroed below, too
        self.totals.zero_()
        self.matrix.zero_()
        self.note_epoch({"loss": loss / max(pixels, 1)} | summarise(matrix), held_out)


def summarise(matrix: NDArray[np.int64]) -> dict[str, float]:
    """The measures of a (K, K) matrix of pixels that are followed over the epochs."""
    said = tiles.measure(matrix, tuple(map(str, range(len(matrix)))))
    return {
        MONITOR: said["mean_iou"], "accuracy": said["pixel_accuracy"],
        "precision": said["macro_precision"], "recall": said["macro_recall"],
        "F1": said["macro_f1"],
    }  # fmt: skip


def count_pairs(logits: Tensor, masks: Tensor) -> Tensor:
    """(K, K) pixels with each pair of true class (row) and predicted class (column).

    Args:
        logits: (N, K, H, W).
        masks: (N, H, W) class numbers, or `tiles.IGNORE`: such pixels count nowhere.
    """
    classes = logits.shape[1]
    pairs = torch.where(
        masks != tiles.IGNORE, masks.long() * classes + logits.argmax(1), classes**2
    )
    counts = torch.bincount(pairs.flatten(), minlength=classes**2 + 1)
    return counts[: classes**2].view(classes, classes)


def count_passes(rows: int, most: int, processes: int) -> int:
    """Passes of a step, the same in every process: each pass ends with the sum of all gradients.

    Args:
        rows: of the whole step.
        most: rows of a pass, in all processes together; more only where a process has too few rows
            to give one to every pass.
        processes: that share the step as `order.rows_of_process` says.
    """
    least = min(
        len(range(rows)[order.rows_of_process(np.arange(rows), rank, processes)])
        for rank in range(processes)
    )
    return min(-(-rows // most), least)


def cut(batch: Batch, count: int) -> Iterator[Batch]:
    """A batch in this many parts of nearly equal size; it has as many rows or more."""
    for part in np.array_split(np.arange(len(batch["mask"])), count):
        yield {name: of[part[0] : part[-1] + 1] for name, of in batch.items()}


def _share(fabric: Fabric, values: Tensor) -> Tensor:
    """The sum over all processes; the values themselves where there is one."""
    if fabric.world_size == 1:
        return values
    total: Tensor = fabric.all_reduce(values.clone(), reduce_op="sum")
    return total
