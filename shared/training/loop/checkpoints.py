"""Checkpoints of a training: what is needed to go on, written after each epoch."""

import io
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from shared.progress import say
from shared.training.loop.learner import Learner
from shared.unfinished import work


def read(folder: Path, name: str) -> dict[str, Any] | None:
    """What the checkpoint of a learner holds, on the CPU; None where none is what was written."""
    path = folder / f"{name}.ckpt"
    if not work.keeps(path):
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
    folder.mkdir(exist_ok=True)  # in a product that was moved away, none is begun in its place
    draft, content = folder / f"{learner.name}.draft", io.BytesIO()
    torch.save(learner.state(), content)  # to a full volume it would end in a RuntimeError
    draft.write_bytes(content.getbuffer())
    work.publish(draft, folder / f"{learner.name}.ckpt")
