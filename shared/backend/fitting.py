"""Whether tensors fit a network: names, shapes and kinds; and how nearly where they do not."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

import torch

from shared.weight_files import keys

SHOWN = 4
Tensors = dict[str, torch.Tensor]


class FileTensors(dict[str, torch.Tensor]):
    """Tensors of a file by name, and from where in it they are.

    Attributes:
        origin: which wrapper was opened and which prefixes were dropped; its own tensors are not
            kept.
    """

    origin = keys.Chosen({})

    @property
    def note(self) -> str:
        """The origin in a few words; "" where nothing was opened or dropped."""
        return self.origin.note()

    def copy_with(
        self, tensors: Mapping[str, torch.Tensor], prefixes: tuple[str, ...] | None = None
    ) -> "FileTensors":
        """Other tensors, or other names for them, from the same place.

        Args:
            tensors: by name.
            prefixes: what is dropped from the names of the file, if that changes.
        """
        made = FileTensors(tensors)
        kept = self.origin.prefixes if prefixes is None else prefixes
        made.origin = replace(self.origin, prefixes=kept)
        return made


def restore(wanted: Iterable[str], tensors: FileTensors) -> FileTensors:
    """The tensors with those of the dropped prefixes put back that the network's own names have.

    Args:
        wanted: names that the network has.
        tensors: as they were read.
    """
    own, prefixes = set(wanted), tensors.origin.prefixes
    starts = {"".join(prefixes[count:]): count for count in range(len(prefixes), -1, -1)}
    best = max(starts, key=lambda start: sum(start + name in own for name in tensors))
    names = {best + name: tensor for name, tensor in tensors.items()}
    return tensors.copy_with(names, prefixes[: starts[best]])


def main_part(tensors: FileTensors) -> FileTensors:
    """What the sizes of a network are read from: the tensors themselves in nearly all files.

    Where most names, and not all, begin with the prefix of a wrapper (a training that kept its loss
    network beside the one that it trained), it is those, without it. `misfit` then names the rest.
    """
    firsts = Counter(name.partition(".")[0] for name in tensors)
    first, count = max(firsts.items(), key=lambda item: item[1], default=("", 0))
    inner = [name for name in tensors if name.startswith(f"{first}.")]
    names, prefixes = keys.strip(inner)
    if not prefixes or 2 * count <= len(tensors):
        return tensors
    return tensors.copy_with({new: tensors[old] for new, old in names.items()})


def misfit(wanted: Mapping[str, torch.Tensor], given: Mapping[str, torch.Tensor]) -> str:
    """What keeps a state dict from fitting, in one line, with the best fit; "" when it fits.

    Args:
        wanted: what the network has.
        given: what a file has.
    """
    prefix = _best_prefix(wanted, given)
    short = {name.removeprefix(prefix): tensor for name, tensor in given.items()} if prefix else {}
    compared = short if len(short) == len(given) else given
    kinds = _compare(wanted, compared)
    if not any(kinds.values()) and compared is given:
        return ""
    listed = [f"{kind}: {list_keys(names)}" for kind, names in kinds.items() if names]
    dropped = prefix if compared is short else ""
    advice = [f"weights --src FILE --prefix {dropped} takes those alone"] if dropped else []
    return "; ".join([*listed, _count(wanted, compared, dropped, given), *advice])


def _compare(
    wanted: Mapping[str, torch.Tensor], given: Mapping[str, torch.Tensor]
) -> dict[str, list[str]]:
    both = [name for name in wanted if name in given]
    return {
        "missing": [name for name in wanted if name not in given],
        "extra": [name for name in given if name not in wanted],
        "other shape": [
            f"{name} {tuple(given[name].shape)} instead of {tuple(wanted[name].shape)}"
            for name in both if given[name].shape != wanted[name].shape
        ],
        "other type": [
            f"{name} {_type(given[name])} instead of {_type(wanted[name])}"
            for name in both
            if wanted[name].is_floating_point() and not given[name].is_floating_point()
        ],
    }  # fmt: skip


def _type(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _count(
    wanted: Mapping[str, torch.Tensor], compared: Mapping[str, torch.Tensor], dropped: str,
    given: Mapping[str, torch.Tensor],
) -> str:  # fmt: skip
    """How many keys fit, and after what."""
    fitting = sum(
        n in compared and compared[n].shape == tensor.shape for n, tensor in wanted.items()
    )
    after = [getattr(given, "note", "")] + ([f"dropping {dropped!r}"] if dropped else [])
    said = " and ".join(part for part in after if part)
    return f"{fitting} of {len(wanted)} keys fit" + (f" after {said}" if said else "")


def _best_prefix(wanted: Mapping[str, object], given: Mapping[str, object]) -> str:
    """The beginning without which most names of a file are the network's; "" is preferred."""
    counts = Counter[str]()
    for name in given:
        parts = name.split(".")
        for cut in range(len(parts)):
            if ".".join(parts[cut:]) in wanted:
                counts[name[: len(name) - len(".".join(parts[cut:]))]] += 1
    best = max(counts, key=lambda prefix: (counts[prefix], -len(prefix)), default="")
    return best if counts[best] > counts[""] else ""


def list_keys(names: Iterable[str]) -> str:
    """The first few of some keys, and how many there are."""
    return keys.join(names, SHOWN)
