"""The runs of tests.bench.distill by setting: means, spreads, intervals; as Markdown and as CSV."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import t

from tests.bench import table

CONFIDENCE = 0.95
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


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation of a sample, NaN of a single value."""
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
    return float(np.mean(values)), deviation


def paired_interval(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, float, float]:
    """Mean of paired differences and both ends of its 95 % interval, NaN of a single pair."""
    mean, deviation = mean_and_deviation(np.subtract(ours, theirs).tolist())
    degrees = len(ours) - 1
    reach = float(t.ppf((1 + CONFIDENCE) / 2, degrees)) if degrees else float("nan")
    reach *= deviation / len(ours) ** 0.5
    return mean, mean - reach, mean + reach


def summarise(runs: Sequence[Run]) -> dict[str, float]:
    """The figures of one setting; accuracies from 0 to 1."""
    student, twin = [run.student for run in runs], [run.twin for run in runs]
    difference, low, high = paired_interval(student, twin)
    means = {
        name: mean_and_deviation(values) for name, values in (("student", student), ("twin", twin))
    }
    return {
        "runs": len(runs), "epochs": runs[0].epochs,
        **{name: mean for name, (mean, _) in means.items()},
        **{f"{name}_deviation": deviation for name, (_, deviation) in means.items()},
        "difference": difference, "low": low, "high": high,
        "retention": float(np.mean([run.student / run.teacher for run in runs])),
    }  # fmt: skip


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
        ends = f" [{100 * found['low']:+.2f}, {100 * found['high']:+.2f}]" if len(of) > 1 else ""
        lines.append([
            name, f"`{flags[name]}`" if flags[name] else "", str(len(of)), str(of[0].epochs),
            _spread(found, "student"), _spread(found, "twin"),
            f"{100 * found['difference']:+.2f}{ends}", f"{100 * found['retention']:.1f} %",
        ])  # fmt: skip
    note = f"\n{UNEQUAL}" if len(budgets) > 1 else ""
    return HEAD.format(**head) + table.rows(list(COLUMNS), lines) + note


def by_setting(runs: Sequence[Run], names: Iterable[str]) -> list[tuple[str, list[Run]]]:
    """The runs of each setting, by rising seed; none for those without runs."""
    ordered = sorted(runs, key=lambda run: run.seed)
    groups = [(name, [run for run in ordered if run.setting == name]) for name in names]
    return [(name, of) for name, of in groups if of]


def _spread(found: dict[str, float], name: str) -> str:
    deviation = found[f"{name}_deviation"]
    more = "" if np.isnan(deviation) else f" ± {100 * deviation:.2f}"
    return f"{100 * found[name]:.2f}{more}"


def write_csv(path: Path, runs: Sequence[Run], names: Iterable[str]) -> None:
    """One line a setting; accuracies from 0 to 1."""
    groups = by_setting(runs, names)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        for number, (name, of) in enumerate(groups):
            found = summarise(of)
            if not number:
                writer.writerow(["setting", *found])
            writer.writerow([name, *found.values()])
