"""Which pictures are for training, validation and testing, and the order of the rows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared.errors import StageError

Sample = tuple[Path, int]  # picture, class number


@dataclass(frozen=True)
class Parts:
    """The pictures of each part.

    Attributes:
        training: pictures that networks learn from.
        validation: pictures that choose an epoch.
        testing: pictures that networks are judged by.
    """

    training: list[Sample] = field(default_factory=list)
    validation: list[Sample] = field(default_factory=list)
    testing: list[Sample] = field(default_factory=list)


@dataclass(frozen=True)
class Rows:
    """Rows of both files.

    Attributes:
        training: pictures for training and validation, mixed.
        validation: (N,) 1 for those of validation.
        testing: pictures for testing.
    """

    training: list[Sample]
    validation: NDArray[np.uint8]
    testing: list[Sample]


def count_shares(total: int, validation_share: float, test_share: float) -> tuple[int, int]:
    """Pictures of a class for validation and for testing: each at least one, and one is left.

    Args:
        total: pictures of the class; 2 or more, 3 or more with validation.
        validation_share: of them; 0 gives none.
        test_share: of them.
    """
    least = 1 if validation_share else 0
    testing = min(max(round(total * test_share), 1), total - 1 - least)
    validation = min(max(round(total * validation_share), least), total - 1 - testing)
    return validation, testing


def draw(
    classes: Mapping[str, list[Path]],
    validation_share: float,
    test_share: float,
    rng: np.random.Generator,
    most: int | None = None,
) -> Parts:
    """A part for every picture that is drawn, by the same shares of every class.

    Args:
        classes: class name to its pictures, in class order.
        validation_share: of each class, 0 to below 1.
        test_share: of each class, above 0 and below 1; both together below 1.
        rng: decides which.
        most: pictures of a class that are drawn; all of them without it.
    """
    parts = Parts()
    for number, files in enumerate(classes.values()):
        drawn = rng.permutation(len(files))[:most]
        validation, testing = count_shares(len(drawn), validation_share, test_share)
        for place, which in enumerate(drawn):
            part = parts.testing if place < testing else parts.training
            if testing <= place < testing + validation:
                part = parts.validation
            part.append((files[which], number))
    return parts


def mix(parts: Parts, rng: np.random.Generator) -> Rows:
    """The rows in random order."""
    both = parts.training + parts.validation
    order = rng.permutation(len(both))
    return Rows(
        [both[i] for i in order],
        (order >= len(parts.training)).astype(np.uint8),
        [parts.testing[i] for i in rng.permutation(len(parts.testing))],
    )


def check_shares(validation_share: float, test_share: float) -> None:
    """StageError where the shares leave nothing to train on."""
    if validation_share + test_share >= 1:
        found = f"{validation_share:g} and {test_share:g}"
        raise StageError(f"--validation_share, --test_share: expected a sum below 1, found {found}")
