"""What the networks of a folder take: our `model.json`, or MATLAB's `preprocessing.json`."""

from pathlib import Path

from shared import models
from shared.onnx_graphs import matlab_export


def read_cards(folder: Path, classes: tuple[str, ...]) -> list[models.Card]:
    """Cards of all networks of a folder; classes spelt as the data spells them, in their order.

    Args:
        folder: ONNX files beside one description; ours counts where both are there.
        classes: (K,) names of the data.

    Raises:
        StageError: no description, or a broken one.
    """
    ours = (folder / models.MODEL_FILE).is_file() or not (folder / matlab_export.NAME).is_file()
    return models.load(folder) if ours else matlab_export.read(folder, classes)


def name_description(folder: Path) -> Path:
    """The file that `read_cards` reads."""
    ours, theirs = folder / models.MODEL_FILE, folder / matlab_export.NAME
    return theirs if theirs.is_file() and not ours.is_file() else ours
