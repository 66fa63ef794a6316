"""The product: parameters under their published names, and what is known about them."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as pack
from torch import nn

from shared.errors import StageError

FACTS = "sr-train"  # one entry only: the order of several in the file is random


def save(path: Path, network: nn.Module, facts: dict[str, Any]) -> None:
    """Write all parameters and buffers of a network, and the facts as JSON in the metadata."""
    tensors = {name: value.cpu().contiguous() for name, value in network.state_dict().items()}
    draft = path.with_name(path.name + ".draft")
    draft.write_bytes(pack(tensors, {FACTS: json.dumps(facts)}))
    draft.replace(path)


def finished(path: Path) -> bool:
    """Whether an earlier run got as far as the product and was stopped just before its renaming."""
    try:
        with safe_open(path, "pt") as file:
            return FACTS in (file.metadata() or {})
    except (SafetensorError, OSError):
        return False


def device(name: str) -> str:
    """ "cpu" or "cuda"; auto takes the GPU where there is one."""
    if name not in ("auto", "cpu", "cuda"):
        raise StageError(f"--device: expected auto, cpu or cuda, found {name!r}")
    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        raise StageError("--device: expected a CUDA device, found none; use --device cpu")
    return ("cuda" if there else "cpu") if name == "auto" else name
