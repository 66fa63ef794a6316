"""What a network of a Keras file reads: reflectance as it is, described as every model is."""

from pathlib import Path

from shared import lcz, models
from shared.errors import StageError
from shared.keras_files.network import Network


def fit_card(
    path: Path, network: Network, file: str, layout: lcz.Layout, classes: tuple[str, ...]
) -> models.Card:
    """The card of a network whose input is reflectance with no further normalisation.

    Our own networks see (x / 255 - mean) / std, x being 0 … 255 between low and high of the layout;
    mean and std are chosen so that this is the reflectance again.

    Args:
        path: of the Keras file, for messages.
        network: what was read from it.
        file: name of the ONNX file.
        layout: bands in the order of the channels, and their range.
        classes: (K,) names in the order of the outputs.

    Raises:
        StageError: as many bands or classes as the network does not have.
    """
    for what, found, wanted in (
        ("bands", network.channels, len(layout.bands)), ("classes", network.classes, len(classes)),
    ):  # fmt: skip
        if found != wanted:
            raise StageError(f"{path}: expected a network for {wanted} {what}, found {found}")
    span = layout.high - layout.low
    bands = len(layout.bands)
    return models.Card(
        file=file, architecture=network.architecture, bands=layout.bands,
        mean=(-layout.low / span + 0.0,) * bands, std=(1 / span,) * bands, size=network.size,
        interpolation="bilinear", classes=classes,
    )  # fmt: skip


def describe(network: Network) -> dict[str, str | int]:
    """The flags of `teacher` that a network says itself."""
    return {
        "members": 1, "architecture": network.architecture, "size": network.size,
        "interpolation": "bilinear",
    }  # fmt: skip
