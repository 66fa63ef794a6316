"""The checks as JSON, CSV and a picture, and the page that tells how the pair is used."""

import csv
import json
import math
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared.sisr_client import Description
from stages.sisr_export.case import Case, Result
from stages.sisr_export.settings import LEAST, MOST, PRODUCT

DIGITS = 6
SHOWN = ("B4", "B3", "B2")  # the picture's red, green and blue, where there are all three
USE, WINDOWS = (Path(__file__).with_name(name) for name in ("use.md", "windows.md"))


def shorten(value: float) -> float | None:
    """A number as people read it; None for one that JSON does not have."""
    return round(value, DIGITS) + 0.0 if math.isfinite(value) else None


def write_tables(folder: Path, told: Description, results: list[Result], grid: int) -> None:
    """checks.json and checks.csv.

    Args:
        folder: to write to.
        told: the pair.
        results: of its checks.
        grid: input pixels at whose multiples a tile must begin.
    """
    lines = [
        asdict(result) | {"value": shorten(result.value), "limit": shorten(result.limit)}
        for result in results
    ]
    content = {
        "model": told.model.name, "bands": list(told.bands), "margin": told.margin,
        "factor": told.factor, "metres": told.metres, "grid": grid,
        "passed": all(result.passed for result in results), "checks": lines,
    }  # fmt: skip
    text = json.dumps(content, indent=1, allow_nan=False) + "\n"
    (folder / "checks.json").write_text(text, encoding="utf-8")
    with (folder / "checks.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, [*lines[0]])
        table.writeheader()
        table.writerows(lines)


def _brighten(image: NDArray[np.floating], bands: tuple[str, ...]) -> NDArray[np.float64]:
    """(H, W, 3) or (H, W) between 0 and 1 of (C, H, W) digital numbers."""
    colour = set(SHOWN) <= set(bands)
    chosen = image[[bands.index(band) for band in SHOWN]] if colour else image[:1]
    ends = np.nanpercentile(chosen, (1, 99))
    scaled = ((chosen - ends[0]) / max(1.0, ends[1] - ends[0])).clip(0, 1)
    return np.moveaxis(scaled, 0, 2) if colour else scaled[0]


def draw(folder: Path, case: Case, results: list[Result]) -> None:
    """checks.png: land, what the network makes of it, and what each check found."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    first, factor = case.margin_low, case.factor
    low = case.land[:, first:-first, first:-first] if first else case.land
    end = -factor * first or None
    made = case.whole[:, factor * first : end, factor * first : end]
    figure = Figure(figsize=(12, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 3, width_ratios=(1, 1, 2.2))
    for place, image, title in zip(axes, (low, made), ("input", "output"), strict=False):
        place.imshow(_brighten(image, case.bands), cmap="gray", interpolation="nearest")
        place.set_title(f"{title}, {image.shape[1]} x {image.shape[2]} pixels")
        place.set_axis_off()
    axes[2].set_axis_off()
    for number, result in enumerate(results):
        height, word = 1 - (number + 0.5) / len(results), "passed" if result.passed else "failed"
        colour = "black" if result.passed else "crimson"
        numbers = f"{result.value:.4g} of at most {result.limit:.4g} {result.unit}"
        for left, text in ((0.0, word), (0.16, result.name), (0.42, numbers)):
            axes[2].text(left, height, text, color=colour, va="center", fontsize=9)
    figure.savefig(folder / "checks.png", dpi=110, metadata={"Software": None})


def describe_grid(told: Description, grid: int) -> str:
    """What the client makes of a network with windows, a paragraph; "" of one without."""
    if grid == 1:
        return ""
    step, margin = grid * told.factor, told.margin // told.factor
    below = 1000 // step * step
    near = f"{below}" if below == 1000 else f"{below} or {below + step}"
    default = "its default is one" if below == 1000 else "its default of 1000 is none"
    side = PRODUCT // told.metres
    whole = "that of a whole product is one" if (side - 2 * margin) % grid == 0 else (
        f"that of a whole product, {side} pixels high, is none"
    )  # fmt: skip
    return WINDOWS.read_text(encoding="utf-8").format(
        grid=grid, step=step, near=near, default=default, margin=margin, whole=whole,
        rest=margin % grid,
    )  # fmt: skip


def write_use(folder: Path, told: Description, source: str, reach: int, grid: int) -> None:
    """USE.md: how the pair is run.

    Args:
        folder: to write to.
        told: the pair.
        source: what the network is and how it was trained, in a few words.
        reach: input pixels from which filled pixels are averaged.
        grid: input pixels at whose multiples a tile must begin.
    """
    words = {
        "name": told.path.stem, "bands": ", ".join(told.bands), "metres": told.metres,
        "made": f"{told.metres / told.factor:g}", "margin": told.margin, "factor": told.factor,
        "source": source, "reach": reach, "side": 2 * reach + 1, "least": f"{LEAST:,}",
        "most": f"{MOST:,}", "windows": describe_grid(told, grid),
        "border": f"{told.margin * told.metres / told.factor:g}",
    }  # fmt: skip
    text = USE.read_text(encoding="utf-8").format(**words)
    (folder / "USE.md").write_text(text, encoding="utf-8")
