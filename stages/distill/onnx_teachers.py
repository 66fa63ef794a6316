"""Teachers as ONNX files, whoever trained them, run by onnxruntime on the CPU."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from shared import models, onnx_graphs, patches
from shared.errors import StageError


@dataclass(frozen=True)
class Teacher:
    """One network and the input it takes.

    Attributes:
        card: its description; classes are those of the data, in the order of its outputs.
        session: runs it, in the common form.
        order: place of each class of the data among its outputs.
    """

    card: models.Card
    session: onnxruntime.InferenceSession
    order: tuple[int, ...]

    def logits(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, K) logits of (N, C, S, S) pictures, in the classes of the data."""
        rows = self.session.run(["logits"], {"image": np.ascontiguousarray(images)})[0]
        logits: NDArray[np.float32] = rows[:, self.order]
        return logits


def read(folders: tuple[Path, ...], classes: tuple[str, ...], rows: Path) -> list[Teacher]:
    """Every network of these folders, in the common form, tried on noise and on stored rows.

    Args:
        folders: each with model.json or preprocessing.json (`onnx_graphs.matlab_export.read`) and
            ONNX files.
        classes: (K,) names of the data; the networks may have them in another order.
        rows: patch file with the bands of all of them.

    Raises:
        StageError: names the file and what does not fit.
    """
    teachers = []
    with patches.read(rows, "label") as source:
        for folder in folders:
            cards = onnx_graphs.read_cards(folder, classes)
            teachers += [_open(folder / card.file, card, classes, source) for card in cards]
    return teachers


def _open(
    path: Path, card: models.Card, classes: tuple[str, ...], source: patches.Source
) -> Teacher:
    if card.features:
        raise StageError(
            f"{path}: takes topological features; give the folder that fusion made as --teacher, "
            "whose cached logits need no network"
        )
    names = onnx_graphs.match_classes(card.classes, classes)
    if not names:
        described = f"{len(card.classes)} classes {', '.join(card.classes[:3])} …"
        raise StageError(
            f"{path}: expected {len(classes)} classes {', '.join(classes[:3])} …, found {described}"
        )
    pictures = onnx_graphs.read_pictures(source, card)
    adopted = onnx_graphs.adopt(path, dataclasses.replace(card, classes=names), pictures)
    order = tuple(names.index(name) for name in classes)
    return Teacher(card, onnx_graphs.open_session(adopted.model), order)
