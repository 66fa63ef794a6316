"""Wrong labels of a known share among training rows: how many of them audit finds, over seeds.

    .venvs/dev/bin/python -m tests.bench.audit --data data/demo --out FOLDER

Of each seed it gives a share of the training rows another class, trains teacher --folds on these
labels and audits them. It goes on where it was stopped. Writes audit.md, which it prints as well.
"""

import argparse
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from shared.models import label_audits
from stages.compare import summary
from tests.bench import table
from tests.bench.distill import ROOT, start_stage

FLAGS = (
    "--architecture simple-net --size 32 --members 3 --folds 3 --epochs 12 --batch 32 --lr 0.002 "
    "--optimiser adamw --schedule cosine --augment overhead --device cpu"
)
HEAD = """# Wrong labels that audit finds

`make bench-audit`: {rows} training rows of `{data}`, of which {noise:.0%} got another class at
random, seeds {seeds}; `teacher {flags}`, then `audit`. Means over seeds with their 95 % interval
(Student's t), in percent. Precision: share of the rows named that are wrong. Recall: share of the
wrong rows that are named. Out of fold: the score is right about the label without noise.

"""
Figures = dict[str, list[float]]


@dataclass(frozen=True)
class Found:
    """What one seed gave.

    Attributes:
        wrong: (N,) whether the row got another class.
        truth: (N,) its class without noise.
        audit: what the stage says.
    """

    wrong: NDArray[np.bool_]
    truth: NDArray[np.intp]
    audit: label_audits.Audit

    def rate(self, named: NDArray[np.bool_]) -> tuple[float, float]:
        """Precision and recall, in percent, of (N,) rows that are named as wrong."""
        hits = 100 * float((named & self.wrong).sum())
        return hits / max(int(named.sum()), 1), hits / int(self.wrong.sum())


def mislabel(labels: NDArray[np.intp], classes: int, share: float, seed: int) -> NDArray[np.intp]:
    """(N,) labels of which this share is another class, each one as likely."""
    rng = np.random.default_rng(seed)
    wrong = rng.choice(len(labels), round(share * len(labels)), replace=False)
    noisy = labels.copy()
    noisy[wrong] = (noisy[wrong] + rng.integers(1, classes, len(wrong))) % classes
    return noisy


def write_noisy(train: Path, noisy: Path, share: float, seed: int) -> NDArray[np.intp]:
    """A copy of a patch file with wrong labels; the classes without them."""
    with h5py.File(train) as file:
        labels = np.asarray(file["label"])
    truth = labels.argmax(1)
    if not noisy.exists():
        noisy.parent.mkdir(parents=True, exist_ok=True)
        draft = noisy.with_suffix(".draft")
        shutil.copy(train, draft)
        with h5py.File(draft, "r+") as file:
            changed = mislabel(truth, labels.shape[1], share, seed)
            file["label"][:] = np.eye(labels.shape[1], dtype=labels.dtype)[changed]
        draft.replace(noisy)
    return truth


def measure(data: Path, out: Path, share: float, seed: int, flags: str) -> Found:
    """Make what is missing of one seed; what was found."""
    place = out / f"seed-{seed}"
    noisy, net, audit = place / "training.h5", place / "teacher", place / "audit"
    truth = write_noisy(data / "prepare" / "training.h5", noisy, share, seed)
    files = ("--train", str(noisy), "--test", str(data / "prepare" / "testing.h5"))
    trained = ("--dst", str(net), "--seed", str(seed), *shlex.split(flags))
    for stage, words in (
        ("teacher", (*files, *trained)),
        ("audit", ("--src", str(net), "--train", str(noisy), "--dst", str(audit))),
    ):
        python = str(ROOT / ".venvs" / stage / "bin" / "python")
        start_stage([python, "-m", f"stages.{stage}.main", *words])
    said = label_audits.load(audit)
    return Found(said.given != truth, truth, said)


def summarise(found: list[Found], share: float) -> Figures:
    """Precision and recall of each way to name rows, a value a seed."""
    figures: Figures = {}
    for one in found:
        worst = np.isin(
            np.arange(len(one.truth)), one.audit.worst()[: round(share * len(one.truth))]
        )
        named = {"suspects": one.audit.suspect, f"worst {share:.0%}": worst}
        for way, rows in named.items():
            for what, value in zip(("precision", "recall"), one.rate(rows), strict=True):
                figures.setdefault(f"{way}, {what}", []).append(value)
        right = 100 * float((one.audit.suggested == one.truth).mean())
        figures.setdefault("out of fold, right", []).append(right)
    return figures


def page(figures: Figures, **head: object) -> str:
    """The table as Markdown."""
    lines = []
    for name, values in figures.items():
        mean = summary.difference(values, [0.0] * len(values))
        ends = "" if mean.low is None else f"{mean.low:.1f} to {mean.high:.1f}"
        each = ", ".join(f"{value:.1f}" for value in values)
        lines.append([name, f"{mean.mean:.1f}", ends, each])
    return HEAD.format(**head) + table.rows(["", "mean", "95 %", "each seed"], lines)


def main() -> None:
    """Train, audit, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with prepare/")
    parser.add_argument("--out", type=Path, required=True, help="folder of products and table")
    parser.add_argument("--seeds", type=int, nargs="+", default=[42, 43, 44, 45, 46])
    parser.add_argument("--noise", type=float, default=0.15, help="share of wrong labels")
    parser.add_argument("--flags", default=FLAGS, help="of teacher")
    given = parser.parse_args()
    found = [measure(given.data, given.out, given.noise, seed, given.flags) for seed in given.seeds]
    text = page(
        summarise(found, given.noise), rows=len(found[0].truth), data=given.data.as_posix(),
        noise=given.noise, seeds=", ".join(map(str, given.seeds)), flags=given.flags,
    )  # fmt: skip
    (given.out / "audit.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
