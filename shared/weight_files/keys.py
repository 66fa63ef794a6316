"""Which tensors of a file are the weights: out of wrappers, without the prefixes of wrappers."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from shared.weight_files import modules as module_tree
from shared.weight_files.modules import Visits, is_module
from shared.weight_files.objects import Inert
from shared.weight_files.stored import Stored

# In the order in which they are taken: averaged weights, which are the better ones, before others.
AVERAGED = (
    "params_ema", "state_dict_ema", "model_state_dict_ema", "ema_state_dict", "model_ema",
    "ema_model", "net_g_ema", "generator_ema", "g_ema", "ema", "averaged_model", "shadow",
)  # fmt: skip
TRAINED = (
    "params", "state_dict", "model_state_dict", "model_state", "model", "net_state_dict", "net",
    "net_g", "netg", "generator", "generator_state_dict", "g", "network", "student", "weights",
    "module",
)  # fmt: skip
WRAPPERS = AVERAGED + TRAINED
PREFIXES = (
    "module", "_orig_mod", "generator", "net", "model", "student", "network", "net_g", "netG",
    "ema_model",
)  # fmt: skip
# What a training keeps beside its weights: never taken, even if nothing else has tensors.
STATE = re.compile(
    r"optim|sched|scaler|discr|net_?d($|_)|critic|criterion|loss|callbacks|loops|rng|^d($|_)", re.I
)
COUNTER = "n_averaged"  # of torch's AveragedModel, beside its module
DEPTH = 8  # wrappers in wrappers
SHOWN, WIDTH = 8, 120  # names in a message, characters of each


class UnclearError(ValueError):
    """There are tensors, and no rule says which of them are the weights."""


class ModuleError(ValueError):
    """There is a whole module where a state dict should be."""


@dataclass
class Chosen:
    """The weights in a file.

    Attributes:
        tensors: by name, without prefixes.
        wrapper: the keys that lead to them, with dots.
        others: keys beside the taken ones that would have been taken without them.
        prefixes: what was dropped from all names, in order, each with its dot.
        left: names beside them whose values are no tensors.
    """

    tensors: dict[str, Stored]
    wrapper: str = ""
    others: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    left: tuple[str, ...] = ()

    def note(self) -> str:
        """What was taken and dropped, in a few words; "" where the file holds the names alone."""
        parts = [f"taking {self.wrapper!r}"] if self.wrapper else []
        if self.others:
            parts[-1] += f" rather than {join(self.others)}"
        if self.prefixes:
            parts.append(f"dropping {''.join(self.prefixes)!r}")
        if self.left:
            parts.append(f"leaving out {join(self.left)}, no tensors")
        return " and ".join(parts)


def choose(value: Any, key: str = "", modules: bool = False) -> Chosen:
    """The weights in what a file holds.

    Args:
        value: content of a file: mappings, tensors, objects that do nothing.
        key: keys that lead to the weights, with dots; "" to go by `WRAPPERS`.
        modules: whether a whole module may be taken for the state dict that it would give.

    Raises:
        UnclearError: no tensors, or several mappings of them and no known name.
        ModuleError: a module where ``modules`` is false.
        ValueError: tensors that cannot be read, or a file made to be endless.
    """
    visits, path, others = Visits(), list[str](), list[str]()
    wanted = key.split(".") if key else []
    for _ in range(DEPTH):
        entries = open_mapping(value, modules, visits)
        inside = {name: v for name, v in entries.items() if has_tensors(v, visits)}
        step, also = _next(entries, inside, wanted)
        if not step:
            break
        path, others, value = [*path, step], [*others, *also], entries[step]
    tensors = {name: v for name, v in entries.items() if isinstance(v, Stored)}
    for name, other in entries.items():
        if isinstance(other, Inert) and "._rebuild_" in other.path:
            raise ValueError(f"{name}: a tensor that is sparse, quantised or of a rare type")
    if not tensors:
        raise UnclearError(explain(entries, inside))
    left = tuple(name for name in entries if name not in tensors)
    names, prefixes = strip(tensors)
    return Chosen(
        {new: tensors[old] for new, old in names.items()}, ".".join(path), tuple(others),
        prefixes, left,
    )  # fmt: skip


def _next(
    entries: dict[str, Any], inside: dict[str, Any], wanted: list[str]
) -> tuple[str, list[str]]:
    """The key to go on with, "" for none, and the keys that it was preferred to."""
    if wanted:
        starts = [".".join(wanted[:count]) for count in range(len(wanted), 0, -1)]
        step = next((start for start in starts if start in inside), "")
        if not step:
            raise UnclearError(f"no tensors under {wanted[0]!r}; {explain(entries, inside)}")
        del wanted[: step.count(".") + 1]
        return step, []
    by_rank = sorted(
        (name for name in inside if name.lower() in WRAPPERS),
        key=lambda name: WRAPPERS.index(name.lower()),
    )
    if by_rank:
        return by_rank[0], by_rank[1:]
    flat = any(isinstance(value, Stored) for value in entries.values())
    rest = [name for name in inside if not STATE.search(name)]
    return (rest[0], []) if len(rest) == 1 and not flat else ("", [])


def open_mapping(value: Any, modules: bool, visits: Visits) -> dict[str, Any]:
    """The entries of a mapping by text, or the state dict of a module."""
    if is_module(value):
        if not modules:
            raise ModuleError(value.path)
        return module_tree.state_dict(value, visits)
    entries = value.entries if isinstance(value, Inert) else value
    if type(entries) is not dict:
        kind = value.path if isinstance(value, Inert) else type(value).__name__
        kind = "Tensor" if isinstance(value, Stored) else kind
        raise UnclearError(f"found {kind[:80]} and no state dict")
    visits.spend(len(entries))
    return {str(key): entry for key, entry in entries.items()}


def has_tensors(value: Any, visits: Visits, depth: int = DEPTH) -> bool:
    """Whether tensors are in a mapping or in the mappings in it."""
    if is_module(value):
        return True
    entries = value.entries if isinstance(value, Inert) else value
    if type(entries) is not dict or not depth:
        return False
    if id(entries) not in visits.known:
        visits.spend(len(entries) + 1)
        visits.known[id(entries)] = False  # for mappings that are in themselves
        visits.known[id(entries)] = any(
            isinstance(v, Stored) or has_tensors(v, visits, depth - 1) for v in entries.values()
        )
    return visits.known[id(entries)]


def strip(names: Iterable[str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Names without the prefixes that all of them have, and those prefixes.

    A number never becomes the beginning of a name: ``model.0.weight`` is ESRGAN's own name.

    Returns:
        Names as they are in the file by the names without prefixes.
    """
    kept = {name: name for name in names}
    prefixes: list[str] = []
    while True:
        shared = {new: old for new, old in kept.items() if new != COUNTER}
        first = next(iter(shared), "").partition(".")[0]
        rest = [new.removeprefix(f"{first}.") for new in shared]
        whole = all(new.startswith(f"{first}.") for new in shared)
        if first not in PREFIXES or not whole or any(new[:1].isdigit() or not new for new in rest):
            break
        kept = dict(zip(rest, shared.values(), strict=True))
        prefixes.append(f"{first}.")
    return kept, tuple(prefixes)


def explain(entries: dict[str, Any], inside: dict[str, Any]) -> str:
    """What a file holds, by its keys."""
    if not entries:
        return "found an empty mapping"
    unknown = ", none of which is known to be the weights" if inside else " and no tensors"
    listed = join(f"{k} (with tensors)" if k in inside else k for k in entries)
    return f"found the keys {listed}{unknown}"


def join(names: Iterable[str], most: int = SHOWN) -> str:
    """Some names for a message, and how many there are."""
    listed = [name if name.isprintable() else ascii(name) for name in names]
    shown = ", ".join(name[:WIDTH] for name in listed[:most])
    return f"{shown}, … ({len(listed)})" if len(listed) > most else shown
