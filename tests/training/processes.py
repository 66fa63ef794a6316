"""What each process of `test_distributed` runs: train the tiny network, keep what came of it."""

import sys
from pathlib import Path

import numpy as np
import torch

from shared.runs import processes
from shared.training.loop import engine
from shared.training.parallel import distributed
from tests.training import tiny


def main(folder: Path, mixup: float = 0.0) -> None:
    """Two networks in one pass over 29 rows by 8, with random views, clipped, some held out."""
    plan = tiny.recipe(epochs=3, batch=8, augment="overhead", clip=0.5, mixup=mixup)
    rows = tiny.split(33)
    both = [
        tiny.learner(rows, plan, name, seed, dropout=0.0) for name, seed in (("a", 5), ("b", 6))
    ]
    engine.fit(both, rows, plan, folder / "work", np.arange(29, 33))
    said = {one.name: (tiny.weights(one.network), one.history.series) for one in both}
    torch.save(said, folder / f"rank-{processes.rank_and_size()[0]}.pt")
    assert (
        distributed.launch(plan.device, plan.precision).world_size == processes.rank_and_size()[1]
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
