"""One measurement of training in a process of its own; the last line of stdout is JSON.

    .venvs/teacher/bin/python -m tests.bench.train_jobs pipeline '{"device": "cpu", "size": 64}'

Started by tests.bench.train, which says how many threads torch may use.
"""

import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from shared import lcz, models
from shared.training import networks
from shared.training.data import draw_views, iterate_on, place_split
from shared.training.data.split import Band, Batch, Split
from shared.training.data.views.view import View
from shared.training.loop import engine
from shared.training.loop.learner import Learner
from shared.training.loop.recipe import Recipe, build_optimiser
from tests.bench import train_reference

RECIPE = Recipe(1, 1, 1e-3, 42)
FORMATS = {"contiguous": torch.contiguous_format, "channels last": torch.channels_last}


def split(rows: int) -> Split:
    """Rows of ten bands in memory as a patch file of So2Sat holds them, and their classes."""
    rng = np.random.default_rng(0)
    stored = {
        band: Band(torch.from_numpy(rng.integers(0, 8000, (rows, 32, 32), np.int16)), lcz.SEN2)
        for band in lcz.SEN2.bands
    }
    return Split(stored, {"label": torch.from_numpy(np.arange(rows) % 17)})


def card(member: int, size: int) -> models.Card:
    """Three bands of one member."""
    bands = tuple(lcz.SEN2.bands[(member + i) % 10] for i in range(3))
    return models.Card("", "", bands, (0.4,) * 3, (0.2,) * 3, size, "bilinear", lcz.CLASSES)


def now(device: str) -> float:
    """Seconds: of the processor on one core, where other work does not count; else by the clock."""
    if device == "cuda":
        torch.cuda.synchronize()
    alone = device == "cpu" and torch.get_num_threads() == 1
    return time.process_time() if alone else time.perf_counter()


def pipeline(
    device: str, size: int, batch: int, rows: int, rounds: int, augment: str = "sharp"
) -> dict[str, Any]:
    """Rows per second from the split in memory to network input: gather to resize."""
    view = View(card(0, size), split(1).layouts, 32)
    ten = split(rows)
    source = place_split(
        Split({b: ten.bands[b] for b in view.card.bands}, ten.extra), torch.device(device)
    )
    order = np.random.default_rng(0).permutation(rows)
    steps = [order[start : start + batch] for start in range(0, rows, batch)]

    def epoch() -> float:
        start = now(device)
        batches = iterate_on(source, steps, torch.device(device))
        for step, stored in enumerate(batches):
            drawn = draw_views(augment, batch, 32, step, view.keys)
            view(stored | {name: of.to(device) for name, of in drawn.items()})
        return now(device) - start

    epoch()
    return {"rate": len(steps) * batch / min(epoch() for _ in range(rounds))} | memory(device)


class Timed(View):
    """A view that notes when it is looked through for the two times of `at`."""

    def __init__(
        self, of: models.Card, layouts: dict[str, lcz.Layout], at: tuple[int, int]
    ) -> None:
        super().__init__(of, layouts, 32)
        self.at, self.times = at, list[float]()

    def forward(self, batch: Batch) -> Tensor:
        """The same picture."""
        if len(self.times) in self.at:
            self.times.append(now(next(iter(batch.values())).device.type))
        else:
            self.times.append(0.0)  # a GPU is not waited for
        seen: Tensor = super().forward(batch)
        return seen


def end_to_end(
    source: Split, device: str, size: int, batch: int, precision: str, members: int
) -> float:
    """Rows per second of all members together through the engine, between two of its steps."""
    steps, first = len(source) // batch, 1 if device == "cpu" else 3
    recipe = Recipe(1, batch, 1e-3, 42, device=device, precision=precision)
    views = [Timed(card(m, size), source.layouts, (first, steps - 1)) for m in range(members)]
    learners = [
        Learner(f"member-{m}", networks.build("resnet18", 3, 17), view, loss, recipe, seed=m)
        for m, view in enumerate(views)
    ]
    with tempfile.TemporaryDirectory() as folder:
        engine.fit(learners, source, recipe, Path(folder))
    times = views[0].times
    return (steps - 1 - first) * batch * members / (times[steps - 1] - times[first])


def loss(logits: Tensor, batch: Batch) -> Tensor:
    """Cross entropy."""
    return functional.cross_entropy(logits, batch["label"])


def alone(device: str, size: int, batch: int, precision: str, steps: int, form: str) -> float:
    """Rows per second of one network on pictures that are there already: plain torch."""
    network = networks.build("resnet18", 3, 17).to(device, memory_format=FORMATS[form])
    images = torch.randn(batch, 3, size, size, device=device).to(memory_format=FORMATS[form])
    label = torch.arange(batch, device=device) % 17
    weights = build_optimiser(network, RECIPE)

    def step() -> None:
        with torch.autocast(device, torch.bfloat16, enabled=precision != "float32"):
            error = functional.cross_entropy(network(images), label)
        weights.zero_grad()
        error.backward()
        weights.step()

    for _ in range(1 if device == "cpu" else 3):
        step()
    start = now(device)
    for _ in range(steps):
        step()
    return steps * batch / (now(device) - start)


def training(
    device: str, size: int, batch: int, precision: str, members: int, steps: int, rounds: int
) -> dict[str, Any]:
    """End to end and the network alone, in turns; the best of several rounds of each."""
    warm = 2 if device == "cpu" else 4
    source = split((steps + warm) * batch)
    speeds: dict[str, list[float]] = {}
    for number in range(rounds):
        rate = end_to_end(source, device, size, batch, precision, members)
        speeds.setdefault("end to end", []).append(rate)
        if not number:
            peak = memory(device)
        for form in FORMATS:
            speeds.setdefault(form, []).append(alone(device, size, batch, precision, steps, form))
    return {name: max(rates) for name, rates in speeds.items()} | peak


def memory(device: str) -> dict[str, float]:
    """Peak so far in MB: of this process, Python and torch in it, and on the GPU."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    gpu = torch.cuda.max_memory_allocated() / 1e6 if device == "cuda" else 0.0
    return {"peak_mb": peak, "gpu_mb": gpu}


def reference(path: str, workers: int, radar: bool, rows: int) -> dict[str, Any]:
    """Rows per second of the reference's loader."""
    return train_reference.measure(Path(path), workers, radar, rows) | memory("cpu")


if __name__ == "__main__":
    jobs: dict[str, Callable[..., dict[str, Any]]] = {
        "pipeline": pipeline, "training": training, "reference": reference,
    }  # fmt: skip
    print(json.dumps(jobs[sys.argv[1]](**json.loads(sys.argv[2]))))
