"""Mean, standard deviation and intervals over the repetitions of each group."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from stages.compare.products import Run

MEASURES = ("accuracy", "macro_f1", "loss")
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Spread:
    """Mean of some repetitions and how far they spread.

    Attributes:
        mean: of all.
        deviation: standard deviation of a sample (division by n - 1); None of a single one.
    """

    mean: float
    deviation: float | None


@dataclass(frozen=True)
class Difference:
    """Student minus twin, pair by pair.

    Attributes:
        mean: of the differences.
        low: end of the 95 % interval of the mean by Student's t; None of a single pair.
        high: the other end.
    """

    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Group:
    """The repetitions of one setting.

    Attributes:
        name: of the group.
        runs: its products.
        quality: measure to its spread.
        twin: the same of the twins; empty unless every product has one.
        gain: measure to student minus twin; empty likewise.
    """

    name: str
    runs: tuple[Run, ...]
    quality: dict[str, Spread]
    twin: dict[str, Spread]
    gain: dict[str, Difference]

    @property
    def parameters(self) -> int | None:
        """Of all networks of one product; None where not known or not the same in all."""
        return _common([run.parameters for run in self.runs])

    @property
    def macs(self) -> int | None:
        """Multiplications with their additions for one row; None likewise."""
        return _common([run.macs for run in self.runs])


def _common(values: list[int | None]) -> int | None:
    return values[0] if len({*values}) == 1 else None


def spread(values: Sequence[float]) -> Spread:
    """Mean and standard deviation of a sample."""
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Spread(float(np.mean(values)), deviation)


def difference(ours: Sequence[float], theirs: Sequence[float]) -> Difference:
    """Mean of paired differences with its 95 % interval by Student's t of n - 1 degrees."""
    each = np.subtract(ours, theirs)
    mean = float(each.mean())
    if len(each) < 2:
        return Difference(mean, None, None)
    error = float(each.std(ddof=1)) / len(each) ** 0.5
    reach = float(student.ppf((1 + CONFIDENCE) / 2, len(each) - 1)) * error
    return Difference(mean, mean - reach, mean + reach)


def summarise(runs: Sequence[Run]) -> list[Group]:
    """Groups by falling mean accuracy; of equal ones, by name."""
    names = dict.fromkeys(run.group for run in runs)
    groups = [_group(name, tuple(run for run in runs if run.group == name)) for name in names]
    return sorted(groups, key=lambda group: (-group.quality["accuracy"].mean, group.name))


def _group(name: str, runs: tuple[Run, ...]) -> Group:
    own = {m: [float(getattr(run.quality, m)) for run in runs] for m in MEASURES}
    twins = [run.twin for run in runs if run.twin]
    if len(twins) < len(runs):
        return Group(name, runs, {m: spread(own[m]) for m in MEASURES}, {}, {})
    twin = {m: [float(getattr(of, m)) for of in twins] for m in MEASURES}
    return Group(
        name, runs,
        quality={m: spread(own[m]) for m in MEASURES},
        twin={m: spread(twin[m]) for m in MEASURES},
        gain={m: difference(own[m], twin[m]) for m in MEASURES},
    )  # fmt: skip
