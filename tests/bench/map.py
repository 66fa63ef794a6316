"""make bench-map: windows per second of map, and of one window cut, scaled and run per call.

Every network runs on the same simulated scene, on one core and on all: the plain way, which reads
32 x 32 pixels from the file, scales them and calls onnxruntime, and map, whose classes must be the
same. What is printed is the median of ROUNDS, which take turns, and what a whole scene would take.
"""

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from shared import lcz, models, patches, scenes
from stages.map import product
from stages.map.settings import Cells, Network
from tests.bench import map_networks

SIDE, WINDOW, STEP, WHOLE = 252, 32, 10, 10_980
ROUNDS = 3
Run = Callable[[], NDArray[np.intp]]


def write_scene(path: Path) -> None:
    """Noise of several lengths, so that windows differ."""
    rng = np.random.default_rng(0)
    coarse = [rng.random((SIDE // n + 1, SIDE // n + 1, 10)) for n in (1, 8, 64)]
    layers = [
        part.repeat(n, 0).repeat(n, 1)[:SIDE, :SIDE]
        for part, n in zip(coarse, (1, 8, 64), strict=True)
    ]
    header = scenes.Header(scenes.Grid.utm(32632, 6e5, 53e5))
    with scenes.create_scene(path, (SIDE, SIDE), header) as sink:
        for window in sink.todo("scene"):
            sink.put(window, 0.1 * np.sum(layers, 0)[window.slices])


def write_model(folder: Path, network: onnx.ModelProto, images: NDArray[np.float32]) -> None:
    """A model folder with the network and its INT8 form."""
    folder.mkdir()
    onnx.save(network, folder / "model.onnx")
    map_networks.quantise(folder / "model.onnx", folder / "model_int8.onnx", images)
    card = models.Card(
        "model.onnx", folder.name, lcz.SEN2.bands, (0.05,) * 10, (0.02,) * 10, WINDOW, "bilinear",
        lcz.CLASSES,
    )  # fmt: skip
    models.save(folder, [card], int8="model_int8.onnx")


def plainly(scene: Path, folder: Path, precision: str, threads: int) -> Run:
    """One window cut, scaled and run per call, in a loop."""
    card = models.load(folder)[0]
    name = card.file if precision == "fp32" else "model_int8.onnx"
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        folder / name, options, providers=["CPUExecutionProvider"]
    )

    def run() -> NDArray[np.intp]:
        found = []
        with scenes.open_scene(scene) as source:
            for row in range(0, SIDE - WINDOW + 1, STEP):
                for column in range(0, SIDE - WINDOW + 1, STEP):
                    patch = lcz.SEN2.scale(source.window(row, column, WINDOW, WINDOW))
                    image = models.preprocess(patch[None].astype(np.float32), card)
                    found.append(session.run(None, {"image": image})[0].argmax())
        return np.array(found)

    return run


def mapped(scene: Path, folder: Path, precision: Any, threads: int) -> Run:
    """As map does it, scores in a file."""

    def run() -> NDArray[np.intp]:
        with tempfile.TemporaryDirectory() as place:
            network = Network(precision=precision, threads=threads)
            product.classify(scene, Path(place), folder, Cells(STEP, WINDOW), network, shard="1/1")
            with patches.read(Path(place) / product.SCORES, "scores") as source:
                found: NDArray[np.intp] = source["scores"].raw(slice(None)).argmax(-1).ravel()
        return found

    return run


def measure(ways: dict[str, Run]) -> tuple[dict[str, float], float]:
    """Median windows per second of each way, and the share of windows with equal classes."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    said: dict[str, NDArray[np.intp]] = {}
    for _ in range(ROUNDS):
        for name, run in ways.items():
            start = time.perf_counter()
            said[name] = run()
            times[name].append(len(said[name]) / (time.perf_counter() - start))
    first, *others = said.values()
    equal = min((float((other == first).mean()) for other in others), default=1.0)
    return {name: float(np.median(rates)) for name, rates in times.items()}, equal


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, help="a model folder with networks of 32 x 32 pixels")
    given = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    alone, together = map_networks.count_shared(STEP)
    print(
        f"ResNet20: {alone / 1e6:.1f} million multiplications a window, {together / 1e6:.1f} if "
        f"overlapping windows shared all that is the same: at most {alone / together:.2f} times"
    )
    windows = ((WHOLE - WINDOW) // STEP + 1) ** 2
    print(f"{'network':16} {'cores':>5} {'plain/s':>8} {'map/s':>8} {'times':>6} {'equal':>7} "
          f"{'scene of 10,980²':>17}")  # fmt: skip
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_scene(folder / "scene.h5")
        images = np.random.default_rng(1).standard_normal((64, 10, WINDOW, WINDOW), np.float32)
        for name, build in (
            ("resnet20", map_networks.resnet20),
            ("resnet18", map_networks.resnet18),
        ):
            write_model(folder / name, build(), images)
        if given.model:
            shutil.copytree(given.model, folder / "given")
        kinds = [(n, p) for n in ("resnet20", "resnet18") for p in ("fp32", "int8")]
        for name, precision in [*kinds, *([("given", "fp32")] if given.model else [])]:
            for threads in sorted({1, cores}):
                each = folder / "scene.h5", folder / name, precision, threads
                rates, equal = measure({"plain": plainly(*each), "map": mapped(*each)})
                whole = windows / rates["map"] / 60
                print(f"{name + ' ' + precision:16} {threads:5} {rates['plain']:8.0f} "
                      f"{rates['map']:8.0f} {rates['map'] / rates['plain']:6.2f} {equal:7.2%} "
                      f"{whole:13.1f} min")  # fmt: skip


if __name__ == "__main__":
    main()
