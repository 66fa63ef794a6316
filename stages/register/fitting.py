"""The epochs of a registration network, and what is measured after each of them."""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from shared import progress, registration
from shared.training.data import order
from shared.training.loop import checkpoints, single
from shared.training.records import events
from stages.register.images import Images, draw_crops
from stages.register.learner import MEASURES, FlowLearner, draw_warps

HELD = 64  # pairs of validation that are enough to compare epochs
ROWS = 8  # pairs in one pass that is only looked at


def fit(
    learner: FlowLearner, images: Images, held_out: Images, crop: int, folder: Path, shown: Path
) -> None:
    """Train in place, going on from the checkpoint if it is there.

    Args:
        learner: on the CPU afterwards, with the weights of the best epoch.
        images: of the training rows.
        held_out: of the rows that choose the epoch.
        crop: pixels along a side of what a step sees.
        folder: of the checkpoint, written after every epoch; the caller removes it.
        shown: folder of what TensorBoard shows.

    Raises:
        StageError: the loss is no longer finite, or the device is not there.
    """
    with single.go_on(learner, folder) as fabric:
        place = shown if fabric.is_global_zero else None
        with events.write_to(place, {learner.name: learner.log}):
            _train(fabric, learner, (images, held_out), crop, folder)


def _train(
    fabric: Fabric, learner: FlowLearner, both: tuple[Images, Images], crop: int, folder: Path
) -> None:
    images, held_out = both
    count = len(images.both)
    steps = -(-count // learner.recipe.batch)
    whole, done = steps * learner.recipe.epochs, steps * learner.epoch
    quiet = not fabric.is_global_zero
    with progress.bar(whole, "train", unit="steps", done=done, quiet=quiet) as bar:
        while not learner.finished:
            begun = time.monotonic()
            learner.network.train()
            for step, (pairs, rows) in enumerate(_batches(fabric, learner, images, crop)):
                learner.step(fabric, {"pairs": pairs}, rows, step)
                bar.update(1)
            speed = count / (time.monotonic() - begun)
            learner.close_epoch(fabric, measure(fabric, learner, held_out))
            learner.log.end_epoch(fabric, learner.epoch, learner.history.series, speed)
            checkpoints.save(fabric, learner, folder)
            told = {name: of[-1] for name, of in learner.history.series.items()}
            bar.set_postfix_str(f"validation loss {told['validation loss']:.4f}", refresh=False)


def _batches(
    fabric: Fabric, learner: FlowLearner, images: Images, crop: int
) -> Iterator[tuple[Tensor, int]]:
    """This process's part of every step of an epoch, and the pairs of the whole step."""
    side = crop + 2 * registration.margin(learner.size.max_offset)
    side = min(side, *images.both.shape[2:])
    seed, epoch = learner.recipe.seed, learner.epoch
    rows = order.shuffle_rows(np.arange(len(images.both)), seed, epoch)
    for step, some in enumerate(order.cut_batches(rows, learner.recipe.batch)):
        drawn = draw_crops(images.both[some], side, np.random.default_rng((seed, epoch, step)))
        part = order.rows_of_process(some, fabric.global_rank, fabric.world_size)
        yield drawn[part].to(fabric.device), len(some)


@torch.inference_mode()
def measure(fabric: Fabric, learner: FlowLearner, held_out: Images) -> dict[str, float]:
    """Mean of `MEASURES`, under the same warps after every epoch; EPE where truth is known.

    Every process measures all rows and so has the same numbers.
    """
    network, sums = learner.network.eval(), np.zeros(len(MEASURES))
    for start in range(0, len(held_out.both), ROWS):
        pairs = held_out.both[start : start + ROWS].to(fabric.device)
        warps = draw_warps(pairs.shape[2:], len(pairs), learner.size, start).to(fabric.device)
        loss, terms = registration.sum_terms(network, pairs, warps, learner.size)
        sums += len(pairs) * torch.stack([loss, *terms.values()]).double().cpu().numpy()
    told = dict(zip(MEASURES, (sums / len(held_out.both)).tolist(), strict=True))
    if held_out.flow is not None:
        apart = find_flows(network, held_out.both, fabric.device) - held_out.flow
        told["EPE"] = float(apart.double().norm(dim=-1).mean())
    return told


@torch.inference_mode()
def find_flows(network: torch.nn.Module, both: Tensor, device: torch.device) -> Tensor:
    """(N, h, w, 2) flows of pairs (N, 2, h, w), on the CPU."""
    found = [network(some.to(device)).cpu() for some in both.split(ROWS)]
    return torch.cat(found).movedim(1, -1)
