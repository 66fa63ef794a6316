"""The state dict of a pickled torch.nn.Module, by what every module keeps, without its class."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from shared.weight_files.objects import Inert

LAYERS = 64  # modules in modules
VISITS = 200_000  # entries that are looked at


@dataclass
class Visits:
    """How many entries may still be looked at: a small file can nest them without end.

    Attributes:
        left: entries.
        known: whether a mapping, by its identity, has tensors in it.
    """

    left: int = VISITS
    known: dict[int, bool] = field(default_factory=dict)

    def spend(self, count: int) -> None:
        """Count entries; ValueError when they are too many."""
        self.left -= count
        if self.left < 0:
            raise ValueError("it nests its entries without end")


def is_module(value: Any) -> bool:
    """Whether it has what every torch.nn.Module has."""
    state = value.state if isinstance(value, Inert) else None
    return type(state) is dict and {"_parameters", "_modules"} <= state.keys()


def state_dict(module: Inert, visits: Visits) -> dict[str, Any]:
    """What ``module.state_dict()`` would give: parameters and buffers by name.

    Raises:
        ValueError: no module, or one that is in itself.
    """
    return dict(_walk(module, "", visits, LAYERS))


def _walk(module: Any, prefix: str, visits: Visits, depth: int) -> Iterator[tuple[str, Any]]:
    visits.spend(1)
    if not is_module(module) or not depth:
        raise ValueError(f"{prefix[:80]}: a module that is none, or too deep")
    state = module.state
    passing = _entries(state, "_non_persistent_buffers_set")
    for kind in ("_parameters", "_buffers"):
        for name, value in _entries(state, kind):
            visits.spend(1)
            if value is not None and (name, name) not in passing:
                yield f"{prefix}{name}", value
    for name, child in _entries(state, "_modules"):
        if child is not None:
            yield from _walk(child, f"{prefix}{name}.", visits, depth - 1)


def _entries(state: dict[str, Any], kind: str) -> list[tuple[Any, Any]]:
    """Pairs of a mapping; of a set, which was read as a sequence, each member twice."""
    value = state.get(kind, {})
    value = value.entries if isinstance(value, Inert) else value
    if type(value) in (list, tuple):
        return [(name, name) for name in value]
    return list(value.items()) if type(value) is dict else []
