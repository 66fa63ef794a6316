"""Segmentation: a class for each pixel. What a network sees of tiles, networks, losses, training.

This door needs no torch, so that the command line is read at once: the groups of parameters are
here, the rest is in modules, such as `shared.segmentation.data` and `shared.segmentation.networks`.
Counts and measures of masks need no torch either: they are in `shared/tiles`.
"""

from shared.segmentation.groups import Views, check_views

__all__ = [
    "Views", "check_views", "data", "fitting", "learner", "losses", "networks", "objective",
    "onnx_file", "pyramids",
]  # fmt: skip
