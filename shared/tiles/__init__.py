"""Tile files: tiles of orthophotos with a class for each pixel, for segmentation.

A tile file is a patch file (`shared/patches`) whose rows have an `image` and a `mask`. Formats:
shared/README.md.
Only `figures` needs matplotlib, and `rasters`, which reads orthophotos, needs rasterio; they are
imported by name where they are used.
"""

from shared.tiles.examples import choose_examples, colour_mask
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
from shared.tiles.measures import count_confusion, intersect_over_union, mean_iou, measure
from shared.tiles.statistics import count_classes, describe, sum_colours, weigh

__all__ = [
    "CLASSES", "COLOURS", "IGNORE", "SIDE", "choose_examples", "colour_mask", "constants",
    "count_classes", "count_confusion", "describe", "fields", "figures", "intersect_over_union",
    "list_names", "mean_iou", "measure", "rasters", "read_table", "sum_colours", "weigh",
]  # fmt: skip
