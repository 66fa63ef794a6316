"""The members of a fusion ensemble: bands, image variant and topological features of each."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from shared import model, patches
from shared.errors import StageError
from shared.learn import networks
from shared.learn.ensemble import Member
from shared.learn.settings import draw_bands
from shared.learn.split import Part, Split, labels, load
from stages.fusion import features
from stages.fusion.network import Fusion


@dataclass(frozen=True)
class Variants:
    """Files of one split: member i takes number i, modulo how many there are.

    Attributes:
        images: patch files, the first one at Sentinel resolution.
        features: features files of the same variants; empty without the TDA branch.
        radar: patch file with sen1, for mode sar.
    """

    images: tuple[Path, ...]
    features: tuple[Path, ...]
    radar: Path | None


@dataclass(frozen=True)
class Settings:
    """See the parameters of ``run``."""

    architecture: str
    mode: str
    size: int
    interpolation: str
    weights: Path | None
    seed: int


def cards(train: Variants, plan: Settings, numbers: range) -> list[model.Card]:
    """Bands, statistics and classes of each member.

    Raises:
        StageError: unknown mode or architecture, missing statistics, bands or radar file.
    """
    found: list[model.Card] = []
    for number in numbers:
        path = train.images[number % len(train.images)]
        radar = _bands(train.radar, "sen1") if train.radar else ()
        bands = draw_bands(plan.mode, _bands(path, "sen2"), radar, plan.seed + number)
        mean, std = _statistics(path, train.radar, bands, radar)
        with patches.read(path, "label") as source:
            classes = source.classes
            source.expect_classes(found[0].classes if found else classes)
        size = features.count(train.features[0]) if train.features else 0
        found.append(
            model.Card(
                f"member-{number + 1:02}.onnx", plan.architecture, bands, mean, std, plan.size,
                plan.interpolation, classes, size,
            )
        )  # fmt: skip
    networks.check(plan.architecture, 0, plan.size, plan.weights)
    return found


def _bands(path: Path, name: str) -> tuple[str, ...]:
    with patches.read(path) as source:
        name = "rgb" if name == "sen2" and "sen2" not in source and "rgb" in source else name
        layout = source[name].layout
        return layout.bands if layout else ()


def _statistics(
    path: Path, radar: Path | None, bands: tuple[str, ...], channels: tuple[str, ...]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    for file, of in _files(path, radar, bands, channels):
        with patches.read(file) as source:
            means, stds = model.statistics(source, of)
        mean, std = mean + means, std + stds
    return mean, std


def _files(
    path: Path, radar: Path | None, bands: tuple[str, ...], channels: tuple[str, ...]
) -> list[tuple[Path, tuple[str, ...]]]:
    """Which file holds which of the bands; optical ones come first in `bands`."""
    split = [(path, tuple(band for band in bands if band not in channels))]
    if radar and (of := tuple(band for band in bands if band in channels)):
        split.append((radar, of))
    return split


def members(
    train: Variants,
    test: Variants,
    plan: Settings,
    cards: list[model.Card],
    truth: tuple[Tensor, Tensor],
) -> Iterator[Member]:
    """One member after the other; only the current one's rows are in memory."""
    with patches.read(train.images[0]) as source:
        side = next(source[name].shape[1] for name in ("sen2", "rgb") if name in source)
    for card in cards:
        # Nothing here holds the splits, so that they go with the member.
        yield _member(train, test, plan, card, truth, side)


def _member(
    train: Variants, test: Variants, plan: Settings, card: model.Card,
    truth: tuple[Tensor, Tensor], side: int,
) -> Member:  # fmt: skip
    number = int(Path(card.file).stem.rpartition("-")[2]) - 1
    ours = _split(train, number, card, truth[0])
    theirs = _split(test, number, card, truth[1])
    known = features.statistics(ours.extra["tda"]) if "tda" in ours.extra else None
    network = partial(
        Fusion, plan.architecture, len(card.bands), len(card.classes), known, plan.weights
    )
    return Member(Path(card.file).stem, card, network, ours, theirs, side)


def agree(files: Variants, classes: tuple[str, ...], count: int, truth: Tensor) -> None:
    """Read all labels of a split and the width of its features, before any training.

    Raises:
        StageError: a file whose rows are not those of the first image file, or other features.
    """
    for path in (*files.images, *files.features, *((files.radar,) if files.radar else ())):
        if not torch.equal(labels(path, classes), truth):
            raise StageError(f"{path}: labels differ from those of {files.images[0]}, row by row")
    for path in files.features:
        if (found := features.count(path)) != count:
            raise StageError(f"{path}: expected {count} features, found {found}")


def _split(files: Variants, number: int, card: model.Card, label: Tensor) -> Split:
    path = files.images[number % len(files.images)]
    radar = _bands(files.radar, "sen1") if files.radar else ()
    parts: list[Part] = []
    for file, bands in _files(path, files.radar, card.bands, radar):
        parts += load(file, bands, first=sum(len(part.channels) for part in parts))
    extra = {"label": label}
    if files.features:
        extra["tda"] = features.read(files.features[number % len(files.features)])
    return Split(parts, extra)
