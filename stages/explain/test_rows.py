"""What networks say of test rows, with all bands and without each one; which rows to explain."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.models import scores
from shared.patches import Source
from shared.progress import bar
from stages.explain.classifiers import Classifier, join

Rows = NDArray[np.float32]
BLOCK = 32  # rows that are read at once


@dataclass(frozen=True)
class Said:
    """What one network says of the sample.

    Attributes:
        bands: C names.
        logits: (N, K) with all bands.
        without: (C, N, K) with one band less each.
    """

    bands: tuple[str, ...]
    logits: Rows
    without: Rows

    def less(self, band: str) -> Rows:
        """(N, K) without a band; with all, where this network does not see it."""
        return self.without[self.bands.index(band)] if band in self.bands else self.logits

    @property
    def predicted(self) -> NDArray[np.intp]:
        """(N,) classes."""
        return np.asarray(self.logits.argmax(1))


@dataclass(frozen=True)
class Band:
    """What is said with and without one band, which has its training mean everywhere instead.

    Attributes:
        band: name.
        rows: that were classified.
        accuracy: with all bands.
        accuracy_without: without this one.
        score: mean probability of the true class, with all bands.
        score_without: without this one.
    """

    band: str
    rows: int
    accuracy: float
    accuracy_without: float
    score: float
    score_without: float


def sample(total: int, most: int) -> list[int]:
    """So many rows, or all where there are fewer, evenly spread from the first to the last."""
    count = min(total, most)
    places: list[int] = np.linspace(0, total - 1, count).round().astype(int).tolist()
    return places


def occlude_bands(logits: Callable[[Rows], Rows], images: Rows) -> Rows:
    """(C, N, K) logits of (N, C, S, S) pictures, each time one band at 0, its training mean."""
    found = []
    for band in range(images.shape[1]):
        covered = images.copy()
        covered[:, band] = 0
        found.append(logits(covered))
    return np.stack(found)


def classify(classifiers: list[Classifier], source: Source, rows: list[int]) -> list[Said]:
    """What each network says of these rows."""
    made = []
    with bar(len(rows) * sum(len(one.members) for one in classifiers), "bands") as progress:
        for one in classifiers:
            several = []
            for member in one.members:
                whole, without = [], []
                for start in range(0, len(rows), BLOCK):
                    images = member.read(source, rows[start : start + BLOCK])
                    whole.append(member.logits(images))
                    without.append(occlude_bands(member.logits, images))
                    progress.update(len(images))
                bands = member.card.bands
                several.append(Said(bands, np.concatenate(whole), np.concatenate(without, 1)))
            made.append(join_members(several))
    return made


def join_members(several: list[Said]) -> Said:
    """What an ensemble says: by the sum rule, a band being covered for all that see it."""
    bands = tuple(dict.fromkeys(band for said in several for band in said.bands))
    without = [join([said.less(band) for said in several]) for band in bands]
    return Said(bands, join([said.logits for said in several]), np.stack(without))


def measure_bands(said: Said, labels: NDArray[np.intp]) -> list[Band]:
    """What each band is worth.

    Args:
        said: of N rows.
        labels: (N,) true classes.
    """
    whole = _grade(said.logits, labels)
    grades = [_grade(logits, labels) for logits in said.without]
    return [
        Band(name, len(labels), whole[0], without[0], whole[1], without[1])
        for name, without in zip(said.bands, grades, strict=True)
    ]


def _grade(logits: Rows, labels: NDArray[np.intp]) -> tuple[float, float]:
    """Accuracy, and the mean probability of the true class."""
    true = scores.softmax(logits)[np.arange(len(labels)), labels]
    return float((logits.argmax(1) == labels).mean()), float(true.mean())


def choose_by_class(labels: NDArray[np.intp], good: NDArray[np.bool_], seed: int) -> dict[int, int]:
    """Of each class one place among those that are good, where there is one.

    Args:
        labels: (N,) classes.
        good: (N,) which places may be chosen.
        seed: of the choice.
    """
    rng = np.random.default_rng(seed)
    chosen = {}
    for k in np.unique(labels):
        if len(places := np.flatnonzero((labels == k) & good)):
            chosen[int(k)] = int(rng.choice(places))
    return chosen
