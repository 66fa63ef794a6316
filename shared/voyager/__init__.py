"""The formats of the Voyager SDK: the bundle and how its pictures become logits."""

from shared.voyager import calibration
from shared.voyager.bundle import READBACK, SDK, Bundle, open_bundle, sdk_folder
from shared.voyager.inference import Network, preprocess
from shared.voyager.input_path import describe_input, is_picture

__all__ = [
    "READBACK",
    "SDK",
    "Bundle",
    "Network",
    "bundle",
    "calibration",
    "describe_input",
    "inference",
    "is_picture",
    "open_bundle",
    "preprocess",
    "sdk_folder",
]
