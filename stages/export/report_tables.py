"""The comparison as files for programs and for people: JSON, CSV, Markdown, log."""

import csv
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from shared.progress import say
from stages.export import layer_blame

Report = dict[str, Any]
SHARES = {
    "overall_accuracy": "top-1", "top5_accuracy": "top-5", "average_accuracy": "average",
    "mean_iou": "mean IoU", "pixel_accuracy": "pixel accuracy", "macro_f1": "macro F1",
    "weighted_f1": "weighted F1", "agreement": "agreement",
}  # fmt: skip


def write_tables(folder: Path, report: Report) -> None:
    """report.json; report.csv with one line per network; table.md with both tables."""
    (folder / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    names = list(dict.fromkeys(key for entry in report["models"].values() for key in entry))
    with (folder / "report.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["model", *names])
        for model, entry in report["models"].items():
            table.writerow([model, *(entry.get(name, "") for name in names)])
    text = "\n".join([format_networks(report), format_classes(report)])
    (folder / "table.md").write_text(text, encoding="utf-8")


def format_networks(report: Report) -> str:
    """One line per network, shares in per cent."""
    used = [key for key in SHARES if any(key in entry for entry in report["models"].values())]
    lines = []
    for name, entry in report["models"].items():
        shares = (f"{100 * entry[key]:.2f}" if key in entry else "" for key in used)
        logit = entry.get("largest_logit_difference")
        far = "" if logit is None else f"{logit:.3g}"
        lines.append([name, f"{entry['bytes'] / 1e6:.2f}", *shares, far])
    heads = (f"{SHARES[key]} %" for key in used)
    return _table(["network", "MB", *heads, "logits apart"], lines)


def format_classes(report: Report) -> str:
    """One line per class: rows or pixels, FP32, and by how many points each INT8 changes it.

    A dash stands for what a class has not: there is none of it, and none was said.
    """
    change = report["per_class_change"]
    names = list(next(iter(change.values())))
    counted = "pixels" if report.get("task") == "segmentation" else "rows"
    heads = [f"{kind} {name}" for kind in change for name in ("fp32 %", *names)]
    lines = []
    for label, entry in report["per_class"].items():
        line = [label, str(entry[counted] or 0)]
        for kind in change:
            line.append("–" if entry[kind] is None else f"{100 * entry[kind]:.1f}")
            points = (change[kind][name].get(label) for name in names)
            line += ["–" if point is None else f"{100 * point:+.1f}" for point in points]
        lines.append(line)
    return _table(["class", counted, *heads], lines)


def _table(head: list[str], lines: Iterable[list[str]]) -> str:
    every = [head, ["---"] * len(head), *lines]
    cells = ([cell.replace("|", "\\|") for cell in line] for line in every)
    return "\n".join("| " + " | ".join(line) + " |" for line in cells) + "\n"


def log_summary(report: Report, times: dict[str, Any]) -> None:
    """One line of log per network, and one on the input if it is no picture for the SDK."""
    if "as tensors" in report["metis"]["input"]:
        say(f"Metis: {report['metis']['input']}")
    for name, entry in report["models"].items():
        per_second = times[name]["rows"]
        speed = ", ".join(f"{rows}: {e['rows_per_second']:.0f}" for rows, e in per_second.items())
        key = "overall_accuracy" if "overall_accuracy" in entry else "mean_iou"
        say(
            f"{name}: {SHARES[key]} {100 * entry[key]:.2f} %, macro F1 "
            f"{100 * entry['macro_f1']:.2f} %, {entry['bytes'] / 1e6:.2f} MB, median "
            f"{times[name]['median_ms']:.2f} ms a row on one thread, rows a second at {speed}"
        )
    scheme = report["calibration"]["scheme"]
    say(f"int8 is by {scheme}; so will be the bundle, unless voyager --scheme says otherwise")
    if blame := report.get("blame"):
        worst = "; ".join(map(layer_blame.describe, blame["worst"]))
        say(f"layers that cost most in eight bits, each alone: {worst or 'none'}")
