"""What teachers say of the rows of a file, plain or in random views; kept for later runs."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shared import patches
from shared.models import scores
from shared.progress import bar
from shared.training.data import Batch, Split, View, draw_views, load_split, locate_inputs, order
from shared.unfinished import work
from stages.distill.onnx_teachers import Teacher

ROWS = 64  # pictures at once through a network
Logits = NDArray[np.float32]


def list_bands(teachers: Sequence[Teacher]) -> tuple[str, ...]:
    """Every band that any of them sees, once."""
    return tuple(dict.fromkeys(band for teacher in teachers for band in teacher.card.bands))


def build_views(teachers: Sequence[Teacher], split: Split, side: int) -> list[View]:
    """How each of them sees a batch; in the random geometry of the batch, if it has one."""
    return [View(teacher.card, split.layouts, side) for teacher in teachers]


def stack_logits(teachers: Sequence[Teacher], views: Sequence[View], batch: Batch) -> Tensor:
    """(T, B, K) logits of every teacher on a batch."""
    pairs = zip(teachers, views, strict=True)
    return torch.stack([teacher.answer(view(batch)) for teacher, view in pairs])


@dataclass(frozen=True)
class Audience:
    """Rows of a file, and the teachers that are asked about them.

    Attributes:
        teachers: all of them.
        split: the rows, with every band that a teacher sees.
        side: patch side in Sentinel pixels.
        device: "cpu" or "cuda", where the pictures are made.
        name: of the rows, for the progress bar.
    """

    teachers: Sequence[Teacher]
    split: Split
    side: int
    device: str
    name: str

    def ask(
        self, rows: NDArray[np.intp] | None = None, drawn: Batch | None = None, what: str = ""
    ) -> Iterator[Logits]:
        """(T, B, K) logits of batch after batch.

        Args:
            rows: row numbers; None for all.
            drawn: a random view of every row of the split, as `draw_views`; None for the plain one.
            what: which views these are, for the progress bar.
        """
        views = build_views(self.teachers, self.split, self.side)
        rows = np.arange(len(self.split)) if rows is None else rows
        with bar(len(rows), f"teachers on {self.name}{what}") as shown:
            for some in order.cut_batches(rows, ROWS):
                seen = {name: of[some] for name, of in (drawn or {}).items()}
                batch = {n: of.to(self.device) for n, of in (self.split[some] | seen).items()}
                yield stack_logits(self.teachers, views, batch).cpu().numpy()
                shown.update(len(some))

    def ask_views(self, augment: str, count: int, seed: int, work: Path) -> Logits:
        """(N, K) mean logits over teachers and random views, each row's own ones.

        Args:
            augment: which set of views, as `draw_views`.
            count: views of a row.
            seed: of the views.
            work: folder that keeps the answers about each view, for a run that goes on.
        """
        total = np.zeros((), np.float64)
        for number in range(count):
            own, bands = hash((seed, number)) % 2**63, list_bands(self.teachers)
            drawn = draw_views(augment, len(self.split), self.side, own, bands)
            answers = self.ask(drawn=drawn, what=f", view {number + 1} of {count}")
            kept = work / f"teacher-view-{number + 1:03}.npy"
            total = total + keep(kept, partial(mean_logits, answers))
        return (total / count).astype(np.float32)


def gather(
    teachers: Sequence[Teacher], path: Path, label: Tensor, resident: float, device: str
) -> Audience:
    """The rows of a patch file with the bands of these teachers.

    Args:
        teachers: all of them.
        path: patch file.
        label: (N,) class numbers.
        resident: GB of rows that may lie in memory.
        device: "cpu" or "cuda".
    """
    bands = list_bands(teachers)
    split = load_split(locate_inputs(path, bands), {"label": label}, resident, ROWS)
    return Audience(teachers, split, read_side(path, bands), device, path.stem)


def mean_logits(answers: Iterable[Logits]) -> Logits:
    """(N, K) mean over the teachers of (T, B, K) logits, batch after batch."""
    return np.concatenate([logits.mean(0).astype(np.float32) for logits in answers])


def mean_probabilities(answers: Iterable[Logits]) -> Logits:
    """The same of their probabilities: the sum rule."""
    means = [np.stack([scores.softmax(one) for one in logits]).mean(0) for logits in answers]
    return np.concatenate([mean.astype(np.float32) for mean in means])


def keep(path: Path, make: Callable[[], Logits]) -> Logits:
    """What a file holds; where it is not there yet, what is made, which it then holds."""
    if work.keeps(path):
        return scores.read_array(path, 2)
    rows = make()
    work.make_folder(path.parent)
    draft = path.with_suffix(".draft.npy")
    np.save(draft, rows)
    work.publish(draft, path)
    return rows


def read_side(path: Path, bands: Sequence[str]) -> int:
    """Patch side of the first of some bands."""
    want = locate_inputs(path, bands[:1])[0]
    with patches.read(path) as source:
        return int(source[want.dataset].shape[1])
