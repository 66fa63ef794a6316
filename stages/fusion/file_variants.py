"""The files of each variant: which ones a member reads, and their names in a batch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from shared import models, patches
from shared.errors import StageError
from shared.training.data import Input, locate_inputs, read_labels
from stages.fusion import topology_features

Bands = tuple[str, ...]
RADAR = "sar/"  # before a radar channel's name in a batch; before all else a variant's number


@dataclass(frozen=True)
class Variants:
    """Files of one split: member i takes number i, modulo how many there are.

    Attributes:
        images: patch files, the first one at Sentinel resolution.
        features: features files of the same variants; empty without the TDA branch.
        radar: patch file with sen1, for mode sar.
        pictures: whether members see the images; else these give labels and classes only.
    """

    images: tuple[Path, ...]
    features: tuple[Path, ...]
    radar: Path | None
    pictures: bool = True

    @property
    def side(self) -> int:
        """Pixels per side of the first variant, which are Sentinel's."""
        with patches.read(self.images[0]) as source:
            return next(source[name].shape[1] for name in ("sen2", "rgb") if name in source)

    @cached_property
    def channels(self) -> Bands:
        """Names of the radar channels."""
        return _bands(self.radar, "sen1") if self.radar else ()

    def optical(self, number: int) -> Bands:
        """Names of the optical bands of member `number`'s variant."""
        return _bands(self.images[number % len(self.images)], "sen2")

    def topology(self, number: int) -> Path | None:
        """The features file of a member."""
        return self.features[number % len(self.features)] if self.features else None

    def key(self, number: int, name: str) -> str:
        """Name in a batch of something of this member's variant; of equal files the same."""
        pairs = list(zip(self.images, self.features or self.images, strict=True))
        return f"{pairs.index(pairs[number % len(pairs)])}/{name}"

    def keys(self, number: int, bands: Bands) -> Bands:
        """Names in a batch of a member's bands."""
        return tuple(RADAR + b if b in self.channels else self.key(number, b) for b in bands)

    def files(self, number: int, bands: Bands) -> Iterator[tuple[Path, Bands, str]]:
        """Which file holds which of the bands, optical ones first, and what stands before them."""
        optical = tuple(band for band in bands if band not in self.channels)
        yield self.images[number % len(self.images)], optical, self.key(number, "")
        if self.radar and len(optical) < len(bands):
            yield self.radar, bands[len(optical) :], RADAR

    def inputs(self, number: int, bands: Bands) -> list[Input]:
        """What a member reads of patch and features files; StageError as `locate_inputs`."""
        files = self.files(number, bands) if self.pictures else ()
        inputs: list[Input] = []
        for path, names, prefix in files:
            inputs += locate_inputs(path, names, prefix)
        if topology := self.topology(number):
            inputs.append(Input(topology, "features", {self.key(number, "tda"): None}))
        return inputs

    def inputs_of_variants(self, mode: str) -> Iterator[list[Input]]:
        """Inputs of one member of each variant, with as many bands as a member of `mode` has."""
        radar = self.channels[:1] if mode == "sar" else ()
        for number in range(len(self.images)):
            optical = self.optical(number)[: 3 - len(radar)] if self.pictures else ()
            yield self.inputs(number, (*optical, *radar))


def member_number(card: models.Card) -> int:
    """Zero-based number of the member "member-NN.onnx"."""
    return int(Path(card.file).stem.rpartition("-")[2]) - 1


def _bands(path: Path, name: str) -> Bands:
    with patches.read(path) as source:
        name = "rgb" if name == "sen2" and "sen2" not in source and "rgb" in source else name
        layout = source[name].layout
        return layout.bands if layout else ()


def check_same_rows(files: Variants, cards: Sequence[models.Card], truth: Tensor) -> None:
    """Check labels, bands and features of all files of a split, before any training.

    Args:
        files: of one split.
        cards: of the members.
        truth: (N,) class numbers of the first image file.

    Raises:
        StageError: a file with other classes or other rows than the first one, without a band that
            a member sees, or with another number of features.
    """
    first, width = files.images[0], cards[0].features
    radar = (files.radar,) if files.radar else ()
    for path in dict.fromkeys((*files.images, *files.features, *radar)):
        labels = read_labels(path, cards[0].classes)
        if len(labels) != len(truth):
            raise StageError(
                f"{path}: expected {len(truth)} rows as in {first}, found {len(labels)}"
            )
        if not torch.equal(labels, truth):
            row = int((labels != truth).nonzero()[0])
            raise StageError(f"{path}: labels differ from those of {first}, first in row {row}")
    for path in dict.fromkeys(files.features):
        if (count := topology_features.count_features(path)) != width:
            raise StageError(f"{path}: expected {width} features, found {count}")
    for card in cards:
        files.inputs(member_number(card), card.bands)
