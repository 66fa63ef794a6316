"""The members of a fusion ensemble: what each one sees, and their rows in memory."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from shared import models, patches
from shared.training import Plan, ensemble, networks
from shared.training import members as drawing
from shared.training.data import Split, View, bytes_per_row, check_same_storage, holdout, load_split
from shared.training.loop import Loss
from stages.fusion import topology_features, topology_only
from stages.fusion.extra_files import ExtraFiles
from stages.fusion.file_variants import Variants, check_same_rows, member_number
from stages.fusion.fusion_network import FusionNetwork, TopologyNetwork
from stages.fusion.topology_only import FeatureView


def group_files(
    train: tuple[Path, ...], test: tuple[Path, ...], files: ExtraFiles, *, image: bool
) -> tuple[Variants, Variants]:
    """The variants of the training and of the test split."""
    return (
        Variants(train, files.tda_train, files.sar_train, image),
        Variants(test, files.tda_test, files.sar_test, image),
    )


def check_agreement(
    files: tuple[Variants, Variants], cards: Sequence[models.Card], labels: tuple[Tensor, Tensor]
) -> None:
    """Refuse variants that differ in rows or classes, and features of other grids."""
    for variants, truth in zip(files, labels, strict=True):
        check_same_rows(variants, cards, truth)
    for ours, theirs in zip(files[0].features, files[1].features, strict=True):
        topology_features.check_same_grid(ours, theirs)


def build_cards(files: tuple[Variants, Variants], plan: Plan) -> list[models.Card]:
    """Bands, statistics and classes of each member, by the training split.

    Raises:
        StageError: unknown architecture, missing statistics, bands or radar file.
    """
    numbers = drawing.members_of_shard(plan.ensemble.members, plan.ensemble.shard)
    if not files[0].pictures:
        return topology_only.build_cards(files[0], numbers)
    cards: list[models.Card] = []
    for number in numbers:
        cards.append(_build_card(files[0], number, plan))
        with patches.read(files[0].images[number % len(files[0].images)], "label") as source:
            source.expect_classes(cards[0].classes)
    networks.check(plan.network.architecture, 0, plan.network.size, plan.weights)
    return cards


def _build_card(train: Variants, number: int, plan: Plan) -> models.Card:
    network, seed = plan.network, plan.ensemble.seed + number
    bands = drawing.draw_bands(network.mode, train.optical(number), train.channels, seed)
    mean, std = _statistics(train, number, bands)
    with patches.read(train.images[number % len(train.images)], "label") as source:
        classes = source.classes
    width = topology_features.count_features(train.features[0]) if train.features else 0
    return models.Card(
        file=f"member-{number + 1:02}.onnx", architecture=network.architecture, bands=bands,
        mean=mean, std=std, size=network.size, interpolation=network.interpolation,
        classes=classes, features=width,
    )  # fmt: skip


def _statistics(
    train: Variants, number: int, bands: tuple[str, ...]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    for file, names, _ in train.files(number, bands):
        with patches.read(file) as source:
            means, stds = models.band_statistics(source, names)
        mean, std = mean + means, std + stds
    return mean, std


def build_groups(
    files: tuple[Variants, Variants],
    plan: Plan,
    cards: Sequence[models.Card],
    truth: tuple[Tensor, Tensor],
    loss: Loss,
) -> Iterator[list[ensemble.Member]]:
    """Members that share a pass over the rows; only the current ones' rows are in memory.

    Args:
        files: of the training and the test split.
        plan: how they are trained.
        cards: what each one sees.
        truth: class numbers of both splits.
        loss: of every member.
    """
    for card in cards:
        check_same_storage(*(part.inputs(member_number(card), card.bands) for part in files))
    held_out = holdout.hold_out(files[0].images, truth[0].numpy(), plan.held_out.validation)
    together = plan.ensemble.together
    for start in range(0, len(cards), together):
        some = cards[start : start + together]
        # Nothing here holds the splits, so that they go with the members.
        ours, theirs = (_load(*part, some, plan) for part in zip(files, truth, strict=True))
        yield [_member(card, files[0], (ours, theirs), plan, loss, held_out) for card in some]
        del ours, theirs


def _load(files: Variants, label: Tensor, cards: Sequence[models.Card], plan: Plan) -> Split:
    """Rows of the files that these members see; each file is read once."""
    inputs = [item for card in cards for item in files.inputs(member_number(card), card.bands)]
    largest = max(bytes_per_row(inputs) for inputs in files.inputs_of_variants(plan.network.mode))
    return load_split(inputs, {"label": label}, plan.machine.resident, plan.descent.batch, largest)


def _member(
    card: models.Card, files: Variants, splits: tuple[Split, Split], plan: Plan, loss: Loss,
    held_out: NDArray[np.intp],
) -> ensemble.Member:  # fmt: skip
    number, topology = member_number(card), files.topology(member_number(card))
    key = files.key(number, "tda") if topology else ""
    statistics = topology_features.split_statistics(splits[0], key, topology) if topology else None
    member = partial(
        ensemble.Member, name=Path(card.file).stem, card=card, loss=loss,
        seed=plan.ensemble.seed + number, train=splits[0], test=splits[1],
        held_out=held_out if len(held_out) else None,
    )  # fmt: skip
    if statistics is not None and not files.pictures:
        build = partial(TopologyNetwork, len(card.classes), statistics)
        # The features take the place of the picture, and its name in the ONNX file.
        return member(network=build, view=FeatureView(key), image="tda")
    network = partial(
        FusionNetwork,
        architecture=plan.network.architecture,
        channels=len(card.bands),
        classes=len(card.classes),
        statistics=statistics,
        weights=plan.weights,
        size=card.size,
    )
    view = View(card, splits[0].layouts, files.side, keys=files.keys(number, card.bands))
    return member(network=network, view=view, features=key)
