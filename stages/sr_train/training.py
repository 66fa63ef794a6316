"""Training under Lightning, going on after a stop, and what the result is worth."""

import logging
import math
import time
import warnings
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader

from shared import progress
from stages.sr_train.pairs import Pairs

SAVE_SECONDS = 15.0  # between checkpoints; they do not change the result
WARM_UP = 0.05  # part of the steps in which the rate grows


class Trainee(lightning.LightningModule):
    """A network and its batches, which are drawn on its device and depend on seed and step only."""

    def __init__(
        self, network: nn.Module, pairs: Pairs, *, steps: int, batch: int, lr: float, seed: int
    ) -> None:
        super().__init__()
        self.network, self.steps, self.batch, self.lr, self.seed = network, steps, batch, lr, seed
        self.register_buffer("low", torch.from_numpy(pairs.low), persistent=False)
        self.register_buffer("high", torch.from_numpy(pairs.high), persistent=False)

    def draw(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """(batch, 1, h, w) and (batch, 1, H, W): random bands, turned and mirrored together."""
        rng = np.random.default_rng((self.seed, step))
        index = torch.from_numpy(rng.integers(len(self.low), size=self.batch)).to(self.low.device)
        turns, mirror = int(rng.integers(4)), bool(rng.integers(2))
        pair = [torch.rot90(part[index], turns, (2, 3)) for part in (self.low, self.high)]
        low, high = [part.flip(3) for part in pair] if mirror else pair
        return low, high

    def training_step(self, *_: Any) -> torch.Tensor:
        """L1 between restored and true bands."""
        low, high = self.draw(self.global_step)
        return functional.l1_loss(self.network(low), high)

    def configure_optimizers(self) -> Any:
        """Adam as SwinIR was trained, its rate warmed up and then brought to zero by a cosine."""
        optimizer = torch.optim.Adam(self.network.parameters(), self.lr, betas=(0.9, 0.99))
        warm = max(1, int(self.steps * WARM_UP))

        def rate(step: int) -> float:
            return min(1.0, (step + 1) / warm) * (1 + math.cos(math.pi * step / self.steps)) / 2

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


class Keeper(lightning.Callback):
    """Shows the progress and keeps the state of the training in one file."""

    def __init__(self, path: Path, steps: int) -> None:
        self.path, self.steps, self.saved = path, steps, time.monotonic()

    def on_train_start(self, trainer: lightning.Trainer, _: Any) -> None:
        """Open the bar where an earlier run stopped."""
        done = trainer.global_step
        self.bar = progress.bar(self.steps, "train", unit="steps", done=done)

    def on_train_batch_end(
        self, trainer: lightning.Trainer, _: Any, outputs: Any, *__: Any
    ) -> None:
        """Count the step, and save every SAVE_SECONDS."""
        self.bar.update(1)
        if time.monotonic() - self.saved >= SAVE_SECONDS:
            self.bar.set_postfix(loss=f"{float(outputs['loss']):.4f}", refresh=False)
            draft = self.path.with_name(self.path.name + ".draft")
            trainer.save_checkpoint(draft)
            draft.replace(self.path)  # so that a checkpoint is whole or not there
            self.saved = time.monotonic()

    def on_train_end(self, *_: Any) -> None:
        """Close the bar."""
        self.bar.close()


def fit(trainee: Trainee, state: Path, accelerator: str, precision: str) -> None:
    """Train for ``trainee.steps`` steps in all, from what ``state`` holds if it is there."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    logging.getLogger("lightning.fabric").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"lightning|torch")
    trainer = lightning.Trainer(
        accelerator=accelerator, devices=1, precision=precision, max_steps=trainee.steps,
        max_epochs=-1, deterministic=True, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
        callbacks=[Keeper(state, trainee.steps)], use_distributed_sampler=False,
        default_root_dir=state.parent,
    )  # fmt: skip
    earlier = state if _opens(state) else None
    steps = DataLoader(range(trainee.steps), batch_size=None)  # the batches are drawn on the device
    trainer.fit(trainee, steps, ckpt_path=earlier, weights_only=True)
    if trainer.global_step < trainee.steps:  # Lightning returns from Ctrl-C as if it were done
        raise KeyboardInterrupt


def _opens(state: Path) -> bool:
    state.with_name(state.name + ".draft").unlink(missing_ok=True)
    if not state.exists():
        return False
    try:
        torch.load(state, map_location="cpu", weights_only=True)
    except Exception:  # whatever a broken archive makes torch say
        progress.say(f"{state}: does not open, discarded; starting anew")
        state.unlink()
        return False
    return True
