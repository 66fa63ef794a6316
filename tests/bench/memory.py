"""GB that a training step takes, by network, picture size and batch.

    .venvs/teacher/bin/python -m tests.bench.memory --out data/bench

The estimate is the trainers' own; one setting is trained for two steps to show how near it is.
"""

import argparse
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import timm
import torch

from shared import lcz, models
from shared.training.data import Split, View
from shared.training.data.split import Band
from shared.training.loop import Learner, Recipe
from shared.training.memory import footprint, recompute
from shared.training.parallel import distributed
from tests.bench import table

SETTINGS = [
    ("resnet18", 224, 1024), ("resnet18", 224, 256), ("resnet18", 64, 1024),
    ("densenet201", 224, 512), ("densenet201", 64, 512), ("mobilenetv4_conv_small", 224, 128),
]  # fmt: skip
CHECKED = ("resnet18", 224, 64)  # trained in memory that any machine has
BANDS, SIDE, CLASSES = ("B4", "B3", "B2"), 32, 17


def begin(architecture: str, size: int, batch: int, rows: int) -> tuple[Learner, Split]:
    """A learner of the published kind and a split of noise."""
    torch.manual_seed(0)
    layout = lcz.Layout(BANDS, 0.0, 2.8, per_unit=10_000.0)
    noise = torch.randint(0, 5000, (3, rows, SIDE, SIDE), dtype=torch.int32).to(torch.uint16)
    bands = {name: Band(noise[place], layout) for place, name in enumerate(BANDS)}
    split = Split(bands, {"label": torch.arange(rows) % CLASSES})
    names = tuple(f"class {number}" for number in range(CLASSES))
    card = models.Card(
        "x.onnx", architecture, BANDS, (0.1,) * 3, (0.1,) * 3, size, "bilinear", names
    )
    network = timm.create_model(architecture, num_classes=CLASSES)
    recipe = Recipe(epochs=1, batch=batch, lr=1e-3, seed=0, device="cpu", augment="none")

    def loss(logits: torch.Tensor, of: dict[str, torch.Tensor]) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(logits, of["label"])

    learner = Learner(architecture, network, View(card, split.layouts, SIDE), loss, recipe, seed=0)
    learner.begin(distributed.launch("cpu", "float32"))
    return learner, split


def estimate(architecture: str, size: int, batch: int) -> tuple[float, float]:
    """GB of a step as it is, and with parts computed twice."""
    learner, split = begin(architecture, size, batch, footprint.MORE)
    measured = footprint.estimate(distributed.launch("cpu", "float32"), learner, split)
    return measured.gigabytes(batch), measured.gigabytes(batch, recompute=True)


def train(again: bool) -> float:
    """GB by which two steps of the checked setting raise this process's memory."""
    batch = CHECKED[2]
    learner, split = begin(*CHECKED, batch)
    fabric = distributed.launch("cpu", "float32")
    segments = footprint.estimate(fabric, learner, split).segments
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if again:
        recompute.recompute(learner.network, segments)
    for step in range(2):
        learner.step(fabric, split[np.arange(batch)], batch, step)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / footprint.GIGABYTE


def main() -> None:
    """Print the table and write memory.md; with --train, only measure one of the two ways."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path)
    parser.add_argument("--train", choices=("stored", "twice"))
    given = parser.parse_args()
    if given.train:
        print(train(given.train == "twice"))
        return
    # First, as a process that is started inherits the peak of the one that starts it.
    real = [measure(way) for way in ("stored", "twice")]
    lines = []
    for setting in SETTINGS:
        stored, twice = estimate(*setting)
        lines.append([*map(str, setting), f"{stored:.1f}", f"{twice:.1f}"])
    stored, twice = estimate(*CHECKED)
    text = table.rows(["network", "px", "batch", "GB", "GB, computed twice"], lines)
    text += f"\nChecked by training, {CHECKED}: estimated {stored:.2f} and {twice:.2f} GB, "
    text += f"measured {real[0]:.2f} and {real[1]:.2f} GB.\n"
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "memory.md").write_text(text)
    print(text)


def measure(way: str) -> float:
    """GB of one way, in a process of its own, as a process's peak never falls."""
    command = [sys.executable, "-m", "tests.bench.memory", "--train", way]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


if __name__ == "__main__":
    main()
