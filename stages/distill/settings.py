"""The parameters of distillation in groups, and the conditions between them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from shared import models
from shared.cli import at_least, gained, more_than
from shared.errors import StageError
from shared.int8 import Scheme
from shared.training import (
    Augment,
    Interpolation,
    Machine,
    Optimiser,
    Pixels,
    Sampling,
    Schedule,
    Validation,
)
from stages.distill.presets import Preset, preset_of
from stages.distill.suspects import Suspects
from stages.distill.teaching import Matching, Teacher


@dataclass(frozen=True)
class Student:
    """The student, and what it starts from.

    Attributes:
        architecture: timm or torchvision name, such as resnet18, mobilenetv3_small_100,
            mobilenetv4_conv_medium, efficientnet_b0; or simple-net, student-resnet,
            student-separable, student-depthwise-skip, student-light.
        bands: band names, one per input channel, from sen2 or rgb, and sen1.
        size: pixels per side at the network's input.
        interpolation: bilinear (as Voyager resizes) or nearest.
        augment: random views of training: none; sharp (flips, shifts of whole pixels, cutouts, and
            ±8° rotations of every second row, sampled once); lcz (as published: every row rotated,
            then resized); overhead (symmetries of the square, shifts, light, erasing).
        eight_bit: whether values are rounded to whole levels of 0 … 255 before and after the
            resize: the pictures that Metis gets hold no more, nor do those that the SDK enlarges.
        decimals: of the mean and deviation that pictures are normalised with: 3, which every SDK
            keeps, or 6, which its releases from 1.6 on keep. Bands of a fitted range have 3, which
            are exact there.
        range: which values the levels stand for: published (the scale of the patch file, 0 … 2.8
            of reflectance) or fitted (limits per band from the training split, with room beyond;
            they are stored in model.json, and mean and std follow them, exact in 3 decimals).
        baseline: whether to train the same student without a teacher as well.
        weights: state dict of the same architecture (.safetensors or .pth), for instance ImageNet.
        adapt: whether weights for three channels are spread over the bands as timm does; otherwise
            they must fit as they are.
        checkpoint: a trained student (.pth of the thesis, or student.safetensors) that is only
            scored, or fine-tuned by qat; a teacher is then needed for qat alone.
    """

    architecture: str = "resnet18"
    bands: tuple[str, ...] = ("B4", "B3", "B2")
    size: Pixels | None = None
    interpolation: Interpolation = "bilinear"
    augment: Augment = "sharp"
    eight_bit: bool = True
    decimals: Literal[3, 6] = 3
    range: Annotated[models.Range, gained("published")] = "fitted"
    baseline: bool = True
    weights: Path | None = None
    adapt: bool = False
    checkpoint: Path | None = None


@dataclass(frozen=True)
class Descent:
    """Training of the student; without a value, the published one of the student.

    Attributes:
        epochs: passes over the training split.
        batch: rows per step.
        lr: learning rate, at the beginning.
        optimiser: adamw, adam or sgd (with momentum 0.9).
        weight_decay: decoupled weight decay of adamw; L2 penalty of the others.
        schedule: of the learning rate: cosine (falls to zero over the epochs), constant, or plateau
            (is halved where the validation loss has not become lower in more than two epochs; needs
            rows held out).
    """

    epochs: Annotated[int | None, at_least(1)] = None
    batch: Annotated[int | None, at_least(2)] = None
    lr: Annotated[float | None, at_least(0)] = None
    optimiser: Optimiser | None = None
    weight_decay: Annotated[float | None, at_least(0)] = None
    schedule: Schedule | None = None


@dataclass(frozen=True)
class FineTuning:
    """Fine-tuning with fake INT8, after training or from a checkpoint.

    Attributes:
        qat: epochs of fine-tuning, 0 for none.
        qat_lr: learning rate of these epochs.
        qat_scheme: how the SDK will choose the ranges of activations; weights have one range per
            output channel in every scheme.
        qat_rounding: whether these epochs round; --noqat_rounding is the same in float, to compare.
    """

    qat: Annotated[int, at_least(0)] = 0
    qat_lr: Annotated[float, more_than(0)] = 1e-5
    qat_scheme: Scheme = "per_tensor_histogram"
    qat_rounding: bool = True


@dataclass(frozen=True)
class Settings:
    """All parameters of the stage, by group.

    Attributes:
        teacher: whom the student learns from.
        matching: what it takes from the teacher's logits.
        student: what learns.
        descent: how it learns.
        tuning: how it is fine-tuned for INT8.
        held_out: rows that choose the epoch.
        machine: where it learns.
        seed: of weights, order and views.
        recipe: word that said what the caller did not.
        sampling: which rows an epoch trains on, and whether they are mixed.
        suspects: rows that are not trained on, because their labels look wrong.
    """

    teacher: Teacher
    matching: Matching
    student: Student
    descent: Descent
    tuning: FineTuning
    held_out: Validation
    machine: Machine
    seed: int
    recipe: str = "published"
    sampling: Sampling = field(default_factory=Sampling)
    suspects: Suspects = field(default_factory=Suspects)

    @property
    def preset(self) -> Preset:
        """The published settings of the student, where the caller says nothing else."""
        student, descent = self.student, self.descent
        return preset_of(
            student.architecture, size=student.size, lr=descent.lr, batch=descent.batch,
            weight_decay=descent.weight_decay, schedule=descent.schedule, epochs=descent.epochs,
            temperature=self.teacher.temperature, optimiser=descent.optimiser,
        )  # fmt: skip

    @property
    def is_training(self) -> bool:
        """Whether anything is trained, so that a teacher is needed."""
        return self.student.checkpoint is None or self.tuning.qat > 0

    def check(self) -> None:
        """Refuse flags that do not go together.

        Raises:
            StageError: names the flag.
        """
        bands = self.student.bands
        if len(set(bands)) < len(bands):
            raise StageError(f"--bands: expected different bands, found {', '.join(bands)}")
        self.teacher.check(needed=self.is_training)
        self.matching.check()
        self.suspects.check()
        if self.teacher.targets == "views" and self.student.augment == "none":
            raise StageError("--targets=views: expected random views, found --augment=none")
        if self.student.checkpoint and self.student.weights:
            raise StageError("--weights: --checkpoint has weights of its own; give one of the two")
        if self.student.adapt and not self.student.weights:
            raise StageError("--adapt: nothing to adapt without --weights")
