"""The measurements of tests.bench.train as Markdown."""

from collections.abc import Iterable
from typing import Any

Figures = dict[str, Any]
ROWS = 352_366  # of So2Sat LCZ42, training
PUBLISHED = 166  # rows per second of the reference's loader on one core of another machine
HEAD = """# Training: the reference's way and ours

`make bench-train` on {processor}, {cores} cores, {gpu}; Python {python}, torch {torch}; load
average at the start {load:.1f}; training with {threads} threads.

## The way of a sample into the network

Rows per second. Reference: for every sample it opens the HDF5 file (float64), reads and scales all
bands, enlarges each to 224 px (nearest), warps each (OpenCV) and takes three; batches of 64 by
torch's DataLoader. Ours: three bands from integers in memory, batches of 1024, augmented at 32 px,
then enlarged (bilinear). One core: by the time of the processor; else by the clock. Memory is the
peak of the process, Python and torch in it.
"""
TRAINING = """
## Training ResNet18

Rows per second, three bands, SGD; of all members together where several share a pass. Alone:
pictures of the final size that are there already, a plain loop of torch. End to end: rows from
memory through the engine, which is also deterministic. The share is that of the faster way alone.
"""


def table(head: str, lines: Iterable[Iterable[str]]) -> str:
    """Markdown; the first column is text."""
    titles = head.split(" | ")
    rows = [titles, ["---"] + ["--:"] * (len(titles) - 1), *lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in rows) + "\n"


def number(job: Figures, key: str, factor: float = 1.0) -> str:
    """Three digits with separators, or a dash for what was not measured."""
    value = job.get(key)
    return "–" if value is None else f"{float(f'{factor * value:.3g}'):,.10g}"


def way(job: Figures) -> str:
    """Name of a loader's row."""
    if job["job"] == "reference":
        radar = ", radar too, despeckled" if job["radar"] else ""
        return f"reference, workers: {job['workers']}{radar}"
    place = "GPU" if job["device"] == "cuda" else f"cores: {job['threads']}"
    return f"ours to {job['size']} px, {place}"


def page(jobs: list[Figures], head: dict[str, Any]) -> str:
    """All of it."""
    loading = [one for one in jobs if one.get("job") in ("reference", "pipeline")]
    plain, radar = loading[0]["rate"], loading[3]["rate"]
    lines = [
        [way(one), number(one, "rate"), number(one, "rate", 1 / plain),
         number(one, "rate", 1 / radar), number(one, "rate", 1 / PUBLISHED),
         number(one, "peak_mb")]
        for one in loading
    ]  # fmt: skip
    title = "way | rows/s | × reference | × with radar | × published 166 | peak MB"
    trained = [
        [f"{one['device']}, {one['size']} px, batch {one['batch']}, {one['precision']}, "
         f"members: {one['members']}",
         number(one, "contiguous"), number(one, "channels last"), number(one, "end to end"),
         share(one), minutes(one), number(one, "peak_mb"), number(one, "gpu_mb")]
        for one in jobs if "precision" in one
    ]  # fmt: skip
    more = (
        "case | alone, contiguous | alone, channels last | end to end | share "
        f"| minutes of {ROWS:,} rows, a member | peak MB | GPU MB"
    )
    return HEAD.format(**head) + "\n" + table(title, lines) + TRAINING + "\n" + table(more, trained)


def share(job: Figures) -> str:
    """End to end of the faster way alone."""
    if "end to end" not in job:
        return "–"
    return f"{100 * job['end to end'] / max(job['contiguous'], job['channels last']):.0f} %"


def minutes(job: Figures) -> str:
    """Of an epoch of the whole of So2Sat LCZ42, one member of the pass."""
    return f"{ROWS / job['end to end'] / 60:.3g}" if "end to end" in job else "–"
