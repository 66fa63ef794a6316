"""The members of a teacher ensemble: which bands each one sees, and its rows in memory."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from torch import Tensor

from shared import patches
from shared.errors import StageError
from shared.learn import networks
from shared.learn.ensemble import Member
from shared.learn.settings import draw_bands, numbers
from shared.learn.split import Split, labels, load
from stages.teacher import foreign, published
from stages.teacher.start import Settings, Start, card


def starts(
    train: Path, checkpoint: Path | None, settings: Settings, members: int, shard: str
) -> list[Start]:
    """What the members of a shard start from: bands drawn here, or what a checkpoint says.

    Raises:
        StageError: as `fresh`, `published.read` and `foreign.read`; a flag that does not go with
            the checkpoint.
    """
    chosen = numbers(members, shard)
    if checkpoint is None:
        return fresh(train, settings, chosen)
    if settings.weights:
        raise StageError("--weights: --checkpoint has weights of its own; give one of the two")
    read = foreign.read if checkpoint.is_dir() else published.read
    found = read(checkpoint, train, settings)
    if len(found) != members:
        raise StageError(f"--members: {checkpoint} has {len(found)} networks, found {members}")
    return [found[number] for number in chosen]


def fresh(train: Path, settings: Settings, numbers: range) -> list[Start]:
    """Bands, statistics and classes of each member, and its untrained network.

    Raises:
        StageError: unknown mode or architecture, no statistics in the file, weights do not fit.
    """
    with patches.read(train, "label") as source:
        optical = source[optical_name(source)].layout
        radar = source["sen1"].layout if "sen1" in source else None
        assert optical is not None
        cards = []
        for number in numbers:
            seed = settings.seed + number
            bands = draw_bands(settings.mode, optical.bands, radar.bands if radar else (), seed)
            cards.append(card(source, number, bands, settings))
    classes = len(cards[0].classes)
    networks.check(settings.architecture, classes, settings.size, settings.weights)
    make = partial(networks.build, settings.architecture, 3, classes, settings.weights)
    return [Start(card, make) for card in cards]


def optical_name(source: patches.Source) -> str:
    """The optical dataset of a patch file: "sen2", else "rgb"."""
    for name in ("sen2", "rgb"):
        if name in source:
            return name
    raise StageError(
        f"{source.path}: expected dataset 'sen2' or 'rgb', found {sorted(source.file)}"
    )


def members(train: Path, test: Path, starts: list[Start]) -> Iterator[Member]:
    """One member after the other; only the current one's bands are in memory."""
    classes = starts[0].card.classes
    truth = {path: labels(path, classes) for path in (train, test)}
    for start in starts:
        # Nothing here holds the splits, so that they go with the member.
        yield _member(start, *(_split(path, start, truth[path]) for path in truth))


def _split(path: Path, start: Start, label: Tensor) -> Split:
    return Split(load(path, start.card.bands), {"label": label})


def _member(start: Start, train: Split, test: Split) -> Member:
    return Member(
        Path(start.card.file).stem, start.card, start.network, train, test,
        side=train.parts[0].stored.shape[1], trained=start.trained, export=start.export,
    )  # fmt: skip
