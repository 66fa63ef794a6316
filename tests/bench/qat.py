"""Fake INT8 against quantisation after training, with the same budget of epochs, over seeds.

    .venvs/dev/bin/python -m tests.bench.qat --source demo --data data/demo --out FOLDER

Of each student and seed it trains the student, goes on from it for the same epochs and learning
rate in float (the twin) and in fake INT8, and exports all three. It goes on where it was stopped:
the stages make nothing twice. Writes qat.md and qat.csv.
"""

import argparse
import json
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from shared.int8 import HISTOGRAM, SCHEMES
from shared.pipeline.reading import read_settings, sources
from tests.bench import qat_table
from tests.bench.distill import ROOT, Start, names_of, start_stage
from tests.bench.qat_table import Run

BASE, TWIN, TUNED = "base", "twin", "qat"
EXPORTER = ROOT / ".venvs" / "export" / "bin" / "python"
TRAINER = ROOT / ".venvs" / "distill" / "bin" / "python"
SMALL = ("--blame_per_class", "0", "--latency_runs", "1")


@dataclass(frozen=True)
class Plan:
    """What is trained.

    Attributes:
        out: folder of the products and the tables.
        files: flags and paths of the splits.
        teacher: score folder.
        common: flags of all training.
        students: epochs of each architecture.
        seeds: of each.
        epochs: in float or in fake INT8 after that.
        lr: learning rate of these.
        scheme: how INT8 ranges are chosen.
    """

    out: Path
    files: tuple[str, ...]
    teacher: str
    common: tuple[str, ...]
    students: dict[str, int]
    seeds: tuple[int, ...]
    epochs: int
    lr: float
    scheme: str


def read_student(text: str) -> tuple[str, int]:
    """Architecture and epochs of "NAME:EPOCHS"; a `ValueError` where it says something else."""
    name, _, epochs = text.partition(":")
    if not name or not epochs.isdecimal() or not int(epochs):
        raise ValueError(f"expected NAME:EPOCHS, found {text!r}")
    return name, int(epochs)


def training(plan: Plan, student: str, seed: int, part: str) -> list[str]:
    """The command line of the student, of its twin in float, or of the one with fake INT8."""
    place = plan.out / f"{student}-{seed}"
    weights = str(place / BASE / "student.safetensors")
    flags = names_of(plan.common) | {"architecture": student, "seed": str(seed)}
    flags |= {"teacher": plan.teacher, "dst": str(place / part)}
    tuned = {"checkpoint": weights, "qat": str(plan.epochs), "qat_lr": str(plan.lr)}
    if part == BASE:
        flags["epochs"] = str(plan.students[student])
    elif part == TWIN:
        flags |= tuned | {"noqat_rounding": ""}
    else:
        flags |= tuned | {"qat_scheme": plan.scheme}
    words = [word for flag, value in flags.items() for word in (f"--{flag}", value) if word]
    return [str(TRAINER), "-m", "stages.distill.main", *plan.files, *words, "--nobaseline"]


def exporting(plan: Plan, student: str, seed: int, part: str) -> list[str]:
    """The command line that exports one of the three."""
    place = plan.out / f"{student}-{seed}"
    ends = ("--src", str(place / part), "--dst", str(place / f"{part}-onnx"))
    rest = ("--scheme", plan.scheme, "--seed", str(seed), *SMALL)
    return [str(EXPORTER), "-m", "stages.export.main", *plan.files, *ends, *rest]


def measure(plan: Plan, start: Start) -> list[Run]:
    """Make what is missing, seed by seed, so that early tables have pairs of all students."""
    runs = []
    for seed in plan.seeds:
        for student in plan.students:
            for part in (BASE, TWIN, TUNED):
                start(training(plan, student, seed, part))
                start(exporting(plan, student, seed, part))
                said = json.loads(
                    (plan.out / f"{student}-{seed}" / f"{part}-onnx" / "report.json").read_text()
                )["models"]
                runs.append(
                    Run(
                        student, seed, part, said["fp32"]["overall_accuracy"],
                        said["int8"]["overall_accuracy"], said["int8"]["agreement"],
                    )
                )  # fmt: skip
            write(plan, runs)
    return runs


def write(plan: Plan, runs: list[Run]) -> str:
    """Both tables; the Markdown."""
    text = qat_table.page(
        runs, plan.students, prepared=f"`{plan.files[1]}`", teacher=f"`{plan.teacher}`",
        common=f"`{shlex.join(plan.common)}`", epochs=str(plan.epochs), lr=f"{plan.lr:g}",
        scheme=plan.scheme,
    )  # fmt: skip
    plan.out.mkdir(parents=True, exist_ok=True)
    (plan.out / "qat.md").write_text(text)
    qat_table.write_csv(plan.out / "qat.csv", runs)
    return text


def main() -> None:
    """Train, export, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", choices=sources(), required=True)
    parser.add_argument("--data", type=Path, required=True, help="folder of its products")
    parser.add_argument("--out", type=Path, required=True, help="folder of students and tables")
    parser.add_argument("--teacher", help="score folder; that of the source's student")
    parser.add_argument("--seeds", type=int, nargs="+", default=[42, 43, 44, 45, 46])
    parser.add_argument(
        "--students", nargs="+", default=["resnet18:6", "mobilenetv3_small_100:25"],
        help="NAME:EPOCHS",
    )  # fmt: skip
    parser.add_argument(
        "--epochs", type=int, default=3, help="in float or in fake INT8, at the end"
    )
    parser.add_argument("--lr", type=float, default=2e-4, help="learning rate of these epochs")
    parser.add_argument("--scheme", choices=SCHEMES, default=HISTOGRAM)
    parser.add_argument("--flags", default="", help="of all training; they win over the source's")
    given = parser.parse_args()
    source, prepared = read_settings(given.source), given.data / "prepare"
    files = ("--train", str(prepared / "training.h5"), "--test", str(prepared / "testing.h5"))
    plan = Plan(
        given.out, files, given.teacher or str(given.data / source.student_teacher),
        (*source.flags.get("distill", ()), *shlex.split(given.flags)),
        dict(map(read_student, given.students)),
        tuple(given.seeds), given.epochs, given.lr, given.scheme,
    )  # fmt: skip
    measure(plan, start_stage)
    print((given.out / "qat.md").read_text(), file=sys.stdout)


if __name__ == "__main__":
    main()
