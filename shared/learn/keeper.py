"""What is written and shown while a network trains: a checkpoint after every epoch, a bar."""

from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import Checkpoint

from shared.progress import bar


class Keeper(Checkpoint):
    """Writes the checkpoint after every epoch in one step, and shows the progress.

    Only a `Checkpoint` is called after the module's own end of the epoch, so that the history and
    the best weights of the epoch are in the file.
    """

    def __init__(self, path: Path, what: str, rows: int, epochs: int) -> None:
        self.path, self.what, self.rows, self.epochs = path, what, rows, epochs
        self.bar: Any = None

    def on_train_epoch_start(self, trainer: lightning.Trainer, module: Any) -> None:
        """Open the bar where this run begins."""
        if self.bar is None:
            done = trainer.current_epoch * self.rows
            self.bar = bar(self.epochs * self.rows, self.what, done=done)

    def on_train_batch_end(
        self, trainer: Any, module: Any, outputs: Any, batch: Any, step: int
    ) -> None:
        """Advance by the rows of this batch."""
        loss, hits, count = module.totals.tolist()
        text = f"epoch {trainer.current_epoch + 1} loss {loss / count:.3f} acc {hits / count:.3f}"
        self.bar.set_postfix_str(text, refresh=False)
        self.bar.update(len(batch["label"]))

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: Any) -> None:
        """Save beside and rename, so that a kill never leaves half a checkpoint."""
        draft = self.path.with_suffix(".draft")
        trainer.save_checkpoint(draft)
        draft.replace(self.path)

    def on_train_end(self, trainer: lightning.Trainer, module: Any) -> None:
        """Close the bar."""
        if self.bar is not None:
            self.bar.close()

    def on_exception(self, trainer: Any, module: Any, exception: BaseException) -> None:
        """Close it before the reason is told."""
        self.on_train_end(trainer, module)
