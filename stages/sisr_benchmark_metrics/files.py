"""The table as CSV and JSON, and the picture of which metric reacts to which fault."""

import csv
import json
from pathlib import Path

import numpy as np

from stages.sisr_benchmark_metrics.faults import FAULTS
from stages.sisr_benchmark_metrics.measures import METRICS, MOVED, Case, react

DIGITS = 6


def shorten(value: float) -> float:
    """A number as people read it, without -0."""
    return round(value, DIGITS) + 0.0


def write_table(folder: Path, told: dict[Case, dict[str, float]]) -> None:
    """metrics.csv: a line for each case."""
    with (folder / "metrics.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["fault", "size", "unit", *METRICS])
        for (name, size), values in told.items():
            unit = FAULTS[name][2] if name in FAULTS else ""
            shown = f"{size:g}" if name in FAULTS else ""
            table.writerow([name, shown, unit, *(shorten(values[m]) for m in METRICS)])


def write_json(folder: Path, told: dict[Case, dict[str, float]], rows: int) -> None:
    """metrics.json: the same for programs, and the reactions that the picture shows."""
    cases = [
        {"fault": name, "size": size, **{m: shorten(values[m]) for m in METRICS}}
        for (name, size), values in told.items()
    ]
    reaction = {
        fault: {metric: round(value, 4) for metric, value in values.items()}
        for fault, values in react(told).items()
    }
    content = {"rows": rows, "cases": cases, "reaction": reaction}
    (folder / "metrics.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def draw(folder: Path, told: dict[Case, dict[str, float]]) -> None:
    """reaction.png: dark where a metric reacts to a fault more than to any other."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    reaction = react(told)
    values = np.array([[reaction[fault][metric] for metric in MOVED] for fault in reaction])
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.imshow(values, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(MOVED)), MOVED, rotation=35, ha="right")
    labels = [f"{fault} {FAULTS[fault][1][-1]:g} {FAULTS[fault][2]}".strip() for fault in reaction]
    axes.set_yticks(range(len(labels)), labels)
    for (row, column), value in np.ndenumerate(values):
        colour = "white" if value > 0.5 else "black"
        axes.text(column, row, f"{value:.2f}", ha="center", va="center", color=colour, fontsize=8)
    axes.set_title("Which metric reacts to which fault (1: more than to any other)")
    figure.savefig(folder / "reaction.png", dpi=120, metadata={"Software": None})
