"""Flags of the teacher and of what the student takes from it, and the conditions between them."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Literal

from shared.cli import at_least, between, more_than
from shared.errors import StageError

Loss = Literal["kd", "dist", "dkd"]


@dataclass(frozen=True)
class Teacher:
    """The teacher, and how its logits count.

    Attributes:
        teacher: folder of teacher, fusion or sumrule with train_logits.npy (N, K) and
            test_scores.npy, made from the same rows.
        onnx: instead of that, folders of ONNX files beside a model.json or a preprocessing.json;
            their logits are averaged.
        targets: cached (the teacher's logits of the plain view of a row), consistent (its networks
            see the same random view as the student) or views (their mean over some random views).
        teacher_views: random views of each row for --targets=views.
        alpha: weight of the hard-label term; 1 - alpha is the weight of the soft term.
        temperature: softens both sides of the soft term.
    """

    teacher: Path | None = None
    onnx: tuple[Path, ...] | None = None
    targets: Literal["cached", "consistent", "views"] = "cached"
    teacher_views: Annotated[int, at_least(1)] = 8
    alpha: Annotated[float, between(0, 1)] = 0.7
    temperature: Annotated[float | None, more_than(0)] = None

    def check(self, needed: bool) -> None:
        """Refuse what does not go together.

        Args:
            needed: whether anything is trained.

        Raises:
            StageError: names the flag.
        """
        if self.teacher and self.onnx:
            raise StageError("--onnx: --teacher has cached logits already; give one of the two")
        if needed and not self.teacher and not self.onnx:
            raise StageError(
                "--teacher: expected the folder of a teacher, fusion or sumrule, or ONNX folders "
                "as --onnx, found neither"
            )


@dataclass(frozen=True)
class Matching:
    """What the student takes from the teacher's logits: the soft term.

    Attributes:
        loss: kd (Hinton 2015), dist (correlations over classes and over the rows of a batch, Huang
            2022) or dkd (the label and the other classes apart, Zhao 2022).
        standardise: whether the logits of each row get mean 0 and deviation 1 before the
            temperature, on both sides (Sun 2024).
        dist_inter: weight of the correlation over classes.
        dist_intra: weight of the correlation over rows.
        dkd_target: weight of how sure the teacher is of the label.
        dkd_others: weight of what it says of the other classes.
    """

    loss: Loss = "kd"
    standardise: bool = False
    dist_inter: Annotated[float, at_least(0)] = 1.0
    dist_intra: Annotated[float, at_least(0)] = 1.0
    dkd_target: Annotated[float, at_least(0)] = 1.0
    dkd_others: Annotated[float, at_least(0)] = 8.0

    def check(self) -> None:
        """Refuse weights of a loss that is not taken.

        Raises:
            StageError: names the flag.
        """
        for field in fields(self):
            owner, _, weight = field.name.partition("_")
            if weight and owner != self.loss and getattr(self, field.name) != field.default:
                raise StageError(
                    f"--{field.name}: a weight of --loss={owner}, found --loss={self.loss}"
                )
