"""The members of a teacher ensemble: which bands each one sees, and its rows in memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from torch import Tensor

from shared import model, patches
from shared.errors import StageError
from shared.learn import networks
from shared.learn.ensemble import Member
from shared.learn.settings import draw_bands
from shared.learn.split import Split, labels, load


@dataclass(frozen=True)
class Settings:
    """What all members have in common; see the parameters of ``run``."""

    architecture: str
    mode: str
    size: int
    interpolation: str
    weights: Path | None
    seed: int


def cards(train: Path, settings: Settings, numbers: range) -> list[model.Card]:
    """Bands, statistics and classes of each member.

    Raises:
        StageError: unknown mode or architecture, no statistics in the file, weights do not fit.
    """
    with patches.read(train, "label") as source:
        optical = source[optical_name(source)].layout
        radar = source["sen1"].layout if "sen1" in source else None
        assert optical is not None
        found = []
        for number in numbers:
            seed = settings.seed + number
            bands = draw_bands(settings.mode, optical.bands, radar.bands if radar else (), seed)
            mean, std = model.statistics(source, bands)
            found.append(
                model.Card(
                    f"member-{number + 1:02}.onnx", settings.architecture, bands, mean, std,
                    settings.size, settings.interpolation, source.classes,
                )
            )  # fmt: skip
    networks.check(settings.architecture, len(found[0].classes), settings.size, settings.weights)
    return found


def optical_name(source: patches.Source) -> str:
    """The optical dataset of a patch file: "sen2", else "rgb"."""
    for name in ("sen2", "rgb"):
        if name in source:
            return name
    raise StageError(
        f"{source.path}: expected dataset 'sen2' or 'rgb', found {sorted(source.file)}"
    )


def members(
    train: Path, test: Path, settings: Settings, cards: list[model.Card]
) -> Iterator[Member]:
    """One member after the other; only the current one's bands are in memory."""
    classes = cards[0].classes
    truth = {path: labels(path, classes) for path in (train, test)}
    for card in cards:
        # Nothing here holds the splits, so that they go with the member.
        yield _member(card, settings.weights, *(_split(path, card, truth[path]) for path in truth))


def _split(path: Path, card: model.Card, label: Tensor) -> Split:
    return Split(load(path, card.bands), {"label": label})


def _member(card: model.Card, weights: Path | None, train: Split, test: Split) -> Member:
    channels, classes = len(card.bands), len(card.classes)
    network = partial(networks.build, card.architecture, channels, classes, weights)
    side = train.parts[0].stored.shape[1]
    return Member(Path(card.file).stem, card, network, train, test, side)
