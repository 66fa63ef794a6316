"""What each process of `test_soft_terms` runs: two epochs with each soft term."""

import sys
from pathlib import Path

import numpy as np
import torch

from shared.runs import processes
from shared.training.loop import engine
from shared.training.loop.learner import Learner
from stages.distill import loss
from stages.distill.teaching import Loss, Matching
from tests.training import tiny


def main(folder: Path) -> None:
    """One network a term, in one pass over 15 rows by 7, so that parts are of 3 and 4 and of 1."""
    plan, rows = tiny.recipe(epochs=2, batch=7), tiny.split(15)
    teacher = np.random.default_rng(0).normal(0, 3, (15, 3)).astype(np.float32)
    rows.extra["teacher"] = torch.from_numpy(teacher)
    learners = []
    losses: tuple[Loss, ...] = ("kd", "dist", "dkd")
    for name in losses:
        term = loss.choose_term(Matching(loss=name))
        ours = loss.hard_and_soft(0.3, 2.0, term=term)
        learners.append(Learner(name, tiny.network(), tiny.view(rows), ours, plan, seed=5))
    engine.fit(learners, rows, plan, folder / "work")
    said = {
        one.name: (tiny.weights(one.network)["head.weight"], one.history.series["train loss"])
        for one in learners
    }
    torch.save(said, folder / f"rank-{processes.rank_and_size()[0]}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
