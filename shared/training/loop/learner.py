"""One network in training: its optimiser, what happens in a step and after an epoch."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from shared.errors import StageError
from shared.training.data import Batch, add_views, mix, over_labels, rows_of_process
from shared.training.loop.history import History
from shared.training.loop.recipe import Recipe, build_optimiser, build_schedule, step_schedule
from shared.training.loop.selection import Measured
from shared.training.records import events

Loss = Callable[[Tensor, Batch], Tensor]
Weights = dict[str, Tensor]


class Learner:
    """A network, how it sees a batch, its loss, and how far it is.

    Args:
        name: of its checkpoint.
        network: trained in place.
        view: stored batch to its first input.
        loss: (logits, batch) to a mean.
        recipe: how.
        seed: of views and dropout.
        features: name in a batch of its second input, if it has one.
        beside: networks that the loss asks of every batch, such as teachers.

    Attributes:
        epoch: epochs that are done.
        history: values per epoch.
        log: what TensorBoard shows.
        best: monitored value and weights of the best epoch.
        large_steps: whether a step takes so much memory that it takes long, too.
    """

    def __init__(
        self, name: str, network: nn.Module, view: nn.Module, loss: Loss, recipe: Recipe,
        *, seed: int, features: str = "", beside: Sequence[nn.Module] = (),
    ) -> None:  # fmt: skip
        # Channels last: a sixth faster on a CPU, and what half precision on a GPU wants.
        self.network = network.to(memory_format=torch.channels_last)
        self.name, self.view, self.loss = name, view, loss
        self.recipe, self.seed, self.features = recipe, seed, features
        self.beside = tuple(beside)
        self.epoch, self.history, self.log = 0, History(), events.Log()
        self.best: tuple[float, Weights] = (math.nan, {})
        self.totals = torch.zeros(3)
        self.wrapped: Any = network
        self.large_steps = False

    def begin(self, fabric: Fabric, state: dict[str, Any] | None = None) -> None:
        """Move to the device, make the optimiser; several processes share gradients from here.

        Args:
            fabric: where.
            state: what `resume` took, for the optimiser and its rate.
        """
        self.network.to(fabric.device)
        self.view.to(fabric.device)
        self.optimiser = build_optimiser(self.network, self.recipe)
        self.schedule = build_schedule(self.optimiser, self.recipe)
        if state:
            self.optimiser.load_state_dict(state["optimiser"])
            self.schedule.load_state_dict(state["schedule"])
        # The wrapped optimiser only adds half precision's scaling, which bfloat16 does not need.
        self.wrapped, _ = fabric.setup(self.network, self.optimiser)
        self.totals = torch.zeros(3, dtype=torch.float64, device=fabric.device)

    def step(self, fabric: Fabric, batch: Batch, rows: int, step: int) -> None:
        """One step of the optimiser; what it draws depends on seed, epoch and step alone.

        Args:
            fabric: where.
            batch: this process's part; with mixup, and then the partners of its rows.
            rows: of the whole batch, in all processes.
            step: number in the epoch.
        """
        seed = hash((self.seed, self.epoch, step)) % 2**63
        part: Any = rows_of_process(np.arange(rows), fabric.global_rank, fabric.world_size)
        if pairing := self.recipe.pairing(rows, self.epoch, step):
            batch, part = pairing.mark(batch), pairing.places(part)
        batch = add_views(self.view, self.recipe.augment, batch, seed, rows, part)
        torch.manual_seed(seed + fabric.global_rank)  # of dropout
        logits = self.logits(batch, self.wrapped)
        loss = self.loss(logits, batch)
        # Processes are averaged, though one may have a row more than another.
        weight = len(logits) * fabric.world_size / rows if len(logits) < rows else 1.0
        self.optimiser.zero_grad()
        fabric.backward(loss * weight)
        if self.recipe.clip:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip)
        self.log.step(loss, self.optimiser.param_groups[0]["lr"])
        self.optimiser.step()
        said, count = logits.argmax(1), len(logits)
        hits = over_labels(lambda label: (said == label).sum(), batch)
        self.totals += torch.stack([loss.detach() * count, hits, torch.full_like(loss, count)])

    def logits(self, batch: Batch, network: nn.Module | None = None) -> Tensor:
        """(B, K) logits of a stored batch; a second input comes as it is stored."""
        images = self.view(batch)
        if images.ndim == 4:
            images = images.contiguous(memory_format=torch.channels_last)
        second = [mix(batch[self.features].float(), batch)] if self.features else []
        scores: Tensor = (network or self.network)(images, *second)
        return scores

    def end_epoch(self, fabric: Fabric, measured: Measured | None) -> None:
        """Note losses and accuracies of the epoch; keep the weights if they are the best so far.

        Args:
            fabric: where.
            measured: on the rows held out, if there are any.

        Raises:
            StageError: the loss is no longer finite.
        """
        loss, hits, count = fabric.all_reduce(self.totals, reduce_op="sum").tolist()
        self.totals.zero_()
        held_out = measured._asdict() if measured else {}
        self.note_epoch({"loss": loss / count, "accuracy": hits / count}, held_out)

    def note_epoch(self, train: Mapping[str, float], held_out: Mapping[str, float]) -> None:
        """Count an epoch that has ended; keep its weights if they are the best so far.

        Args:
            train: measures of the epoch's batches, the loss among them.
            held_out: measures on the rows held out, in their order; empty without such rows.

        Raises:
            StageError: the loss is no longer finite.
        """
        self.epoch += 1
        if not np.isfinite(train["loss"]):
            raise StageError(f"{self.name}: training diverged in epoch {self.epoch}; lower --lr")
        for split, measures in (("train", train), ("validation", held_out)):
            for name, value in measures.items():
                self.history.add(f"{split} {name}", value)
        if held_out and self.history.ends_best(self.recipe) and self._chooses:
            weights = self.network.state_dict()  # cloned: the next step changes them in place
            kept = {name: of.detach().cpu().clone() for name, of in weights.items()}
            self.best = (self.history.monitored(self.recipe)[-1], kept)
        step_schedule(self.schedule, self.recipe, held_out.get(self.recipe.plateau.follows))

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or `patience` of them without a better one."""
        since = self.history.epochs_since_best(self.recipe)
        waited = bool(self.recipe.patience) and since >= self.recipe.patience
        return self.epoch >= self.recipe.epochs or waited

    @property
    def kept(self) -> int:
        """Epoch, counted from 1, whose weights were chosen; 0 where the last one's are kept."""
        return self.history.best(self.recipe) + 1 if self.best[1] else 0

    @property
    def _chooses(self) -> bool:
        """Whether the best epoch is handed on instead of the last one."""
        return self.recipe.keep_best or bool(self.recipe.patience)

    def state(self) -> dict[str, Any]:
        """All that is needed to go on."""
        return {
            "network": self.network.state_dict(), "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(), "epoch": self.epoch,
            "history": self.history.series, "best": self.best,
            "log": self.log.state(),
        }  # fmt: skip

    def resume(self, state: dict[str, Any]) -> None:
        """Weights, epoch and history of a checkpoint; `begin` takes the rest."""
        self.network.load_state_dict(state["network"])
        self.epoch, self.best = state["epoch"], state["best"]
        self.history = History(state["history"])
        self.log.resume(state.get("log"))
        if measured := self.history.series.get("validation accuracy"):  # before there was a loss
            self.history.series.setdefault("validation loss", [math.nan] * len(measured))

    def end(self) -> None:
        """The network as it is handed on: on the CPU, evaluating, the best epoch if wanted."""
        if self._chooses and self.best[1]:
            self.network.load_state_dict(self.best[1])
        self.network.cpu().eval()
        self.wrapped = self.network
