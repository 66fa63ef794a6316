"""The figures as JSON, CSV, LaTeX and aligned text."""

import csv
import io
import itertools
import json
from typing import Any

from shared.comparisons import latex
from shared.sr.methods import load_all

Figures = dict[str, float | None]  # by name, of one band; None: no bound
Results = dict[tuple[str, int, str], dict[str, Figures]]  # way, scale, method; then band
WAYS = {
    "wald": "restored from a degraded copy, against the original",
    "consistency": "enlarged and degraded again, against the input",
    "departure": "enlarged, against bicubic interpolation",
}
TITLES = {name: method.title for name, method in load_all().items()}
COLUMNS = {"psnr": ("PSNR", "dB", 2), "psnr_of_patches": ("of patches", "dB", 2),
           "ssim": ("SSIM", "", 4), "rmse": ("RMSE", "", 5), "angle": ("angle", "°", 3),
           "border": ("border", "", 2)}  # fmt: skip


def title(method: str) -> str:
    """The name of a method as its authors write it."""
    name, _, weights = method.partition(" ")
    return f"{TITLES.get(name, name)} {weights}".strip()


def as_json(results: Results, facts: dict[str, Any]) -> str:
    """Facts first, then way, "x2", method, band, figure; null stands for no error, so no bound."""
    content = dict(facts)
    for (way, scale, method), bands in results.items():
        there = content.setdefault(way, {}).setdefault(f"x{scale}", {})
        there[method] = {
            band: {name: _round(value) for name, value in figures.items()}
            for band, figures in bands.items()
        }
    return json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def _round(value: float | None) -> float | None:
    """Six digits: further ones may differ between processors."""
    return None if value is None else float(f"{value:.6g}")


def as_csv(results: Results) -> str:
    """One line a figure: way, scale, method, band, metric, value; "inf" where there is no bound."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(("way", "scale", "method", "band", "metric", "value"))
    for (way, scale, method), bands in results.items():
        for band, figures in bands.items():
            for name, value in figures.items():
                if value is not None or name == "psnr":
                    cell = "inf" if value is None else _round(value)
                    lines.writerow((way, scale, method, band, name, cell))
    return text.getvalue()


def _cells(figures: Figures) -> list[str]:
    """Figures of all bands in the order of COLUMNS."""
    return [_cell(figures, name, digits) for name, (_, _, digits) in COLUMNS.items()]


def _cell(figures: Figures, name: str, digits: int) -> str:
    value = figures.get(name)
    if value is None:
        return "∞" if name == "psnr" else "–"
    return f"{value:.{digits}f}"


def sections(results: Results) -> list[tuple[str, int, list[tuple[str, list[str]]]]]:
    """Way, scale, and for each method its name and its figures over all bands, as text."""
    order = sorted(results, key=lambda key: (list(WAYS).index(key[0]), key[1]))
    return [
        (way, scale, [(title(key[2]), _cells(results[key]["all"])) for key in keys])
        for (way, scale), keys in itertools.groupby(order, lambda key: key[:2])
    ]


def as_text(results: Results) -> str:
    """Tables for a terminal."""
    heads = [f"{name} {unit}".strip() for name, unit, _ in COLUMNS.values()]
    widths = [max(9, len(head) + 2) for head in heads]
    first = max(12, *(len(title(method)) + 2 for _, _, method in results))
    lines = []
    for way, scale, rows in sections(results):
        lines += ["", f"{way} ×{scale}: {WAYS[way]}"]
        for name, cells in [("", heads), *rows]:
            parts = [cell.rjust(width) for cell, width in zip(cells, widths, strict=True)]
            lines.append("  " + name.ljust(first) + "".join(parts))
    return "\n".join(lines)


def as_latex(results: Results, bands: tuple[str, ...]) -> str:
    """Two tables for a paper with booktabs: all figures, then PSNR band by band."""
    heads = [f"{name} ({unit})" if unit else name for name, unit, _ in COLUMNS.values()]
    whole = [(f"{way} $\\times{scale}$: {WAYS[way]}", rows)
             for way, scale, rows in sections(results)]  # fmt: skip
    single = []
    for way, scale, _ in sections(results):
        keys = [key for key in results if key[:2] == (way, scale)]
        rows = [
            (title(key[2]), [_cell(results[key][band], "psnr", 2) for band in bands])
            for key in keys
        ]
        single.append((f"{way} $\\times{scale}$: PSNR (dB) of each band", rows))
    return latex.tabulate(heads, whole) + "\n" + latex.tabulate(list(bands), single)
