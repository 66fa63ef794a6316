"""Tiles for training: read in seeded order from a file of any size, views drawn and seen."""

from shared.segmentation.data.colours import jitter_colours
from shared.segmentation.data.drawing import Drawn, draw_views
from shared.segmentation.data.geometry import cut_view
from shared.segmentation.data.stream import Pass, Tiles, TileStream
from shared.segmentation.data.views import augment, normalise, see_plain

__all__ = [
    "Drawn", "Pass", "TileStream", "Tiles", "augment", "colours", "cut_view", "draw_views",
    "drawing", "geometry", "jitter_colours", "normalise", "see_plain", "stream", "views", "workers",
]  # fmt: skip
