"""Classifiers side by side over several seeds: how good, how sure, how large, how fast."""

from pathlib import Path
from typing import Annotated

from shared import cli, models


def run(
    *, src: tuple[Path, ...], dst: Path, latency_runs: Annotated[int, cli.at_least(0)] = 100
) -> None:
    """Compare classifiers; products called NAME-SEED are repetitions of NAME.

    Args:
        src: score folders of teacher, fusion, sumrule or distill, joined by commas, all of the same
            test rows. A student's twin without a teacher, which lies in it, is compared with it.
        dst: folder to write: compare.csv with one line per name, runs.csv with one per product,
            table.tex, quality.png, gain.png (over the twins), efficiency.png, latency.csv and
            latency.png.
        latency_runs: timed runs of the networks of each name, 0 for none. Products without an
            ONNX file, such as those of sumrule, are not timed.
    """
    from stages.compare import charts, latency, products, summary, tables

    runs = products.read(src)
    groups = summary.summarise(runs)
    dst.mkdir(exist_ok=True)
    tables.write_csv(dst / "compare.csv", tables.group_lines(groups))
    tables.write_csv(dst / "runs.csv", tables.run_lines(runs))
    (dst / "table.tex").write_text(tables.format_latex(groups), encoding="utf-8")
    charts.draw_quality(dst / "quality.png", groups)
    if any(group.gain for group in groups):
        charts.draw_gain(dst / "gain.png", groups)
    sizes = [group.parameters and group.parameters / 1e6 for group in groups]
    if any(sizes):
        per = "accuracy per million parameters, %"
        charts.draw_efficiency(dst / "efficiency.png", groups, sizes, "million parameters", per)
    timed = [g for g in groups if (g.runs[0].folder / models.MODEL_FILE).is_file()]
    if timed and latency_runs:
        times = latency.measure([group.runs[0].folder for group in timed], latency_runs)
        tables.write_csv(dst / "latency.csv", tables.latency_lines(timed, times))
        per, cost = "accuracy per ms, %", "ms per row on one thread of this computer"
        charts.draw_efficiency(dst / "latency.png", timed, times, cost, per)


if __name__ == "__main__":
    cli.main(run)
