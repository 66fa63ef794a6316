"""Registration of two images of the same land: flows, and the network that finds them.

A flow is in pixels, down and to the right: the image that moved shows at place + flow what the
reference shows at place. Needs torch.
"""

from shared.registration.fields import compose, enlarge_flow, smooth_flow, warp
from shared.registration.least_squares import guess_flow
from shared.registration.network import TENSORS, RegistrationNetwork, Size, normalise
from shared.registration.objective import TERMS, margin, sum_terms
from shared.registration.simulation import Extent, draw_warps
from shared.sisr import sessions

CARD, ONNX = sessions.CARD, sessions.ONNX  # files of `register`

__all__ = [
    "CARD", "ONNX", "TENSORS", "TERMS", "Extent", "RegistrationNetwork", "Size",
    "compose", "draw_warps", "enlarge_flow", "guess_flow", "margin", "normalise", "smooth_flow",
    "sum_terms", "warp",
]  # fmt: skip
