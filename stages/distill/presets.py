"""The published settings of each student; what the caller says wins over them."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Preset:
    """How a student was trained. Adam of the published MobileNetV3 is AdamW without decay.

    Attributes:
        size: pixels per side at the input.
        lr: learning rate of AdamW.
        weight_decay: decoupled.
        schedule: "cosine" falls to zero over the run, "constant" does not.
        batch: rows a step.
        epochs: passes over the training split.
        temperature: softens both sides of the soft term.
    """

    size: int
    lr: float
    weight_decay: float
    schedule: str
    batch: int
    epochs: int
    temperature: float


RESNET18 = Preset(
    size=224, lr=2e-4, weight_decay=1e-4, schedule="cosine", batch=512, epochs=30, temperature=3.0
)
SMALL = Preset(
    size=32, lr=1e-3, weight_decay=0.0, schedule="constant", batch=64, epochs=20, temperature=2.0
)
MEDIUM = Preset(
    size=224, lr=3e-4, weight_decay=1e-4, schedule="constant", batch=128, epochs=30, temperature=2.0
)
EUROSAT = Preset(  # Adam at 0.001 for 32 rows, so twice that for 64
    size=64, lr=2e-3, weight_decay=0.0, schedule="constant", batch=64, epochs=20, temperature=3.0
)
STUDENTS = {
    "resnet18": RESNET18,
    "mobilenetv3_small_100": SMALL,  # timm's name
    "mobilenet_v3_small": SMALL,  # torchvision's
    "mobilenetv4_conv_medium": MEDIUM,
    "efficientnet_b0": MEDIUM,
    "simple-net": EUROSAT,
    "student-resnet": EUROSAT,
    "student-separable": EUROSAT,
    "student-depthwise-skip": EUROSAT,
    "student-light": EUROSAT,
}


def preset_of(architecture: str, **changes: Any) -> Preset:
    """The published settings of a student, those of ResNet18 for any other network.

    Args:
        architecture: any that `networks.build` knows.
        changes: fields by name, None for the published value.
    """
    given = {name: value for name, value in changes.items() if value is not None}
    return dataclasses.replace(STUDENTS.get(architecture, RESNET18), **given)
