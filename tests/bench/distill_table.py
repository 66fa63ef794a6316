"""The runs of tests.bench.distill by setting: means, spreads, intervals; as Markdown and as CSV."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stages.compare import summary, tables
from tests.bench import table

HEAD = """# Students beside their twins

`make bench-distill` with {prepared} and the teacher {teacher}; flags of all runs: {common}

Accuracy on the test split in per cent, mean ± standard deviation of a sample over seeds; the
difference is student minus the twin of the same seed, in points, with the 95 % interval of its mean
by Student's t; retention is the student's accuracy over the teacher's.

"""
COLUMNS = ("setting", "flags", "runs", "epochs", "student", "twin", "difference", "retention")
UNEQUAL = "Settings have different budgets of epochs; EPOCHS=N gives all of them the same.\n"


@dataclass(frozen=True)
class Run:
    """A student and its twin of one seed.

    Attributes:
        setting: name.
        seed: of both.
        student: accuracy on the test rows, 0 to 1.
        twin: the same of the student without a teacher.
        teacher: the same of the teacher.
        epochs: of the training.
    """

    setting: str
    seed: int
    student: float
    twin: float
    teacher: float
    epochs: int


@dataclass(frozen=True)
class Figures:
    """What the runs of one setting say together; accuracies from 0 to 1.

    Attributes:
        student: spread of the students' accuracies.
        twin: spread of the twins'.
        gain: student minus twin, pair by pair.
        retention: mean of the student's accuracy over the teacher's.
    """

    student: summary.Spread
    twin: summary.Spread
    gain: summary.Difference
    retention: float


def summarise(runs: Sequence[Run]) -> Figures:
    """The figures of one setting."""
    students, twins = [run.student for run in runs], [run.twin for run in runs]
    return Figures(
        summary.spread(students), summary.spread(twins), summary.difference(students, twins),
        float(np.mean([run.student / run.teacher for run in runs])),
    )  # fmt: skip


def page(runs: Sequence[Run], flags: dict[str, str], **head: str) -> str:
    """The Markdown table.

    Args:
        runs: of all settings.
        flags: of each setting, in the order of the table.
        head: what all runs share: prepared, teacher and common flags.
    """
    lines, budgets = [], set[int]()
    for name, of in by_setting(runs, flags):
        found = summarise(of)
        budgets.add(of[0].epochs)
        lines.append([
            name, f"`{flags[name]}`" if flags[name] else "", str(len(of)), str(of[0].epochs),
            *(tables.format_spread(spread, 100, 2, "±") for spread in (found.student, found.twin)),
            tables.format_points(found.gain), f"{100 * found.retention:.1f} %",
        ])  # fmt: skip
    note = f"\n{UNEQUAL}" if len(budgets) > 1 else ""
    return HEAD.format(**head) + table.rows(list(COLUMNS), lines) + note


def by_setting(runs: Sequence[Run], names: Iterable[str]) -> list[tuple[str, list[Run]]]:
    """The runs of each setting, by rising seed; none for those without runs."""
    ordered = sorted(runs, key=lambda run: run.seed)
    groups = [(name, [run for run in ordered if run.setting == name]) for name in names]
    return [(name, of) for name, of in groups if of]


def write_csv(path: Path, runs: Sequence[Run], names: Iterable[str]) -> None:
    """One line a setting; accuracies from 0 to 1; "nan" where a single pair says nothing."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        for number, (name, of) in enumerate(by_setting(runs, names)):
            found = summarise(of)
            cells = {
                "runs": len(of), "epochs": of[0].epochs, "student": found.student.mean,
                "twin": found.twin.mean, "student_deviation": found.student.deviation,
                "twin_deviation": found.twin.deviation, "difference": found.gain.mean,
                "low": found.gain.low, "high": found.gain.high, "retention": found.retention,
            }  # fmt: skip
            if not number:
                writer.writerow(["setting", *cells])
            writer.writerow([name, *("nan" if cell is None else cell for cell in cells.values())])
