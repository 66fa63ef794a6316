"""Prediction sets: what calibrate promised, and what was reached in each city that was left out."""

from typing import Any

from shared.errors import StageError
from stages.report.inputs import Product, read_json

KEYS = ("coverage", "reached", "size", "single", "empty", "cities_within")
CITY = ("rows", "hits", "reached", "low", "high", "within", "size")


def describe(product: Product) -> dict[str, Any]:
    """Name, method, and a table for each promised coverage.

    Raises:
        StageError: a file without what calibrate writes.
    """
    content = read_json(product.path)
    try:
        tables = [
            {key: _number(entry[key]) for key in KEYS}
            | {"cities": [_read_city(city) for city in entry["cities"]]}
            for entry in content["coverages"]
        ]
        return {
            "name": product.name, "method": content["method"], "rows": _number(content["rows"]),
            "tables": tables,
        }  # fmt: skip
    except (KeyError, TypeError) as error:
        raise StageError(
            f"{product.path}: expected the coverage of cities as calibrate writes it ({error})"
        ) from None


def _read_city(city: dict[str, Any]) -> dict[str, Any]:
    return {"city": str(city["city"])} | {key: _number(city[key]) for key in CITY}


def _number(value: Any) -> float:
    """The number or truth value itself; TypeError for what the page could not write."""
    if not isinstance(value, int | float):
        raise TypeError(f"{str(value)[:40]!r} is no number")
    return value
