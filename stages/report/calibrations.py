"""Prediction sets: what calibrate promised, and what was reached in each city that was left out."""

from typing import Any

from shared.errors import StageError
from stages.report.inputs import Product, read_json

KEYS = ("coverage", "reached", "size", "single", "empty", "cities_within")
CITY = ("city", "rows", "hits", "reached", "low", "high", "within", "size")


def describe(product: Product) -> dict[str, Any]:
    """Name, method, and a table for each promised coverage.

    Raises:
        StageError: a file without what calibrate writes.
    """
    content = read_json(product.path)
    try:
        tables = [
            {key: entry[key] for key in KEYS}
            | {"cities": [{key: city[key] for key in CITY} for city in entry["cities"]]}
            for entry in content["coverages"]
        ]
        return {
            "name": product.name, "method": content["method"], "rows": content["rows"],
            "tables": tables,
        }  # fmt: skip
    except (KeyError, TypeError) as error:
        raise StageError(
            f"{product.path}: expected the coverage of cities as calibrate writes it ({error})"
        ) from None
