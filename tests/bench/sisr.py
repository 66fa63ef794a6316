"""make bench-sisr: megapixels per second of scene-sr, and of onnxruntime called the client's way.

The client's way reads one tile of 1,000 output pixels with a margin of 66, runs it on all threads,
crops and writes it, and then begins with the next. Both ways enlarge the same L2A product (lossless
JPEG 2000) by the same networks: the shapes of CARN (ten bands) and of ESRGAN's generator (four),
with random weights. They take turns; the best of ROUNDS counts, and their images must be the same
up to one digital number. What a whole tile of 10,980² pixels would take is extrapolated.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import rasterio
from rasterio.windows import Window as Rectangle

from shared import cli, gdal_files, sisr_client
from shared.products import sources
from shared.sisr_client import Network, Window
from stages.scene_sr import geotiff, main, product, tiles, view
from tests import safe_products
from tests.bench import sisr_graphs
from tests.bench.safe import texture

SIDE, MARGIN, WHOLE = 1000, 66, 10_980
NETWORKS = {
    "CARN": (sisr_graphs.carn, sisr_client.BANDS),
    "ESRGAN": (sisr_graphs.esrgan, sisr_client.BANDS[:4]),
}


class Clock:
    """Seconds by what they were spent on; several at once where threads work beside each other."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def timed(self, what: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """The same call, whose seconds are kept."""

        def run(*values: Any, **flags: Any) -> Any:
            start = time.perf_counter()
            try:
                return call(*values, **flags)
            finally:
                spent = time.perf_counter() - start
                self.seconds[what] = self.seconds.get(what, 0) + spent

        return run


def write_pair(folder: Path, name: str) -> Path:
    """The network and its description."""
    build, bands = NETWORKS[name]
    folder.mkdir()
    onnx.save(build(len(bands)), folder / "network.onnx")
    content = {"model": "network.onnx", "bands": list(bands), "margin": MARGIN, "factor": 2.0}
    (folder / "network.yaml").write_text(json.dumps(content))
    return folder / "network.yaml"


def clients_way(src: Path, model: Path, dst: Path, threads: int, clock: Clock) -> None:
    """One tile after the other: read, run, crop, write."""
    told = sisr_client.read(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(told.model), options, ["CPUExecutionProvider"])
    run = clock.timed("network", session.run)
    with gdal_files.environment(product.CACHE, threads):
        seen = view.look(sources.read(src, told.bands), told)
        read = clock.timed("reading", seen.read)
        height, width = seen.product.shape
        layout = tiles.lay_out(Window(0, 0, height, width), told, SIDE)
        profile: dict[str, Any] = {
            "driver": "GTiff", "dtype": "int16", "count": len(told.bands), "tiled": True,
            "height": layout.shape[0], "width": layout.shape[1], "crs": "EPSG:32633",
        }  # fmt: skip
        with rasterio.open(dst, "w", **profile) as image:
            write = clock.timed("writing", image.write)
            for number in range(layout.counts[0] * layout.counts[1]):
                at = layout.target(number)
                (made,) = run(None, {"input": read(layout.source(number))[None]})
                inside = Window(MARGIN, MARGIN, at.height, at.width)
                pixels = sisr_client.saturate(made[0, :, inside.rows, inside.columns])
                write(pixels, window=Rectangle(at.column, at.row, at.width, at.height))


def our_way(
    src: Path, model: Path, dst: Path, flags: dict[str, Any], clock: Clock, stack: ExitStack
) -> None:
    """scene-sr, from its hashing of the inputs to the finished product."""
    for owner, name, what in (
        (view.View, "read", "reading"), (Network, "run", "network"),
        (geotiff, "write", "writing"),
    ):  # fmt: skip
        real = getattr(owner, name)
        setattr(owner, name, clock.timed(what, real))
        stack.callback(setattr, owner, name, real)
    cli.produce(main.run, {"src": src, "model": model, "dst": dst, **flags})


def compare(one: Path, two: Path) -> int:
    """The largest difference of two images."""
    with rasterio.open(one) as first, rasterio.open(two) as second:
        return int(np.abs(first.read().astype(int) - second.read()).max())


def measure(name: str, src: Path, folder: Path, given: argparse.Namespace) -> None:
    """Print a line for each way."""
    model = write_pair(folder / name, name)
    network = {"network": model.with_name("network.onnx")}
    flags = {"tile": given.tile, "threads": given.threads, "together": given.together, **network}
    best: dict[str, tuple[float, dict[str, float]]] = {}
    for number in range(given.rounds):
        for way in ("client's way", "scene-sr"):
            clock, start = Clock(), time.perf_counter()
            if way == "scene-sr":
                with ExitStack() as stack:
                    dst = folder / f"{name}-{number}"
                    our_way(src, model, dst, flags, clock, stack)
            else:
                clients_way(src, model, folder / f"{name}.tif", given.threads, clock)
            spent = time.perf_counter() - start
            if way not in best or spent < best[way][0]:
                best[way] = spent, clock.seconds
    apart = compare(folder / f"{name}.tif", folder / f"{name}-0" / "image.tif")
    pixels = (2 * given.side) ** 2
    for way, (spent, parts) in best.items():
        shares = "  ".join(f"{100 * parts.get(part, 0) / spent:7.1f}" for part in
                           ("reading", "network", "writing"))  # fmt: skip
        times = best["client's way"][0] / spent
        hours = spent * (WHOLE / given.side) ** 2 / 3600
        rate = pixels / spent / 1e6
        print(f"{name:<7} {way:<13} {spent:7.1f} {rate:8.4f} {times:6.2f} {shares} "
              f"{apart:6} {hours:8.1f}", flush=True)  # fmt: skip


def weigh(name: str, tile: int) -> float:
    """GiB that a process takes at most for one tile of a network, in the faster form."""
    code = f"""
import resource, tempfile; from pathlib import Path; import numpy
from shared.sisr_client import Network, read
from stages.scene_sr import tuning; from tests.bench import sisr
with tempfile.TemporaryDirectory() as folder:
    network = Network(read(sisr.write_pair(Path(folder) / "n", {name!r})), 1)
    tuning.speed_up(network, 1)
    side = {(tile + 2 * MARGIN) // 2}
    network.run(numpy.full((len(network.description.bands), side, side), 900, numpy.float32))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout)


def start() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=1000, help="pixels of 10 m")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--tile", type=int, default=main.Running.tile)
    parser.add_argument("--together", type=int, default=main.Running.together)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--memory", action="store_true", help="GiB of one tile, no times")
    given = parser.parse_args()
    if given.memory:
        for name in given.networks.split(","):
            print(f"{name}: {weigh(name, given.tile):.1f} GiB for a tile of {given.tile}")
        return
    print(f"{given.side} x {given.side} pixels, threads: {given.threads}, tile: {given.tile}")
    print(f"{'network':<7} {'way':<13} {'s':>7} {'Mpx/s':>8} {'times':>6} {'read %':>7} "
          f"{'net %':>7} {'write %':>7} {'apart':>6} {'whole, h':>8}")  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        src = safe_products.make_safe(Path(folder), "L2A", "05.09", given.side, texture)
        for name in given.networks.split(","):
            measure(name, src, Path(folder), given)


if __name__ == "__main__":
    start()
