"""One state dict in the forms in which people have it: wrappers, prefixes, types, containers."""

import argparse
import sys
import types
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

Tensors = dict[str, torch.Tensor]
PREFIXES = (
    "module.", "_orig_mod.", "generator.", "net.", "model.", "module._orig_mod.net.",
    "_orig_mod.module.model.",
)  # fmt: skip
WRAPPERS = (
    "params_ema", "params", "state_dict", "model", "net", "model_state_dict", "ema", "generator",
    "weights_of_mine",
)  # fmt: skip


def prefixed(tensors: Tensors, prefix: str) -> Tensors:
    """The same under names that begin so."""
    return {prefix + name: tensor for name, tensor in tensors.items()}


def wrapped(tensors: Tensors, name: str) -> dict[str, Any]:
    """The same under a name, beside the number of an epoch."""
    return {name: tensors, "epoch": 3}


def spoilt(tensors: Tensors) -> Tensors:
    """Other values, which nobody must take."""
    return {name: torch.zeros_like(tensor) for name, tensor in tensors.items()}


def optimiser(tensors: Tensors) -> dict[str, Any]:
    """The state of Adam for weights of these shapes."""
    weights = [nn.Parameter(t.clone()) for t in tensors.values() if t.is_floating_point()]
    adam = torch.optim.Adam(weights)
    for weight in weights:
        weight.grad = torch.ones_like(weight)
    adam.step()
    return adam.state_dict()


def trained(tensors: Tensors) -> dict[Any, Any]:
    """What a training script keeps."""
    return {
        "epoch": 3, "arch": "net", "args": argparse.Namespace(lr=0.1, out=Path("/x")),
        "optimizer": optimiser(tensors), "state_dict": prefixed(tensors, "module."),
        0: {"loss": torch.zeros(())}, "best": None,
    }  # fmt: skip


def expanded(tensors: Tensors) -> Tensors:
    """As views that are not contiguous, of storages with more in them."""
    return {name: torch.stack([t, torch.ones_like(t)], -1)[..., 0] for name, t in tensors.items()}


# What torch.save is given.
SAVED: dict[str, Callable[[Tensors], Any]] = {
    **{f"prefix {name}": partial(prefixed, prefix=name) for name in PREFIXES},
    **{f"wrapper {name}": partial(wrapped, name=name) for name in WRAPPERS},
    "nested": lambda t: {"model": {"ema": {"module": prefixed(t, "module.")}}, "epoch": 1},
    "average first": lambda t: {"state_dict": spoilt(t), "model": spoilt(t), "state_dict_ema": t},
    "none": lambda t: {"state_dict": None, "params_ema": None, "model_state_dict": t},
    "training": trained,
    "averaged model": lambda t: {"n_averaged": torch.tensor(3), **prefixed(t, "module.")},
    "adversary": lambda t: {"discriminator": spoilt(t), "net_d": spoilt(t), "net_g": t},
    "counters beside": lambda t: {"epoch": 7, **t, "note": None},
    "parameters": lambda t: {
        n: nn.Parameter(v) if v.is_floating_point() else v for n, v in t.items()
    },
    "views": expanded,
    "double": lambda t: {n: v.double() if v.is_floating_point() else v for n, v in t.items()},
}  # fmt: skip


def rounded(tensors: Tensors, kind: torch.dtype) -> Tensors:
    """In half precision."""
    return {n: t.to(kind) if t.is_floating_point() else t for n, t in tensors.items()}


def write(form: str, tensors: Tensors, folder: Path) -> tuple[Path, Tensors]:
    """A file in a form, and the tensors that it must be read as."""
    path = folder / "form.pth"
    if form in SAVED:
        torch.save(SAVED[form](tensors), path)
    elif form.startswith("legacy"):
        made = SAVED[form.removeprefix("legacy ")](tensors)
        torch.save(made, path, _use_new_zipfile_serialization=False)
    elif form in ("float16", "bfloat16"):
        tensors = rounded(tensors, getattr(torch, form))
        torch.save({"params": tensors}, path)
    elif form == "safetensors as .pth":
        save_file(prefixed(tensors, "module."), path)
    elif form == "torch as .safetensors":
        path = folder / "form.safetensors"
        torch.save(tensors, path)
    else:
        raise ValueError(form)
    return path, {n: t.float() if t.is_floating_point() else t for n, t in tensors.items()}


FORMS = [
    *SAVED, "legacy prefix module.", "legacy training", "legacy views", "float16", "bfloat16",
    "safetensors as .pth", "torch as .safetensors",
]  # fmt: skip
# For networks whose every reading takes seconds: one of each kind.
FEW = ["prefix model.", "nested", "training", "legacy training", "float16", "safetensors as .pth"]


def save_module(path: Path, tensors: Tensors, legacy: bool = True) -> Path:
    """A pickle of a whole network whose code is nowhere when this returns.

    Args:
        path: file to write.
        tensors: its state dict.
        legacy: as torch before 1.6 wrote it.
    """
    gone = types.ModuleType("network_gone")
    exec(
        "from torch import nn\nclass Net(nn.Module): pass\nclass Layer(nn.Module): pass", vars(gone)
    )
    whole = gone.Net()
    for name, tensor in tensors.items():
        *parents, last = name.split(".")
        place = whole
        for part in parents:
            if part not in place._modules:
                place.add_module(part, gone.Layer())
            place = place._modules[part]
        if tensor.is_floating_point():
            place.register_parameter(last, nn.Parameter(tensor))
        else:
            place.register_buffer(last, tensor)
    whole.register_buffer("scratch", torch.ones(3), persistent=False)
    sys.modules["network_gone"] = gone
    try:
        torch.save({"epoch": 50, "model": whole}, path, _use_new_zipfile_serialization=not legacy)
    finally:
        del sys.modules["network_gone"]
    return path
