"""From a seed to a damaged copy: half of them mutated, half of them built, where there is a way."""

import itertools
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tests.torture import mutations
from tests.torture.places import Change
from tests.torture.readers import Reader

AT_ONCE = 16  # cases that hypothesis draws from one seed
ROOT = Path(__file__).resolve().parents[2]

__all__ = ["Change", "draw", "keep"]


def keep(reader: Reader, good: Path) -> Change:
    """The good file itself."""
    return {reader.file: (good / reader.file).read_bytes()}


def draw(reader: Reader, good: Path, seeds: Iterable[int]) -> Iterator[tuple[int, Change]]:
    """Seeds and what each one does to the copy.

    Where a reader has built cases, odd seeds give one of these, even ones a mutation.
    """
    content = (good / reader.file).read_bytes()
    mutate = mutations.choose(good / reader.file)
    drawn: dict[int, list[Change]] = {}
    for seed in seeds:
        if not (reader.built and seed % 2):
            yield seed, {reader.file: mutate(content, seed)}
            continue
        lot, place = divmod(seed // 2, AT_ONCE)
        if lot not in drawn:
            drawn = {lot: build(reader, good, lot)}
        yield seed, drawn[lot][place]


def build(reader: Reader, good: Path, lot: int) -> list[Change]:
    """As many cases as are drawn at once, by hypothesis; the same lot gives the same ones."""
    if str(ROOT / ".venvs" / "pytest") not in sys.path:  # where hypothesis is; behind the stage's
        sys.path.append(str(ROOT / ".venvs" / "pytest"))
    import hypothesis

    from tests.torture import built

    made: list[Change] = []

    def collect(change: Any) -> None:
        made.append(change if isinstance(change, dict) else {reader.file: change})

    strategy = built.load(reader.built)(good / reader.file, reader.file)
    for attempt in itertools.count():
        settings = hypothesis.settings(
            max_examples=AT_ONCE, database=None, deadline=None,
            phases=[hypothesis.Phase.generate], suppress_health_check=list(hypothesis.HealthCheck),
        )  # fmt: skip
        run = hypothesis.given(strategy)(collect)
        hypothesis.seed(lot * 1000 + attempt)(settings(run))()
        if len(made) >= AT_ONCE:
            return made[:AT_ONCE]
    raise AssertionError("unreachable")
