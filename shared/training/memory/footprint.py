"""How much memory a training step takes, known before the first one.

Two and four rows go through the network. What autograd keeps for the backward pass grows with the
rows, so two sizes give the bytes per row, and the bytes of any batch follow.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from lightning_fabric import Fabric
from torch import Tensor, nn

from shared.training.data import Batch, Split
from shared.training.loop import Learner
from shared.training.memory.recording import Event, recorded, unchanged

FEW, MORE = 2, 4  # rows of the two trials; batch norm needs two
GIGABYTE = 1e9


@dataclass(frozen=True)
class Estimate:
    """Bytes of a training step of B rows, to be compared with what is free.

    Attributes:
        fixed: gradients and the optimiser's state.
        stored: per row, when every intermediate result is stored.
        recomputed: per row, when those inside `segments` are computed again.
        segments: names of the modules to compute again; empty where that saves nothing.
    """

    fixed: int
    stored: float
    recomputed: float
    segments: tuple[str, ...]

    def gigabytes(self, rows: int, *, recompute: bool = False) -> float:
        """GB of a step of this many rows."""
        return (self.fixed + rows * (self.recomputed if recompute else self.stored)) / GIGABYTE


class Watched(NamedTuple):
    """What happened in one step.

    Attributes:
        events: of the network that learns.
        beside: of each network that the loss asks, without gradients.
    """

    events: list[Event]
    beside: list[list[Event]]


def estimate(fabric: Fabric, learner: Learner, split: Split) -> Estimate:
    """Measure a network on a few rows; its weights, buffers and random numbers stay as they are.

    Args:
        fabric: device and precision.
        learner: begun.
        split: training rows, of which the first are used.
    """
    few, more = (_watch(fabric, learner, split[np.arange(n) % len(split)]) for n in (FEW, MORE))

    def per_row(of: Callable[[Watched], int]) -> float:
        return max(0.0, (of(more) - of(few)) / (MORE - FEW))

    names = {name for event in more.events for name in event.running}
    inside = {name: per_row(partial(_kept_inside, name=name)) for name in names}
    segments = tuple(choose_segments(learner.network, inside))
    weights = sum(p.numel() * p.element_size() for p in learner.network.parameters())
    copies = 2 if learner.recipe.optimiser == "sgd" else 3  # gradient, and one or two means
    stored = per_row(_peak_of_step)
    recomputed = per_row(partial(_peak_of_step, segments=frozenset(segments)))
    return Estimate(copies * weights, stored, min(recomputed, stored), segments)


def peak(events: Sequence[Event], segments: frozenset[str] = frozenset()) -> int:
    """Bytes that are used at most in the backward pass.

    It goes through the events from the last to the first. At each result there are what was kept
    before it and two gradients of its size. Of a segment only what enters it is kept, and while
    it is computed again, also what it keeps inside.

    Args:
        events: of one forward pass.
        segments: names of the modules that are computed again.
    """
    outside: dict[int, int] = {}
    inside: dict[int, int] = {}
    most = 0
    for event in events:
        segment = next((name for name in event.running if name in segments), None)
        if event.kind == "enter" and segment == event.running[-1]:
            outside |= event.sizes
            inside = {}
        elif event.kind == "keep":
            place = outside if segment is None else inside
            place |= event.sizes
        elif event.kind == "leave":
            there = (outside | inside) if segment else outside
            most = max(most, sum(there.values()) + 2 * sum(event.sizes.values()))
    return most


def _peak_of_step(watched: Watched, segments: frozenset[str] = frozenset()) -> int:
    """Bytes at most: in the backward pass, or while the loss asks other networks before it."""
    beside = max((passing(events) for events in watched.beside), default=0)
    return max(peak(watched.events, segments), kept_outside(watched.events, segments) + beside)


def kept_outside(events: Sequence[Event], segments: frozenset[str]) -> int:
    """Bytes that are there between the forward and the backward pass; as `peak`."""
    sizes: dict[int, int] = {}
    for event in events:
        segment = next((name for name in event.running if name in segments), None)
        enters = event.kind == "enter" and segment == event.running[-1]
        if enters or (event.kind == "keep" and segment is None):
            sizes |= event.sizes
    return sum(sizes.values())


def passing(events: Sequence[Event]) -> int:
    """Bytes at most in a forward pass that keeps nothing: what entered the running modules."""
    entered: list[dict[int, int]] = []
    most = 0
    for event in events:
        if event.kind == "enter":
            entered.append(event.sizes)
        elif event.kind == "leave":
            there = event.sizes | {place: of for sizes in entered for place, of in sizes.items()}
            most = max(most, sum(there.values()))
            entered.pop()
    return most


def _kept_inside(watched: Watched, name: str) -> int:
    """Bytes that a module keeps; the network is called ""."""
    kept = [event for event in watched.events if event.kind == "keep" and name in event.running]
    return sum(sum(event.sizes.values()) for event in kept)


def choose_segments(network: nn.Module, inside: dict[str, float], name: str = "") -> list[str]:
    """Names of modules that do not overlap and are each worth computing again.

    Args:
        network: whole, or the part called ``name``.
        inside: bytes per row that are kept inside each module, by name; "" is the network.
        name: of the part.
    """
    children = [(f"{name}.{n}" if name else n, of) for n, of in network.named_children()]
    parts = [part for n, of in children for part in choose_segments(of, inside, n)]
    own = inside.get(name, 0.0)
    if not name or not children or not own:
        return parts
    small = own <= inside.get("", own) / 8
    covered = sum(inside[part] for part in parts)
    return [name] if small or covered < own / 2 else parts


def _watch(fabric: Fabric, learner: Learner, batch: Batch) -> Watched:
    network, device = learner.network, fabric.device
    batch = {name: of.to(device) for name, of in batch.items()}
    own = {of.untyped_storage().data_ptr() for of in (*network.parameters(), *network.buffers())}
    events: list[Event] = []
    with unchanged(network), fabric.autocast():
        with recorded(network, events, own):
            scores = learner.logits(batch)
        beside = _watch_beside(learner, scores, batch)
    del scores  # and with it the graph that holds what was counted
    return Watched(events, beside)


def _watch_beside(learner: Learner, scores: Tensor, batch: Batch) -> list[list[Event]]:
    """Events of the networks that the loss asks; their weights are on the device afterwards."""
    events: list[list[Event]] = [[] for _ in learner.beside]
    with ExitStack() as stack:
        for network, own in zip(learner.beside, events, strict=True):
            stack.enter_context(recorded(network, own, set()))
        if learner.beside:
            learner.loss(scores, batch)
    return events
