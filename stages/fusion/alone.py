"""The ablation without image branch: members that see topological features and nothing else."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from shared import model, patches
from shared.learn.ensemble import Member
from shared.learn.split import Split
from stages.fusion import features
from stages.fusion.members import Variants
from stages.fusion.network import Topology

ARCHITECTURE = "tda-mlp"


def cards(train: Variants, numbers: range) -> list[model.Card]:
    """What each member eats: features of its variant, whose bands the card names.

    Nothing is subtracted or divided before the network, and there is no picture to be resized.
    """
    with patches.read(train.images[0], "label") as source:
        classes = source.classes
    found: list[model.Card] = []
    for number in numbers:
        path = train.features[number % len(train.features)]
        bands = tuple(features.grid(path).get("bands") or ("tda",))
        mean, std = (0.0,) * len(bands), (1.0,) * len(bands)
        found.append(
            model.Card(
                f"member-{number + 1:02}.onnx", ARCHITECTURE, bands, mean, std, 1, "nearest",
                classes, features.count(train.features[0]),
            )
        )  # fmt: skip
    return found


def members(
    train: Variants, test: Variants, cards: list[model.Card], truth: tuple[Tensor, Tensor]
) -> Iterator[Member]:
    """One member after the other; only the current one's rows are in memory."""
    for card in cards:
        # Nothing here holds the splits, so that they go with the member.
        yield _member(train, test, card, truth)


def _member(
    train: Variants, test: Variants, card: model.Card, truth: tuple[Tensor, Tensor]
) -> Member:
    name = Path(card.file).stem
    number = int(name.rpartition("-")[2]) - 1
    ours, theirs = _split(train, number, truth[0]), _split(test, number, truth[1])
    known = features.statistics(ours.extra["tda"])
    network = partial(Topology, len(card.classes), known)
    # The picture's input bears the name of the features, which so take its place in the ONNX file.
    return Member(name, card, network, ours, theirs, side=1, image="tda")


def _split(files: Variants, number: int, label: Tensor) -> Split:
    """Rows without an image part; of the picture that training asks for, no channel is left."""
    tda = features.read(files.features[number % len(files.features)])
    return Split([], {"label": label, "tda": tda, "image0": torch.empty(len(label), 0)})
