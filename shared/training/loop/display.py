"""What is seen while networks train: epoch, loss, accuracy, rows per second, the time to go."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from shared.progress import bar
from shared.training.loop.learner import Learner

EVERY = 0.5  # seconds between two looks at the counts, which make a GPU wait
INTERVAL = 5.0  # seconds between two messages from within a step


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

    @contextmanager
    def within_steps(self, learners: Sequence[Learner]) -> Iterator[None]:
        """Tell how far each step is, layer by layer: large ones take minutes on a CPU."""
        handles = []
        for learner in () if self.bar.disable else learners:
            parts = [
                of
                for of in learner.network.modules()
                if any(True for _ in of.parameters(recurse=False))
            ]
            for number, part in enumerate(parts, 1):
                place = f"{learner.name}, layer {number} of {len(parts)}"
                handles.append(part.register_forward_hook(_Look(self, place)))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def look(self, text: str) -> None:
        """Tell this unless something was told a moment ago."""
        if time.monotonic() - self.looked > INTERVAL:
            self.looked = time.monotonic()
            self.bar.set_postfix_str(text, refresh=True)

    def _tell(self, epoch: int, loss: float, accuracy: float) -> None:
        text = f"epoch {epoch}/{self.epochs} loss {loss:.3f} accuracy {accuracy:.3f}"
        self.bar.set_postfix_str(text, refresh=False)

    def __enter__(self) -> "EpochProgress":
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()


class _Look:
    """Tells that a layer is passed, forward and, by its result's gradient, backward."""

    def __init__(self, progress: EpochProgress, place: str) -> None:
        self.progress, self.place = progress, place

    def __call__(self, part: nn.Module, given: object, result: object) -> None:
        self.progress.look(f"forward, {self.place}")
        if isinstance(result, Tensor) and result.requires_grad:
            result.register_hook(lambda _: self.progress.look(f"backward, {self.place}"))
