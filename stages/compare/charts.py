"""Bar charts with error bars, and accuracy against size and time. Needs matplotlib."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from stages.compare.summary import Group, Spread

plt.rcParams["text.parse_math"] = False  # a $ in a name is a $
OURS, TWINS, DOTS = "#2a6f97", "#a9cce0", "#12344d"
PANELS = {"accuracy": ("accuracy, %", 100), "macro_f1": ("macro F1, %", 100), "loss": ("loss", 1)}
BAR = 0.38  # height of one of two bars that share a line


def draw_quality(path: Path, groups: Sequence[Group]) -> None:
    """One panel a measure, one line a group: mean, standard deviation, a dot a repetition."""
    size = (13, 1.5 + 0.55 * len(groups))
    figure, panels = plt.subplots(1, len(PANELS), figsize=size, layout="constrained", sharey=True)
    lines = np.arange(len(groups))
    twins = any(group.twin for group in groups)
    for axes, (measure, (label, factor)) in zip(panels, PANELS.items(), strict=True):
        for line, group in zip(lines, groups, strict=True):
            place = line - BAR / 2 * bool(group.twin)
            _bar(axes, place, group.quality[measure], factor, OURS)
            values = [factor * getattr(run.quality, measure) for run in group.runs]
            axes.plot(values, [place] * len(values), ".", color=DOTS, markersize=5, zorder=3)
            if group.twin:
                _bar(axes, line + BAR / 2, group.twin[measure], factor, TWINS)
        axes.set_xlabel(label)
        axes.grid(axis="x", alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_yticks(lines, [group.name for group in groups])
    panels[0].invert_yaxis()
    _key(figure, groups, twins)
    _save(figure, path)


def _bar(axes: Axes, place: float, of: Spread, factor: float, colour: str) -> None:
    reach = None if of.deviation is None else factor * of.deviation
    axes.barh(
        place, factor * of.mean, BAR, xerr=reach, color=colour,
        error_kw={"ecolor": DOTS, "capsize": 3, "elinewidth": 1},
    )  # fmt: skip


def _key(figure: Figure, groups: Sequence[Group], twins: bool) -> None:
    handles = [matplotlib.patches.Patch(color=OURS, label="with teacher" if twins else "mean")]
    if twins:
        handles.append(matplotlib.patches.Patch(color=TWINS, label="twin without teacher"))
    if any(len(group.runs) > 1 for group in groups):
        handles.append(
            matplotlib.lines.Line2D(
                [], [], color=DOTS, marker=".", linestyle="-", linewidth=1,
                label="each seed, ± standard deviation",
            )
        )  # fmt: skip
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)


def draw_gain(path: Path, groups: Sequence[Group]) -> None:
    """Student minus twin in points of accuracy, with the 95 % interval, for groups with twins."""
    known = [group for group in groups if group.gain]
    figure, axes = plt.subplots(figsize=(7.5, 1.4 + 0.4 * len(known)), layout="constrained")
    axes.axvline(0, color=DOTS, linewidth=1)
    for place, group in enumerate(known):
        of = group.gain["accuracy"]
        reach = None if of.high is None else 100 * (of.high - of.mean)
        axes.errorbar(100 * of.mean, place, xerr=reach, fmt="o", color=OURS, capsize=4)
        pairs = zip(group.runs, [run.twin for run in group.runs], strict=True)
        each = [100 * (run.quality.accuracy - twin.accuracy) for run, twin in pairs if twin]
        axes.plot(each, [place + BAR / 2] * len(each), ".", color=TWINS, markersize=6)
    axes.set_yticks(range(len(known)), [group.name for group in known])
    axes.set_ylim(len(known) - 0.5, -0.5)
    axes.set_xlabel("student minus twin, points of accuracy: each seed, mean, 95 % interval")
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    _save(figure, path)


def draw_efficiency(
    path: Path, groups: Sequence[Group], costs: Sequence[float | None], cost: str, per: str
) -> None:
    """Accuracy against what it costs, and accuracy per unit of that, where the cost is known.

    Args:
        path: PNG to write.
        groups: in the order of the bars.
        costs: of each group, above 0.
        cost: what it is, with its unit, such as "million parameters".
        per: label of the bars, such as "accuracy per million parameters, %".
    """
    known = [(group, value) for group, value in zip(groups, costs, strict=True) if value]
    size = (13, max(3.4, 1.4 + 0.4 * len(known)))
    figure, (left, right) = plt.subplots(1, 2, figsize=size, layout="constrained")
    for place, (group, value) in enumerate(known):
        accuracy = group.quality["accuracy"]
        reach = None if accuracy.deviation is None else 100 * accuracy.deviation
        left.errorbar(value, 100 * accuracy.mean, reach, fmt="o", color=OURS, capsize=3)
        left.annotate(
            group.name, (value, 100 * accuracy.mean), (7, 4), textcoords="offset points", fontsize=8
        )
        right.barh(place, 100 * accuracy.mean / value, 2 * BAR, color=OURS)
    left.set(xscale="log", xlabel=cost, ylabel="accuracy, %")
    left.margins(x=0.25, y=0.15)
    left.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    left.xaxis.set_minor_formatter(NullFormatter())
    right.set_yticks(range(len(known)), [group.name for group, _ in known])
    right.invert_yaxis()
    right.set_xlabel(per)
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)
