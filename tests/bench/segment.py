"""Segmentation: loading and augmentation, training steps and maps, in tiles per second.

    .venvs/segment/bin/python -m tests.bench.segment --out data/bench

Writes segment.md and segment.json. Ways that are compared take turns on the same cores; the first
turn only warms the caches, and medians of the others are told.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from shared import models, tiles
from shared.segmentation import Views, data, networks, onnx_file
from tests import tile_files
from tests.bench import segment_reference, segment_steps, segment_table
from tests.bench.train import hardware

ROOT = Path(__file__).resolve().parents[2]
PASSES = 4  # over the tiles in an epoch, so that the start of workers counts little
MEAN, STD = segment_reference.MEAN, segment_reference.STD
CPU = torch.device("cpu")
TRAINED = {"pyramid-tiny": 16, "unet-mobilenetv4": 8, "swin_v2_b": 2}  # and tiles of a step
MAPPED = {"pyramid-tiny": 24, "unet-mobilenetv4": 24, "swin_v2_b": 4}  # and tiles of a turn
Turn = Callable[[int], Iterator[Any]]
Figures = dict[str, Any]


def draw_file(path: Path, count: int, side: int) -> Path:
    """A tile file with some structure, so that JPEG and PNG are neither empty nor noise."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (count, side // 16, side // 16, 3), np.uint8)
    grain = rng.integers(0, 24, (count, side, side, 3), np.uint8)
    image = (coarse.repeat(16, 1).repeat(16, 2) // 2 + grain).astype(np.uint8)
    blocks = rng.integers(0, 5, (count, side // 32, side // 32)).astype(np.uint8)
    return tile_files.write(path, (image, blocks.repeat(32, 1).repeat(32, 2)))


def ours(stream: data.TileStream, views: Views, batch: int) -> Turn:
    """Batches of an epoch as `segment` makes them: read, augmented, normalised."""

    def turn(number: int) -> Iterator[Any]:
        for once in range(PASSES):
            plan = data.Pass(42, PASSES * number + once, batch)
            for read in stream.train(plan, views, CPU):
                assert read.drawn is not None
                image, mask = data.augment(read.image, read.mask, read.drawn)
                yield data.normalise(image, MEAN, STD), mask

    return turn


def spent() -> float:
    """Seconds of processors that this process and its ended workers have taken."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def clock(turn: Turn, number: int) -> tuple[float, float]:
    """Tiles per second by the clock, and milliseconds of a processor for one tile."""
    start, before, count = time.perf_counter(), spent(), 0
    for image, _ in turn(number):
        count += len(image)
    return count / (time.perf_counter() - start), 1e3 * (spent() - before) / count


def compare(turns: dict[str, Turn], rounds: int) -> dict[str, Figures]:
    """Medians of each way, taken in turns."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in turns}
    for number in range(rounds + 1):
        for name, turn in turns.items():
            print(f"round {number} of {rounds}: {name}", file=sys.stderr)
            found[name].append(clock(turn, number))
    medians = {}
    for name, values in found.items():
        rates, costs = zip(*values[1:], strict=True)
        medians[name] = {"rate": statistics.median(rates), "cost": statistics.median(costs)}
    return medians


def load(folder: Path, read: data.TileStream, batch: int, rounds: int) -> dict[str, Figures]:
    """Loading and augmentation of the reference and ours."""
    pictures = segment_reference.write(folder / "pictures", read)
    turns: dict[str, Turn] = {
        "the reference's way: pillow, 8 workers": lambda _: segment_reference.epoch(
            pictures, PASSES, batch
        ),
        "ours, `--augment resized` (the same views)": ours(read, Views(augment="resized"), batch),
        "ours, `--augment native`": ours(read, Views(), batch),
    }
    return compare(turns, rounds)


def measure_map(folder: Path, name: str, rounds: int) -> Figures:
    """What tests.bench.segment_map tells of a network with random weights."""
    folder.mkdir()
    network = networks.build(name, len(tiles.CLASSES)).eval()
    onnx_file.export_network(network, folder / "network.onnx")
    card = models.Card(
        "network.onnx", name, ("red", "green", "blue"), MEAN, STD, tiles.SIDE, "bilinear",
        tiles.CLASSES, task="segmentation",
    )  # fmt: skip
    models.save(folder, [card])
    python = str(ROOT / ".venvs" / "map" / "bin" / "python")
    words = [python, "-m", "tests.bench.segment_map", str(folder), str(MAPPED[name]), str(rounds)]
    done = subprocess.run(words, cwd=ROOT, stdout=subprocess.PIPE, check=True, env=os.environ)
    told: Figures = json.loads(done.stdout.splitlines()[-1])
    return told


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of segment.md, .json")
    parser.add_argument("--tiles", type=int, default=128, help="tiles of the file")
    parser.add_argument("--batch", type=int, default=16, help="tiles of a batch that is loaded")
    parser.add_argument("--rounds", type=int, default=3, help="turns that are counted")
    parser.add_argument("--networks", nargs="*", choices=TRAINED, default=[*TRAINED])
    parser.add_argument("--steps", type=int, default=8, help="of training that are counted")
    given, machine = parser.parse_args(), hardware()
    with tempfile.TemporaryDirectory() as named:
        folder = Path(named)
        path = draw_file(folder / "tiles.h5", given.tiles, tiles.SIDE)
        read = data.TileStream(path, 1e-9)  # from disk, as a large file
        found: Figures = {"tiles": given.tiles, "passes": PASSES}
        found["loading"] = load(folder, read, given.batch, given.rounds)
        steps, maps = found.setdefault("training", {}), found.setdefault("map", {})
        for name in given.networks:
            print(name, file=sys.stderr)
            steps[name] = segment_steps.measure(name, read, TRAINED[name], given.steps)
            maps[name] = measure_map(folder / name, name, given.rounds)
    text = segment_table.page(found, machine)
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "segment.md").write_text(text)
    (given.out / "segment.json").write_text(json.dumps(machine | found, indent=1) + "\n")
    print(text)


if __name__ == "__main__":
    main()
