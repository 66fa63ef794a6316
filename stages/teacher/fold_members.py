"""Which members of an ensemble leave out which rows, so that each row is scored by some unseen."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared.errors import StageError
from shared.training import Plan
from shared.training.data import folds, holdout
from stages.teacher.member_start import Start

Rows = NDArray[np.intp]


def check(plan: Plan, checkpoint: Path | None) -> None:
    """Refuse flags that do not go with --folds.

    Raises:
        StageError: names the flag.
    """
    if not plan.folds:
        return
    members = plan.ensemble.members
    if not 2 <= plan.folds <= members:
        raise StageError(f"--folds: expected 0, or 2 to --members={members}, found {plan.folds}")
    if checkpoint is not None:
        raise StageError("--folds: networks of --checkpoint are trained; nothing is left out")
    if plan.held_out.validation:
        raise StageError(
            "--folds: expected --validation=0, as the rows left out must not choose the epoch, "
            f"found {plan.held_out.validation:g}"
        )
    if plan.ensemble.shard != "1/1":
        raise StageError(
            "--folds: expected --shard=1/1, as members of all folds score the rows together, "
            f"found {plan.ensemble.shard}"
        )


def cut(
    train: Path, starts: Sequence[Start], plan: Plan, labels: NDArray[np.integer], held_out: Rows
) -> Iterator[tuple[Sequence[Start], Rows]]:
    """Members that share a pass over the rows, and the rows that they are not trained on.

    Args:
        train: patch file of the training split.
        starts: of all members.
        plan: how they are trained.
        labels: (N,) class numbers of the training rows.
        held_out: rows that no member is trained on.
    """
    together = plan.ensemble.together
    for some, left_out in _by_fold(train, starts, plan, labels, held_out):
        for first in range(0, len(some), together):
            yield some[first : first + together], left_out


def _by_fold(
    train: Path, starts: Sequence[Start], plan: Plan, labels: NDArray[np.integer], held_out: Rows
) -> Iterator[tuple[Sequence[Start], Rows]]:
    """Neighbouring members of each fold, in their order."""
    if not plan.folds:
        yield starts, held_out
        return
    kept, cities = np.setdiff1d(np.arange(len(labels)), held_out), holdout.read_cities(train)
    of_city = None if cities is None else cities[kept]
    fold = folds.assign_folds(labels[kept], of_city, plan.folds, starts[0].card.classes)
    for number in range(plan.folds):
        first, end = (len(starts) * n // plan.folds for n in (number, number + 1))
        yield starts[first:end], np.union1d(held_out, kept[fold == number])
