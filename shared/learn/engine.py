"""One training engine on Lightning: resumes at the last epoch, same weights from the same seed.

Every random draw comes from (seed, epoch, step), so a run that was killed and goes on equals one
that was not.
"""

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import lightning
import numpy as np
import torch
from lightning.pytorch.utilities import move_data_to_device
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import DataLoader

from shared.errors import StageError
from shared.learn.keeper import Keeper
from shared.learn.learner import History, Learner, Loss, Recipe, apply
from shared.learn.split import Batch, Batches, Split
from shared.learn.view import View
from shared.progress import say


def accelerator(device: str) -> str:
    """Lightning's accelerator for --device; StageError when the device is not there."""
    if device not in ("auto", "cpu", "cuda"):
        raise StageError(f"--device: expected auto, cpu or cuda, found {device!r}")
    if device == "cuda" and not torch.cuda.is_available():
        raise StageError("--device: cuda asked for, but no CUDA device answers")
    return "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"


def fit(
    network: nn.Module,
    view: View,
    split: Split,
    loss: Loss,
    recipe: Recipe,
    checkpoint: Path,
    what: str,
    held_out: NDArray[np.intp] | None = None,
) -> History:
    """Train in place, going on from the checkpoint if it is there.

    Args:
        network: changed in place; on the CPU afterwards.
        view: stored batch to network input.
        split: training rows.
        loss: (logits, batch) to a mean.
        recipe: how.
        checkpoint: file written after every epoch; the caller removes it.
        what: a word for the progress bar.
        held_out: (M,) rows that are not trained on but measured after each epoch.

    Returns:
        Loss and accuracy per epoch.

    Raises:
        StageError: the loss is no longer finite, or the device is not there.
    """

    def measure() -> float:
        said = logits(network, view, split, recipe, held_out).argmax(1)
        return float((said == split.extra["label"].numpy()[held_out]).mean())

    learner = Learner(network, view, loss, recipe, None if held_out is None else measure)
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    rows = np.setdiff1d(np.arange(len(split)), [] if held_out is None else held_out)
    keeper = Keeper(checkpoint, what, len(rows), recipe.epochs)
    _quiet()
    trainer = lightning.Trainer(
        max_epochs=recipe.epochs, accelerator=accelerator(recipe.device), devices=1,
        precision=recipe.precision, gradient_clip_val=recipe.clip or None, callbacks=[keeper],
        deterministic=True, logger=False, enable_progress_bar=False,
        enable_model_summary=False, use_distributed_sampler=False, barebones=False,
        default_root_dir=checkpoint.parent,
    )  # fmt: skip
    trainer.fit(
        learner, _loader(split, rows, recipe.batch, recipe.seed), ckpt_path=_usable(checkpoint)
    )
    if recipe.keep_best and learner.best[1]:
        network.load_state_dict(learner.best[1])
    network.cpu().eval()
    return learner.history


def _loader(
    split: Split, rows: NDArray[np.intp], batch: int, seed: int | None
) -> "DataLoader[Batch]":
    return DataLoader(split, sampler=Batches(rows, batch, seed), batch_size=None)


def _usable(checkpoint: Path) -> str | None:
    if not checkpoint.exists():
        return None
    try:
        torch.load(checkpoint, map_location="cpu", weights_only=True)
    except Exception:
        say(f"{checkpoint}: does not open, discarded; this member starts anew")
        checkpoint.unlink()
        return None
    return str(checkpoint)


def _quiet() -> None:
    """Lightning's advice on loaders and its banner do not concern the caller."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    logging.getLogger("lightning.fabric").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # deterministic cuBLAS


def logits(
    network: nn.Module,
    view: View,
    split: Split,
    recipe: Recipe,
    rows: NDArray[np.intp] | None = None,
) -> NDArray[np.float32]:
    """(N, K) logits of these rows, or of all, in order: plain view, evaluation mode.

    In full single precision on every device, as the ONNX file is compared with them on a CPU.
    """
    device = torch.device(accelerator(recipe.device))
    network, view = network.to(device), view.to(device)
    training = network.training
    network.eval()
    order = np.arange(len(split)) if rows is None else rows
    said = []
    with torch.inference_mode(), _without_tf32():
        for batch in _loader(split, order, max(recipe.batch, 256), None):
            said.append(apply(network, view, move_data_to_device(batch, device)).float().cpu())
    network.train(training)
    with contextlib.suppress(RuntimeError):
        torch.cuda.empty_cache()
    return torch.cat(said).numpy()


@contextlib.contextmanager
def _without_tf32() -> Iterator[None]:
    """Left to itself, cuDNN rounds the factors of a convolution to TF32, which has ten bits."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before
