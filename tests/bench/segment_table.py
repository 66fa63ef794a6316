"""The measurements of tests.bench.segment as Markdown."""

from typing import Any

from shared import tiles
from tests.bench.table import rows

Figures = dict[str, Any]


def page(found: Figures, machine: Figures) -> str:
    """Three tables under one line about the machine."""
    head = (
        f"`make bench-segment` on {machine['processor']}, {machine['cores']} cores, "
        f"{machine['gpu']}, load average {machine['load']:.1f} at the start; tiles of {tiles.SIDE} "
        f"pixels, {found['tiles']} of them {found['passes']} times in an epoch of loading; medians "
        "of ways that take turns."
    )
    tables = [load(found["loading"]), train(found["training"]), draw(found["map"])]
    return "\n".join([f"{head}\n", *tables])  # each table ends its last line


def load(found: dict[str, Figures]) -> str:
    """Each way beside the first one."""
    head = ["loading and augmentation", "tiles/s", "×", "ms of a core for a tile", "×"]
    first = next(iter(found.values()))
    lines = []
    for name, one in found.items():
        faster, cheaper = one["rate"] / first["rate"], first["cost"] / one["cost"]
        line = [f"{one['rate']:.0f}", f"{faster:.1f}", f"{one['cost']:.1f}", f"{cheaper:.1f}"]
        lines.append([name, *line])
    return rows(head, lines)


def train(found: dict[str, Figures]) -> str:
    """Training from the file on as a share of the network alone."""
    head = ["training, views of 256 pixels", "tiles of a step", "from the file on, tiles/s"]
    head += ["the network alone, tiles/s", "share, %"]
    lines = [
        [
            name, f"{one['batch']}", f"{one['whole']:.2f}", f"{one['alone']:.2f}",
            f"{100 * one['share']:.1f}",
        ]
        for name, one in found.items()
    ]  # fmt: skip
    return rows(head, lines)


def draw(found: dict[str, Figures]) -> str:
    """Maps beside one tile a call."""
    head = ["map, tiles of 512 pixels", "as `map` runs them, tiles/s", "one a call, tiles/s", "×"]
    head += ["largest difference of a probability"]
    lines = [
        [
            name, f"{one['map']:.2f}", f"{one['one a call']:.2f}",
            f"{one['map'] / one['one a call']:.2f}", f"{one['apart']:.1e}",
        ]
        for name, one in found.items()
    ]  # fmt: skip
    return rows(head, lines)
