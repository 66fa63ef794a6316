"""Ensembles of classifiers joined by the sum rule: the mean of their class probabilities."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from shared import cli
from shared.errors import StageError
from shared.models import score_folders, scores
from stages.sumrule import weighing


def accuracy(labels: NDArray[np.integer], probabilities: NDArray[np.floating]) -> float:
    """Share of rows whose highest of (N, K) scores is that of the (N,) label."""
    return float((probabilities.argmax(1) == labels).mean())


def average(
    dst: Path, parts: Sequence[score_folders.ScoreFolder], counts: Sequence[int]
) -> NDArray[np.float64]:
    """Write the mean logits of the splits where all ensembles have them; the mean scores (N, K)."""
    for split in ("test", "train"):
        if all(split in part.logits for part in parts):
            logits = scores.mean([part.logits[split] for part in parts], counts).astype(np.float32)
            np.save(dst / f"{split}_logits.npy", logits)
            if split == "train" and parts[0].train_labels is not None:
                np.save(dst / "train_labels.npy", parts[0].train_labels)
    return scores.mean([part.scores for part in parts], counts)


def run(
    *, src: tuple[Path, ...], dst: Path, weigh: Literal["folders", "members"] = "folders"
) -> None:
    """Average the test scores of several ensembles and measure the result.

    Args:
        src: score folders of teacher or fusion, joined by commas. Each holds
            test_scores.npy (N, K) probabilities, test_labels.npy (N,) and metrics.json with the
            class names; logits beside them are averaged too when all folders have them.
        dst: score folder to write.
        weigh: folders (each counts once: modes or architectures, as published) or members (each
            counts by its number of networks: shards of one ensemble).
    """
    from shared.models import figures

    if len({path.resolve() for path in src}) < len(src):
        listed = ", ".join(map(str, src))
        raise StageError(f"--src: expected different folders, found {listed}")
    parts = [score_folders.read(path) for path in src]
    score_folders.check_agreement(parts)
    counts = weighing.counts(parts, weigh)
    dst.mkdir(exist_ok=True)
    joined = average(dst, parts, counts)
    facts: dict[str, Any] = {"members": [_describe(part) for part in parts]}
    if whole := weighing.networks(parts, counts):
        facts["networks"] = whole
    first = parts[0]
    scores.write(dst, first.labels, joined, first.classes, **facts)
    matrix = scores.confusion(first.labels, joined)
    figures.confusion(dst / "confusion.png", matrix, first.classes)


def _describe(part: score_folders.ScoreFolder) -> dict[str, Any]:
    """Name, accuracy and number of networks of one ensemble."""
    facts = {"name": part.name, "overall_accuracy": accuracy(part.labels, part.scores)}
    return facts | ({} if part.networks is None else {"networks": part.networks})


if __name__ == "__main__":
    cli.main(run)
