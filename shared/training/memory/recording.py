"""What happens to memory in a forward pass, noted module by module."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn


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
def recorded(network: nn.Module, events: list[Event], own: set[int]) -> Iterator[None]:
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
