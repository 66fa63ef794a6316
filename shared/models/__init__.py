"""Models as they cross stage boundaries: cards, preprocessing, results and plots.

`scores` needs numpy only; `figures` needs matplotlib and is imported by name where it is used.
"""

from shared.models.cards import LARGEST, MODEL_FILE, Card, Task, load, save
from shared.models.levels import FEW_LEVELS, describe_levels, span_levels
from shared.models.preprocessing import (
    band_statistics,
    locate_bands,
    preprocess,
    preprocess_levels,
    read_scaled,
    round_to_levels,
    shift_of,
    standardise,
    to_levels,
    to_range,
)
from shared.models.ranges import (
    Range,
    choose_range,
    count_levels,
    fit_range,
    name_limits,
    name_range,
)
from shared.models.resizing import VECTORISED, level_taps, resize, resize_levels

__all__ = [
    "FEW_LEVELS", "LARGEST", "MODEL_FILE", "VECTORISED", "Card", "Range", "Task", "band_statistics",
    "choose_range", "count_levels", "describe_levels", "figures", "fit_range", "label_audits",
    "level_taps", "load", "locate_bands", "name_limits", "name_range", "preprocess",
    "preprocess_levels", "read_scaled", "resize", "resize_levels", "round_to_levels", "save",
    "score_folders", "scores", "shift_of", "span_levels", "standardise", "to_levels", "to_range",
]  # fmt: skip
