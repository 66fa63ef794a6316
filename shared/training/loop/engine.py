"""The training engine: several networks in one pass over the rows, the same from the same seed.

Every random draw comes from (seed, epoch, step), so a run that was killed and goes on equals one
that was not, and networks trained together equal those trained apart.
"""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray

from shared.training.data import Batch, Split, add_views, iterate_on, place_split
from shared.training.data import order as orders
from shared.training.loop import checkpoints, selection
from shared.training.loop.display import EpochProgress
from shared.training.loop.learner import Learner
from shared.training.loop.recipe import Recipe
from shared.training.memory import recompute
from shared.training.parallel import distributed
from shared.training.records import events

ROWS = 256  # of a batch that is only looked at; not --batch, which may need gigabytes


def fit(
    learners: Sequence[Learner],
    split: Split,
    recipe: Recipe,
    folder: Path,
    held_out: NDArray[np.intp] | None = None,
    shown: Path | None = None,
    *,
    dropped: NDArray[np.intp] | None = None,
) -> None:
    """Train networks in place, going on from their checkpoints if they are there.

    Args:
        learners: each goes through the same batches; on the CPU afterwards.
        split: training rows.
        recipe: how; what it says of seeds is that of the order of the rows.
        folder: of the checkpoints, NAME.ckpt, written after every epoch; the caller removes them.
        held_out: (M,) rows that are not trained on but measured after each epoch.
        dropped: (D,) rows that are neither trained on nor measured.
        shown: folder of what TensorBoard shows, a folder for each network in it.

    Raises:
        StageError: the loss is no longer finite, the device is not there, or a step does not fit
            into memory.
    """
    fabric = distributed.launch(recipe.device, recipe.precision)
    states = fabric.broadcast([checkpoints.read(folder, one.name) for one in learners])
    waiting, split = [], place_split(split, fabric.device)  # before free memory is measured
    with distributed.deterministic(fabric):
        for learner, state in zip(learners, states, strict=True):
            if state:
                learner.resume(state)
            if not learner.finished:
                learner.begin(fabric, state)
                rows = min(recipe.batch, len(split))
                recompute.fit_into_memory(fabric, learner, split, rows)
                waiting.append(learner)
        logs = {one.name: one.log for one in learners}
        with events.write_to(shown if fabric.is_global_zero else None, logs):
            trained = orders.rows_without(len(split), held_out, dropped)
            _epochs(fabric, waiting, split, recipe, folder, rows=trained, held_out=held_out)
    for learner in learners:
        recompute.restore(learner.network)
        learner.end()


def _epochs(
    fabric: Fabric,
    learners: list[Learner],
    split: Split,
    recipe: Recipe,
    folder: Path,
    *,
    rows: NDArray[np.intp],
    held_out: NDArray[np.intp] | None,
) -> None:
    balanced, labels = recipe.balance, split.extra["label"].cpu().numpy()
    progress = EpochProgress(learners, len(rows), recipe.epochs, quiet=not fabric.is_global_zero)
    with progress as show, show.within_steps([one for one in learners if one.large_steps]):
        for epoch in range(min((one.epoch for one in learners), default=0), recipe.epochs):
            active = [one for one in learners if one.epoch == epoch and not one.finished]
            if not active:
                continue
            begun = time.monotonic()
            for learner in active:
                learner.network.train()
            chosen = orders.draw_balanced(rows, labels, recipe.seed, epoch) if balanced else rows
            order = orders.shuffle_rows(chosen, recipe.seed, epoch, split.at_once)
            batches = orders.cut_batches(order, recipe.batch, trained=True)
            for step, batch in enumerate(_parts(fabric, split, batches, recipe, epoch)):
                for learner in active:
                    learner.step(fabric, batch, len(batches[step]), step)
                show.step(active, len(batches[step]))
            torch.stack([one.totals for one in active]).tolist()  # a GPU has ended its steps
            speed = sum(map(len, batches)) / (time.monotonic() - begun)
            measured = _measure(fabric, active, split, recipe, held_out)
            for learner, values in zip(active, measured, strict=True):
                learner.end_epoch(fabric, values)
                learner.log.end_epoch(fabric, learner.epoch, learner.history.series, speed)
                checkpoints.save(fabric, learner, folder)
            show.epoch(active)


def _parts(
    fabric: Fabric, split: Split, batches: list[NDArray[np.intp]], recipe: Recipe, epoch: int
) -> Iterator[Batch]:
    """This process's part of every batch, on the device, the next one on its way."""
    parts = []
    for step, rows in enumerate(batches):
        part = orders.rows_of_process(rows, fabric.global_rank, fabric.world_size)
        pairing = recipe.pairing(len(rows), epoch, step)
        parts.append(rows[pairing.places(part) if pairing else part])
    return iterate_on(split, parts, fabric.device)


def _measure(
    fabric: Fabric, learners: Sequence[Learner], split: Split, recipe: Recipe,
    held_out: NDArray[np.intp] | None,
) -> Sequence[selection.Measured | None]:  # fmt: skip
    """Of each network on the rows held out, in one pass; the same numbers in every process."""
    if held_out is None or not len(held_out):
        return [None] * len(learners)
    truth = split.extra["label"].cpu().numpy()[held_out]
    said = compute_logits(learners, split, recipe, held_out)
    measured: list[selection.Measured] = fabric.broadcast(
        [selection.measure(logits, truth) for logits in said]
    )
    return measured


def compute_logits(
    learners: Sequence[Learner],
    split: Split,
    recipe: Recipe,
    rows: NDArray[np.intp] | None = None,
    views: bool = False,
) -> list[NDArray[np.float32]]:
    """(N, K) logits of each network for these rows, or all, in order, in evaluation mode.

    In full single precision on every device, as the ONNX file is compared with them on a CPU.

    Args:
        learners: the networks.
        split: whose rows they are.
        recipe: where.
        rows: (N,) row numbers; None for all.
        views: whether they see random views, each its own; else the plain view.
    """
    device = distributed.launch(recipe.device, recipe.precision).device
    modes = [learner.network.training for learner in learners]
    for learner in learners:
        learner.network.to(device).eval()
        learner.view.to(device)
    order = orders.cut_batches(np.arange(len(split)) if rows is None else rows, ROWS)
    said: list[list[torch.Tensor]] = [[] for _ in learners]
    with torch.inference_mode(), distributed.without_tf32():
        for step, batch in enumerate(iterate_on(split, order, device)):
            for learner, parts in zip(learners, said, strict=True):
                if views:  # of an epoch that training has not seen
                    seed = hash((learner.seed, recipe.epochs, step)) % 2**63
                    rows_here = len(batch["label"])
                    seen = add_views(learner.view, recipe.augment, batch, seed, rows_here)
                parts.append(learner.logits(seen if views else batch).float().cpu())
    for learner, training in zip(learners, modes, strict=True):
        learner.network.train(training)
    return [torch.cat(parts).numpy() for parts in said]
