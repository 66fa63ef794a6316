"""Tiles through a segmentation network as `map` runs them, beside one tile a call; JSON on stdout.

    .venvs/map/bin/python -m tests.bench.segment_map FOLDER TILES ROUNDS

Started by tests.bench.segment. The other way is onnxruntime as it comes: one tile in each call,
whose operators share the cores. Both ways prepare the same pixels and make probabilities; they take
turns, and what they say is compared.
"""

import json
import os
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from shared import models, tiles
from stages.map import segmenters
from stages.map.settings import Tiles

Said = list[segmenters.Floats]


def draw(count: int) -> list[segmenters.Tile]:
    """Tiles of noise, no pixel hidden."""
    side, rng = tiles.SIDE, np.random.default_rng(0)
    hidden = np.zeros((side, side), np.bool_)
    return [(rng.integers(0, 256, (side, side, 3), np.uint8), hidden) for _ in range(count)]


def one_a_call(folder: Path) -> segmenters.Ensemble:
    """The same network in a session without settings, one tile in a call."""
    card = models.load(folder, "segmentation")[0]
    session = onnxruntime.InferenceSession(folder / card.file, providers=["CPUExecutionProvider"])
    return segmenters.Ensemble([segmenters.Member(card, session, None)], 1, 1)


def main() -> None:
    """Tiles per second of both ways, medians, and how far their probabilities are apart."""
    folder, count, rounds = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    cores = len(os.sched_getaffinity(0))
    shown = draw(count)
    ways = {
        "map": segmenters.open_models(folder, "fp32", Tiles().batch, cores),
        "one a call": one_a_call(folder),
    }
    spent: dict[str, list[float]] = {name: [] for name in ways}
    said: dict[str, Said] = {}
    for _ in range(rounds + 1):
        for name, ensemble in ways.items():
            start = time.perf_counter()
            said[name] = list(_score(ensemble, shown))
            spent[name].append(time.perf_counter() - start)
    apart = max(float(np.abs(a - b).max()) for a, b in zip(*said.values(), strict=True))
    rates = {name: count / statistics.median(times[1:]) for name, times in spent.items()}
    told: dict[str, Any] = rates | {"apart": apart, "tiles": count}
    print(json.dumps(told))


def _score(ensemble: segmenters.Ensemble, shown: list[segmenters.Tile]) -> Iterator[Any]:
    yield from ensemble.score(shown)


if __name__ == "__main__":
    main()
