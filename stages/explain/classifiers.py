"""The networks of the products given: their logits, and torch modules of them for gradients."""

import dataclasses
import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from torch import nn

from shared import models, onnx_graphs
from shared.errors import StageError
from shared.models import Card, scores
from shared.patches import Source
from shared.terminal import escape
from shared.training import trained

BATCH = 32  # pictures in one call


@dataclass(frozen=True)
class Member:
    """One network.

    Attributes:
        card: what it takes; classes in the order of the data.
        session: runs it on the CPU.
        network: for gradients; None where its weights are in no architecture that is known.
        lacking: why there is none.
    """

    card: Card
    session: onnxruntime.InferenceSession
    network: nn.Module | None
    lacking: str

    def logits(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, K) of (N, C, S, S)."""
        entry = self.session.get_inputs()[0].name
        pieces = [images[start : start + BATCH] for start in range(0, len(images), BATCH)]
        return np.concatenate([self.session.run(None, {entry: piece})[0] for piece in pieces])

    def read(self, source: Source, rows: list[int]) -> NDArray[np.float32]:
        """(N, C, S, S) rows of a patch file as the network takes them; 0 is the training mean."""
        values = [models.read_scaled(source, self.card.bands, slice(r, r + 1)) for r in rows]
        return models.preprocess(np.concatenate(values), self.card)


@dataclass(frozen=True)
class Classifier:
    """What is explained of a product: one network, or all of an ensemble together.

    Attributes:
        name: of its product, below what all products have in common.
        stem: the same as a part of a file's name; no two are alike.
        members: the networks.
    """

    name: str
    stem: str
    members: tuple[Member, ...]

    @property
    def bands(self) -> tuple[str, ...]:
        """Bands that any member sees, once."""
        return tuple(dict.fromkeys(band for one in self.members for band in one.card.bands))

    def tell_lacking(self) -> list[str]:
        """One line for each network without gradients."""
        several = len(self.members) > 1
        names = [f"{self.name}, {m.card.file}" if several else self.name for m in self.members]
        return [
            f"{name}: occlusion alone, no Grad-CAM: {one.lacking}"
            for name, one in zip(names, self.members, strict=True)
            if one.lacking
        ]


def join(logits: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """(N, K) logits whose probabilities are the mean of the members': the sum rule.

    Args:
        logits: (N, K) of each member; of a single one they stay as they are.
    """
    if len(logits) == 1:
        return logits[0]
    mean = np.mean([scores.softmax(one) for one in logits], 0)
    return np.asarray(np.log(np.maximum(mean, np.finfo(np.float32).tiny)), np.float32)


def read(folders: tuple[Path, ...], source: Source, member: int) -> list[Classifier]:
    """One classifier a folder.

    Args:
        folders: model folders.
        source: the rows that they are going to see.
        member: which network of a folder with several, from 1; 0 for all of them.

    Raises:
        StageError: no model folder, other classes or bands than the patch file has.
    """
    names = name_products(folders)
    stems = [re.sub(r"[^\w.+-]+", "_", name.replace("/", "-")) for name in names]
    stems = [s if stems.count(s) == 1 else f"{s}-{n}" for n, s in enumerate(stems, 1)]
    found = zip(folders, names, stems, strict=True)
    made = []
    for folder, name, stem in found:
        cards = _choose_members(folder, onnx_graphs.read_cards(folder, source.classes), member)
        made.append(Classifier(name, stem, tuple(_read(folder, one, source) for one in cards)))
    return made


def name_products(folders: tuple[Path, ...]) -> list[str]:
    """What tells folders apart: their paths below what all have in common, as can be printed."""
    places = [Path(os.path.normpath(folder.absolute())) for folder in folders]
    if len(set(places)) < len(places):
        raise StageError("--src: expected different products, found one of them twice")
    common = os.path.commonpath([place.parent for place in places])
    return [escape(place.relative_to(common).as_posix()) for place in places]


def _read(folder: Path, written: Card, source: Source) -> Member:
    models.locate_bands(source, written.bands)
    classes = onnx_graphs.match_classes(written.classes, source.classes)
    if not classes:
        source.expect_classes(written.classes)
    written = dataclasses.replace(written, classes=classes)
    card = dataclasses.replace(written, classes=source.classes)
    pictures = onnx_graphs.read_pictures(source, card)
    adopted = onnx_graphs.adopt(folder / card.file, written, pictures, card.classes)
    session = onnx_graphs.open_session(adopted.model)
    network, lacking = _restore(folder, written, card)
    return Member(card, session, network, lacking)


def _choose_members(folder: Path, cards: list[Card], member: int) -> list[Card]:
    """The cards of a member, or of all; a folder of one network has no choice."""
    if len(cards) > 1 and member > len(cards):
        raise StageError(f"--member: expected 0 to {len(cards)} for {folder}, found {member}")
    chosen = cards[member - 1 : member] if member and len(cards) > 1 else cards
    for card in chosen:
        if card.features:
            raise StageError(
                f"{folder}: expected networks of pictures alone, found one that takes "
                f"{card.features} tda features as well"
            )
    return chosen


def _restore(folder: Path, written: Card, card: Card) -> tuple[nn.Module | None, str]:
    """The torch module, or why there is none: its weights must fit an architecture."""
    if written.classes != card.classes:
        return None, "its classes have another order than those of the data"
    try:
        return trained.read(folder, card), ""
    except StageError as error:
        return None, str(error)
