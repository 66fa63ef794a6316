"""The finest fused level of a pyramid as the source of the head, beside the coarsest, over seeds.

    .venvs/dev/bin/python -m tests.bench.segment_levels --out FOLDER

Draws orthophotos, cuts them into tiles and trains segment with each level and seed. It goes on
where it was stopped. Writes segment-levels.md, which it prints as well.
"""

import argparse
import json
import shlex
from pathlib import Path

from shared import tiles
from stages.compare import summary
from tests.bench import table
from tests.bench.distill import ROOT, start_stage

LEVELS = ("finest", "coarsest")
IMAGES, SIZE, TILE = 10, 1024, 256
# Hues stay: with others, so few steps teach a tiny network little of what differs by its colours.
FLAGS = (
    "--architecture pyramid-tiny --crop 128 --batch 4 --lr 0.004 --jitter 0.2,0.2,0.2,0 "
    "--patience 0 --device cpu"
)
HEAD = """# The finest and the coarsest level of a pyramid

`make bench-segment-levels`: {images} drawn orthophotos of {size} pixels, in tiles of {tile}; whole
orthophotos for validation and test; `segment {flags} --epochs {epochs}`, seeds {seeds}. IoU of the
test tiles in percent, from all their pixels, means over the seeds; the last column is their
difference with its 95 % interval (Student's t).

"""
Figures = dict[str, dict[str, list[float]]]  # level, measure: a value a seed


def run(stage: str, *words: object) -> None:
    """A stage in its own environment."""
    python = str(ROOT / ".venvs" / stage / "bin" / "python")
    start_stage([python, "-m", f"stages.{stage}.main", *map(str, words)])


def draw(out: Path) -> Path:
    """The tiles that all runs have."""
    photos, cut = out / "orthophoto", out / "landcover"
    run("orthophoto", "--dst", photos, "--images", IMAGES, "--size", SIZE)
    folders = ("--images", photos / "images", "--masks", photos / "masks")
    shares = ("--validation_share", 0.2, "--test_share", 0.2)
    run("landcover", *folders, "--tile", TILE, *shares, "--dst", cut)
    return cut


def measure(cut: Path, out: Path, seeds: list[int], epochs: int, said: str) -> Figures:
    """Train what is missing with these flags; IoU of the test tiles by level and class."""
    figures: Figures = {level: {} for level in LEVELS}
    files = [
        word
        for flag, name in (("train", "training"), ("validation", "validation"), ("test", "testing"))
        for word in (f"--{flag}", cut / f"{name}.h5")
    ]
    for seed in seeds:
        for level in LEVELS:
            made = out / f"{level}-{seed}"
            more = ("--level", level, "--seed", seed, "--epochs", epochs, "--dst", made)
            run("segment", *files, *shlex.split(said), *more)
            told = json.loads((made / "metrics.json").read_text())["test"]
            values = {name: of["iou"] for name, of in told["per_class"].items()}
            for name, value in (values | {"mean": told["mean_iou"]}).items():
                figures[level].setdefault(name, []).append(100 * value)
    return figures


def page(figures: Figures, **head: object) -> str:
    """The table as Markdown."""
    lines = []
    for name in (*tiles.CLASSES, "mean"):
        finest, coarsest = (figures[level][name] for level in LEVELS)
        gain = summary.difference(finest, coarsest)
        ends = "" if gain.low is None else f" [{gain.low:+.1f}, {gain.high:+.1f}]"
        means = [f"{sum(of) / len(of):.1f}" for of in (finest, coarsest)]
        lines.append([name, *means, f"{gain.mean:+.1f}{ends}"])
    return HEAD.format(**head) + table.rows(["IoU, %", *LEVELS, "difference"], lines)


def main() -> None:
    """Draw, train, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of products and table")
    parser.add_argument("--seeds", type=int, nargs="+", default=[42, 43, 44])
    parser.add_argument("--epochs", type=int, default=12, help="of every run")
    parser.add_argument("--flags", default=FLAGS, help="of segment")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    figures = measure(draw(given.out), given.out, given.seeds, given.epochs, given.flags)
    text = page(
        figures, images=IMAGES, size=SIZE, tile=TILE, flags=given.flags, epochs=given.epochs,
        seeds=", ".join(map(str, given.seeds)),
    )  # fmt: skip
    (given.out / "segment-levels.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
