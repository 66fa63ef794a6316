"""Models as they cross stage boundaries: cards, preprocessing, results and plots.

`scores` needs numpy only; `figures` needs matplotlib and is imported by name where it is used.
"""

from shared.models.cards import NAME, Card, load, save
from shared.models.preprocessing import levels, locate, prepare, resize, scaled, statistics

__all__ = [
    "NAME", "Card", "figures", "levels", "load", "locate", "prepare", "resize", "save", "scaled",
    "scores", "statistics",
]  # fmt: skip
