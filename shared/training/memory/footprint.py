"""How much memory a training step takes, known before the first one.

Two and four rows go through the network. What autograd keeps for the backward pass grows with the
rows, so two sizes give the bytes per row, and the bytes of any batch follow.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import torch
from lightning.fabric import Fabric
from torch import Tensor, nn

from shared.training.data import Batch, Split
from shared.training.loop import Learner

FEW, MORE = 2, 4  # rows of the two trials; batch norm needs two
GIGABYTE = 1e9


@dataclass(frozen=True)
class Event:
    """What happens to memory in a forward pass.

    Attributes:
        kind: "enter" a module, "keep" a tensor for the backward pass, or "leave" a module.
        running: names of the modules that are running, from the network to the innermost one.
        sizes: bytes by address: of the storages that enter, the one that is kept, the results.
    """

    kind: Literal["enter", "keep", "leave"]
    running: tuple[str, ...]
    sizes: dict[int, int]


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


def estimate(fabric: Fabric, learner: Learner, split: Split) -> Estimate:
    """Measure a network on a few rows; its weights, buffers and random numbers stay as they are.

    Args:
        fabric: device and precision.
        learner: begun.
        split: training rows, of which the first are used.
    """
    few, more = (_watch(fabric, learner, split[np.arange(n) % len(split)]) for n in (FEW, MORE))

    def per_row(of: Callable[[list[Event]], int]) -> float:
        return max(0.0, (of(more) - of(few)) / (MORE - FEW))

    names = {name for event in more for name in event.running}
    inside = {name: per_row(partial(_kept_inside, name=name)) for name in names}
    segments = tuple(choose_segments(learner.network, inside))
    weights = sum(p.numel() * p.element_size() for p in learner.network.parameters())
    copies = 2 if learner.recipe.optimiser == "sgd" else 3  # gradient, and one or two means
    stored = per_row(peak)
    recomputed = per_row(partial(peak, segments=frozenset(segments)))
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


def _kept_inside(events: list[Event], name: str) -> int:
    """Bytes that a module keeps; the network is called ""."""
    kept = [event for event in events if event.kind == "keep" and name in event.running]
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


def _watch(fabric: Fabric, learner: Learner, batch: Batch) -> list[Event]:
    network, device = learner.network, fabric.device
    batch = {name: of.to(device) for name, of in batch.items()}
    own = {of.untyped_storage().data_ptr() for of in (*network.parameters(), *network.buffers())}
    events: list[Event] = []
    with unchanged(network), _recorded(network, events, own), fabric.autocast():
        scores = learner.logits(batch)
    del scores  # and with it the graph that holds what was counted
    return events


@contextmanager
def unchanged(network: nn.Module) -> Iterator[None]:
    """Buffers, such as the means of batch norm, and random numbers are afterwards as before."""
    before = {name: of.clone() for name, of in network.named_buffers()}
    with torch.random.fork_rng():
        yield
    with torch.no_grad():
        for name, of in network.named_buffers():
            of.copy_(before[name])


@contextmanager
def _recorded(network: nn.Module, events: list[Event], own: set[int]) -> Iterator[None]:
    """While it is active, what happens to memory is noted, module by module."""
    running: list[str] = []
    seen = set(own)
    alive: list[Tensor] = []  # so that no address is used twice

    def note(kind: Literal["enter", "keep", "leave"], value: object) -> None:
        tensors = _tensors(value)
        alive.extend(tensors)
        storages = [tensor.untyped_storage() for tensor in tensors]
        sizes = {storage.data_ptr(): storage.nbytes() for storage in storages}
        events.append(Event(kind, tuple(running), sizes))

    def enter(name: str, given: object) -> None:
        running.append(name)
        note("enter", given)

    def leave(result: object) -> None:
        note("leave", result)
        running.pop()

    def pack(tensor: Tensor) -> Tensor:
        if (place := tensor.untyped_storage().data_ptr()) not in seen:
            seen.add(place)
            note("keep", tensor)
        return tensor

    with ExitStack() as stack:
        for name, module in network.named_modules():
            before = module.register_forward_pre_hook(lambda _, given, n=name: enter(n, given))
            after = module.register_forward_hook(lambda _, __, result: leave(result))
            stack.callback(before.remove)
            stack.callback(after.remove)
        stack.enter_context(torch.autograd.graph.saved_tensors_hooks(pack, lambda kept: kept))
        yield


def _tensors(value: object) -> list[Tensor]:
    if isinstance(value, (list, tuple)):
        return [tensor for part in value for tensor in _tensors(part)]
    return [value] if isinstance(value, Tensor) else []
