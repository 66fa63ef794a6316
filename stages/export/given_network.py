"""The network of a model folder, and what its trainer or its file says of the test rows."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared import models, onnx_graphs
from shared.errors import StageError
from shared.models import Card, scores
from shared.patches import Source
from shared.voyager import describe_input
from stages.export import inference

LOGITS, LABELS = "test_logits.npy", "test_labels.npy"


@dataclass(frozen=True)
class GivenNetwork:
    """One network to export.

    Attributes:
        folder: where it and its description are.
        written: its description, classes in the order of its outputs.
        card: the same, classes in the order of the data.
        labels: (N,) of the test rows.
    """

    folder: Path
    written: Card
    card: Card
    labels: NDArray[np.intp]

    @property
    def path(self) -> Path:
        """The ONNX file."""
        return self.folder / self.written.file

    def adopt(self, test: Source) -> onnx_graphs.Adopted:
        """In the common form, with the classes of the data; compared on the first test rows.

        Raises:
            StageError: as `onnx_graphs.adopt`.
        """
        pictures = onnx_graphs.read_pictures(test, self.card)
        return onnx_graphs.adopt(self.path, self.written, pictures, self.card.classes)

    def stored_outputs(self, test: Source, batch: int) -> tuple[Path, NDArray[np.float32]]:
        """(N, K) outputs that the trainer stored, or, without them, those of the file itself.

        Args:
            test: patch file of the N rows.
            batch: rows that are prepared at once.

        Returns:
            The file that they come from, and the outputs, classes in the order of the data.
        """
        stored = self.folder / LOGITS
        if stored.exists() or (self.folder / LABELS).exists():
            order = [self.written.classes.index(name) for name in self.card.classes]
            rows = scores.read_array(stored, 2)
            return stored, rows[:, order] if rows.shape[1] == len(order) else rows
        network = self.adopt(test)
        blocks = inference.iterate_inputs(test, self.card, batch)
        return self.path, np.concatenate([network.outputs(block) for block in blocks])


def read(
    src: Path, train: Source, test: Source, wanted: models.Range | None = None
) -> GivenNetwork:
    """The one network of a folder, after a check that files and network belong together.

    Args:
        src: model folder.
        train: patch file of the training split.
        test: patch file of the test split.
        wanted: range of its pictures; None for what its card says.

    Raises:
        StageError: says which file and what does not fit.
    """
    card = _read_card(src, test.classes)
    for source in (train, test):
        models.locate_bands(source, card.bands)
        names = onnx_graphs.match_classes(card.classes, source.classes)
        if not names:
            expected = f"the network's {len(card.classes)} classes {card.classes[:3]} …"
            raise StageError(
                f"{source.path}: expected {expected}, found {len(source.classes)}: "
                f"{source.classes[:3]} …"
            )
    train.expect_classes(test.classes)
    card = models.choose_range(card, wanted, train, src)
    written = dataclasses.replace(card, classes=names)
    ours = dataclasses.replace(card, classes=test.classes)
    return GivenNetwork(src, written, ours, _read_labels(src, test))


def _read_card(src: Path, classes: tuple[str, ...]) -> Card:
    cards = onnx_graphs.read_cards(src, classes)
    if len(cards) != 1 or cards[0].features:
        features = cards[0].features if cards else 0
        raise StageError(
            f"{src}: expected one network with an image input, found {len(cards)} networks, "
            f"{features} tda features" + (f" ({describe_input(None, 2)})" if features else "")
        )
    return cards[0]


def _read_labels(src: Path, test: Source) -> NDArray[np.intp]:
    """(N,) test labels, which those that the trainer stored must equal, where it did."""
    labels = test.labels()
    if not (src / LABELS).exists() and not (src / LOGITS).exists():
        return labels
    trainer = scores.read_array(src / LABELS, 1)
    if not np.array_equal(labels, trainer):
        raise StageError(
            f"{test.path}: labels differ from {src / LABELS} "
            f"({len(labels)} and {len(trainer)} rows); give the test file the network was tested on"
        )
    return labels
