"""Rows and views: splits in memory or streamed, validation rows, random views on the device."""

from shared.training.data.mixing import mix, over_labels
from shared.training.data.order import rows_of_process
from shared.training.data.split import (
    Batch,
    Input,
    Split,
    locate_inputs,
    read_label_pair,
    read_labels,
)
from shared.training.data.stream import (
    bytes_per_row,
    check_same_storage,
    iterate_on,
    load_split,
    place_split,
)
from shared.training.data.views import View, add_views, draw_views, sees_views

__all__ = [
    "Batch",
    "Input",
    "Split",
    "View",
    "add_views",
    "band_tensors",
    "bytes_per_row",
    "check_same_storage",
    "draw_views",
    "folds",
    "holdout",
    "iterate_on",
    "load_split",
    "locate_inputs",
    "mix",
    "mixing",
    "order",
    "over_labels",
    "place_split",
    "read_label_pair",
    "read_labels",
    "rows_of_process",
    "sees_views",
    "split",
    "stream",
    "views",
]
