"""Students whose levels are as published beside students of fitted ones, over several seeds.

    .venvs/dev/bin/python -m tests.bench.range_students --source demo --data data/demo --out FOLDER

Trains, exports and packs through the stages' own command lines, in OUT/RANGE-SEED, and goes on
where it was stopped: no stage makes anything twice. Writes ranges.md into OUT.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from shared.int8 import HISTOGRAM
from shared.models import Range
from shared.pipeline.reading import read_settings, sources
from stages.compare import summary, tables
from tests.bench import table
from tests.bench.distill import start_stage, student_flags

ROOT = Path(__file__).resolve().parents[2]
RANGES: tuple[Range, ...] = get_args(Range)
WAYS = {
    "student": "FP32, patch file",
    "int8": "INT8, patch file",
    "png": "FP32, PNG files of the bundle",
}
HEAD = """Accuracy on the test split in per cent, mean ± standard deviation of a sample over {seeds}
seeds; the difference is fitted minus published of the same seed, in points, with the 95 % interval
of its mean by Student's t.

"""


@dataclass(frozen=True)
class Plan:
    """What is made.

    Attributes:
        data: folder of prepared files and the teacher.
        teacher: score folder.
        out: folder of the products and the table.
        flags: of distill.
    """

    data: Path
    teacher: Path
    out: Path
    flags: tuple[str, ...]


def build_commands(plan: Plan, wanted: Range, seed: int) -> list[list[str]]:
    """The three command lines of one student."""
    out = plan.out / f"{wanted}-{seed}"
    files = [f"--{name}={plan.data / 'prepare' / name}ing.h5" for name in ("train", "test")]
    trained, exported = out / "distill", out / "export"
    own = {
        "distill": [
            f"--dst={trained}", f"--teacher={plan.teacher}", f"--seed={seed}",
            f"--range={wanted}", "--nobaseline", *plan.flags,
        ],
        "export": [
            f"--dst={exported}", f"--src={trained}", f"--scheme={HISTOGRAM}",
            "--blame_per_class=0", "--latency_runs=1",
        ],
        "voyager": [f"--dst={out / 'voyager'}", f"--src={exported}", "--per_class_val=0"],
    }  # fmt: skip
    return [
        [str(ROOT / ".venvs" / stage / "bin" / "python"), "-m", f"stages.{stage}.main", *files, *of]
        for stage, of in own.items()
    ]


def read_accuracies(out: Path) -> dict[str, float]:
    """Accuracy of one student by way, 0 to 1."""
    said = {
        part: json.loads((out / part).read_text())
        for part in ("distill/metrics.json", "export/report.json", "voyager/readback.json")
    }
    student, exported, bundle = said.values()
    return {
        "student": student["overall_accuracy"],
        "int8": exported["models"]["int8"]["overall_accuracy"],
        "png": bundle["accuracy"]["png"]["overall_accuracy"],
    }


def page(found: dict[Range, list[dict[str, float]]]) -> str:
    """The table of accuracies, one a seed of each range."""
    lines = []
    for way, title in WAYS.items():
        columns = {wanted: [one[way] for one in of] for wanted, of in found.items()}
        spreads = [tables.format_spread(summary.spread(columns[w]), 100, 2, "±") for w in RANGES]
        gain = summary.difference(columns["fitted"], columns["published"])
        lines.append([title, *spreads, tables.format_points(gain)])
    head = HEAD.format(seeds=len(found["fitted"]))
    return head + table.rows(["accuracy", *RANGES, "difference"], lines)


def measure(plan: Plan, seeds: Sequence[int]) -> str:
    """Make what is missing, seed by seed, and write the table after each."""
    found: dict[Range, list[dict[str, float]]] = {wanted: [] for wanted in RANGES}
    text = ""
    for seed in seeds:
        for wanted in RANGES:
            for command in build_commands(plan, wanted, seed):
                start_stage(command)
            found[wanted].append(read_accuracies(plan.out / f"{wanted}-{seed}"))
        text = page(found)
        (plan.out / "ranges.md").write_text(text)
    return text


def main() -> None:
    """Train, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", choices=sources(), required=True)
    parser.add_argument("--data", type=Path, required=True, help="folder of its products")
    parser.add_argument("--out", type=Path, required=True, help="folder of students and table")
    parser.add_argument("--seeds", type=int, nargs="+", default=[42, 43, 44, 45, 46])
    given = parser.parse_args()
    source = read_settings(given.source)
    teacher = given.data / str(source.student_teacher)
    plan = Plan(given.data, teacher, given.out, student_flags(source))
    print(measure(plan, given.seeds))


if __name__ == "__main__":
    main()
