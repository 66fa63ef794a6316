"""Ensembles of classifiers joined by the sum rule: the mean of their class probabilities."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared import cli, scores
from shared.errors import StageError
from stages.sumrule import ensembles


def mean(arrays: Sequence[NDArray[np.floating]]) -> NDArray[np.float64]:
    """The mean of equally shaped arrays, in double precision and whatever their order.

    Args:
        arrays: one (N, K) per ensemble. Each counts once, however many members it averages.
    """
    stacked = np.sort(np.asarray(arrays, np.float64), 0)  # sorted, so that sums round alike
    average: NDArray[np.float64] = stacked.mean(0)
    return average


def accuracy(labels: NDArray[np.integer], found: NDArray[np.floating]) -> float:
    """Share of rows whose highest of (N, K) scores is that of the (N,) label."""
    return float((found.argmax(1) == labels).mean())


def run(*, src: tuple[Path, ...], dst: Path) -> None:
    """Average the test scores of several ensembles and measure the result.

    Args:
        src: score folders of teacher or fusion, joined by commas. Each holds
            test_scores.npy (N, K) probabilities, test_labels.npy (N,) and metrics.json with the
            class names; logits beside them are averaged too when all folders have them.
        dst: score folder to write.
    """
    from shared import figures

    if len({path.resolve() for path in src}) < max(1, len(src)):
        listed = ", ".join(str(path) for path in src) or "none"
        raise StageError(f"--src: expected one or more different folders, found {listed}")
    parts = [ensembles.read(path) for path in src]
    ensembles.agree(parts)
    first, joined = parts[0], mean([part.scores for part in parts])
    dst.mkdir(exist_ok=True)
    for split in ("test", "train"):
        if all(split in part.logits for part in parts):
            logits = mean([part.logits[split] for part in parts]).astype(np.float32)
            np.save(dst / f"{split}_logits.npy", logits)
            if split == "train" and first.train_labels is not None:
                np.save(dst / "train_labels.npy", first.train_labels)
    alone = [{"name": p.name, "overall_accuracy": accuracy(p.labels, p.scores)} for p in parts]
    scores.write(dst, first.labels, joined, first.classes, members=alone)
    matrix = scores.confusion(first.labels, joined)
    figures.confusion(dst / "confusion.png", matrix, first.classes)


if __name__ == "__main__":
    cli.main(run)
