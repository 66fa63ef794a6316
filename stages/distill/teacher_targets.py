"""The teacher's logits of the student's rows: read from a folder, or computed by ONNX networks."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shared import patches
from shared.models import scores
from shared.progress import bar
from shared.training.data import Batch, Split, View, load_split, locate_inputs, order
from stages.distill import cached_logits, loss
from stages.distill.onnx_teachers import Teacher, read
from stages.distill.settings import Settings

ROWS = 64  # pictures at once through a network
Labels = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Targets:
    """What a student learns from.

    Attributes:
        accuracy: of the teacher on the test rows; None without a teacher.
        extra: (N, K) "teacher" logits of the training rows, where they are cached.
        teachers: networks that see every batch, where the logits are not cached.
    """

    accuracy: float | None = None
    extra: Batch = field(default_factory=dict)
    teachers: tuple[Teacher, ...] = ()

    @property
    def bands(self) -> tuple[str, ...]:
        """Bands that have to be in every batch for the teachers."""
        return list_bands(self.teachers)

    def logits_of(self, split: Split, side: int) -> loss.TeacherLogits:
        """How the loss gets the teacher's logits of a batch.

        Args:
            split: whose batches they are.
            side: patch side in Sentinel pixels.
        """
        if not self.teachers:
            return loss.read_cached
        views = build_views(self.teachers, split, side)

        def compute(batch: Batch) -> Tensor:
            logits = stack_logits(self.teachers, views, batch).mean(0)
            return torch.from_numpy(logits).to(batch["label"].device)

        return compute


def list_bands(teachers: Sequence[Teacher]) -> tuple[str, ...]:
    """Every band that any of them sees, once."""
    return tuple(dict.fromkeys(band for teacher in teachers for band in teacher.card.bands))


def build_views(teachers: Sequence[Teacher], split: Split, side: int) -> list[View]:
    """How each of them sees a batch; in the random geometry of the batch, if it has one."""
    return [View(teacher.card, split.layouts, side) for teacher in teachers]


def stack_logits(
    teachers: Sequence[Teacher], views: Sequence[View], batch: Batch
) -> NDArray[np.float32]:
    """(T, B, K) logits of every teacher on a batch."""
    pairs = zip(teachers, views, strict=True)
    return np.stack([teacher.logits(view(batch).cpu().numpy()) for teacher, view in pairs])


def prepare(
    files: tuple[Path, Path], labels: Labels, classes: tuple[str, ...], settings: Settings,
    work: Path,
) -> Targets:  # fmt: skip
    """Read the teacher's logits, or compute them.

    Args:
        files: patch files of training and test rows, with the bands of ONNX teachers.
        labels: class numbers of both.
        classes: (K,) names.
        settings: which teacher, and whether it sees the plain view or every random one.
        work: folder that keeps the logits for a run that goes on.

    Raises:
        StageError: as `cached_logits.read` and `onnx_teachers.read`; a band is missing.
    """
    teacher, resident = settings.teacher, settings.machine.resident
    if teacher.teacher:
        logits, accuracy = cached_logits.read(teacher.teacher, labels, classes)
        return Targets(accuracy, {"teacher": logits})
    if not teacher.onnx:
        return Targets()
    teachers = tuple(read(teacher.onnx, classes, files[1]))
    for path in files:  # both before hours with the first
        locate_inputs(path, list_bands(teachers))
    compute = partial(_compute, teachers, resident=resident)
    scores_of_test = compute(files[1], labels[1], kept=work / "teacher-test.npy", soft=True)
    accuracy = float((scores_of_test.argmax(1) == labels[1].numpy()).mean())
    if teacher.targets == "consistent":
        return Targets(accuracy, teachers=teachers)
    if not settings.is_training:
        return Targets(accuracy)
    rows = compute(files[0], labels[0], kept=work / "teacher-train.npy", soft=False)
    return Targets(accuracy, {"teacher": torch.from_numpy(rows)})


def _compute(
    teachers: Sequence[Teacher], path: Path, label: Tensor, *, resident: float, kept: Path,
    soft: bool,
) -> NDArray[np.float32]:  # fmt: skip
    """(N, K) mean probabilities (soft) or mean logits of the plain views of a file's rows."""
    if kept.exists():
        return scores.read_array(kept, 2)
    split = load_split(locate_inputs(path, list_bands(teachers)), {"label": label}, resident, ROWS)
    views, parts = build_views(teachers, split, read_side(path, list_bands(teachers))), []
    with bar(len(split), f"teachers on {path.stem}") as shown:
        for batch in split.batches(order.cut_batches(np.arange(len(split)), ROWS)):
            logits = stack_logits(teachers, views, batch)
            rows = np.stack([scores.softmax(one) for one in logits]) if soft else logits
            parts.append(rows.mean(0).astype(np.float32))
            shown.update(len(batch["label"]))
    kept.parent.mkdir(parents=True, exist_ok=True)
    draft = kept.with_suffix(".draft.npy")
    np.save(draft, np.concatenate(parts))
    draft.replace(kept)
    return np.concatenate(parts)


def read_side(path: Path, bands: Sequence[str]) -> int:
    """Patch side of the first of some bands."""
    want = locate_inputs(path, bands[:1])[0]
    with patches.read(path) as source:
        return int(source[want.dataset].shape[1])
