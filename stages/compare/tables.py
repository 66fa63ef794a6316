"""The comparison as files for programs and for papers: CSV and LaTeX."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from stages.compare.products import Run, differing
from stages.compare.summary import MEASURES, Difference, Group, Spread

Cell = str | int | float | None
LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
}  # fmt: skip


def write_csv(path: Path, lines: Sequence[Mapping[str, Cell]]) -> None:
    """One line each; columns in the order in which they first occur; unknown cells are empty."""
    names = list(dict.fromkeys(name for line in lines for name in line))
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(names)
        for line in lines:
            cells = (line.get(name) for name in names)
            table.writerow(["" if cell is None else cell for cell in cells])


def group_lines(groups: Sequence[Group]) -> list[dict[str, Cell]]:
    """Each group: spread of each measure, size, and what a teacher was worth."""
    several = differing([group.runs[0] for group in groups])
    lines: list[dict[str, Cell]] = []
    for place, group in enumerate(groups):
        line: dict[str, Cell] = {"name": group.name, "repetitions": len(group.runs)}
        line |= {name: values[place] for name, values in several.items()}
        for measure in MEASURES:
            line |= _spread(measure, group.quality[measure])
        line |= {"parameters": group.parameters, "macs": group.macs}
        line["percent_per_million_parameters"] = per_million(group)
        for measure in MEASURES if group.twin else ():
            line |= _spread(f"twin_{measure}", group.twin[measure])
            line |= _difference(f"gain_{measure}", group.gain[measure])
        lines.append(line)
    return lines


def _spread(name: str, of: Spread) -> dict[str, Cell]:
    return {name: of.mean, f"{name}_std": of.deviation}


def _difference(name: str, of: Difference) -> dict[str, Cell]:
    return {name: of.mean, f"{name}_low": of.low, f"{name}_high": of.high}


def per_million(group: Group) -> float | None:
    """Per cent of the test rows that are right, per million parameters."""
    if not group.parameters:
        return None
    return 100 * group.quality["accuracy"].mean / (group.parameters / 1e6)


def run_lines(runs: Sequence[Run]) -> list[dict[str, Cell]]:
    """Each product: its own measures, its twin's, and the parameters in which products differ."""
    several, lines = differing(runs), list[dict[str, Cell]]()
    for place, run in enumerate(runs):
        line: dict[str, Cell] = {"product": run.name, "group": run.group, "seed": run.seed}
        line |= {name: values[place] for name, values in several.items()}
        line |= {measure: getattr(run.quality, measure) for measure in MEASURES}
        if run.twin:
            line |= {f"twin_{measure}": getattr(run.twin, measure) for measure in MEASURES}
        lines.append(line)
    return lines


def latency_lines(groups: Sequence[Group], times: Sequence[float]) -> list[dict[str, Cell]]:
    """Each group: the time of one row on one thread, and accuracy per ms."""
    return [
        {
            "name": group.name, "ms": ms,
            "percent_per_ms": 100 * group.quality["accuracy"].mean / ms,
        }
        for group, ms in zip(groups, times, strict=True)
    ]  # fmt: skip


def format_latex(groups: Sequence[Group]) -> str:
    """A table for papers that needs the package booktabs: mean ± standard deviation."""
    twins = any(group.twin for group in groups)
    head = ["", "Accuracy (\\%)", "Macro F1 (\\%)", "Loss", "Parameters"]
    head += ["Without teacher (\\%)", "Gain (points)"] if twins else []
    lines = [" & ".join(head) + r" \\", r"\midrule"]
    for group in groups:
        cells = [escape(group.name)]
        cells += [format_spread(group.quality[m], 100, 2) for m in ("accuracy", "macro_f1")]
        cells.append(format_spread(group.quality["loss"], 1, 3))
        cells.append("" if group.parameters is None else f"{group.parameters:,}")
        if twins:
            cells += _gain(group)
        lines.append(" & ".join(cells) + r" \\")
    ends = r"\begin{tabular}{l" + "r" * (len(head) - 1) + "}", r"\end{tabular}"
    return "\n".join([ends[0], r"\toprule", *lines, r"\bottomrule", ends[1], ""])


def format_spread(of: Spread, factor: float, digits: int, sign: str = r"$\pm$") -> str:
    """ "81.20 $\\pm$ 0.34", or the mean of a single repetition alone."""
    mean = f"{factor * of.mean:.{digits}f}"
    if of.deviation is None:
        return mean
    return f"{mean} {sign} {factor * of.deviation:.{digits}f}"


def _gain(group: Group) -> list[str]:
    if not group.twin:
        return ["", ""]
    return [format_spread(group.twin["accuracy"], 100, 2), format_points(group.gain["accuracy"])]


def format_points(of: Difference) -> str:
    """ "+1.25 [-3.50, +6.01]", or the difference of a single pair alone; in points."""
    ends = ""
    if of.low is not None and of.high is not None:
        ends = f" [{100 * of.low:+.2f}, {100 * of.high:+.2f}]"
    return f"{100 * of.mean:+.2f}{ends}"


def escape(text: str) -> str:
    """A name for LaTeX."""
    return "".join(LATEX.get(sign, sign) for sign in text)
