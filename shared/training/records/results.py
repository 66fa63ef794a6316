"""What a trained ensemble leaves on the volume: scores, logits, metrics, curves, pictures."""

import csv
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from shared import models
from shared.models import figures, scores
from shared.progress import say
from shared.training.records import out_of_fold

MUCH = 0.01  # of an accuracy; the rows are those of training, so that chance is small
MODELS = ("file", "architecture", "bands", "features", "size", "parameters", "macs", "accuracy")


@dataclasses.dataclass(frozen=True)
class Result:
    """What a finished member leaves.

    Attributes:
        card: what it eats.
        train_logits: (N, K) of the training rows, clean views.
        test_logits: (M, K) of the test rows.
        series: quantity ("train loss", "validation accuracy", …) to values, one an epoch.
        difference: largest logit difference between the ONNX file and the trained network.
        parameters: how many it has, 0 where that is not known; as `size.count`.
        macs: multiplications with their additions for one row, 0 where that is not known.
        kept: epoch, counted from 1, whose weights were chosen; 0 where none was: it is the last.
        looked: (L,) numbers of training rows whose random views were looked at, if any.
        view_logits: (L, K) of these views.
        unseen: (U,) numbers of training rows that it was not trained on; None if nobody knows.
    """

    card: models.Card
    train_logits: NDArray[np.float32]
    test_logits: NDArray[np.float32]
    series: dict[str, list[float]]
    difference: float
    parameters: int = 0
    macs: int = 0
    kept: int = 0
    looked: NDArray[np.intp] | None = None
    view_logits: NDArray[np.float32] | None = None
    unseen: NDArray[np.intp] | None = None


def write_score_folder(
    dst: Path, results: list[Result], labels: tuple[Tensor, Tensor], **more: Any
) -> dict[str, Any]:
    """Scores are the mean of the members' probabilities (sum rule); logits the mean of theirs.

    metrics.json says how many `networks` that is, for those who join shards of an ensemble;
    models.csv how large each one is.

    Args:
        dst: product folder, which exists.
        results: one a member.
        labels: class numbers of the training and the test split.
        more: further entries of metrics.json.

    Returns:
        What stands in metrics.json.
    """
    classes = results[0].card.classes
    for split, truth in (("train", labels[0]), ("test", labels[1])):
        mean = scores.mean([getattr(result, f"{split}_logits") for result in results])
        np.save(dst / f"{split}_logits.npy", mean.astype(np.float32))
        np.save(dst / f"{split}_labels.npy", truth.numpy())
    truth = labels[1].numpy()
    # Rounded as a folder of one member stores them: shards that are joined give the same bits.
    each = [scores.softmax(result.test_logits).astype(np.float32) for result in results]
    alone = {
        result.card.file: float((score.argmax(1) == truth).mean())
        for result, score in zip(results, each, strict=True)
    }
    seen = compare_views(results, labels[0].numpy())
    warn_of_views(dst, seen)
    unseen = [(result.unseen, result.train_logits) for result in results]
    seen |= out_of_fold.write(dst, unseen, labels[0].numpy())
    more = {"networks": len(results), "member_accuracy": alone} | seen | more
    said = scores.mean(each)
    metrics = scores.write(dst, truth, said, classes, **more)
    figures.confusion(dst / "confusion.png", scores.confusion(truth, said), classes)
    write_network_table(dst, results, alone)
    named = {Path(result.card.file).stem: result for result in results}
    kept = {name: result.kept for name, result in named.items() if result.kept}
    write_curves(dst, {name: result.series for name, result in named.items()}, kept)
    differences = {result.card.file: result.difference for result in results}
    models.save(dst, [result.card for result in results], onnx_difference=differences)
    return metrics


def compare_views(results: list[Result], truth: NDArray[np.integer]) -> dict[str, Any]:
    """Accuracies on training rows, in their plain view and in random ones, for metrics.json.

    Args:
        results: one a member; empty where one of them has not looked at random views, or at those
            of other rows than the rest.
        truth: (N,) class numbers of the training rows.

    Returns:
        "train_accuracy_plain" and "train_accuracy_views" of the mean of the probabilities, both on
        the rows that were looked at; where there are several members, both of each one, too.
    """
    said: dict[str, list[NDArray[np.floating]]] = {"plain": [], "views": []}
    first = results[0].looked
    for result in results:
        if result.looked is None or result.view_logits is None or first is None:
            return {}
        if not np.array_equal(result.looked, first):
            return {}
        right = truth[result.looked]
        said["plain"].append(scores.softmax(result.train_logits[result.looked]))
        said["views"].append(scores.softmax(result.view_logits))
    accuracies: dict[str, Any] = {
        f"train_accuracy_{kind}": float((np.mean(each, 0).argmax(1) == right).mean())
        for kind, each in said.items()
    }
    if len(results) > 1:
        accuracies["member_train_accuracy"] = {
            result.card.file: {
                kind: float((each[number].argmax(1) == right).mean()) for kind, each in said.items()
            }
            for number, result in enumerate(results)
        }
    return accuracies


def warn_of_views(dst: Path, seen: dict[str, Any]) -> None:
    """One line where networks know random views of their training rows better than plain ones."""
    if "train_accuracy_plain" not in seen:
        return
    plain, views = seen["train_accuracy_plain"], seen["train_accuracy_views"]
    if views - plain > MUCH:
        say(
            f"{dst}: of the training rows {100 * plain:.2f} % are right in their plain view and "
            f"{100 * views:.2f} % in random ones: training sees other pictures than the test; "
            "--augment sharp or none is nearer to it"
        )


def write_network_table(dst: Path, results: list[Result], alone: dict[str, float]) -> None:
    """models.csv: one line a network, with its size and its accuracy alone on the test split.

    Cells are empty where parameters or MACs are not known.

    Args:
        dst: product folder.
        results: one a network.
        alone: file to test accuracy, 0 to 1.
    """
    with (dst / "models.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(MODELS)
        for result in results:
            card = result.card
            large = (result.parameters or "", result.macs or "")
            eats = (" ".join(card.bands), card.features, card.size)
            table.writerow([card.file, card.architecture, *eats, *large, alone[card.file]])


def write_curves(
    dst: Path, series: dict[str, dict[str, list[float]]], kept: dict[str, int] | None = None
) -> None:
    """curves.csv and curves.png from network name to quantity to values per epoch.

    Neither where no network was trained.

    Args:
        dst: product folder.
        series: name to quantity to values.
        kept: name to the epoch that was chosen, for those where one was.
    """
    quantities = list(dict.fromkeys(name for lines in series.values() for name in lines))
    if not quantities:
        return
    with (dst / "curves.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["network", "epoch", *quantities])
        for name, lines in series.items():
            columns = [lines.get(quantity, []) for quantity in quantities]
            for epoch in range(max(map(len, columns))):
                row = [column[epoch] if epoch < len(column) else "" for column in columns]
                table.writerow([name, epoch + 1, *row])
    by_quantity = {
        q: {n: lines[q] for n, lines in series.items() if q in lines} for q in quantities
    }
    figures.curves(dst / "curves.png", by_quantity, kept)
