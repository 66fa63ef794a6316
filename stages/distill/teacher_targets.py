"""The teacher's logits of the student's rows: read from a folder, or asked of its networks."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shared import models, onnx_graphs
from shared.backend import devices
from shared.errors import StageError
from shared.reading import documents
from shared.training.data import Batch, Split, locate_inputs
from stages.distill import cached_logits, loss, teacher_logits
from stages.distill.onnx_teachers import Teacher, read
from stages.distill.settings import Settings

Labels = tuple[Tensor, Tensor]
Files = tuple[Path, Path]


@dataclass(frozen=True)
class Targets:
    """What a student learns from.

    Attributes:
        accuracy: of the teacher on the test rows; None without a teacher.
        extra: (N, K) "teacher" logits of the training rows, where they are not asked for anew.
        teachers: networks that see every batch, where they are.
        validation: accuracy of the teacher on the plain view of the rows that are held out; None
            where there are none.
    """

    accuracy: float | None = None
    extra: Batch = field(default_factory=dict)
    teachers: tuple[Teacher, ...] = ()
    validation: float | None = None

    @property
    def bands(self) -> tuple[str, ...]:
        """Bands that have to be in every batch for the teachers."""
        return teacher_logits.list_bands(self.teachers)

    def logits_of(self, split: Split, side: int) -> loss.TeacherLogits:
        """How the loss gets the teacher's logits of a batch.

        Args:
            split: whose batches they are.
            side: patch side in Sentinel pixels.
        """
        if not self.teachers:
            return loss.read_cached
        views = teacher_logits.build_views(self.teachers, split, side)

        def compute(batch: Batch) -> Tensor:
            return teacher_logits.stack_logits(self.teachers, views, batch).mean(0)

        return compute


def prepare(
    files: Files, labels: Labels, classes: tuple[str, ...], settings: Settings, work: Path,
    held_out: NDArray[np.intp],
) -> Targets:  # fmt: skip
    """Read the teacher's logits, or ask its networks.

    Args:
        files: patch files of training and test rows, with the bands of the networks.
        labels: class numbers of both.
        classes: (K,) names.
        settings: which teacher, and which views of a row it is asked about.
        work: folder that keeps the logits for a run that goes on.
        held_out: training rows that choose the epoch.

    Raises:
        StageError: as `cached_logits.read` and `onnx_teachers.read`; a band is missing; a folder
            without networks where they are needed.
    """
    teacher, facts = settings.teacher, dict[str, Any]()
    if teacher.teacher:
        logits, accuracy = cached_logits.read(teacher.teacher, labels, classes)
        said = logits[torch.from_numpy(held_out)].numpy()
        facts = {"accuracy": accuracy, "validation": _hits(said, labels[0].numpy()[held_out])}
        if teacher.targets == "cached" or not settings.is_training:
            return Targets(extra={"teacher": logits}, **facts)
        _check_networks(teacher.teacher)
    folders = (teacher.teacher,) if teacher.teacher else teacher.onnx
    if not folders:
        return Targets()
    teachers = tuple(read(folders, classes, files[1], in_torch=is_on_gpu(settings)))
    for path in files:  # both before hours with the first
        locate_inputs(path, teacher_logits.list_bands(teachers))
    return _ask(teachers, files, labels, settings, work, held_out=held_out, facts=facts)


def is_on_gpu(settings: Settings) -> bool:
    """Whether teachers are asked on a GPU: about more than plain views, where training is there."""
    anew = settings.is_training and settings.teacher.targets != "cached"
    return anew and devices.choose_device(settings.machine.device) == "cuda"


def _ask(
    teachers: tuple[Teacher, ...], files: Files, labels: Labels, settings: Settings, work: Path,
    *, held_out: NDArray[np.intp], facts: dict[str, Any],
) -> Targets:  # fmt: skip
    """What the flags want to know of these networks, beside the facts that are known already."""
    targets, resident = settings.teacher.targets, settings.machine.resident
    device = "cuda" if is_on_gpu(settings) else "cpu"

    def gather(number: int) -> teacher_logits.Audience:
        given = files[number], labels[number], resident, device
        return teacher_logits.gather(teachers, *given)

    if not facts:
        facts["accuracy"] = _hits(
            teacher_logits.keep(
                work / "teacher-test.npy",
                lambda: teacher_logits.mean_probabilities(gather(1).ask()),
            ),
            labels[1].numpy(),
        )
    truth = labels[0].numpy()[held_out]
    if not settings.is_training:
        return Targets(**facts)
    if targets == "cached":
        kept = work / "teacher-train.npy"
        rows = teacher_logits.keep(kept, lambda: teacher_logits.mean_logits(gather(0).ask()))
        facts["validation"] = _hits(rows[held_out], truth)
        return Targets(extra={"teacher": torch.from_numpy(rows)}, **facts)
    if "validation" not in facts and len(held_out):
        kept = work / "teacher-held-out.npy"
        few = teacher_logits.keep(kept, lambda: teacher_logits.mean_logits(gather(0).ask(held_out)))
        facts["validation"] = _hits(few, truth)
    if targets == "consistent":
        return Targets(teachers=teachers, **facts)
    augment, count = settings.student.augment, settings.teacher.teacher_views
    rows = gather(0).ask_views(augment, count, settings.seed, work)
    return Targets(extra={"teacher": torch.from_numpy(rows)}, **facts)


def _hits(said: NDArray[np.floating], truth: NDArray[np.integer]) -> float | None:
    """Share of (N, K) rows whose largest value is that of the (N,) label; None of no rows."""
    return float((said.argmax(1) == truth).mean()) if len(truth) else None


def _check_networks(folder: Path) -> None:
    """StageError where a score folder holds no networks that could be asked."""
    if onnx_graphs.name_description(folder).is_file():
        return
    joined = documents.read_json(folder / "metrics.json").get("members", [])
    names = ", ".join(str(one["name"]) for one in joined) or "its members"
    raise StageError(
        f"{folder}: expected networks, found no {models.MODEL_FILE}; their logits alone know only "
        f"the plain view: give the folders of {names} as --onnx"
    )
