"""What is seen while networks train: epoch, loss, accuracy, rows per second, the time to go."""

import time
from collections.abc import Sequence
from typing import Any

import torch

from shared.progress import bar
from shared.training.loop.learner import Learner

EVERY = 0.5  # seconds between two looks at the counts, which make a GPU wait


class EpochProgress:
    """A progress bar over all epochs of the networks of one pass; a context manager.

    Args:
        learners: of one pass.
        rows: of an epoch.
        epochs: of each network.
        quiet: show nothing.
    """

    def __init__(self, learners: Sequence[Learner], rows: int, epochs: int, quiet: bool) -> None:
        names = [learner.name for learner in learners]
        what = " … ".join(dict.fromkeys([*names[:1], *names[-1:]]))
        done = min((learner.epoch for learner in learners), default=epochs) * rows
        self.bar: Any = bar(epochs * rows, what, done=done, quiet=quiet or not learners)
        self.epochs, self.looked = epochs, 0.0

    def step(self, active: Sequence[Learner], rows: int) -> None:
        """Advance by the rows of one batch; loss and accuracy are means over the networks."""
        if time.monotonic() - self.looked > EVERY and not self.bar.disable:
            loss, hits, count = torch.stack([one.totals for one in active]).sum(0).tolist()
            self._tell(active[0].epoch + 1, loss / count, hits / count)
            self.looked = time.monotonic()
        self.bar.update(rows)

    def epoch(self, ended: Sequence[Learner]) -> None:
        """Tell the means of an epoch that these networks have ended."""
        last = [
            [one.history.series[f"train {name}"][-1] for one in ended]
            for name in ("loss", "accuracy")
        ]
        self._tell(ended[0].epoch, *(sum(values) / len(values) for values in last))

    def _tell(self, epoch: int, loss: float, accuracy: float) -> None:
        text = f"epoch {epoch}/{self.epochs} loss {loss:.3f} accuracy {accuracy:.3f}"
        self.bar.set_postfix_str(text, refresh=False)

    def __enter__(self) -> "EpochProgress":
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()
