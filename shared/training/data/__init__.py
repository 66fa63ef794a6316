"""Rows and views: splits in memory or streamed, validation rows, augmented views on the device."""

from shared.training.data.order import share
from shared.training.data.split import Batch, Input, Split, label_pair, labels, wanted
from shared.training.data.stream import agree, load, row_bytes
from shared.training.data.view import View, draw

__all__ = [
    "Batch",
    "Input",
    "Split",
    "View",
    "agree",
    "band_tensors",
    "draw",
    "holdout",
    "label_pair",
    "labels",
    "load",
    "order",
    "row_bytes",
    "share",
    "split",
    "stream",
    "view",
    "wanted",
]
