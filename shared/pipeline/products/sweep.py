"""`make sweep`: one product per point of a grid of flags and seeds, and their comparison."""

import itertools
import re
from collections.abc import Iterable, Iterator

from shared.errors import StageError
from shared.pipeline.product import Flags, Product, paths
from shared.pipeline.settings import Settings

COMPARED = ("teacher", "fusion", "distill")  # stages whose products `compare` reads
FIRST_SEED = "42"  # their default
EXAMPLE = 'make sweep STAGE=distill GRID="alpha=0.3,0.7 temperature=1,3"'
POINT = re.compile(r"[\w.+-]+")  # a value that can be a part of the name of a folder


def products(settings: Settings, others: Iterable[Product]) -> Iterator[Product]:
    """The products of a sweep; none without GRID.

    Args:
        settings: of the source: the stage, the grid and the seeds.
        others: every other product; the first one of the stage that `make STAGE` makes is repeated
            at every point.

    Raises:
        StageError: a stage without products, or a grid that cannot be read.
    """
    if not settings.grid:  # STAGE alone may be a variable of somebody's environment
        return
    base = _base(settings, others)
    folder = settings.below(f"sweep/{base.stage}")
    seeds = settings.seeds or ((FIRST_SEED,) if base.stage in COMPARED else ())
    points = [
        Product(
            base.stage, f"{folder}/{name}", base.inputs, base.flags, raw=base.raw,
            verbs=("sweep",), aside=True, mount=base.mount, own=flags,
        )
        for name, flags in list_points(settings.grid, seeds)
    ]  # fmt: skip
    yield from points
    if base.stage in COMPARED:
        made = [point.path for point in points]
        yield Product(
            "compare", f"{folder}/compare", tuple(made), paths("src", made), verbs=("sweep",),
            aside=True, renewed=True,
        )  # fmt: skip


def _base(settings: Settings, others: Iterable[Product]) -> Product:
    stage = settings.sweep_stage
    for product in others:
        if product.stage == stage and not product.aside:
            return product
    raise StageError(
        f"STAGE: expected a stage with products of SOURCE={settings.source}, found {stage!r}; "
        + EXAMPLE
    )


def list_points(grid: str, seeds: Iterable[str] = ()) -> list[tuple[str, Flags]]:
    """Name and flags of every point, such as "alpha-0.3_temperature-1-42".

    Args:
        grid: "alpha=0.3,0.5 temperature=1,3": every combination is a point.
        seeds: of each point, at the end of its name, as `compare` reads it.

    Raises:
        StageError: a word that is not name=value,value; the same name twice.
    """
    axes = dict[str, list[str]]()
    for word in grid.split():
        name, _, listed = word.partition("=")
        name, values = name.lstrip("-").replace("-", "_"), listed.split(",")
        if not all(map(POINT.fullmatch, (name, *values))) or name in (*axes, "dst"):
            expected = 'expected flags and their values, each once, such as "alpha=0.3,0.7"'
            raise StageError(f"GRID: {expected}, found {word!r}")
        axes[name] = values
    axes["seed"] = axes.get("seed") or list(seeds) or [""]
    points = []
    for point in itertools.product(*axes.values()):
        chosen = {name: value for name, value in zip(axes, point, strict=True) if value}
        words = "_".join(f"{name}-{value}" for name, value in chosen.items() if name != "seed")
        end = [chosen["seed"]] if "seed" in chosen else []
        flags = tuple(word for name, value in chosen.items() for word in (f"--{name}", value))
        points.append(("-".join([words or "seed", *end]), flags))
    return points
