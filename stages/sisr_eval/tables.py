"""The metrics as JSON, CSV, LaTeX and aligned text."""

import csv
import io
import json
from typing import Any

from shared.comparisons import latex
from stages.sisr_eval.results import MEAN, METRICS, Figures, Results

DASH = "–"
# Columns of the tables that people read: title, digits.
COLUMNS = {
    "psnr": ("PSNR (dB)", 2), "ssim": ("SSIM", 4), "rmse": ("RMSE", 4),
    "best_shift_psnr": ("best shift (dB)", 2), "psnr_truth": ("PSNR, truth (dB)", 2),
    "frr": ("FRR (%)", 1), "fro": ("FRO (%)", 2), "frr_truth": ("FRR, truth (%)", 1),
    "low_fidelity": ("LR fidelity", 4), "high_fidelity": ("HR fidelity", 4),
    "flow_mean": ("flow (px)", 3), "radiometric_mean": ("bias", 4),
}  # fmt: skip


def shorten(value: float) -> float:
    """Six digits: further ones may differ between processors. Without -0."""
    return float(f"{value:.6g}") + 0.0


def as_json(results: Results, facts: dict[str, Any]) -> str:
    """Facts, then `metrics`: by image, band ("mean" first) and metric, as far as there is one."""
    metrics = {
        name: {band: {m: shorten(v) for m, v in told.items()} for band, told in bands.items()}
        for name, bands in results.items()
    }
    content = {**facts, "metrics": metrics}
    return json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def list_metrics(results: Results) -> list[str]:
    """Those that any image has, in their order."""
    there = {name for bands in results.values() for told in bands.values() for name in told}
    return [name for name in METRICS if name in there]


def as_csv(results: Results) -> str:
    """One line for each image and band; a cell is empty where there is no value."""
    text, metrics = io.StringIO(), list_metrics(results)
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(("image", "band", *metrics))
    for name, bands in results.items():
        for band, told in bands.items():
            lines.writerow((name, band, *(shorten(told[m]) if m in told else "" for m in metrics)))
    return text.getvalue()


def as_latex(results: Results) -> str:
    """Two tables for a paper with booktabs: means of all bands, then PSNR band by band."""
    columns = _choose_columns(results)
    heads = [COLUMNS[metric][0] for metric in columns]
    rows = [(name, _cells(bands[MEAN], columns)) for name, bands in results.items()]
    made = [latex.tabulate(heads, [("", rows)])]
    bands = [band for band in next(iter(results.values())) if band != MEAN]
    for metric in ("psnr", "psnr_truth"):
        if metric in columns:
            title, digits = COLUMNS[metric]
            single = [
                (name, [_cell(told[band], metric, digits) for band in bands])
                for name, told in results.items()
            ]
            made.append(latex.tabulate(bands, [(f"{title} of each band", single)]))
    return "\n".join(made)


def as_text(results: Results) -> str:
    """The means of all bands for a terminal."""
    columns = _choose_columns(results)
    heads = [COLUMNS[metric][0] for metric in columns]
    first, widths = max(map(len, results)) + 2, [max(9, len(head) + 2) for head in heads]
    rows = [("", heads), *((n, _cells(bands[MEAN], columns)) for n, bands in results.items())]
    return "\n".join(
        name.ljust(first) + "".join(c.rjust(w) for c, w in zip(cells, widths, strict=True))
        for name, cells in rows
    )


def _choose_columns(results: Results) -> list[str]:
    there = list_metrics(results)
    return [metric for metric in COLUMNS if metric in there]


def _cells(told: Figures, columns: list[str]) -> list[str]:
    return [_cell(told, metric, COLUMNS[metric][1]) for metric in columns]


def _cell(told: Figures, metric: str, digits: int) -> str:
    return f"{round(told[metric], digits) + 0.0:.{digits}f}" if metric in told else DASH
