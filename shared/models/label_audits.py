"""What audit finds of each label of a split: its files, written and read."""

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.errors import StageError
from shared.names import check_names
from shared.reading import documents

TABLE, SUMMARY = "labels.csv", "audit.json"
COLUMNS = ("row", "given", "suggested", "score", "suspect")


@dataclass(frozen=True)
class Audit:
    """What is known of the labels of N rows.

    Attributes:
        classes: (K,) names.
        given: (N,) zero-based class that the file says.
        suggested: (N,) the one that networks find the likeliest which were not trained on the row.
        score: (N,) how well the given class fits, 0 (not at all) to 1.
        suspect: (N,) whether the row looks mislabelled.
    """

    classes: tuple[str, ...]
    given: NDArray[np.intp]
    suggested: NDArray[np.intp]
    score: NDArray[np.float64]
    suspect: NDArray[np.bool_]

    def worst(self) -> NDArray[np.intp]:
        """(N,) all rows, those whose labels fit worst first; of equal ones the first row."""
        return np.argsort(self.score, kind="stable")


def save(folder: Path, audit: Audit, **more: Any) -> None:
    """Write labels.csv, one line a row and the worst first, and audit.json.

    Args:
        folder: product, which exists.
        audit: of all rows.
        more: further entries of audit.json.
    """
    with (folder / TABLE).open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        for row in audit.worst().tolist():
            named = [audit.classes[of[row]] for of in (audit.given, audit.suggested)]
            table.writerow([row, *named, float(audit.score[row]), int(audit.suspect[row])])
    content = {"classes": list(audit.classes), "rows": len(audit.given), **more}
    (folder / SUMMARY).write_text(json.dumps(content, indent=1) + "\n")


def load_summary(folder: Path) -> dict[str, Any]:
    """What audit.json says.

    Raises:
        StageError: not such a folder.
    """
    path = folder / SUMMARY
    try:
        content = documents.read_json(path)
        names = tuple(str(name) for name in content["classes"])
        if type(content["rows"]) is not int or content["rows"] < 1:
            raise ValueError(f"rows: {content['rows']!r}")
    except OSError:
        raise StageError(f"{folder}: expected a product of audit, found no {SUMMARY}") from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        reason = str(error).partition("\n")[0][:80] or type(error).__name__
        raise StageError(f"{path}: expected what audit has made ({reason})") from None
    check_names(names, f"{path}: classes")
    return dict(content)


def load(folder: Path) -> Audit:
    """Read the product of audit.

    Raises:
        StageError: not such a folder, or one whose table does not have each row once.
    """
    content, path = load_summary(folder), folder / TABLE
    classes, rows = tuple(map(str, content["classes"])), int(content["rows"])
    number = {name: place for place, name in enumerate(classes)}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            lines = [
                (int(line["row"]), number[line["given"]], number[line["suggested"]],
                 float(line["score"]), ("0", "1").index(line["suspect"]))
                for line in csv.DictReader(file)
            ]  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        reason = str(error).partition("\n")[0][:80] or type(error).__name__
        raise StageError(f"{path}: expected the table that audit has made ({reason})") from None
    lines.sort()
    if [line[0] for line in lines] != list(range(rows)):
        raise StageError(f"{path}: expected each of {rows} rows once, found {len(lines)} lines")
    _, given, suggested, score, suspect = (np.array(column) for column in zip(*lines, strict=True))
    if not ((score >= 0) & (score <= 1)).all():
        raise StageError(f"{path}: score: expected 0 to 1")
    return Audit(classes, given, suggested, score, suspect.astype(bool))
