"""Checkpoints of a training: what is needed to go on, written after each epoch."""

import io
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric

from shared.progress import say
from shared.training.loop.learner import Learner


def read(folder: Path, name: str) -> dict[str, Any] | None:
    """What the checkpoint of a learner holds, on the CPU; None where there is none that opens."""
    path = folder / f"{name}.ckpt"
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:
        say(f"{path}: does not open, discarded; this member starts again")
        path.unlink()
        return None
    return state


def save(fabric: Fabric, learner: Learner, folder: Path) -> None:
    """Beside and renamed, so that a kill never leaves half a checkpoint."""
    if not fabric.is_global_zero:
        return
    folder.mkdir(parents=True, exist_ok=True)
    draft, content = folder / f"{learner.name}.draft", io.BytesIO()
    torch.save(learner.state(), content)  # to a full volume it would end in a RuntimeError
    draft.write_bytes(content.getbuffer())
    draft.replace(folder / f"{learner.name}.ckpt")
