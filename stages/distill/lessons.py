"""What the teacher says of the student's rows: read from a folder, or asked of ONNX networks."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shared import patches
from shared.models import scores
from shared.progress import bar
from shared.training.data import Batch, Split, View, load, order, wanted
from stages.distill import cached, loss
from stages.distill.foreign import Teacher, read
from stages.distill.settings import Settings

ROWS = 64  # pictures at once through a network
Labels = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Lesson:
    """What a student learns from.

    Attributes:
        accuracy: of the teacher on the test rows; None without a teacher.
        extra: (N, K) "teacher" logits of the training rows, where they are cached.
        teachers: networks that are asked anew on every batch, where they are not.
    """

    accuracy: float | None = None
    extra: Batch = field(default_factory=dict)
    teachers: tuple[Teacher, ...] = ()

    @property
    def bands(self) -> tuple[str, ...]:
        """Bands that have to be in every batch for the teachers."""
        return bands(self.teachers)

    def said(self, split: Split, side: int) -> loss.Said:
        """How the loss gets the teacher's logits of a batch.

        Args:
            split: whose batches they are.
            side: patch side in Sentinel pixels.
        """
        if not self.teachers:
            return loss.cached
        views = views_of(self.teachers, split, side)

        def ask(batch: Batch) -> Tensor:
            logits = each(self.teachers, views, batch).mean(0)
            return torch.from_numpy(logits).to(batch["label"].device)

        return ask


def bands(teachers: Sequence[Teacher]) -> tuple[str, ...]:
    """Every band that any of them sees, once."""
    return tuple(dict.fromkeys(band for teacher in teachers for band in teacher.card.bands))


def views_of(teachers: Sequence[Teacher], split: Split, side: int) -> list[View]:
    """How each of them sees a batch; in the random geometry of the batch, if it has one."""
    return [View(teacher.card, split.layouts, side) for teacher in teachers]


def each(teachers: Sequence[Teacher], views: Sequence[View], batch: Batch) -> NDArray[np.float32]:
    """(T, B, K) logits of every teacher on a batch."""
    pairs = zip(teachers, views, strict=True)
    return np.stack([teacher.logits(view(batch).cpu().numpy()) for teacher, view in pairs])


def prepare(
    train: Path, test: Path, labels: Labels, classes: tuple[str, ...], plan: Settings, work: Path
) -> Lesson:
    """Read or ask the teacher.

    Args:
        train: patch file of the student's rows, with the teachers' bands where they are asked.
        test: likewise.
        labels: class numbers of both.
        classes: (K,) names.
        plan: which teacher, and whether it is asked of the plain view or of every random one.
        work: folder that keeps what was said, for a run that goes on.

    Raises:
        StageError: as `cached.read` and `foreign.read`; a band is missing.
    """
    if plan.teacher:
        logits, accuracy = cached.read(plan.teacher, labels, classes)
        return Lesson(accuracy, {"teacher": logits})
    if not plan.onnx:
        return Lesson()
    teachers = tuple(read(plan.onnx, classes))
    for path in (train, test):  # both before hours with the first
        wanted(path, bands(teachers))
    heard = [_told(teachers, test, labels[1], plan, work / "teacher-test.npy", soft=True)]
    accuracy = float((heard[0].argmax(1) == labels[1].numpy()).mean())
    if plan.targets == "consistent":
        return Lesson(accuracy, teachers=teachers)
    if not plan.learns:
        return Lesson(accuracy)
    logits = _told(teachers, train, labels[0], plan, work / "teacher-train.npy", soft=False)
    return Lesson(accuracy, {"teacher": torch.from_numpy(logits)})


def _told(
    teachers: Sequence[Teacher], path: Path, label: Tensor, plan: Settings, kept: Path, soft: bool
) -> NDArray[np.float32]:
    """(N, K) mean probabilities (soft) or mean logits of the plain views of a file's rows."""
    if kept.exists():
        return scores.array(kept, 2)
    split = load(wanted(path, bands(teachers)), {"label": label}, plan.resident, ROWS)
    views, said = views_of(teachers, split, side_of(path, bands(teachers))), []
    with bar(len(split), f"teachers on {path.stem}") as shown:
        for batch in split.batches(order.cut(np.arange(len(split)), ROWS)):
            logits = each(teachers, views, batch)
            rows = np.stack([scores.softmax(one) for one in logits]) if soft else logits
            said.append(rows.mean(0).astype(np.float32))
            shown.update(len(batch["label"]))
    kept.parent.mkdir(parents=True, exist_ok=True)
    draft = kept.with_suffix(".draft.npy")
    np.save(draft, np.concatenate(said))
    draft.replace(kept)
    return np.concatenate(said)


def side_of(path: Path, bands: Sequence[str]) -> int:
    """Patch side of the first of some bands."""
    want = wanted(path, bands[:1])[0]
    with patches.read(path) as source:
        return int(source[want.dataset].shape[1])
