"""Rows of the training split whose labels look wrong, and are not trained on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from shared.cli import between
from shared.errors import StageError
from shared.models import label_audits

Rows = NDArray[np.intp]


@dataclass(frozen=True)
class Suspects:
    """Labels that look wrong.

    Attributes:
        audit: product of audit, of these training rows.
        drop_suspects: share of the training rows that are not trained on: those whose labels fit
            worst by --audit. Rows held out are kept, as they are not trained on.
    """

    audit: Path | None = None
    drop_suspects: Annotated[float, between(0, 0.5)] = 0.0

    def check(self) -> None:
        """Refuse one flag without the other.

        Raises:
            StageError: names the flag.
        """
        if self.drop_suspects and self.audit is None:
            raise StageError("--drop_suspects: expected --audit, which says what the worst are")
        if self.audit is not None and not self.drop_suspects:
            raise StageError("--audit: expected --drop_suspects above 0, found 0")

    def choose(self, labels: NDArray[np.integer], classes: tuple[str, ...], held_out: Rows) -> Rows:
        """Numbers of the rows to drop.

        Args:
            labels: (N,) class numbers of the training rows.
            classes: (K,) names.
            held_out: rows that are not trained on anyway.

        Returns:
            (D,) ascending.

        Raises:
            StageError: an audit of other rows; no row of a class would be left.
        """
        if self.audit is None:
            return np.array([], np.intp)
        audit = label_audits.load(self.audit)
        if audit.classes != classes or not np.array_equal(audit.given, labels):
            raise StageError(f"{self.audit}: made from other training rows: the labels differ")
        worst = audit.worst()[: round(self.drop_suspects * len(labels))]
        dropped = np.setdiff1d(worst, held_out)
        kept = np.delete(labels, np.union1d(dropped, held_out))
        lost = np.setdiff1d(np.delete(labels, held_out), kept)
        if len(lost):
            raise StageError(
                f"--drop_suspects: expected rows of each class to train on, found none of "
                f"{', '.join(classes[number] for number in lost)} below {self.drop_suspects:g}"
            )
        return dropped
