"""How large the networks of a product are, and what each reaches alone: its models.csv."""

import csv
from pathlib import Path
from typing import Any

from shared.errors import StageError
from stages.report.classifiers import Classifier

NAME = "models.csv"
COLUMNS = ("file", "architecture", "bands", "features", "size", "parameters", "macs", "accuracy")


def read(folder: Path) -> list[dict[str, Any]]:
    """One entry a network; empty for products that have none or were made before there was one.

    Raises:
        StageError: other columns, or a cell that should be a number and is none.
    """
    path = folder / NAME
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        table = list(csv.DictReader(file))
    if table and tuple(table[0]) != COLUMNS:
        raise StageError(f"{path}: expected the columns {COLUMNS}, found {tuple(table[0])}")
    try:
        return [_entry(line) for line in table]
    except (TypeError, ValueError) as error:
        raise StageError(f"{path}: expected numbers ({error})") from None


def _entry(line: dict[str, str]) -> dict[str, Any]:
    """Text to numbers; parameters and MACs are None where the cell is empty."""
    counts = {key: int(line[key]) if line[key] else None for key in ("parameters", "macs")}
    whole = {key: int(line[key]) for key in ("features", "size")}
    plain = {key: line[key] for key in ("file", "architecture")}
    return plain | {
        "bands": line["bands"].split(),
        **whole,
        **counts,
        "accuracy": float(line["accuracy"]),
    }


def summary(classifier: Classifier) -> dict[str, Any] | None:
    """One line of the table of models; None without models.csv."""
    networks = read(classifier.folder) if classifier.folder else []
    if not networks:
        return None
    alone = [network["accuracy"] for network in networks]
    return {
        "role": classifier.role,
        "name": classifier.name,
        "networks": len(networks),
        "architecture": ", ".join(dict.fromkeys(n["architecture"] for n in networks)),
        "inputs": list(dict.fromkeys(_input(network) for network in networks)),
        "accuracy": (min(alone), sum(alone) / len(alone), max(alone)),
        "together": classifier.accuracy,
    } | {key: _known([n[key] for n in networks]) for key in ("parameters", "macs")}


def _known(counts: list[int | None]) -> tuple[int, int] | None:
    """Largest of the networks, and the sum of all; None when one is not known."""
    known = [count for count in counts if count is not None]
    return (max(known), sum(known)) if len(known) == len(counts) else None


def _input(network: dict[str, Any]) -> str:
    """ "3 × 64 × 64", "+ 2,000 features" or features alone."""
    parts = []
    if network["size"] > 1:
        parts.append(f"{len(network['bands'])} × {network['size']} × {network['size']}")
    if network["features"]:
        parts.append(f"{network['features']:,} features".replace(",", "\u2009"))
    return " + ".join(parts)
