"""Training to its end, from where an earlier run stopped."""

import logging
import time
import warnings
from pathlib import Path
from typing import Any

import pytorch_lightning
import torch
from torch.utils.data import DataLoader

from shared import progress
from shared.errors import StageError
from shared.unfinished import work
from stages.sr_train.training import Trainee

SAVE_SECONDS = 15.0  # between checkpoints; they do not change the result


class Checkpoints(pytorch_lightning.Callback):
    """Shows the progress and keeps the state of the training in one file."""

    def __init__(self, path: Path, steps: int, moves: int) -> None:
        self.path, self.steps, self.moves, self.saved = path, steps, moves, time.monotonic()

    def on_train_start(self, trainer: pytorch_lightning.Trainer, _: Any) -> None:
        """Open the bar where an earlier run stopped."""
        done = trainer.global_step // self.moves
        self.bar = progress.bar(self.steps, "train", unit="steps", done=done)

    def on_train_batch_end(self, trainer: pytorch_lightning.Trainer, trainee: Any, *_: Any) -> None:
        """Count the step, and save every SAVE_SECONDS what is worth going on from."""
        self.bar.update(1)
        if time.monotonic() - self.saved >= SAVE_SECONDS:
            check_finite(trainee)
            draft = self.path.with_name(self.path.name + ".draft")
            trainer.save_checkpoint(draft)
            work.publish(draft, self.path)  # so that a checkpoint is whole or not there
            self.saved = time.monotonic()

    def on_train_end(self, *_: Any) -> None:
        """Close the bar."""
        self.bar.close()


def fit(trainee: Trainee, state: Path, accelerator: str, precision: str) -> None:
    """Train for ``trainee.steps`` steps in all, from what ``state`` holds if it is there.

    Raises:
        StageError: the weights did not stay finite.
    """
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    logging.getLogger("lightning_fabric").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"(pytorch_)?lightning|torch")
    moves = trainee.steps * trainee.moves
    trainer = pytorch_lightning.Trainer(
        accelerator=accelerator, devices=1, precision=precision, max_steps=moves,
        max_epochs=-1, deterministic=True, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
        callbacks=[Checkpoints(state, trainee.steps, trainee.moves)], use_distributed_sampler=False,
        default_root_dir=state.parent,
    )  # fmt: skip
    earlier = state if _opens(state) else None
    steps = DataLoader(range(trainee.steps), batch_size=None)  # the batches are drawn on the device
    trainer.fit(trainee, steps, ckpt_path=earlier, weights_only=True)
    if trainer.global_step < moves:  # Lightning returns from Ctrl-C as if it were done
        raise KeyboardInterrupt
    check_finite(trainee)


def check_finite(trainee: Trainee) -> None:
    """StageError where a training has run away: nothing would come of going on."""
    if not all(bool(weight.isfinite().all()) for weight in trainee.network.parameters()):
        raise StageError(
            f"--lr: expected one at which the weights stay finite, found {trainee.lr}; "
            "choose a lower one"
        )


def _opens(state: Path) -> bool:
    state.with_name(state.name + ".draft").unlink(missing_ok=True)
    if not work.keeps(state):
        return False
    try:
        torch.load(state, map_location="cpu", weights_only=True)
    except Exception:  # whatever a broken archive makes torch say
        progress.say(f"{state}: does not open, discarded; starting again")
        state.unlink()
        return False
    return True
