"""Segmentation: a class for each pixel. Networks, losses, and how they are trained; needs torch.

Counts and measures of masks need no torch: they are in `shared/tiles`.
"""

from shared.segmentation.networks import ARCHITECTURES, Segmenter, build, load_backbone

__all__ = ["ARCHITECTURES", "Segmenter", "build", "load_backbone", "networks"]
