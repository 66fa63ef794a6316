"""The product: parameters under their published names, and what is known about them."""

import json
import math
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as pack
from torch import nn

from shared.sr.networks import Naming
from stages.sr_train.methods import METHODS

FACTS = "sr-train"  # one entry only: the order of several in the file is random
Tensors = dict[str, torch.Tensor]


def save(path: Path, tensors: Tensors, facts: dict[str, Any]) -> None:
    """Write parameters and buffers, and the facts as JSON in the metadata."""
    plain = {name: value.cpu().contiguous() for name, value in tensors.items()}
    draft = path.with_name(path.name + ".draft")
    draft.write_bytes(pack(plain, {FACTS: json.dumps(facts)}))
    draft.replace(path)


def is_finished(path: Path) -> bool:
    """Whether an earlier run got as far as the product and was stopped just before its renaming."""
    try:
        with safe_open(path, "pt") as file:
            return FACTS in (file.metadata() or {})
    except (SafetensorError, OSError):
        return False


def rename_for_stage(
    method: str, scale: int, depth: tuple[int, ...], network: nn.Module
) -> Tensors:
    """The tensors of a trained network under the names that its method's stage reads.

    Only those of Real-ESRGAN differ from the network's own: they are BasicSR's.
    """
    tensors: Tensors = dict(network.state_dict())
    naming = METHODS[method].naming
    if not naming:
        return tensors
    names = Naming("old", depth[0], int(math.log2(scale))).translate(naming)
    return {new: tensors.pop(old) for old, new in names.items()}
