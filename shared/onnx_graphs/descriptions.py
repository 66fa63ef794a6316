"""What the networks of a folder take: our `model.json`, or MATLAB's `preprocessing.json`."""

from pathlib import Path

from shared import models
from shared.onnx_graphs import matlab_export


def read_cards(
    folder: Path, classes: tuple[str, ...], task: models.Task | None = "classification"
) -> list[models.Card]:
    """Cards of all networks of a folder; classes spelt as the data spells them, in their order.

    Args:
        folder: ONNX files beside one description; ours counts where both are there.
        classes: (K,) names of the data.
        task: what the networks have to be for; None takes those of any task.

    Raises:
        StageError: no description, or a broken one; networks for another task.
    """
    ours = (folder / models.MODEL_FILE).is_file() or not (folder / matlab_export.NAME).is_file()
    return models.load(folder, task) if ours else matlab_export.read(folder, classes)


def name_description(folder: Path) -> Path:
    """The file that `read_cards` reads."""
    ours, theirs = folder / models.MODEL_FILE, folder / matlab_export.NAME
    return theirs if theirs.is_file() and not ours.is_file() else ours
