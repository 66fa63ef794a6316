"""The formats of the Voyager SDK: the bundle and how its pictures become logits."""

from shared.voyager.bundle import READBACK, SDK, Bundle, home, open_bundle
from shared.voyager.inference import Network, load, preprocess

__all__ = [
    "READBACK",
    "SDK",
    "Bundle",
    "Network",
    "bundle",
    "home",
    "inference",
    "load",
    "open_bundle",
    "preprocess",
]
