"""Less memory for the same result: parts of a network are computed again in the backward pass.

Nothing is rounded otherwise, as the same kernels see the same whole batch. Micro-batches would give
other results: batch norm takes its statistics over the batch. Source: Chen et al. 2016, "Training
deep nets with sublinear memory cost".
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from shared.backend import devices
from shared.errors import StageError
from shared.progress import say
from shared.training.data import Split
from shared.training.loop import Learner
from shared.training.memory import footprint, recording

LARGE = 2.0  # GB of a step from which the estimate is told
# Of the free memory that a step may take by its estimate: allocators and libraries take some too.
USABLE = 0.85


def fit_into_memory(fabric: Fabric, learner: Learner, split: Split, rows: int) -> None:
    """Compute parts of a network twice where a step would not fit into memory otherwise.

    Args:
        fabric: device, precision and processes.
        learner: begun; its network is changed in place until `restore`.
        split: training rows.
        rows: of the largest batch, in all processes together.

    Raises:
        StageError: a step does not fit in any way; names a batch that does.
    """
    estimate = footprint.estimate(fabric, learner, split)
    count = fabric.world_size if fabric.device.type == "cpu" else 1  # these share their memory
    have = USABLE * devices.free_memory(fabric.device) / footprint.GIGABYTE / count
    share = -(-rows // fabric.world_size)
    plain, less = (estimate.gigabytes(share, recompute=again) for again in (False, True))
    learner.large_steps = plain >= LARGE
    text = f"{learner.name}: a step of {share} rows takes about {plain:.1f} GB of memory"
    if plain <= have:
        if learner.large_steps:
            say(f"{text}; {have:.1f} GB may be used")
        return
    possible = fabric.world_size == 1 and estimate.segments and less <= have
    if not possible or not _is_exact(fabric, learner, split, estimate.segments):
        advice = _suggest(estimate, have, fabric.world_size)
        raise StageError(f"{text}, and {have:.1f} GB may be used; {advice}")
    say(f"{text}, and {have:.1f} GB may be used: {less:.1f} GB suffice when intermediate results "
        "are computed twice (same result, about a third more time)")  # fmt: skip
    recompute(learner.network, estimate.segments)


def _suggest(estimate: footprint.Estimate, have: float, processes: int) -> str:
    again = processes == 1 and bool(estimate.segments)
    fitting = [n for n in (2**k for k in range(1, 20))
               if estimate.gigabytes(n, recompute=again) <= have]  # fmt: skip
    batch = f"--batch {fitting[-1] * processes}, " if fitting else ""
    return f"use {batch}a smaller --size or a machine with more memory"


def recompute(network: nn.Module, segments: Sequence[str]) -> None:
    """Let these modules forget what they computed until the backward pass asks for it."""
    for name in segments:
        module = network.get_submodule(name)
        module.forward = _Twice(module)


def restore(network: nn.Module) -> None:
    """Undo `recompute`."""
    for module in network.modules():
        if isinstance(module.__dict__.get("forward"), _Twice):
            del module.forward


class _Twice:
    """The forward function of a module that is computed again in the backward pass."""

    def __init__(self, module: nn.Module) -> None:
        self.module, self.forward = module, module.forward

    def __call__(self, *given: object, **more: object) -> object:
        if not self.module.training or not torch.is_grad_enabled():
            return self.forward(*given, **more)
        # A dense block goes on to append to the list that it gave.
        given = tuple(list(one) if isinstance(one, list) else one for one in given)
        return checkpoint(
            self.forward, *given, use_reentrant=False,
            context_fn=lambda: (nullcontext(), _without_statistics(self.module)), **more,
        )  # fmt: skip


@contextmanager
def _without_statistics(module: nn.Module) -> Iterator[None]:
    """Batch norm does not move its running mean a second time for the same batch."""
    norms = [one for one in module.modules() if isinstance(one, _BatchNorm)]
    kept = [dict(one._buffers) for one in norms]
    for one in norms:
        one._buffers.update(
            {name: of.clone() for name, of in one._buffers.items() if of is not None}
        )
    try:
        yield
    finally:
        for one, buffers in zip(norms, kept, strict=True):
            one._buffers.update(buffers)


def _is_exact(fabric: Fabric, learner: Learner, split: Split, segments: Sequence[str]) -> bool:
    """Whether gradients and buffers of a few rows are bit for bit the same either way."""
    plain = _gradients(fabric, learner, split)
    recompute(learner.network, segments)
    try:
        again = _gradients(fabric, learner, split)
    except RuntimeError:  # of torch, when the second pass meets other shapes than the first
        return False
    finally:
        restore(learner.network)
    return all(torch.equal(one, other) for one, other in zip(plain, again, strict=True))


def _gradients(fabric: Fabric, learner: Learner, split: Split) -> list[Tensor]:
    network, rows = learner.network, np.arange(footprint.MORE) % len(split)
    batch = {name: of.to(fabric.device) for name, of in split[rows].items()}
    with recording.unchanged(network):
        torch.manual_seed(0)
        with fabric.autocast():
            value = learner.loss(learner.logits(batch), batch)
        weights = [weight for weight in network.parameters() if weight.requires_grad]
        gradients = torch.autograd.grad(value, weights, allow_unused=True)
        buffers = [of.clone() for of in network.buffers()]
    return [of for of in (*gradients, *buffers) if of is not None]
