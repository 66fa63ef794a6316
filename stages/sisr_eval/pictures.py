"""The same patches under every network, and what each restored of the frequencies, as pictures."""

import textwrap
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray

from shared.comparisons import canvas
from stages.sisr_eval.networks import BICUBIC, SHARPER
from stages.sisr_eval.samples import IMAGES, TARGET, TRUTH, Image, Sample

# Which bands are shown as red, green and blue, as far as there are such.
COLOURS = {
    "true colour": ("B4", "B3", "B2"), "false colour": ("B8", "B4", "B3"),
    "red edge": ("B8A", "B6", "B5"), "short wave": ("B12", "B11", "B8A"),
}  # fmt: skip
STYLES = {BICUBIC: ("input, bicubic", "0.6", "-"), SHARPER: (SHARPER, "0.6", ":"),
          TARGET: ("target", "black", "-"), TRUTH: ("truth", "black", ":")}  # fmt: skip
WIDEST = 22  # letters of a heading in one line
Shown = tuple[Sample, dict[str, Image]]  # a row, and (H, W, C) of bicubic and of each network


def choose_colours(bands: tuple[str, ...], known: NDArray[np.bool_]) -> dict[str, list[int]]:
    """By name the channels that are red, green and blue, of bands that a reference has.

    Without any such triple, its first band in grey.
    """
    there = [band for band, has in zip(bands, known, strict=True) if has]
    made = {n: [bands.index(band) for band in three]
            for n, three in COLOURS.items() if set(three) <= set(there)}  # fmt: skip
    return made or {there[0]: [bands.index(there[0])] * 3}


def draw_mosaic(path: Path, shown: list[Shown]) -> None:
    """Write a picture: input, bicubic, each network, target and truth side by side.

    All cells of a line have one stretch, that of the target; no pixel is interpolated.
    """
    rows: list[canvas.Row] = []
    for sample, made in shown:
        target = sample.references[TARGET]
        columns = _list_columns(sample, made)
        lines = []
        for colour, chosen in choose_colours(sample.frame.bands, target.known).items():
            middle = _cut(target.image, sample)
            ends = canvas.limits(middle[..., chosen].astype(np.float32))
            cells = [
                canvas.stretch(image[..., chosen].astype(np.float32), ends)
                for image in columns.values()
            ]
            lines.append((colour, cells))
        rows.append((f"row {sample.number}", lines))
    canvas.draw(path, [("", name) for name in columns], rows)


def _list_columns(sample: Sample, made: dict[str, Image]) -> dict[str, Image]:
    """By heading the middle of each image, the input in its own pixels."""
    bands = zip(sample.own, sample.frame.factors, strict=True)
    given = np.stack([band.repeat(factor, 0).repeat(factor, 1) for band, factor in bands], 2)
    references = {
        name: sample.references[name].image for name in IMAGES if name in sample.references
    }
    images = {"input": given, **made, **references}
    return {
        "\n".join(textwrap.wrap(name, WIDEST)): _cut(image, sample)
        for name, image in images.items()
    }


def _cut(image: Image, sample: Sample) -> Image:
    """The middle of an image, as large as a cell where it is larger, on whole pixels of low."""
    side, step = sample.frame.side, max(sample.frame.factors)
    kept = min(side, canvas.CELL) // step * step
    start = (side - kept) // 2 // step * step
    return image[start : start + kept, start : start + kept]


def draw_profiles(
    path: Path, curves: list[str], profiles: NDArray[np.float64], bands: tuple[str, ...]
) -> None:
    """Write a picture with a panel for each band, two neighbouring rings as one.

    Images that are padded to twice their side have stripes at every other ring, which would hide
    all else.

    Args:
        path: PNG to write.
        curves: (K,) whose spectra they are.
        profiles: (K, C, W) decibels relative to the first ring.
        bands: (C,) names.
    """
    columns = min(len(bands), 4)
    lines = -(-len(bands) // columns)
    figure, panels = plt.subplots(
        lines, columns, figsize=(3.6 * columns, 2.8 * lines + 0.5), layout="constrained",
        squeeze=False, sharex=True, sharey=True,
    )  # fmt: skip
    frequencies = join_rings(list_frequencies(profiles.shape[2]))
    for place, axes in enumerate(panels.flat):
        axes.set_visible(place < len(bands))
        if place < len(bands):
            axes.set_title(bands[place], fontsize=9)
            axes.grid(alpha=0.3)
            for number, name in enumerate(curves):
                told, colour, style = STYLES.get(name, (name, f"C{number % 10}", "-"))
                values = join_rings(profiles[number, place])
                axes.plot(frequencies, values, style, color=colour, label=told, linewidth=1.2)
    figure.supxlabel("cycles a pixel of the finer grid", fontsize=9)
    figure.supylabel("dB relative to the first ring", fontsize=9)
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", fontsize=8, frameon=False)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)


def join_rings(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(W // 2,) means of two neighbours each."""
    return values[: len(values) // 2 * 2].reshape(-1, 2).mean(1)


def list_frequencies(count: int) -> NDArray[np.float64]:
    """(W,) cycles a pixel of the rings 1 to W; the last one is the Nyquist frequency."""
    return np.arange(1, count + 1) / (2 * count)
