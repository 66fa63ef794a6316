"""The members of a fusion ensemble: what each one sees, and their rows in memory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from shared import models, patches
from shared.training import ensemble, networks, settings
from shared.training.data import Split, View, agree, holdout, load, row_bytes
from shared.training.loop import Loss
from stages.fusion import features
from stages.fusion.alone import Features
from stages.fusion.network import Fusion, Topology
from stages.fusion.variants import Variants, number_of


@dataclass(frozen=True)
class Settings:
    """See the parameters of ``run``."""

    architecture: str
    mode: str
    size: int
    interpolation: str
    weights: Path | None
    seed: int
    together: int
    resident: float
    validation: float
    batch: int


def cards(train: Variants, plan: Settings, numbers: range) -> list[models.Card]:
    """Bands, statistics and classes of each member.

    Raises:
        StageError: unknown mode or architecture, missing statistics, bands or radar file.
    """
    found: list[models.Card] = []
    for number in numbers:
        path = train.images[number % len(train.images)]
        bands = settings.draw_bands(
            plan.mode, train.optical(number), train.channels, plan.seed + number
        )
        mean, std = _statistics(train, number, bands)
        with patches.read(path, "label") as source:
            classes = source.classes
            source.expect_classes(found[0].classes if found else classes)
        size = features.count(train.features[0]) if train.features else 0
        found.append(
            models.Card(
                f"member-{number + 1:02}.onnx", plan.architecture, bands, mean, std, plan.size,
                plan.interpolation, classes, size,
            )
        )  # fmt: skip
    networks.check(plan.architecture, 0, plan.size, plan.weights)
    return found


def _statistics(
    train: Variants, number: int, bands: tuple[str, ...]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    for file, of, _ in train.files(number, bands):
        with patches.read(file) as source:
            means, stds = models.statistics(source, of)
        mean, std = mean + means, std + stds
    return mean, std


def groups(
    files: tuple[Variants, Variants],
    plan: Settings,
    cards: Sequence[models.Card],
    truth: tuple[Tensor, Tensor],
    loss: Loss,
) -> Iterator[list[ensemble.Member]]:
    """Members that share a pass over the rows; only the current ones' rows are in memory.

    Args:
        files: of the training and the test split.
        plan: how they are trained.
        cards: what each one eats.
        truth: class numbers of both splits.
        loss: of all of them.
    """
    for card in cards:
        agree(*(of.inputs(number_of(card), card.bands) for of in files))
    cities = holdout.cities(files[0].images[0])
    back = holdout.held_out(truth[0].numpy(), cities, plan.validation)
    for start in range(0, len(cards), plan.together):
        some = cards[start : start + plan.together]
        # Nothing here holds the splits, so that they go with the members.
        ours, theirs = (_split(*of, some, plan) for of in zip(files, truth, strict=True))
        yield [_member(card, files[0], (ours, theirs), plan, loss, back) for card in some]
        del ours, theirs


def _split(files: Variants, label: Tensor, cards: Sequence[models.Card], plan: Settings) -> Split:
    """What any of these members sees, each row of a file once."""
    inputs = [want for card in cards for want in files.inputs(number_of(card), card.bands)]
    largest = max(row_bytes(want) for want in files.each(plan.mode))
    return load(inputs, {"label": label}, plan.resident, plan.batch, largest)


def _member(
    card: models.Card, files: Variants, splits: tuple[Split, Split], plan: Settings, loss: Loss,
    back: NDArray[np.intp],
) -> ensemble.Member:  # fmt: skip
    number, topology = number_of(card), files.topology(number_of(card))
    key = files.key(number, "tda") if topology else ""
    known = features.of_split(splits[0], key, topology) if topology else None
    whole = partial(
        ensemble.Member, Path(card.file).stem, card, loss=loss, seed=plan.seed + number,
        train=splits[0], test=splits[1], held_out=back if len(back) else None,
    )  # fmt: skip
    if known is not None and not files.pictures:
        alone = partial(Topology, len(card.classes), known)
        # The features take the place of the picture, and its name in the ONNX file.
        return whole(network=alone, view=Features(key), image="tda")
    network = partial(
        Fusion, plan.architecture, len(card.bands), len(card.classes), known, plan.weights
    )
    view = View(card, splits[0].layouts, files.side, keys=files.keys(number, card.bands))
    return whole(network=network, view=view, features=key)
