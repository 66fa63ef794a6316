"""Models as they cross stage boundaries: cards, preprocessing, results and plots.

`scores` needs numpy only; `figures` needs matplotlib and is imported by name where it is used.
"""

from shared.models.cards import MODEL_FILE, Card, load, save
from shared.models.preprocessing import (
    band_statistics,
    locate_bands,
    preprocess,
    read_scaled,
    resize,
    round_to_levels,
)

__all__ = [
    "MODEL_FILE", "Card", "band_statistics", "figures", "load", "locate_bands", "preprocess",
    "read_scaled", "resize", "round_to_levels", "save", "scores",
]  # fmt: skip
