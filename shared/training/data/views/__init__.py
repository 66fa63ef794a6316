"""Random and plain views of stored rows: what is drawn, and the pictures that come of it."""

from shared.training.data.views.drawing import draw_views
from shared.training.data.views.view import View, add_views, sees_views

__all__ = [
    "View", "add_views", "draw_views", "drawing", "eight_bit", "sees_views", "view", "warping",
]  # fmt: skip
