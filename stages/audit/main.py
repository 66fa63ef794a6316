"""audit: scores of rows that networks were not trained on to labels that look wrong."""

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray

from shared import cli, patches
from shared.errors import StageError
from shared.models import label_audits, score_folders, scores
from shared.progress import say

Method = Literal["prune_by_noise_rate", "prune_by_class", "both", "confident_learning"]


def describe_classes(audit: label_audits.Audit) -> list[dict[str, Any]]:
    """Rows and suspects of each class that occurs, and what most of its suspects look like.

    Args:
        audit: of all rows.
    """
    lines = []
    for number in np.unique(audit.given).tolist():
        own = audit.given == number
        taken = np.bincount(audit.suggested[own & audit.suspect], minlength=len(audit.classes))
        lines.append(
            {"class": audit.classes[number], "rows": int(own.sum()), "suspects": int(taken.sum()),
             "share": float(taken.sum() / own.sum()),
             "most_like": audit.classes[taken.argmax()] if taken.any() else ""}
        )  # fmt: skip
    return lines


def run(
    *,
    src: tuple[Path, ...],
    train: Path,
    dst: Path,
    method: Method = "both",
    shown: Annotated[int, cli.between(1, 100)] = 20,
) -> None:
    """Find labels of the training split that look wrong, by scores out of sample.

    Args:
        src: folders of teacher --folds; of several, the mean counts.
        train: patch file of the training split, of which the scores are.
        dst: folder with labels.csv (one line a row, the worst first), audit.json (the share of each
            class) and worst.png.
        method: which rows are suspects, in cleanlab's words: by the number of wrong labels of each
            pair of classes (prune_by_noise_rate), of each class (prune_by_class), both ways at
            once, or all that count as another class (confident_learning).
        shown: pictures in worst.png.
    """
    from stages.audit import doubts, worst_pictures

    classes, labels, probabilities = read_scores(src)
    with patches.read(train, "label") as source:
        source.expect_classes(classes)
        given = source.labels()
        if not np.array_equal(given, labels):
            raise StageError(
                f"{train}: labels differ from {src[0] / 'train_labels.npy'} ({len(given)} and "
                f"{len(labels)} rows); give the training file that the scores are of"
            )
        audit = label_audits.Audit(classes, labels, *doubts.find(labels, probabilities, method))
        dst.mkdir(exist_ok=True)
        worst_pictures.draw(dst / "worst.png", source, audit, audit.worst()[:shown])
    found = int(audit.suspect.sum())
    told = {"method": method, "suspects": found, "share": found / len(labels)}
    label_audits.save(dst, audit, **told, per_class=describe_classes(audit))
    say(f"{train}: {found} of {len(labels)} labels look wrong ({told['share']:.1%})")


def read_scores(
    folders: tuple[Path, ...],
) -> tuple[tuple[str, ...], NDArray[np.intp], NDArray[np.float64]]:
    """Class names, (N,) labels, and (N, K) mean probabilities out of sample.

    Raises:
        StageError: as `score_folders.read_out_of_fold`; two folders are of other rows or classes.
    """
    each = [score_folders.read_out_of_fold(folder) for folder in folders]
    classes, labels, _ = each[0]
    for folder, (names, truth, _) in zip(folders[1:], each[1:], strict=True):
        if names != classes or not np.array_equal(truth, labels):
            raise StageError(f"{folder}: expected the classes and training labels of {folders[0]}")
    return classes, labels.astype(np.intp), scores.mean([said for _, _, said in each])


if __name__ == "__main__":
    cli.main(run)
