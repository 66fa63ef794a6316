"""The training of a segmentation network: epochs over a tile file, measured on another one.

A loop of its own, as `shared.training.loop.engine` keeps the scores of all rows held out in memory,
which are maps here; it shares its processes, checkpoints, event files and care for memory.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray

from shared import models
from shared.segmentation import data
from shared.segmentation.groups import Views
from shared.segmentation.learner import MaskLearner, count_pairs, summarise
from shared.segmentation.objective import Batch
from shared.training.data import Split
from shared.training.loop import checkpoints, display, single
from shared.training.memory import recompute
from shared.training.parallel import distributed
from shared.training.records import events, profiles

TRIED = 4  # tiles by which memory is estimated


@dataclass(frozen=True)
class Sight:
    """How stored tiles become what the network takes.

    Attributes:
        views: what is drawn of them.
        card: mean and deviation of the network's input.
    """

    views: Views
    card: models.Card

    def see(self, some: data.Tiles) -> Batch:
        """Random views as they were drawn; whole tiles where none were."""
        if some.drawn is None:
            images, masks = data.see_plain(some.image, some.mask, self.views)
        else:
            images, masks = data.augment(some.image, some.mask, some.drawn)
        return {"image": data.normalise(images, self.card.mean, self.card.std), "mask": masks}

    def rows_at_once(self, stream: data.TileStream, rows: int) -> int:
        """Whole tiles that have about as many pixels as this many views of training."""
        side = self.views.crop if self.views.augment == "resized" else stream.side
        seen = stream.side if self.views.augment == "none" else self.views.crop
        return max(1, rows * seen**2 // side**2)


@dataclass(frozen=True)
class Measured:
    """Of one network on the tiles of a file.

    Attributes:
        matrix: (K, K) pixels, row = true class, column = predicted class.
        loss: against the masks, over all pixels or tiles alike.
    """

    matrix: NDArray[np.int64]
    loss: float

    def summarise(self) -> dict[str, float]:
        """What is followed over the epochs."""
        return {"loss": self.loss} | summarise(self.matrix)


def fit(
    learner: MaskLearner, train: data.TileStream, held_out: data.TileStream, sight: Sight,
    folder: Path, shown: Path | None = None, *, profiled: Path | None = None,
) -> None:  # fmt: skip
    """Train a network in place, going on from its checkpoint if it is there.

    Args:
        learner: on the CPU afterwards, with the weights of the best epoch.
        train: tiles to train on.
        held_out: tiles that choose the epoch and the rate.
        sight: what the network sees of them.
        folder: of the checkpoint, written after every epoch; the caller removes it.
        shown: folder of what TensorBoard shows.
        profiled: folder of a profile of some steps, if one is wanted.

    Raises:
        StageError: the loss is no longer finite, the device is not there, or a step does not fit
            into memory.
    """
    with single.go_on(learner, folder) as fabric:
        if not learner.finished:
            rows = min(learner.rows, len(train))
            recompute.fit_into_memory(fabric, learner, _sample(train, sight), rows)
        if not fabric.is_global_zero:
            shown = profiled = None
        with (
            events.write_to(shown, {learner.name: learner.log}),
            profiles.profile_steps(profiled, fabric.device) as end_step,
        ):
            _epochs(fabric, learner, (train, held_out), sight, folder, end_step)
        recompute.restore(learner.network)


def _epochs(
    fabric: Fabric, learner: MaskLearner, streams: tuple[data.TileStream, data.TileStream],
    sight: Sight, folder: Path, end_step: Callable[[], None],
) -> None:  # fmt: skip
    train, held_out = streams
    recipe, quiet = learner.recipe, not fabric.is_global_zero
    progress = display.EpochProgress([learner], len(train), recipe.epochs, quiet=quiet)
    with progress as show, show.within_steps([learner] if learner.large_steps else []):
        while not learner.finished:
            begun, rows = time.monotonic(), 0
            learner.network.train()
            for step, (batch, together) in enumerate(_batches(fabric, learner, train, sight)):
                learner.step(fabric, batch, together, step)
                end_step()
                show.step([learner], together)
                rows += together
            learner.totals.tolist()  # a GPU has ended its steps
            speed = rows / (time.monotonic() - begun)
            measured = measure(learner, held_out, sight)
            learner.close_epoch(fabric, measured.summarise())
            learner.log.end_epoch(fabric, learner.epoch, learner.history.series, speed)
            checkpoints.save(fabric, learner, folder)
            show.epoch([learner])


def _batches(
    fabric: Fabric, learner: MaskLearner, train: data.TileStream, sight: Sight
) -> Iterator[tuple[Batch, int]]:
    """This process's part of every step of an epoch, and the tiles of the whole step."""
    recipe = learner.recipe
    plan = data.Pass(
        recipe.seed, learner.epoch, recipe.batch, fabric.global_rank, fabric.world_size
    )
    for some in train.train(plan, sight.views, fabric.device):
        yield sight.see(some), some.together


def measure(learner: MaskLearner, stream: data.TileStream, sight: Sight) -> Measured:
    """Counts and loss on all tiles of a file, in evaluation mode, shared by all processes.

    In full single precision on every device, as the ONNX file is compared with them on a CPU.
    """
    fabric = distributed.launch(learner.recipe.device, learner.recipe.precision)
    device, network, masks = fabric.device, learner.network, learner.objective.masks
    training = network.training
    network.to(device).eval()
    matrix = torch.zeros((learner.classes, learner.classes), dtype=torch.float64, device=device)
    sums = torch.zeros(2, dtype=torch.float64, device=device)
    own = np.arange(fabric.global_rank, len(stream), fabric.world_size)
    at_once = sight.rows_at_once(stream, learner.rows)
    batches = [own[start : start + at_once] for start in range(0, len(own), at_once)]
    with torch.inference_mode(), distributed.without_tf32():
        for some in stream.read(batches, device):
            batch = sight.see(some)
            logits = learner.logits(batch)
            matrix += count_pairs(logits, batch["mask"])
            sums += torch.stack([masks.add_up(logits, batch["mask"]), masks.weigh(batch["mask"])])
    network.train(training)
    if fabric.world_size > 1:
        matrix, sums = (fabric.all_reduce(of, reduce_op="sum") for of in (matrix, sums))
    loss, weight = sums.tolist()
    return Measured(matrix.cpu().numpy().astype(np.int64), loss / max(weight, 1e-12))


def _sample(train: data.TileStream, sight: Sight) -> Split:
    """A few views as training sees them, for an estimate of memory."""
    rows = np.arange(TRIED) % len(train)
    drawn = data.draw_views(sight.views, TRIED, train.side, (0, 0, 0))
    some = train[rows]
    batch = sight.see(data.Tiles(rows, some.image, some.mask, drawn))
    return Split({}, {"label": torch.arange(TRIED), **batch})
