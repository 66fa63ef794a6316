"""Students and their twins without a teacher, by setting and seed, and what the teacher was worth.

    .venvs/dev/bin/python -m tests.bench.distill --source demo --data data/demo --out FOLDER

Trains through the stage's own command line, in OUT/SETTING-SEED, and goes on where it was stopped:
the stage makes nothing twice. Writes distill.md and distill.csv. Settings that differ in nothing
but what the teacher says share the twin of the first of them, which would be the same.
"""

import argparse
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from shared.pipeline.reading import read_settings, sources
from shared.pipeline.settings import Settings
from tests.bench import distill_table
from tests.bench.distill_table import Run

ROOT = Path(__file__).resolve().parents[2]
TRAINER = ROOT / ".venvs" / "distill" / "bin" / "python"
Start = Callable[[list[str]], None]
# Flags that change what a student hears of its teacher, and nothing of its twin.
TEACHING = {
    "teacher", "onnx", "targets", "teacher_views", "alpha", "temperature", "loss", "standardise",
    "dist_inter", "dist_intra", "dkd_target", "dkd_others",
}  # fmt: skip
SETTINGS = (
    "kd:", "kd-standardised:--standardise", "dist:--loss dist", "dkd:--loss dkd",
    "views:--targets views", "consistent:--targets consistent",
    "dist-consistent:--loss dist --targets consistent",
)  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """What is trained.

    Attributes:
        out: folder of the products and the tables.
        files: flags and paths of the splits.
        teacher: score folder, for settings that name no teacher.
        common: flags of all runs.
        flags: flags of each setting, by name.
        seeds: of each setting.
    """

    out: Path
    files: tuple[str, ...]
    teacher: str
    common: tuple[str, ...]
    flags: dict[str, str]
    seeds: tuple[int, ...]


def student_flags(source: Settings) -> tuple[str, ...]:
    """What the pipeline trains the student of a source with, besides files and teacher."""
    return ("--architecture", source.student, *source.flags.get("distill", ()))


def read_setting(text: str) -> tuple[str, str]:
    """Name and flags of "NAME:FLAGS"; a `ValueError` where a folder cannot be called so."""
    name, colon, flags = text.partition(":")
    name = name.strip()
    if not colon or not re.fullmatch(r"[\w-]*[A-Za-z_][\w-]*", name):
        raise ValueError(f"expected NAME:FLAGS, found {text!r}")
    return name, flags.strip()


def names_of(words: Sequence[str]) -> dict[str, str]:
    """Flags by name, such as {"loss": "dist", "standardise": ""}, of --loss dist --standardise."""
    found, last = dict[str, str](), ""
    for word in words:
        if word.startswith("--"):
            last, _, value = word[2:].partition("=")
            last = last.replace("-", "_")
            found[last] = value
        else:
            found[last] = word
    return found


def twin_of(plan: Plan, setting: str) -> str:
    """The setting whose twin is the twin of this one: the first that differs in teaching alone."""

    def rest(name: str) -> dict[str, str]:
        given = names_of([*plan.common, *shlex.split(plan.flags[name])])
        return {
            flag: value for flag, value in given.items() if flag.removeprefix("no") not in TEACHING
        }

    return next(name for name in plan.flags if rest(name) == rest(setting))


def build_command(plan: Plan, setting: str, seed: int) -> list[str]:
    """The command line of one product; flags of the setting win over those of all runs."""
    own = shlex.split(plan.flags[setting])
    given = names_of(own)
    words = [word for flag, value in names_of(plan.common).items() if flag not in given
             for word in (f"--{flag}", value) if word]  # fmt: skip
    taught = [] if {"teacher", "onnx"} & given.keys() else ["--teacher", plan.teacher]
    alone = [] if twin_of(plan, setting) == setting else ["--nobaseline"]
    product = ["--dst", str(plan.out / f"{setting}-{seed}"), "--seed", str(seed)]
    return [str(TRAINER), "-m", "stages.distill.main", *plan.files, *taught, *product, *words,
            *own, *alone]  # fmt: skip


def measure(plan: Plan, start: Start) -> list[Run]:
    """Train what is missing, seed by seed, so that early tables have pairs of all settings."""
    runs = []
    for seed in plan.seeds:
        for setting in plan.flags:
            start(build_command(plan, setting, seed))
            said = read_metrics(plan.out / f"{setting}-{seed}")
            twin = read_metrics(plan.out / f"{twin_of(plan, setting)}-{seed}")
            runs.append(
                Run(
                    setting, seed, said["overall_accuracy"], twin["baseline_accuracy"],
                    said["teacher_accuracy"], int(said["epochs"]),
                )
            )  # fmt: skip
        write(plan, runs)
    return runs


def read_metrics(product: Path) -> dict[str, float]:
    """What a finished product says of itself."""
    said: dict[str, float] = json.loads((product / "metrics.json").read_text())
    return said


def write(plan: Plan, runs: list[Run]) -> str:
    """Both tables; the Markdown."""
    text = distill_table.page(
        runs, plan.flags, prepared=f"`{plan.files[1]}`", teacher=f"`{plan.teacher}`",
        common=f"`{shlex.join(plan.common)}`",
    )  # fmt: skip
    plan.out.mkdir(parents=True, exist_ok=True)
    (plan.out / "distill.md").write_text(text)
    distill_table.write_csv(plan.out / "distill.csv", runs, plan.flags)
    return text


def start_stage(command: list[str]) -> None:
    """Run the stage; what it says goes to stderr."""
    print(shlex.join(command[3:]), file=sys.stderr, flush=True)
    if code := subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL).returncode:
        sys.exit(code)


def main() -> None:
    """Train, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", choices=sources(), required=True)
    parser.add_argument("--data", type=Path, required=True, help="folder of its products")
    parser.add_argument("--out", type=Path, required=True, help="folder of students and tables")
    parser.add_argument("--teacher", help="score folder; that of the source's student")
    parser.add_argument("--seeds", type=int, nargs="+", default=[42, 43, 44, 45, 46])
    parser.add_argument("--epochs", help="of every run, whatever setting and source say")
    parser.add_argument("--settings", default=";".join(SETTINGS), help="NAME:FLAGS;NAME:FLAGS")
    parser.add_argument("--flags", default="", help="of all runs; they win over the source's")
    given = parser.parse_args()
    source = read_settings(given.source)
    common = names_of([*student_flags(source), *shlex.split(given.flags)])
    flags = dict(map(read_setting, filter(str.strip, given.settings.split(";"))))
    if given.epochs:
        common["epochs"] = given.epochs
        flags = {name: f"{text} --epochs {given.epochs}".strip() for name, text in flags.items()}
    words = [word for flag, value in common.items() for word in (f"--{flag}", value) if word]
    prepared = given.data / "prepare"
    files = ("--train", str(prepared / "training.h5"), "--test", str(prepared / "testing.h5"))
    teacher = given.teacher or str(given.data / source.student_teacher)
    plan = Plan(given.out, files, teacher, tuple(words), flags, tuple(given.seeds))
    measure(plan, start_stage)
    print((given.out / "distill.md").read_text())


if __name__ == "__main__":
    main()
