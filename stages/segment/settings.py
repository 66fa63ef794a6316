"""Flags of the stage by group, and the conditions between them."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Literal

from shared.cli import at_least, between, more_than
from shared.errors import StageError
from shared.segmentation import Views
from shared.training import Optimiser

PUBLISHED_FREEZE = 5  # groups of the backbone, where it comes with weights


@dataclass(frozen=True)
class Network:
    """The network and what it starts from.

    Attributes:
        architecture: swin_v2_t, swin_v2_s or swin_v2_b with a feature pyramid, unet-ENCODER or
            fpn-ENCODER of segmentation-models-pytorch with an encoder of its own or of timm,
            deeplabv3_mobilenet, unet-mobilenetv4, or pyramid-tiny, which learns on two cores.
        level: which fused level of a pyramid feeds the head: finest, or coarsest (as published).
        taps: where Swin is tapped: behind its four stages, or behind its mergings (as published:
            what enters each stage; the last one is left out).
        width: channels of every level of the pyramid of Swin.
        weights: weights of the backbone (.safetensors or .pth), maybe in a larger network, such as
            Satlas' and torchvision's, or network.safetensors of another run.
        freeze: first groups of the backbone that do not learn and stay in evaluation mode. None is
            5 (as published) with weights and 0 without.
        normalise: mean and deviation of the input: of the training split, published (those of the
            published network, for which validation and test count as well), or unit (values / 255
            as they are). None is unit with weights of Satlas, which expect that, and else training.
    """

    architecture: str = "swin_v2_b"
    level: Literal["finest", "coarsest"] = "finest"
    taps: Literal["stages", "mergings"] = "stages"
    width: Annotated[int, between(8, 1024)] = 256
    weights: Path | None = None
    freeze: Annotated[int | None, at_least(0)] = None
    normalise: Literal["training", "published", "unit"] | None = None

    @property
    def frozen(self) -> int:
        """Groups of the backbone that do not learn."""
        if self.freeze is not None:
            return self.freeze
        return PUBLISHED_FREEZE if self.weights else 0


@dataclass(frozen=True)
class Descent:
    """Training by gradient descent; defaults are the published values.

    Attributes:
        epochs: passes over the training tiles, at most.
        batch: tiles in one pass through the network.
        accumulate: passes whose gradients are added up before a step: a step has batch times
            accumulate tiles, and its gradient is theirs at once but for batch norm.
        lr: learning rate, at the beginning.
        weight_decay: L2 penalty; of adamw decoupled.
        optimiser: sgd, adamw or adam.
        clip: largest norm of a step's gradient; 0 for no limit.
        plateau_factor: by which the rate is multiplied where the validation IoU stays.
        plateau_patience: epochs without a better validation IoU that the rate endures.
        lowest_lr: rate below which it does not fall.
        patience: epochs without a better validation IoU after which training stops; 0 for never.
    """

    epochs: Annotated[int, at_least(1)] = 50
    batch: Annotated[int, at_least(2)] = 16
    accumulate: Annotated[int, at_least(1)] = 1
    lr: Annotated[float, at_least(0)] = 1e-4
    weight_decay: Annotated[float, at_least(0)] = 1e-4
    optimiser: Optimiser = "adam"
    clip: Annotated[float, at_least(0)] = 1.0
    plateau_factor: Annotated[float, between(0.001, 0.999)] = 0.1
    plateau_patience: Annotated[int, at_least(0)] = 5
    lowest_lr: Annotated[float, at_least(0)] = 1e-8
    patience: Annotated[int, at_least(0)] = 15


@dataclass(frozen=True)
class Loss:
    """How far logits are from masks; pixels without a class never count.

    Attributes:
        loss: ce (cross-entropy), dice (1 - the overlap of the classes that each view has) or focal
            (cross-entropy, less of what is right already).
        class_weights: published (those of LandCover.ai, set by hand), inverse-frequency (to the
            shares in the training split, with a mean of 1) or none.
        smoothing: of the labels, of ce.
        gamma: how much less counts what is right already, of focal.
    """

    loss: Literal["ce", "dice", "focal"] = "ce"
    class_weights: Literal["published", "inverse-frequency", "none"] = "published"
    smoothing: Annotated[float, between(0, 1, below=True)] = 0.1
    gamma: Annotated[float, between(0, 10)] = 2.0


@dataclass(frozen=True)
class Teaching:
    """A teacher whose maps the network learns from as well, pixel by pixel.

    Attributes:
        teacher: folder of another segment run, of the same classes; it sees the very views of the
            student.
        alpha: weight of the masks; 1 - alpha is the weight of the teacher.
        temperature: softens both sides of the divergence from the teacher.
    """

    teacher: Path | None = None
    alpha: Annotated[float, between(0, 1)] = 0.5
    temperature: Annotated[float, more_than(0)] = 2.0


@dataclass(frozen=True)
class Machine:
    """Where the training runs.

    Attributes:
        resident: GB of tiles of each file that may lie in memory; of a larger file every batch is
            read from the disk, in the same order.
        device: auto (a GPU if there is one), cpu or cuda.
        precision: auto (bfloat16 on a GPU that has it, float32 otherwise), float32 or bfloat16.
        profile: also write where the time of four steps goes, into profile/: a trace for
            https://ui.perfetto.dev and a table. A product that is there already is left as it is.
    """

    resident: Annotated[float, more_than(0)] = 32.0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    profile: bool = False


@dataclass(frozen=True)
class Settings:
    """All groups together, and the seed."""

    network: Network
    views: Views
    loss: Loss
    descent: Descent
    teaching: Teaching
    machine: Machine
    seed: int

    def check(self) -> None:
        """Refuse flags of what is not asked for.

        Raises:
            StageError: names the flag.
        """
        if self.loss.loss != "ce" and self.loss.smoothing != Loss.smoothing:
            raise StageError(f"--smoothing: concerns --loss=ce, found --loss={self.loss.loss}")
        if self.loss.loss != "focal" and self.loss.gamma != Loss.gamma:
            raise StageError(f"--gamma: concerns --loss=focal, found --loss={self.loss.loss}")
        if self.teaching.teacher is None:
            for field in fields(Teaching):
                if getattr(self.teaching, field.name) != field.default:
                    raise StageError(f"--{field.name}: concerns --teacher, found none")
