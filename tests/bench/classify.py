"""Classes of a folder of pictures on the CPU: one by one, as before, and as the check does it.

    .venvs/export/bin/python -m tests.bench.classify --out data/bench

Writes classify.md and classify.json. The reference reads and prepares one picture after the other,
and runs rows beside each other in calls of one; both take turns. Networks have random weights.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image

from shared import onnx_graphs
from shared.models import Card
from shared.pictures import read_picture
from shared.voyager import Bundle, Network, open_bundle, preprocess, sdk_folder
from stages.export import check_bundles, inference, static_graph
from tests.bench import table
from tests.bench.edge import CLASSES, ROOT, TRAINER, hardware

SIDE = 32  # of the pictures, as those of So2Sat
STUDENTS = {"resnet18": 48, "mobilenetv3_small_100": 32, "student-light": 64}
HEAD = """# Pictures classified on a CPU

`make bench-classify` on {hardware}; onnxruntime {onnxruntime}; load average at the start
{load:.1f}.

{pictures} PNG files of {side} × {side} pixels by `check --bundle … --images`, {threads} threads,
the opening of the network included; the median of {turns} turns, in which both ways are run, and in
brackets the slowest and the fastest. One by one: pictures are read and prepared one after the
other, rows run beside each other in calls of one. Now: each thread reads, prepares and classifies
{batch} at a time. Largest: the largest difference between the logits of both, as a share of the
largest logit.

"""


def bundle(folder: Path, name: str, side: int, network: Path) -> Bundle:
    """A bundle's YAML and network, without its pictures."""
    card = Card("", name, ("B4", "B3", "B2"), (0.0,) * 3, (1.0,) * 3, side, "bilinear", CLASSES)
    fitted = static_graph.make_static(onnx_graphs.load(network), card, network)
    place = folder / f"bundle-{name}"
    place.mkdir()
    (place / "model.onnx").write_bytes(fitted.SerializeToString())
    resize = {
        "width": side, "height": side, "half_pixel_centers": True, "interpolation": "bilinear",
    }  # fmt: skip
    steps = [{"resize": resize}, {"normalize": {"mean": "0.1, 0.1, 0.1", "std": "0.1, 0.1, 0.1"}}]
    content = {
        "name": name,
        "pipeline": [{"classification": {"model_name": name, "preprocess": steps}}],
        "models": {name: {"weight_path": f"{sdk_folder(name)}/model.onnx"}},
    }
    (place / f"{name}.yaml").write_text(yaml.safe_dump(content))
    return open_bundle(place)


def one_by_one(opened: Bundle, paths: list[Path], threads: int) -> NDArray[np.float32]:
    """(N, K) as the check computed it before it worked in blocks."""
    network, parts = Network(opened.network, threads), []
    for start in range(0, len(paths), 64):
        block = paths[start : start + 64]
        ready = [preprocess(read_picture(path)[None], opened.steps) for path in block]
        parts.append(network(np.concatenate(ready)))
    return np.concatenate(parts)


Way = Callable[[Bundle, list[Path], int], NDArray[np.float32]]
WAYS: dict[str, Way] = {"one by one": one_by_one, "now": check_bundles.logits}


def measure(opened: Bundle, paths: list[Path], threads: int, turns: int) -> dict[str, Any]:
    """Rows per second of each turn by way, and how far the logits are apart."""
    speeds: dict[str, list[float]] = {name: [] for name in WAYS}
    found: dict[str, NDArray[np.float32]] = {}
    for _ in range(turns):
        for name, way in WAYS.items():
            began = time.perf_counter()
            found[name] = way(opened, paths, threads)
            speeds[name].append(len(paths) / (time.perf_counter() - began))
    before, now = found.values()
    return {"speeds": speeds, "apart": float(np.abs(before - now).max() / np.abs(before).max())}


def page(result: dict[str, Any]) -> str:
    """The measurements as Markdown."""
    lines = []
    for name, case in result["students"].items():
        middles = {way: float(np.median(speeds)) for way, speeds in case["speeds"].items()}
        cells = [f"{name}, {case['side']}"]
        for way, speeds in case["speeds"].items():
            cells.append(f"{middles[way]:.0f} ({min(speeds):.0f} … {max(speeds):.0f})")
        before, now = middles.values()
        lines.append([*cells, f"**{now / before:.1f}**", f"{case['apart']:.1e}"])
    head = ["student", *(f"{way}, rows/s" for way in WAYS), "×", "largest"]
    return HEAD.format(**result) + table.rows(head, lines)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for classify.md")
    parser.add_argument("--pictures", type=int, default=2000, help="how many files")
    parser.add_argument("--turns", type=int, default=5, help="of each way")
    given = parser.parse_args()
    if not TRAINER.exists():
        sys.exit(f"error: {TRAINER}: no such file; make .venvs/distill/made")
    threads, load, rng = len(os.sched_getaffinity(0)), os.getloadavg()[0], np.random.default_rng(0)
    students: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        words = [f"{student}:{side}" for student, side in STUDENTS.items()]
        line = [TRAINER, "-W", "ignore", "-m", "tests.bench.edge_students", folder, *words]
        subprocess.run(list(map(str, line)), cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        (folder / "pictures").mkdir()
        paths = [folder / "pictures" / f"{place:05d}.png" for place in range(given.pictures)]
        for path in paths:
            tile = rng.integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)
            Image.fromarray(tile).save(path)
        for student, side in STUDENTS.items():
            opened = bundle(folder, student, side, folder / f"{student}.onnx")
            case = measure(opened, paths, threads, given.turns)
            students[student] = {"side": side, **case}
    result = {
        "hardware": hardware(), "onnxruntime": inference.onnxruntime.__version__, "load": load,
        "pictures": given.pictures, "side": SIDE, "threads": threads, "turns": given.turns,
        "batch": check_bundles.BATCH, "students": students,
    }  # fmt: skip
    text = page(result)
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "classify.json").write_text(json.dumps(result, indent=1) + "\n")
    (given.out / "classify.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
