"""What ``Annotated`` may add to the type of a parameter: ranges, choices, former values."""

import dataclasses
import math
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class Range:
    """The values that a number may have.

    Attributes:
        low: smallest value.
        high: largest value.
        above: whether `low` itself is excluded.
        below: whether `high` itself is excluded.
    """

    low: float = -math.inf
    high: float = math.inf
    above: bool = False
    below: bool = False

    def __contains__(self, value: float) -> bool:
        low = value > self.low if self.above else value >= self.low
        return low and (value < self.high if self.below else value <= self.high)

    def __str__(self) -> str:
        if self.high == math.inf:
            return f"above {self.low:g}" if self.above else f"at least {self.low:g}"
        if self.above and self.below:
            return f"above {self.low:g} and below {self.high:g}"
        low = f"above {self.low:g}" if self.above else f"{self.low:g}"
        return f"{low} to below {self.high:g}" if self.below else f"{low} to {self.high:g}"


def at_least(low: float) -> Range:
    """A range without an upper limit."""
    return Range(low)


def more_than(low: float) -> Range:
    """A range without an upper limit that excludes its lower one."""
    return Range(low, above=True)


def between(low: float, high: float, *, above: bool = False, below: bool = False) -> Range:
    """A range with both limits, each of which may be excluded (see `Range`)."""
    return Range(low, high, above, below)


@dataclasses.dataclass(frozen=True)
class Choices:
    """The only values that a parameter may have, where they are known when the program runs."""

    values: tuple[str, ...]


def one_of(*values: str) -> Choices:
    """Choices that are read from data; those that are written in the code are a ``Literal``."""
    return Choices(values)


@dataclasses.dataclass(frozen=True)
class Former:
    """How values of today were called before, in commands and in the records of products."""

    names: Mapping[str, str]


def formerly(**names: str) -> Former:
    """What each former value, spelt as on a command line, is called now."""
    return Former(names)


@dataclasses.dataclass(frozen=True)
class Gained:
    """What a stage did before it had a parameter, where its default is something better."""

    value: str


def gained(value: str) -> Gained:
    """The value that records of products from before the parameter count as."""
    return Gained(value)
