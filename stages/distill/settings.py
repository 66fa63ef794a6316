"""What the caller asked for, checked before any data is read."""

import dataclasses
from pathlib import Path

from shared.errors import StageError
from stages.distill.students import Published

TARGETS = ("cached", "consistent")
SCHEMES = ("per_tensor", "per_channel")


@dataclasses.dataclass(frozen=True)
class Settings:
    """See the parameters of ``run``; what has a default of the student is in ``published``."""

    teacher: Path | None
    onnx: tuple[Path, ...]
    targets: str
    architecture: str
    bands: tuple[str, ...]
    alpha: float
    published: Published
    interpolation: str
    eight_bit: bool
    validation: float
    baseline: bool
    weights: Path | None
    adapt: bool
    checkpoint: Path | None
    qat: int
    qat_lr: float
    qat_weights: str
    resident: float

    @property
    def learns(self) -> bool:
        """Whether anything is trained, so that a teacher is asked."""
        return self.checkpoint is None or self.qat > 0

    def check(self) -> None:
        """Refuse what makes no sense.

        Raises:
            StageError: names the flag.
        """
        if not 0 <= self.alpha <= 1:
            raise StageError(f"--alpha: expected 0 to 1, found {self.alpha}")
        if not self.published.temperature > 0:
            raise StageError(f"--temperature: expected above 0, found {self.published.temperature}")
        if len(set(self.bands)) < len(self.bands):
            raise StageError(f"--bands: expected different bands, found {', '.join(self.bands)}")
        self._check_teacher()
        self._check_start()

    def _check_teacher(self) -> None:
        if self.targets not in TARGETS:
            raise StageError(f"--targets: expected {' or '.join(TARGETS)}, found {self.targets!r}")
        if self.teacher and self.onnx:
            raise StageError("--onnx: --teacher has cached what it says; give one of the two")
        if self.learns and not self.teacher and not self.onnx:
            raise StageError(
                "--teacher: expected the folder of a teacher, fusion or sumrule, or ONNX folders "
                "as --onnx, found neither"
            )
        if self.targets == "consistent" and not self.onnx:
            raise StageError(
                "--targets=consistent: cached logits know only the plain view; give the networks "
                "as --onnx"
            )

    def _check_start(self) -> None:
        if self.checkpoint and self.weights:
            raise StageError("--weights: --checkpoint has weights of its own; give one of the two")
        if self.adapt and not self.weights:
            raise StageError("--adapt: nothing to adapt without --weights")
        if self.qat < 0:
            raise StageError(f"--qat: expected at least 0 epochs, found {self.qat}")
        if not self.qat_lr > 0:
            raise StageError(f"--qat_lr: expected above 0, found {self.qat_lr}")
        if self.qat_weights not in SCHEMES:
            known = " or ".join(SCHEMES)
            raise StageError(f"--qat_weights: expected {known}, found {self.qat_weights!r}")
