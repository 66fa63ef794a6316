"""Whether the teacher knows more than the student would alone, on rows that nobody tests with."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared import patches
from shared.progress import say

LEAST = 4.0  # points of a lead below which a student seldom gains; a rule of thumb
SERIES = "validation accuracy"  # of the rows held out, one value an epoch


def doubt_teacher(
    accuracy: float | None, truth: NDArray[np.integer], classes: tuple[str, ...]
) -> str:
    """One line where a teacher hardly beats the commonest class of the rows held out, else "".

    Such a teacher was given other bands, units or classes than it was trained with, most likely.

    Args:
        accuracy: of the teacher on these rows; None where it is not known.
        truth: (M,) their class numbers.
        classes: (K,) names.
    """
    if accuracy is None or not len(truth):
        return ""
    counts = np.bincount(truth)
    common = float(counts.max() / len(truth))
    if 100 * (accuracy - common) >= LEAST:
        return ""
    return (
        f"the teacher is right on {accuracy:.1%} of {len(truth)} training rows held out, always "
        f"answering {classes[counts.argmax()]} on {common:.1%}: is it the teacher of these rows?"
    )


def describe_lead(
    accuracy: float | None, twin: Mapping[str, Sequence[float]], clean: bool
) -> dict[str, Any]:
    """Entries of metrics.json; none where teacher or twin was not measured on rows held out.

    Args:
        accuracy: of the teacher on these rows.
        twin: what the training of the student without a teacher was like, by quantity.
        clean: whether the teacher cannot have trained on these rows.

    Returns:
        teacher_lead: in points, over the twin's best epoch; teacher_lead_flattered: whether the
        teacher may have trained on these rows, so that its lead is smaller in truth.
    """
    if accuracy is None or not twin.get(SERIES):
        return {}
    lead = 100 * (accuracy - max(twin[SERIES]))
    return {
        "teacher_validation_accuracy": accuracy, "baseline_validation_accuracy": max(twin[SERIES]),
        "teacher_lead": lead, "teacher_lead_flattered": not clean,
    }  # fmt: skip


def doubt_lead(described: Mapping[str, Any]) -> str:
    """One line where `describe_lead` found a small lead, else ""."""
    lead = described.get("teacher_lead", LEAST)
    if lead >= LEAST:
        return ""
    known = " (rows that it may have trained on, which flatters it)"
    return (
        f"the teacher leads the student without a teacher by {lead:.1f} points on rows held out"
        f"{known if described['teacher_lead_flattered'] else ''}; below {LEAST:g} a student seldom "
        "gains from it: a better teacher may help more than other settings"
    )


def is_clean(train: Path, own: bool) -> bool:
    """Whether a teacher cannot have trained on the rows that are held out.

    Args:
        train: patch file; rows that it marks as validation are trained on by no stage.
        own: whether the teacher is a score folder, made by a stage from the same rows.
    """
    with patches.read(train, "label") as source:
        return own and patches.read_marks(source) is not None


def tell(line: str) -> None:
    """The line on stderr, if there is one."""
    if line:
        say(line)
