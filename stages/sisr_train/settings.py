"""Flags of the stage by group, and the conditions between them."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Literal

from shared.cli import at_least, between, more_than
from shared.errors import StageError

Mode = Literal["baseline", "geometric", "geometric+radiometric"]  # as in `sisr.cards`


@dataclass(frozen=True)
class Network:
    """The network and what it starts from.

    Attributes:
        architecture: carn-CASCADESxBLOCKSxFEATURESgGROUPS (with sw behind it, the blocks of a
            cascade share their weights), esrgan-BLOCKS, esrgan-BLOCKSxLATENTgGROWTH,
            edsr-BLOCKSxWIDTH or swinir-BLOCKSxLAYERSxWIDTHhHEADS (with wPIXELS behind it, windows
            of another side than 8).
        weights: network.safetensors of another run, or for edsr and swinir what sr-train made.
    """

    architecture: str = "carn-3x3x64g4sw"
    weights: Path | None = None


@dataclass(frozen=True)
class Targets:
    """What the network learns from.

    Attributes:
        mode: baseline takes the finer images as they are; geometric moves them to where the coarser
            sensor sees things; geometric+radiometric also gives them its brightness.
        registration: folder of register: the network that says where things are.
        known_flow: take the flow that the pair file tells, as drawn pairs do, instead of what a
            network says: how good a mode can become at best.
        min_correlation: rows whose two images correlate less are left out.
        rows: training rows at most, spread evenly; 0 for all.
    """

    mode: Mode = "geometric+radiometric"
    registration: Path | None = None
    known_flow: bool = False
    min_correlation: Annotated[float, between(0, 1)] = 0.1
    rows: Annotated[int, at_least(0)] = 0


@dataclass(frozen=True)
class Views:
    """What training sees of a row, and what counts.

    Attributes:
        crop: input pixels per side of a random part; 0 for whole patches.
        flips: whether parts are mirrored at random, along each axis.
        border: output pixels at each side that no loss and no measure counts; None is the margin of
            the network, all that what lies outside has an influence on.
        wald: weight of the second loss, for bands without a reference: the input is made coarser by
            the factor, restored, and compared with itself.
    """

    crop: Annotated[int, at_least(0)] = 0
    flips: bool = True
    border: Annotated[int | None, at_least(0)] = None
    wald: Annotated[float, at_least(0)] = 1.0


@dataclass(frozen=True)
class Descent:
    """Training by gradient descent.

    Attributes:
        epochs: passes over the training rows.
        batch: rows of a step.
        lr: learning rate of Adam at the beginning of each period.
        t_0: steps of the first period, in which the rate falls to zero along a cosine.
        t_mult: how much longer each period is than the one before.
    """

    epochs: Annotated[int, at_least(1)] = 100
    batch: Annotated[int, at_least(1)] = 32
    lr: Annotated[float, more_than(0)] = 1e-4
    t_0: Annotated[int, at_least(1)] = 750
    t_mult: Annotated[int, at_least(1)] = 2


@dataclass(frozen=True)
class Adversary:
    """A second network that judges what the first one makes; then the last epoch is kept.

    Attributes:
        adversarial: none, wasserstein (without penalty and clipping), bce, or relativistic (each
            logit relative to the mean of the other side).
        discriminator: plain (a number for each image) or unet (a number for each pixel, spectral
            norm).
        adversarial_weight: of its loss.
        high_pass: whether it sees only what Sentinel-2 does not see of an image.
        label_smoothing: the label of true images is 1 less this, of bce and relativistic.
        generator_start: steps after which its loss counts.
        discriminator_start: steps after which it learns.
        discriminator_lr: its learning rate, of Adam, which stays.
    """

    adversarial: Literal["none", "wasserstein", "bce", "relativistic"] = "none"
    discriminator: Literal["plain", "unet"] = "unet"
    adversarial_weight: Annotated[float, at_least(0)] = 0.1
    high_pass: bool = False
    label_smoothing: Annotated[float, between(0, 0.5)] = 0.1
    generator_start: Annotated[int, at_least(0)] = 0
    discriminator_start: Annotated[int, at_least(0)] = 0
    discriminator_lr: Annotated[float, more_than(0)] = 1e-5


@dataclass(frozen=True)
class Machine:
    """Where the training runs.

    Attributes:
        device: auto (a GPU if there is one), cpu or cuda.
        precision: auto (bfloat16 on a GPU that has it, float32 otherwise), float32 or bfloat16.
    """

    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"


@dataclass(frozen=True)
class Settings:
    """All groups together, and the seed."""

    network: Network
    targets: Targets
    views: Views
    descent: Descent
    adversary: Adversary
    machine: Machine
    seed: int

    def check(self) -> None:
        """Refuse flags that do not go together.

        Raises:
            StageError: names the flag.
        """
        targets = self.targets
        sources = (targets.registration is not None) + targets.known_flow
        if targets.mode == "baseline" and sources:
            flag = "--known_flow" if targets.known_flow else "--registration"
            raise StageError(f"{flag}: concerns the geometric modes, found --mode=baseline")
        if targets.mode != "baseline" and sources != 1:
            found = "both" if sources else "neither"
            expected = "expected --registration FOLDER of register, or --known_flow of drawn pairs"
            raise StageError(
                f"--mode={targets.mode}: {expected}, found {found}; --mode=baseline needs none"
            )
        if self.adversary.adversarial == "none":
            for field in fields(Adversary):
                if getattr(self.adversary, field.name) != field.default:
                    raise StageError(f"--{field.name}: concerns --adversarial, found none")
