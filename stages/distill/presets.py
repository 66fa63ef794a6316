"""The published settings of each student; what the caller says wins over them."""

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Preset:
    """How a student was trained. Adam of the published MobileNetV3 is AdamW without decay.

    Attributes:
        size: pixels per side at the input.
        lr: learning rate.
        weight_decay: decoupled (AdamW) or L2 (Adam).
        schedule: "cosine" falls to zero over the run, "constant" does not, "plateau" is halved
            where the validation loss stays.
        batch: rows a step.
        epochs: passes over the training split.
        temperature: softens both sides of the soft term.
        optimiser: "adamw", "adam" or "sgd".
    """

    size: int
    lr: float
    weight_decay: float
    schedule: str
    batch: int
    epochs: int
    temperature: float
    optimiser: str = "adamw"


RESNET18 = Preset(
    size=224, lr=2e-4, weight_decay=1e-4, schedule="cosine", batch=512, epochs=30, temperature=3.0
)
SMALL = Preset(
    size=32, lr=1e-3, weight_decay=0.0, schedule="constant", batch=64, epochs=20, temperature=2.0
)
MEDIUM = Preset(
    size=224, lr=3e-4, weight_decay=1e-4, schedule="constant", batch=128, epochs=30, temperature=2.0
)
# Five students for EuroSAT of a university project on distillation (2025), whose rate is
# RATE_PER_ROW times the batch. It stops by the validation loss.
EUROSAT = Preset(
    size=64, lr=2e-3, weight_decay=0.0, schedule="plateau", batch=64, epochs=20, temperature=3.0,
    optimiser="adam",
)  # fmt: skip
RATE_PER_ROW = 0.001 / 32
STOPPING: Mapping[str, Any] = {"patience": 4, "monitor": "loss", "min_improvement": 1e-4}
EUROSAT_STUDENTS = (
    "simple-net", "student-resnet", "student-separable", "student-depthwise-skip", "student-light",
)  # fmt: skip
STUDENTS = {
    "resnet18": RESNET18,
    "mobilenetv3_small_100": SMALL,  # timm's name
    "mobilenet_v3_small": SMALL,  # torchvision's
    "mobilenetv4_conv_medium": MEDIUM,
    "efficientnet_b0": MEDIUM,
    **dict.fromkeys(EUROSAT_STUDENTS, EUROSAT),
}


def preset_of(architecture: str, **changes: Any) -> Preset:
    """The published settings of a student, those of ResNet18 for any other network.

    Args:
        architecture: any that `networks.build` knows.
        changes: fields by name, None for the published value.
    """
    given = {name: value for name, value in changes.items() if value is not None}
    if architecture in EUROSAT_STUDENTS and "batch" in given:
        given = {"lr": RATE_PER_ROW * given["batch"]} | given
    return dataclasses.replace(STUDENTS.get(architecture, RESNET18), **given)


def complete_stopping(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """When a training of the student stops, where that is published; else the stage's defaults say.

    Args:
        given: flags that the caller gives.
    """
    trained = given.get("checkpoint") is None and given.get("validation") != 0
    return STOPPING if trained and given.get("architecture") in EUROSAT_STUDENTS else {}
