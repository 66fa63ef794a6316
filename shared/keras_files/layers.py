"""The tensors of a Keras file, by layer in the order in which the layers were created.

Keras lists layers (`layer_names`) by their depth in the graph or by the alphabet, neither of which
is the order of creation: the projection of a block may come before the convolution that was made
before it, and `conv2d_10` before `conv2d_2`. The numbers in the names say that order.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.errors import StageError
from shared.patches import hdf5
from shared.weight_files import stored

SIGNATURE = b"\x89HDF\r\n\x1a\n"
WHOLE_MODEL = "model_weights"  # group that Keras puts the layers of a whole model in
LAYER = re.compile(r"(conv2d|batch_normalization|dense)(?:_(\d{1,9}))?")
TENSORS = {
    "conv2d": (("kernel",), ("kernel", "bias")),
    "batch_normalization": (("gamma", "beta", "moving_mean", "moving_variance"),),
    "dense": (("kernel", "bias"),),
}
Values = NDArray[np.float32]


@dataclass(frozen=True)
class Layer:
    """One layer with weights.

    Attributes:
        name: as Keras named it.
        tensors: values by their name in Keras, such as "kernel".
    """

    name: str
    tensors: dict[str, Values]


@dataclass(frozen=True)
class Layers:
    """What a file holds.

    Attributes:
        kinds: "conv2d", "batch_normalization", "dense" to their layers, in order of creation.
        config: text of `model_config`, "" in a file of weights alone.
    """

    kinds: dict[str, list[Layer]]
    config: str


def is_hdf5(path: Path) -> bool:
    """Whether a file begins as HDF5 does."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(SIGNATURE)) == SIGNATURE


def read_layers(path: Path) -> Layers:
    """All layers with weights.

    Raises:
        StageError: not a Keras file, layers of another kind, damaged or endless tensors, NaN.
    """
    budget = stored.Budget.of_file(path.stat().st_size if path.is_file() else 0)
    kinds: dict[str, list[tuple[int, Layer]]] = {kind: [] for kind in TENSORS}
    with hdf5.File(path) as file:
        config = _text(file.attrs["model_config"]) if "model_config" in file.attrs else ""
        with hdf5.refuse_errors(str(path)):
            whole = WHOLE_MODEL in file.stored
            root = file.stored[WHOLE_MODEL if whole else "/"]
            for name in _names(path, root, "layer_names"):
                paths = _names(path, root[name], "weight_names")
                if not paths:
                    continue
                match = LAYER.fullmatch(name)
                if not match:
                    raise _refuse(path, f"expected layers conv2d_…, batch_normalization_… and "
                                  f"dense_… with weights, found {name!r}")  # fmt: skip
                prefix = f"{WHOLE_MODEL}/" if whole else ""
                places = {_last(inner): f"{prefix}{name}/{inner}" for inner in paths}
                layer = Layer(name, _read_tensors(file, match[1], places, budget))
                kinds[match[1]].append((int(match[2] or 0), layer))
    return Layers({kind: _in_order(path, found) for kind, found in kinds.items()}, config)


def _in_order(path: Path, found: list[tuple[int, Layer]]) -> list[Layer]:
    """By number; Keras gives each number once."""
    numbers = [number for number, _ in found]
    if len(set(numbers)) < len(numbers):
        raise _refuse(path, "two layers of one number")
    return [layer for _, layer in sorted(found, key=lambda item: item[0])]


def _read_tensors(
    file: hdf5.File, kind: str, places: dict[str, str], budget: stored.Budget
) -> dict[str, Values]:
    if not any(set(places) == set(names) for names in TENSORS[kind]):
        expected, found = ", ".join(TENSORS[kind][-1]), ", ".join(sorted(places))[:200]
        where = next(iter(places.values())).rpartition("/")[0]
        raise _refuse(file.path, f"{where}: expected {expected}, found {found}")
    return {name: _read_values(file, place, budget) for name, place in places.items()}


def _read_values(file: hdf5.File, place: str, budget: stored.Budget) -> Values:
    dataset = file[place]
    if dataset.dtype.kind != "f" or not 1 <= dataset.ndim <= 4:
        shown = f"{dataset.dtype} {dataset.shape}"
        raise _refuse(file.path, f"{place}: expected floating-point numbers, found {shown}")
    try:
        budget.spend(dataset.dtype.itemsize * int(np.prod(dataset.shape, dtype=object)))
    except ValueError as error:
        raise _refuse(file.path, str(error)) from None
    values = dataset[()].astype(np.float32)
    if not np.isfinite(values).all():
        raise _refuse(file.path, f"{place}: NaN or infinite values")
    return values


def _names(path: Path, group: Any, attribute: str) -> list[str]:
    """Texts of an attribute, which Keras cuts into `NAME0`, `NAME1`, … where it is too long."""
    if not isinstance(group, hdf5.Group):
        raise _refuse(path, "expected groups of layers, found a dataset")
    if attribute in group.attrs:
        return [_text(name) for name in np.ravel(group.attrs[attribute])]
    names, part = list[str](), 0
    while f"{attribute}{part}" in group.attrs:
        names += [_text(name) for name in np.ravel(group.attrs[f"{attribute}{part}"])]
        part += 1
    if not part:
        raise _refuse(path, f"expected a classifier saved by Keras, found no {attribute}")
    return names


def _text(value: Any) -> str:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


def _last(inner: str) -> str:
    """ "kernel" of "conv2d_1/kernel:0"."""
    return inner.rpartition("/")[2].partition(":")[0]


def _refuse(path: Path, what: str) -> StageError:
    return StageError(f"{path}: {what}")
