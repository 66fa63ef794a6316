"""Labels that look wrong: what audit found in each class, and the rows that fit worst."""

from typing import Any

from shared.errors import StageError
from shared.models import label_audits
from stages.report import pictures
from stages.report.inputs import Product

NUMBERS = ("rows", "suspects", "share")


def describe(product: Product) -> dict[str, Any]:
    """Name, figures, a line a class with most suspects first, and the picture.

    Raises:
        StageError: a folder without what audit writes.
    """
    content = label_audits.load_summary(product.path)
    try:
        lines = [
            _read_numbers(line) | {key: str(line[key]) for key in ("class", "most_like")}
            for line in content["per_class"]
        ]
        facts = _read_numbers(content) | {"method": str(content["method"])}
    except (KeyError, TypeError) as error:
        raise StageError(
            f"{product.path}: expected the suspects of each class as audit writes them ({error})"
        ) from None
    lines.sort(key=lambda line: -line["share"])
    worst = product.path / "worst.png"
    picture = pictures.file_uri(worst) if worst.is_file() else ""
    return {"name": product.name, **facts, "classes": lines, "picture": picture}


def _read_numbers(content: dict[str, Any]) -> dict[str, Any]:
    """Figures of one line; TypeError for what the page could not write."""
    for name in NUMBERS:
        if not isinstance(content[name], int | float):
            raise TypeError(f"{name}: {str(content[name])[:40]!r} is no number")
    return {name: content[name] for name in NUMBERS}
