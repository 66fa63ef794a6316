"""What a network reads and gives, and how it was trained, as properties of the extension."""

import csv
import re
from typing import Any

from stac_model.base import ProcessingExpression
from stac_model.input import InputStructure, ModelInput, ValueScalingZScore
from stac_model.output import MLMClassification, ModelOutput, ModelResult
from stac_model.schema import MLModelProperties

from shared import lcz, models
from shared.tools.stac.lineage import Network, parameters

TASKS = {"classification": "scene-classification", "segmentation": "semantic-segmentation"}
RESIZES = {"bilinear": "interpolation-linear", "nearest": "interpolation-nearest"}
DECIMALS = 9  # of numbers that are computed from the card, so that 0.029 stays 0.029
PREPROCESSING = "shared.models.preprocess"


def describe(network: Network, name: str) -> MLModelProperties:
    """The properties `mlm:…` of a network.

    Args:
        network: with its card and the record of its training.
        name: of the item.
    """
    plan, card = network.trained["plan"], network.card
    started = bool(plan["inputs"].get("weights") or plan["inputs"].get("checkpoint"))
    return MLModelProperties(
        name=name,
        architecture=card.architecture,
        tasks={TASKS[card.task]},
        framework="PyTorch",
        framework_version=network.trained.get("packages", {}).get("torch"),
        total_parameters=_count_parameters(network),
        pretrained=started,
        pretrained_source="weights or checkpoint whose SHA-256 stands in its record"
        if started
        else None,
        hyperparameters=parameters(network) or None,
        input=[describe_input(card)],
        output=[describe_output(card)],
    )


def describe_input(card: models.Card) -> ModelInput:
    """The picture: bands, axes, and how values become those of the network."""
    side = -1 if card.task == "segmentation" else card.size
    scaling = [
        ValueScalingZScore(
            mean=round(low + mean * (high - low), DECIMALS),
            stddev=round(std * (high - low), DECIMALS),
        )
        for mean, std, (low, high) in zip(card.mean, card.std, card.limits, strict=True)
    ]
    return ModelInput(
        name="picture",
        bands=list(card.bands),
        input=InputStructure(
            shape=[-1, len(card.bands), side, side],
            dim_order=["batch", "bands", "height", "width"],
            data_type="float32",
        ),
        value_scaling=scaling,
        resize_type=RESIZES[card.interpolation] if card.task == "classification" else None,
        pre_processing_function=ProcessingExpression(
            format="python", expression=PREPROCESSING, description=_explain(card)
        ),
    )


def _explain(card: models.Card) -> str:
    """In words what the numbers of the scaling cannot say."""
    steps = ["value_scaling is that of values which the patch file scales to 0 … 1"]
    if card.low:
        ends = [[round(end, DECIMALS) + 0.0 for end in pair] for pair in card.limits]  # no -0
        limits = ", ".join(f"{low} … {high}" for low, high in ends)
        steps.append(f"before it they are cut to the limits of each band ({limits})")
    if card.eight_bit:
        steps.append("and rounded to 256 levels between these, before and after the resize")
    return "; ".join(steps)


def describe_output(card: models.Card) -> ModelOutput:
    """The logits: one a class, of the picture or of each pixel."""
    task = TASKS[card.task]
    pixels = card.task == "segmentation"
    colours = card.colours or (lcz.COLOURS if card.classes == lcz.CLASSES else ())
    return ModelOutput(
        name="logits",
        tasks={task},
        result=ModelResult(
            shape=[-1, len(card.classes), *([-1, -1] if pixels else [])],
            dim_order=["batch", "class", *(["height", "width"] if pixels else [])],
            data_type="float32",
        ),
        classes=[
            MLMClassification(
                value=number, name=_name_class(text, number), description=text,
                color_hint=colours[number].lstrip("#").upper() if colours else None,
            )
            for number, text in enumerate(card.classes)
        ],
        post_processing_function=ProcessingExpression(
            format="python", expression="scipy.special.softmax",
            description="along axis 1, for probabilities",
        ),
    )  # fmt: skip


def _name_class(text: str, number: int) -> str:
    """A name as the classification extension allows it: letters, digits, - and _."""
    return re.sub(r"[^0-9A-Za-z_]+", "-", text).strip("-") or f"class-{number}"


def _count_parameters(network: Network) -> int | None:
    """Of the trained network, as its models.csv has it; None without one."""
    if not network.models.is_file():
        return None
    with network.models.open(newline="") as file:
        rows: list[dict[str, Any]] = list(csv.DictReader(file))
    return int(rows[0]["parameters"]) if rows[0]["parameters"] else None
