"""Epochs over prepared rows, each measured on the validation rows."""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from lightning_fabric import Fabric

from shared import progress
from shared.training.data import order as orders
from shared.training.loop import checkpoints, single
from shared.training.records import events
from stages.sisr_train.learner import PairLearner
from stages.sisr_train.measuring import measure
from stages.sisr_train.objective import Scale
from stages.sisr_train.parts import Cutter
from stages.sisr_train.prepared import Batch, Prepared


class Rows:
    """What training sees: prepared rows, random parts of them, standardised.

    Args:
        prepared: rows with `input`, `target` and maybe `coarser`.
        cutter: which parts.
        scale: of the bands.
    """

    def __init__(self, prepared: Prepared, cutter: Cutter, scale: Scale) -> None:
        self.prepared, self.cutter, self.scale = prepared, cutter, scale

    def __len__(self) -> int:
        return len(self.prepared)

    def draw(self, fabric: Fabric, learner: PairLearner) -> Iterator[tuple[Batch, int]]:
        """This process's part of every step of an epoch, and the rows of the whole step."""
        recipe, epoch = learner.recipe, learner.epoch
        order = orders.shuffle_rows(np.arange(len(self)), recipe.seed, epoch)
        batches = orders.cut_batches(order, recipe.batch)

        def read() -> Iterator[tuple[Batch, int]]:
            for step, rows in enumerate(batches):
                drawn = self.cutter.draw(len(rows), (recipe.seed, epoch, step))
                part = orders.rows_of_process(rows, fabric.global_rank, fabric.world_size)
                yield self.cutter.cut(self.prepared.get(rows[part]), drawn[part]), len(rows)

        for batch, count in orders.prefetch(read()):
            placed = {name: images.to(fabric.device) for name, images in batch.items()}
            yield {name: self.scale.standardise(of) for name, of in placed.items()}, count


def fit(
    learner: PairLearner, train: Rows, held_out: Prepared, folder: Path, shown: Path | None = None
) -> None:
    """Train a network in place, going on from its checkpoint if it is there.

    Args:
        learner: on the CPU afterwards, with the weights of the best epoch.
        train: rows to train on.
        held_out: rows that choose the epoch.
        folder: of the checkpoint, written after every epoch; the caller removes it.
        shown: folder of what TensorBoard shows.

    Raises:
        StageError: the loss is no longer finite, or the device is not there.
    """
    with single.go_on(learner, folder) as fabric:
        place = shown if fabric.is_global_zero else None
        with events.write_to(place, {learner.name: learner.log}):
            _epochs(fabric, learner, train, held_out, folder)


def _epochs(
    fabric: Fabric, learner: PairLearner, train: Rows, held_out: Prepared, folder: Path
) -> None:
    epochs, rows = learner.recipe.epochs, len(train)
    done, border = learner.epoch * rows, learner.objective.border
    with progress.bar(epochs * rows, "train", done=done, quiet=not fabric.is_global_zero) as bar:
        while not learner.finished:
            begun = time.monotonic()
            learner.network.train()
            for step, (batch, together) in enumerate(train.draw(fabric, learner)):
                learner.step(fabric, batch, together, step)
                bar.update(together)
            learner.totals.tolist()  # a GPU has ended its steps
            speed = rows / (time.monotonic() - begun)
            errors = measure(learner.network, held_out, train.scale, border, fabric)
            learner.close_epoch(fabric, errors.psnr())
            learner.log.end_epoch(fabric, learner.epoch, learner.history.series, speed)
            checkpoints.save(fabric, learner, folder)
            told = f"epoch {learner.epoch}/{epochs} validation {errors.psnr():.2f} dB"
            bar.set_postfix_str(told, refresh=False)
