"""Students on this computer's CPU, FP32 and INT8, beside what is published for the accelerator.

    .venvs/export/bin/python -m tests.bench.edge --out data/bench

Writes edge.md and edge.json. Networks as the stage exports them, with random weights.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from shared import onnx_graphs
from shared.models import Card
from stages.export import calibration, inference, int8_quantisation, static_graph
from stages.export.metis_lint import judge
from stages.export.metis_rules import VERSIONS
from tests.bench import edge_table

ROOT = Path(__file__).resolve().parents[2]
TRAINER = ROOT / ".venvs" / "distill" / "bin" / "python"
STUDENTS = {
    "resnet18": 224, "mobilenetv4_conv_medium": 224, "efficientnet_b0": 224,
    "mobilenetv3_small_100": 32,
}  # fmt: skip
CLASSES = tuple(f"class {k}" for k in range(17))
THREADS = (1, 2)
LEAST, MOST = {1: 1000}, 4000  # calls of each; with one row enough that one in a thousand shows
COUNTERS = Path("/sys/class/powercap")


def made(name: str, side: int, folder: Path) -> dict[str, Path]:
    """FP32 and INT8 files of a student, the latter with the ranges that random pictures give."""
    card = Card("", name, ("B4", "B3", "B2"), (0.0,) * 3, (1.0,) * 3, side, "bilinear", CLASSES)
    source = folder / f"{name}.onnx"
    fitted = static_graph.make_static(onnx_graphs.load(source), card, source)
    files = {kind: folder / f"{name}.{kind}.onnx" for kind in ("fp32", "int8")}
    files["fp32"].write_bytes(fitted.SerializeToString())
    opened = calibration.InstrumentedNetwork(files["fp32"], folder)
    values = opened(np.random.default_rng(0).standard_normal((3, side, side)).astype(np.float32))
    observers = opened.observers()
    for observer, array in zip(observers.values(), values, strict=True):
        observer.observe(array)
    int8_quantisation.quantise(
        files["fp32"], files["int8"], observers=observers, scheme="per_tensor_histogram"
    )
    return files


def joules() -> float | None:
    """Energy counters of all processor packages, or None where there are none to read."""
    try:  # beside the packages there may be "psys", which counts them once more
        packages = [p for p in COUNTERS.glob("intel-rapl:*/name") if "package" in p.read_text()]
        readings = [path.with_name("energy_uj").read_text() for path in packages]
    except OSError:
        return None
    return sum(map(int, readings)) / 1e6 if readings else None


def energy(network: Path, threads: int, seconds: float) -> float | None:
    """Joules of one row, over so many seconds of calls; None where they cannot be read."""
    if joules() is None:
        return None
    session = inference.open_session(network, threads)
    first = session.get_inputs()[0]
    feed = {first.name: np.zeros(first.shape, np.float32)}
    session.run(None, feed)
    before, rows, end = joules(), 0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        session.run(None, feed)
        rows += 1
    after = joules()
    spent = None if before is None or after is None else after - before
    return None if spent is None or spent < 0 else spent / rows  # below 0: a counter began anew


def measure(files: dict[str, Path], seconds: float) -> Iterator[dict[str, Any]]:
    """One line per number of threads and kind of network."""
    for threads in THREADS:
        spent: dict[str, dict[int, np.ndarray]] = {kind: {} for kind in files}
        for rows in inference.BATCHES:
            first = inference.time_runs(files, rows, 1, 0, threads)
            both = sum(float(times[0]) for times in first.values()) / 1e3
            runs = int(np.clip(seconds / both, LEAST.get(rows, 3), MOST))
            for kind, times in inference.time_runs(files, rows, runs, 0, threads).items():
                spent[kind][rows] = times
        for kind, path in files.items():
            speeds = {r: 1e3 * r / float(np.median(times)) for r, times in spent[kind].items()}
            yield {
                "kind": kind, "threads": threads, "mb": path.stat().st_size / 1e6,
                "runs": len(spent[kind][1]), "rows_per_second": speeds,
                "joules": energy(path, threads, seconds), **edge_table.distribution(spent[kind][1]),
            }  # fmt: skip


def hardware() -> str:
    """The processor's name, its cores, and whether it multiplies 8-bit numbers natively."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    pairs = [line.partition(":") for line in lines]
    fields = {name.strip(): value.strip() for name, _, value in pairs}
    units = sorted(
        {"avx2", "avx_vnni", "avx512_vnni", "amx_int8"} & {*fields.get("flags", "").split()}
    )
    named = fields.get("model name", platform.processor())
    return f"{named}, {os.cpu_count()} cores ({', '.join(units) or 'no known units'})"


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for edge.md and edge.json")
    parser.add_argument("--seconds", type=float, default=1, help="of runs for each measurement")
    parser.add_argument("--only", choices=STUDENTS, help="one of the students")
    given = parser.parse_args()
    if not TRAINER.exists():
        sys.exit(f"error: {TRAINER}: no such file; make .venvs/distill/made")
    chosen = {given.only: STUDENTS[given.only]} if given.only else STUDENTS
    students: dict[str, Any] = {}
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        words = [f"{name}:{side}" for name, side in chosen.items()]
        line = [TRAINER, "-W", "ignore", "-m", "tests.bench.edge_students", folder, *words]
        subprocess.run(list(map(str, line)), cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        for name, side in chosen.items():
            print(name, file=sys.stderr)
            files = made(name, side, Path(folder))
            lines = list(measure(files, given.seconds))
            network = onnx_graphs.load(files["fp32"])
            judged = {version: judge(network, version) for version in VERSIONS}
            students[name] = {
                "side": side, "lines": lines,
                "accelerated": {version: one.share() for version, one in judged.items()},
                "refusals": {version: len(one.refusals()) for version, one in judged.items()},
            }  # fmt: skip
    result = {
        "hardware": hardware(),
        "onnxruntime": inference.onnxruntime.__version__,
        "load": load,
    }
    result |= {"students": students}
    text = edge_table.page(result)
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "edge.json").write_text(json.dumps(result, indent=1) + "\n")
    (given.out / "edge.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
