"""Weights as tensors, fitted to a network key by key; `weight_files` reads the files."""

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from shared import progress
from shared.backend.fitting import FileTensors, Tensors, list_keys, main_part, misfit, restore
from shared.errors import StageError
from shared.weight_files import keys, reader, stored

__all__ = [
    "WRAPPERS", "FileTensors", "Tensors", "ends", "fit", "length", "list_keys", "main_part",
    "misfit", "read", "restore", "say", "size",
]  # fmt: skip

WRAPPERS = keys.WRAPPERS


def read(path: Path) -> FileTensors:
    """Tensors by name out of a file of weights, told by its content and not by its name.

    Wrappers such as "params_ema" or "state_dict" are opened, and prefixes that all names have, such
    as "module.", are dropped; `say` tells which. Numbers with a fraction become float32.

    Raises:
        StageError: cut short, NaN in it, a pickled module, or no rule says what in it the weights
            are.
    """
    content = reader.read(path)
    tensors = FileTensors({name: _to_torch(array) for name, array in content.arrays.items()})
    for name, tensor in tensors.items():
        if content.arrays[name].kind == "F64" and not tensor.isfinite().all():
            raise StageError(f"{path}: {name}: expected values that float32 holds, found larger")
    tensors.origin = replace(content.chosen, tensors={})
    return tensors


def _to_torch(array: stored.Array) -> torch.Tensor:
    tensor = torch.from_numpy(array.values)
    if array.kind == "BF16":
        tensor = tensor.view(torch.bfloat16)
    return tensor.float() if tensor.is_floating_point() else tensor


def say(path: Path, tensors: FileTensors) -> None:
    """One line on stderr where a wrapper was opened or a prefix dropped, once for each file."""
    if tensors.note:
        _say_once(f"{path}: weights read by {tensors.note}")


@functools.cache
def _say_once(line: str) -> None:
    progress.say(line)


def fit(
    path: Path, network: nn.Module, tensors: Mapping[str, torch.Tensor], what: str,
    rename: Callable[[str], str] = str,
) -> None:  # fmt: skip
    """Put tensors into a network, every one of them and no other.

    Args:
        path: where they are from, for the message.
        network: takes them.
        tensors: by name.
        what: name of the network, for the message.
        rename: a name of the network's own to the one that the tensors have.

    Raises:
        StageError: says which keys are missing, extra, of another shape or no numbers with a
            fraction, and how many fit.
    """
    wanted = {rename(name): tensor for name, tensor in network.state_dict().items()}
    given = restore(wanted, tensors if isinstance(tensors, FileTensors) else FileTensors(tensors))
    if fault := misfit(wanted, given):
        raise StageError(f"{path}: not {what} weights: {fault}")
    own = {name: given[rename(name)] for name in network.state_dict()}
    network.load_state_dict(own, strict=True)
    say(path, given)


def size(tensors: Tensors, layer: str, axis: int, otherwise: int) -> int:
    """Length of an axis of a layer's weight, or of its bias; a guess where both are missing."""
    shapes = [
        tensors[key].shape for part in ("weight", "bias") if (key := f"{layer}.{part}") in tensors
    ]
    return next((shape[axis] for shape in shapes if len(shape) > axis and shape[axis]), otherwise)


def ends(tensors: Tensors, first: str, last: str, width: int) -> tuple[int, int]:
    """Features and channels of a network by its first and last convolution, or by one of them.

    Args:
        tensors: by name.
        first: name of the convolution from channels to features.
        last: name of the one from features to channels.
        width: features where neither is found.
    """
    features = size(tensors, first, 0, size(tensors, last, 1, width))
    return features, size(tensors, first, 1, size(tensors, last, 0, 1))


def length(tensors: Tensors, layers: str) -> int:
    """How many numbered layers there are; ``layers`` is a pattern with one group, their number."""
    numbers = [int(match[1]) for match in map(re.compile(layers).match, tensors) if match]
    return min(1 + max(numbers, default=-1), 2 * len(tensors))  # a bad file may have any number
