"""Flags of the stage by group."""

from dataclasses import dataclass
from typing import Annotated

from shared import cli


@dataclass(frozen=True)
class Network:
    """The U-Net; its defaults are the published ones, but for the guess.

    Attributes:
        width: features of the finest level; deeper ones have twice and four times as many.
        depth: how often the resolution is halved.
        max_offset: pixels of low that no flow exceeds.
        guess: whether the network corrects a guess by least squares on gradients (--noguess, as
            published: it finds the flow from nothing, which takes a training of many more steps).
    """

    width: Annotated[int, cli.between(4, 256)] = 64
    depth: Annotated[int, cli.between(1, 6)] = 4
    max_offset: Annotated[float, cli.between(0.5, 10)] = 2.0
    guess: bool = True


@dataclass(frozen=True)
class Learning:
    """How it learns.

    Attributes:
        epochs: passes over the training rows.
        batch: pairs in a step.
        lr: learning rate of Adam at the beginning; a cosine brings it to zero.
        crop: pixels of low along a side of what a step sees of a pair.
        rows: pairs of the training rows to read, evenly spread.
        correlation: pairs that agree less are left out.
    """

    epochs: Annotated[int, cli.at_least(1)] = 40
    batch: Annotated[int, cli.at_least(1)] = 4
    lr: Annotated[float, cli.more_than(0)] = 1e-3
    crop: Annotated[int, cli.between(16, 512)] = 64
    rows: Annotated[int, cli.at_least(1)] = 20_000
    correlation: Annotated[float, cli.between(0, 1)] = 0.0


@dataclass(frozen=True)
class Settings:
    """All parameters together; `band`, `device` and `seed` are described with the stage."""

    band: str | None
    network: Network
    learning: Learning
    device: str
    seed: int
