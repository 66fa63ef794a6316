"""Registration of two images of the same land: flows, and the network that finds them.

A flow is in pixels, down and to the right: the image that moved shows at place + flow what the
reference shows at place. Needs torch.
"""

from shared.registration.fields import compose, enlarge_flow, smooth_flow, warp

__all__ = ["compose", "enlarge_flow", "smooth_flow", "warp"]
