"""Files of weights: read as tensors only, and fitted to a network key by key."""

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

from shared.errors import StageError

WRAPPERS = ("params_ema", "params", "state_dict", "model")
Tensors = dict[str, torch.Tensor]


def read(path: Path) -> Tensors:
    """Tensors by name from .safetensors or a .pth of tensors, out of their wrapper key if any.

    Raises:
        StageError: neither of the two, cut short, NaN in it, or more in it than tensors.
    """
    try:
        safe = path.suffix == ".safetensors"
        content = load_file(path) if safe else torch.load(path, "cpu", weights_only=True)
    except Exception as error:  # a damaged .pth makes torch raise nearly any
        expected = "expected weights (.safetensors, or .pth with nothing but tensors)"
        raise StageError(f"{path}: {expected}, found neither ({_reason(error)})") from None
    wrapped = [content[key] for key in WRAPPERS if isinstance(content, Mapping) and key in content]
    inner = wrapped[0] if wrapped else content
    if not isinstance(inner, Mapping) or not all(map(_plain, inner.values())):
        raise StageError(f"{path}: expected a state dict, found {type(inner).__name__}")
    bad = [name for name, tensor in inner.items() if not tensor.float().isfinite().all()]
    if bad:
        raise StageError(f"{path}: NaN or infinite values in {bad[0]}")
    return {str(name): tensor for name, tensor in inner.items()}


def _reason(error: Exception) -> str:
    """What was wrong, without torch's invitation to run the code in the file nevertheless."""
    said = str(error).rpartition("WeightsUnpickler error: ")[2].strip()
    return said.partition("\n")[0].partition(" Please")[0][:120] or type(error).__name__


def _plain(value: object) -> bool:
    """Whether it is a tensor of numbers: on a CPU, not sparse, not quantised."""
    if not isinstance(value, torch.Tensor):
        return False
    return value.device.type == "cpu" and value.layout == torch.strided and not value.is_quantized


def fit(
    path: Path, network: nn.Module, tensors: Tensors, what: str,
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
        StageError: says which keys are missing, extra or of another shape.
    """
    wanted = {rename(name): tensor for name, tensor in network.state_dict().items()}
    fault = misfit(wanted, tensors)
    if fault:
        raise StageError(f"{path}: not {what} weights: {fault}")
    own = {name: tensors[rename(name)] for name in network.state_dict()}
    network.load_state_dict(own, strict=True)


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


def misfit(wanted: Mapping[str, torch.Tensor], given: Mapping[str, torch.Tensor]) -> str:
    """What keeps a state dict from fitting, in one line; "" when it fits."""
    other = [
        f"{name} {tuple(given[name].shape)} instead of {tuple(wanted[name].shape)}"
        for name in wanted
        if name in given and given[name].shape != wanted[name].shape
    ]
    kinds = {
        "missing": [name for name in wanted if name not in given],
        "extra": [name for name in given if name not in wanted],
        "other shape": other,
    }
    return "; ".join(f"{kind}: {list_keys(names)}" for kind, names in kinds.items() if names)


def list_keys(names: Iterable[str]) -> str:
    """The first few of some keys, and how many there are."""
    listed = list(names)
    shown = ", ".join(listed[:4])
    return f"{shown}, … ({len(listed)})" if len(listed) > 4 else shown
