"""Groups of parameters that several trainers have; importable without torch.

Their fields are flags of the command line: `shared.cli.parameters` says how they are declared.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from shared.cli import at_least, between, formerly, more_than

# A switch before, whose views are called lcz now.
Augment = Annotated[Literal["none", "lcz", "sharp", "overhead"], formerly(true="lcz", false="none")]
Interpolation = Literal["bilinear", "nearest"]
Pixels = Annotated[int, between(16, 1024)]
Seed = Annotated[int, at_least(0)]
Optimiser = Literal["sgd", "adamw", "adam"]
Schedule = Literal["constant", "cosine", "plateau"]


@dataclass(frozen=True)
class Ensemble:
    """Members of the ensemble.

    Attributes:
        members: networks in the ensemble.
        together: members that share one pass over the rows; more take more memory and less time.
        seed: of the order of the rows; member i draws its bands, weights and views from
            seed + i - 1.
        shard: "i/n" trains the i-th of n runs of members.
    """

    members: Annotated[int, at_least(1)] = 10
    together: Annotated[int, at_least(1)] = 10
    seed: Seed = 42
    shard: str = "1/1"


@dataclass(frozen=True)
class Network:
    """The network and the picture it sees.

    Attributes:
        architecture: timm or torchvision name, or simple-net, student-resnet, student-separable,
            student-depthwise-skip, student-light.
        mode: bands of a member: rand (three optical bands), randrgb (one of B4, B3, B2 and two
            others) or sar (two optical bands and one channel of sen1).
        size: pixels per side at the network's input.
        interpolation: how patches are enlarged: bilinear (as Voyager does) or nearest (as the
            thesis did).
        augment: random views of training: none; sharp (flips, shifts of whole pixels, cutouts, and
            ±8° rotations of every second row, sampled once); lcz (as published: every row rotated,
            then resized); overhead (symmetries of the square, shifts, light, erasing).
    """

    architecture: str = "resnet18"
    mode: Literal["rand", "randrgb", "sar"] = "rand"
    size: Pixels = 224
    interpolation: Interpolation = "bilinear"
    augment: Augment = "sharp"


@dataclass(frozen=True)
class Descent:
    """Training by gradient descent.

    Attributes:
        epochs: passes over the training split.
        batch: rows per step.
        lr: learning rate, at the beginning.
        optimiser: sgd, adamw or adam.
        momentum: momentum of the steps, of sgd.
        weight_decay: L2 penalty; of adamw decoupled.
        schedule: of the learning rate: constant (as published), cosine (falls to zero over the
            epochs) or plateau (is halved where the validation loss has not become lower in more
            than two epochs; needs rows held out).
        cosine: the earlier name of --schedule cosine.
    """

    epochs: Annotated[int, at_least(1)] = 12
    batch: Annotated[int, at_least(2)] = 1024
    lr: Annotated[float, at_least(0)] = 1e-3
    momentum: Annotated[float, at_least(0)] = 0.9
    weight_decay: Annotated[float, at_least(0)] = 1e-4
    optimiser: Optimiser = "sgd"
    schedule: Schedule = "constant"
    cosine: bool = False


@dataclass(frozen=True)
class Sampling:
    """Which rows an epoch trains on, and whether they are mixed.

    Attributes:
        balance: whether each epoch draws its rows with replacement so that all classes are alike
            likely; the number of rows is the same.
        mixup: alpha of mixup: each row of a batch is laid over another one, their labels count by
            their shares, and the share of each batch is drawn from Beta(alpha, alpha). Published
            are 0.1 to 0.4; 0 mixes nothing.
    """

    balance: bool = False
    mixup: Annotated[float, between(0, 100)] = 0.0


@dataclass(frozen=True)
class Validation:
    """Rows that are held out of training.

    Attributes:
        validation: share of the training rows held out, 0 to 0.5, by city where the file knows it;
            the epoch that is best on them is kept. 0 keeps the last epoch. Rows that the file marks
            as validation are never trained on, whatever the share: exactly these are held out.
        patience: epochs without a better one after which training stops; 0 for never.
        monitor: by which an epoch is better: validation accuracy, or validation loss, the mean
            cross-entropy of the rows held out.
        min_improvement: an epoch is better by more than this only.
    """

    validation: Annotated[float, between(0, 0.5)] = 0.0
    patience: Annotated[int, at_least(0)] = 0
    monitor: Literal["accuracy", "loss"] = "accuracy"
    min_improvement: Annotated[float, at_least(0)] = 0.0


@dataclass(frozen=True)
class Machine:
    """Where the training runs.

    Attributes:
        resident: GB of rows that may lie in memory. Where the rows take more, they are read in
            shuffled pieces, which changes their order and so the result.
        device: auto (a GPU if there is one), cpu or cuda.
        precision: auto (bfloat16 on a GPU that has it, float32 otherwise), float32 or bfloat16.
    """

    resident: Annotated[float, more_than(0)] = 32.0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"


@dataclass(frozen=True)
class Plan:
    """How an ensemble is made: what its stage was asked for, by group.

    Attributes:
        ensemble: its members.
        network: the network of each one.
        descent: how they are trained.
        held_out: rows that choose the epoch.
        machine: where they are trained.
        weights: state dict to start from, if any.
        sampling: which rows an epoch trains on, and whether they are mixed.
        folds: parts of the training rows, each left out by some members; 0 for none.
    """

    ensemble: Ensemble
    network: Network
    descent: Descent
    held_out: Validation
    machine: Machine
    weights: Path | None = None
    sampling: Sampling = Sampling()
    folds: int = 0
