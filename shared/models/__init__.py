"""Models as they cross stage boundaries: cards, preprocessing, results and plots.

`scores` needs numpy only; `figures` needs matplotlib and is imported by name where it is used.
"""

from shared.models.cards import MODEL_FILE, Card, load, save
from shared.models.levels import FEW_LEVELS, describe_levels, span_levels
from shared.models.preprocessing import (
    band_statistics,
    locate_bands,
    preprocess,
    read_scaled,
    round_to_levels,
    standardise,
)
from shared.models.resizing import VECTORISED, level_taps, resize, resize_levels

__all__ = [
    "FEW_LEVELS", "MODEL_FILE", "VECTORISED", "Card", "band_statistics", "describe_levels",
    "figures", "level_taps", "load", "locate_bands", "preprocess", "read_scaled", "resize",
    "resize_levels", "round_to_levels", "save", "score_folders", "scores", "span_levels",
    "standardise",
]  # fmt: skip
