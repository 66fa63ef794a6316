"""Tile files: tiles of orthophotos with a class for each pixel, for segmentation.

A tile file is a patch file (`shared/patches`) whose rows have an `image` and a `mask`. Formats:
shared/README.md.
"""

from shared.tiles.form import (
    CLASSES,
    COLOURS,
    IGNORE,
    SIDE,
    constants,
    fields,
    list_names,
    read_table,
)
from shared.tiles.statistics import count_classes, describe, sum_colours, weigh

__all__ = [
    "CLASSES", "COLOURS", "IGNORE", "SIDE", "constants", "count_classes", "describe", "fields",
    "list_names", "read_table", "sum_colours", "weigh",
]  # fmt: skip
