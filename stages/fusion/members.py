"""The members of a fusion ensemble: bands, image variant and topological features of each."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from shared import model, patches
from shared.errors import StageError
from shared.learn.ensemble import Member
from shared.learn.settings import draw_bands
from shared.learn.split import Part, Split, labels, load
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
    found = []
    for number in numbers:
        path = train.images[number % len(train.images)]
        radar = _bands(train.radar, "sen1") if train.radar else ()
        bands = draw_bands(plan.mode, _bands(path, "sen2"), radar, plan.seed + number)
        mean, std = _statistics(path, train.radar, bands, radar)
        with patches.read(path, "label") as source:
            classes = source.classes
        size = _count(train.features[number % len(train.features)]) if train.features else 0
        found.append(
            model.Card(
                f"member-{number + 1:02}.onnx", plan.architecture, bands, mean, std, plan.size,
                plan.interpolation, classes, size,
            )
        )  # fmt: skip
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


def _count(path: Path) -> int:
    with patches.read(path, "features") as source:
        return int(source["features"].shape[1])


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
        number = int(Path(card.file).stem[-2:]) - 1
        ours = _split(train, number, card, truth[0])
        theirs = _split(test, number, card, truth[1])
        known = statistics(ours.extra["tda"]) if "tda" in ours.extra else None
        network = partial(
            Fusion, plan.architecture, len(card.bands), len(card.classes), known, plan.weights
        )
        yield Member(Path(card.file).stem, card, network, ours, theirs, side)


def _split(files: Variants, number: int, card: model.Card, label: Tensor) -> Split:
    path = files.images[number % len(files.images)]
    radar = _bands(files.radar, "sen1") if files.radar else ()
    parts: list[Part] = []
    for file, bands in _files(path, files.radar, card.bands, radar):
        parts += load(file, bands, first=sum(len(part.channels) for part in parts))
    for file in (path, files.radar) if files.radar else (path,):
        if not torch.equal(labels(file, card.classes), label):
            raise StageError(f"{file}: labels differ from those of {files.images[0]}, row by row")
    extra = {"label": label}
    if files.features:
        extra["tda"] = _features(files.features[number % len(files.features)], label, card)
    return Split(parts, extra)


def _features(path: Path, label: Tensor, card: model.Card) -> Tensor:
    """(N, F) as stored; StageError when rows or columns are not those of the images."""
    with patches.read(path, "features", "label") as source:
        if not np.array_equal(source.labels(), label.numpy()):
            raise StageError(f"{path}: labels differ from those of the images, row by row")
        rows = source["features"]
        if rows.shape[1] != card.features:
            raise StageError(f"{path}: expected {card.features} features, found {rows.shape[1]}")
        blocks = []
        for block in rows.blocks():
            blocks.append(rows.raw(block))
            rows.refuse_nonfinite(blocks[-1], block)
    return torch.from_numpy(np.concatenate(blocks))


def statistics(features: Tensor) -> Tensor:
    """(2, F) mean and standard deviation per column; deviations below 1e-6 become 1."""
    total, squares = torch.zeros(2, features.shape[1], dtype=torch.float64)
    for block in features.split(4096):
        values = block.double()
        total += values.sum(0)
        squares += (values**2).sum(0)
    mean = total / len(features)
    std = (squares / len(features) - mean**2).clamp_min(0).sqrt()
    std[std < 1e-6] = 1
    return torch.stack([mean, std]).float()
