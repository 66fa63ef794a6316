"""The runs of tests.bench.qat by student: means, spreads, intervals; as Markdown and as CSV."""

import csv
import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from stages.compare import summary, tables
from tests.bench import table

HEAD = """# Fake INT8 beside quantisation after training

`make bench-qat` with {prepared} and the teacher {teacher}; flags of all training: {common}; INT8 by
{scheme}.

Each student is trained, then for {epochs} epochs at a learning rate of {lr} once more in float (the
twin) and in fake INT8 (qat): the same rows, views and order. All three are exported. Accuracy on
the test split in per cent, mean ± standard deviation of a sample over seeds; same class: share of
test rows for which INT8 says what the same network in FP32 says. Differences are those of the INT8
networks of one seed, in points, with the 95 % interval of their mean by Student's t.

"""
PARTS = {"base": "as trained", "twin": "float epochs", "qat": "fake INT8 epochs"}
COLUMNS = ("student", "network", "seeds", "FP32", "INT8", "points lost", "same class")
PAIRS = (("qat", "twin"), ("qat", "base"), ("twin", "base"))


@dataclass(frozen=True)
class Run:
    """One exported network.

    Attributes:
        student: architecture.
        seed: of its training.
        part: "base", "twin" or "qat".
        fp32: accuracy on the test rows, 0 to 1.
        int8: the same in INT8.
        agreement: share of rows for which both say the same.
    """

    student: str
    seed: int
    part: str
    fp32: float
    int8: float
    agreement: float


def of_part(runs: Sequence[Run], student: str, part: str) -> list[Run]:
    """Runs of one student and part, by rising seed."""
    found = [run for run in runs if (run.student, run.part) == (student, part)]
    return sorted(found, key=lambda run: run.seed)


def page(runs: Sequence[Run], students: Iterable[str], **head: str) -> str:
    """The Markdown tables."""
    lines, pairs = [], []
    for student in students:
        for part, title in PARTS.items():
            if of := of_part(runs, student, part):
                lines.append([student, title, str(len(of)), *describe(of)])
        for one, other in PAIRS:
            if gain := compare(runs, student, one, other):
                names = f"{PARTS[one]} less {PARTS[other]}"
                pairs.append([student, names, *(tables.format_points(each) for each in gain)])
    both = (
        table.rows(list(COLUMNS), lines),
        table.rows(["student", "difference", "INT8 accuracy", "points lost"], pairs),
    )
    return HEAD.format(**head) + "\n".join(both)


def describe(of: Sequence[Run]) -> list[str]:
    """Accuracies, loss and agreement of one student and part."""
    values = (
        [run.fp32 for run in of], [run.int8 for run in of], [run.fp32 - run.int8 for run in of],
        [run.agreement for run in of],
    )  # fmt: skip
    return [tables.format_spread(summary.spread(each), 100, 2, "±") for each in values]


def compare(
    runs: Sequence[Run], student: str, one: str, other: str
) -> tuple[summary.Difference, summary.Difference] | None:
    """Differences of INT8 accuracy, and of what is lost to INT8, seed by seed."""
    ours, theirs = (of_part(runs, student, part) for part in (one, other))
    seeds = {run.seed for run in ours} & {run.seed for run in theirs}
    pairs = [[run for run in of if run.seed in seeds] for of in (ours, theirs)]
    if not seeds:
        return None
    accuracies = ([run.int8 for run in of] for of in pairs)
    losses = ([run.fp32 - run.int8 for run in of] for of in pairs)
    return summary.difference(*accuracies), summary.difference(*losses)


def write_csv(path: Path, runs: Sequence[Run]) -> None:
    """One line per network; accuracies from 0 to 1."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in dataclasses.fields(Run)])
        writer.writeheader()
        writer.writerows(dataclasses.asdict(run) for run in runs)
