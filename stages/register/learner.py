"""One registration network in training: its step, and what an epoch leaves.

Weights, optimiser, history, checkpoints and the choice of the epoch are those of
`shared.training.loop.Learner`.
"""

from collections.abc import Mapping

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from shared import registration
from shared.training.data import Batch, rows_of_process
from shared.training.loop import Learner, Recipe

NAME = "network"
MEASURES = ("loss", *registration.TERMS)


def _no_label(said: Tensor, _: Batch) -> Tensor:
    raise AssertionError(f"a flow {tuple(said.shape)} has no label; its loss is in the step")


class FlowLearner(Learner):
    """A registration network, and how far it is.

    Args:
        network: trained in place.
        recipe: how.

    Attributes:
        size: of the network.
        sums: of `MEASURES` over the pairs of this epoch so far, and how many these are.
    """

    def __init__(self, network: registration.RegistrationNetwork, recipe: Recipe) -> None:
        super().__init__(NAME, network, nn.Identity(), _no_label, recipe, seed=recipe.seed)
        self.size = network.size
        self.sums = torch.zeros(len(MEASURES) + 1, dtype=torch.float64)

    def step(self, fabric: Fabric, batch: Batch, rows: int, step: int) -> None:
        """One step of the optimiser; its warps depend on seed, epoch and step alone.

        Args:
            fabric: where.
            batch: this process's part: `pairs` (N, 2, H, W) with their margins.
            rows: of the whole batch, in all processes.
            step: number in the epoch.
        """
        pairs = batch["pairs"]
        seed = hash((self.seed, self.epoch, step)) % 2**63
        part = rows_of_process(np.arange(rows), fabric.global_rank, fabric.world_size)
        warps = draw_warps(pairs.shape[2:], rows, self.size, seed)[part].to(pairs.device)
        loss, terms = registration.sum_terms(self.wrapped, pairs, warps, self.size)
        self.optimiser.zero_grad()
        # Processes are averaged; a step too small to be shared is seen by all of them.
        shared = len(pairs) < rows
        fabric.backward(loss * (len(pairs) * fabric.world_size / rows if shared else 1))
        self.log.step(loss, self.optimiser.param_groups[0]["lr"])
        self.optimiser.step()
        values = torch.stack([loss, *terms.values(), torch.ones_like(loss)]).detach()
        self.sums += (values * (len(pairs) if shared else rows / fabric.world_size)).cpu().double()

    def close_epoch(self, fabric: Fabric, held_out: Mapping[str, float]) -> None:
        """Note the measures of the epoch; keep the weights if they are the best so far.

        Args:
            fabric: where.
            held_out: measures on the rows held out, the loss among them.

        Raises:
            StageError: the loss is no longer finite.
        """
        *sums, pairs = fabric.all_reduce(self.sums.to(fabric.device), reduce_op="sum").tolist()
        self.sums.zero_()
        means = {name: total / pairs for name, total in zip(MEASURES, sums, strict=True)}
        self.note_epoch(means, held_out)


def draw_warps(
    sides: torch.Size | tuple[int, int], count: int, size: registration.Size, seed: int
) -> Tensor:
    """(N, H, W, 2) simulated warps, each within the reach of the network."""
    extent = registration.Extent(count, sides[0], sides[1])
    return registration.draw_warps(extent, size.max_offset, seed, torch.device("cpu"))
