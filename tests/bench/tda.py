"""Speed of topological features: the reference way, its libraries and ours, side by side.

    .venvs/tda/bin/python -m tests.bench.tda --out data/bench

Writes tda.md and tda.json. Times are milliseconds of one core per band, the least of several runs.
"""

import argparse
import functools
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import numpy as np  # noqa: E402

from shared import lcz  # noqa: E402
from stages.tda import diagrams, grids, images, settings, vectors  # noqa: E402
from tests.bench import tda_files, tda_ways  # noqa: E402

SIDES = (32, 64, 96, 128)
FAST_PIXELS = 2**18  # patches of one run: 256 of 32 x 32
SLOW_PATCHES = {32: 16, 64: 6, 96: 4, 128: 2}
BANDS = 18 * (352_366 + 24_188)  # So2Sat LCZ42, training and testing, both sensors
CORES = 12


def textures(side: int, count: int) -> dict[str, np.ndarray]:
    """(count, side, side) each: smooth, smooth + noise, noise, in units of the scaled band."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(0)
    rough, noise = rng.standard_normal((2, count, side, side))
    smooth = gaussian_filter(rough, (0, 3, 3), mode="wrap")
    smooth /= smooth.std((1, 2), keepdims=True)
    made = {
        "smooth": 60 + 12 * smooth,
        "smooth + noise": 60 + 12 * smooth + 4 * noise,
        "noise": 60 + 12 * noise,
    }
    step = 255 / 2.8e4  # values as a file of integers has them
    return {name: np.round(values / step) * step for name, values in made.items()}


def least(work: Callable[[], object], bands: int, runs: int) -> float:
    """Milliseconds of processor time per band, the least of several runs after a first one."""
    work()
    seconds = []
    for _ in range(runs):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return 1e3 * min(seconds) / bands


def ours(band: np.ndarray, setting: settings.Setting) -> tuple[Callable[[], object], ...]:
    """Diagrams, images from them, and the whole chain as the stage runs it."""
    block = band.astype(np.float32)[..., None]
    ends = vectors.find_ends(block, setting)[0]
    pairs = [(ends[d][0], ends[d][1]) for d in diagrams.DIMENSIONS]
    table = np.array([[grids.axes(birth, length, setting) for birth, length in pairs]])
    runs = [band[first : first + vectors.CHUNK] for first in range(0, len(band), vectors.CHUNK)]
    chunks = [diagrams.points(run, False) for run in runs]

    def draw() -> None:
        for run, both in zip(runs, chunks, strict=True):
            for d, points in enumerate(both):
                images.image(points, len(run), table[0, d], setting.bins, setting.sigma)

    return (
        lambda: [diagrams.points(run, False) for run in runs],
        draw,
        lambda: vectors.features(block, table, setting),
    )


def row(side: int, texture: str, way: str, *times: float | None) -> dict[str, Any]:
    """One line of the table; the whole is the sum where it was not measured as one."""
    computed, drawn, whole = (*times, None, None, None)[:3]
    if whole is None and computed is not None and drawn is not None:
        whole = computed + drawn
    return {
        "side": side, "texture": texture, "way": way,
        "diagrams": computed, "images": drawn, "both": whole,
    }  # fmt: skip


def measure(sides: tuple[int, ...], runs: int) -> Iterator[dict[str, Any]]:
    """Every way on every texture and size."""
    setting = settings.Setting("rgb", lcz.Layout(("B4",), 0.0, 255.0), 30, 0.5, False)
    for side in sides:
        for texture, band in textures(side, max(16, FAST_PIXELS // side**2)).items():
            print(f"{side} {texture}", file=sys.stderr)
            few = band[: SLOW_PATCHES[side]]
            for way, (find, draw) in tda_ways.slow(few).items():
                draw_time = least(draw, len(few), min(runs, 3)) if draw is not None else None
                yield row(side, texture, way, least(find, len(few), min(runs, 3)), draw_time)
            for way, run in tda_ways.fast().items():
                work = functools.partial(run, band) if run else None
                yield row(side, texture, way, least(work, len(band), runs) if work else None)
            yield row(
                side, texture, "ours", *(least(w, len(band), runs) for w in ours(band, setting))
            )


def table(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Markdown, one table per size."""
    for side in sorted({r["side"] for r in rows}):
        yield f"\n### {side} x {side}, ms per band on one core\n"
        head = "texture | way | diagrams | images | both | reference : this | giotto batched : this"
        yield f"| {head} |"
        yield "|---|---|---|---|---|---|---|"
        for line in (r for r in rows if r["side"] == side):
            peers = {r["way"]: r["both"] for r in rows if _place(r) == _place(line)}
            times = [_number(line[key]) for key in ("diagrams", "images", "both")]
            ratios = [
                f"{peers[name] / line['both']:.3g}" if line["both"] else "–"
                for name in ("reference", "giotto batched")
            ]
            yield f"| {line['texture']} | {line['way']} | {' | '.join(times + ratios)} |"


def _place(line: dict[str, Any]) -> tuple[Any, Any]:
    return line["side"], line["texture"]


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def closing(rows: list[dict[str, Any]], files: dict[str, Any]) -> Iterator[str]:
    """What the numbers mean for the whole of So2Sat LCZ42."""
    yield "\n### End to end, with HDF5\n"
    for line in files["runs"]:
        yield (
            f"- {line['rows']} patches of {line['bands']} bands, {line['jobs']} processes: "
            f"{line['seconds']:.2f} s, peak {line['peak_mb']:.0f} MB"
        )
    for jobs, each in files["per_band_ms"].items():
        yield f"- per band with {jobs} processes, start-up aside: {each:.4f} ms"
    yield "\n### Storage of the features\n"
    yield "| filter | bytes per patch | ms per band to write |\n|---|---|---|"
    for line in files["storage"]:
        yield f"| {line['filter']} | {line['bytes']:.0f} | {line['ms']:.4f} |"
    yield f"\n### All {BANDS:,} bands of So2Sat LCZ42, 32 x 32\n"
    for line in rows:
        if line["side"] == 32 and line["way"] in ("reference", "giotto batched", "ours"):
            hours = BANDS * line["both"] / 3.6e6
            yield (
                f"- {line['texture']}, {line['way']}: {hours:.2f} core hours, "
                f"{60 * hours / CORES:.1f} minutes on {CORES} cores"
            )
    minutes = BANDS / 6e4 * np.array([files["per_band_ms"][1] / CORES, files["one_process_ms"]])
    yield (
        f"- smooth + noise, ours, end to end on {CORES} cores: {minutes.max():.1f} minutes; the "
        f"reading and writing process alone takes {files['one_process_ms']:.4f} ms per band, "
        f"{minutes[1]:.1f} minutes"
    )


def hardware() -> str:
    """The processor's name, where the system says, and how many cores this process may use."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    named = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return f"{(named or [platform.processor()])[0]}, {os.cpu_count()} cores"


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for tda.md and tda.json")
    parser.add_argument("--sides", type=int, nargs="+", default=SIDES)
    parser.add_argument("--runs", type=int, default=9, help="repetitions of the fast ways")
    parser.add_argument("--rows", type=int, default=4000, help="patches of the larger file")
    given = parser.parse_args()
    rows = list(measure(tuple(given.sides), given.runs))
    with tempfile.TemporaryDirectory() as folder:
        files = tda_files.measure(Path(folder), given.rows, textures)
    lines = [f"Hardware: {hardware()}; Python {platform.python_version()}", *table(rows)]
    text = "\n".join([*lines, *closing(rows, files)]) + "\n"
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "tda.md").write_text(text)
    content = {"hardware": hardware(), "per_band": rows, "files": files}
    (given.out / "tda.json").write_text(json.dumps(content, indent=1) + "\n")
    print(text)


if __name__ == "__main__":
    main()
