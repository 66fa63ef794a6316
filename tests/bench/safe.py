"""scene beside rasterio alone: MB per second from the same JPEG 2000 files, and peak memory.

    .venvs/scene/bin/python -m tests.bench.safe --sides 1380,2760

An L2A product in the published layout is made for each side: ten bands in tiles of 1024 pixels,
lossless, with texture that takes about as many bits as that of real products. rasterio reads each
band once, block by block, with the same cache; `scene` reads, enlarges, masks and writes. MB are
those of the decoded bands. Every figure is the processor time of a process of its own, imports left
out, of which the best of ROUNDS counts; the rounds go through both in turn.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from tests import safe_products

CODE = {
    "rasterio alone": """
import rasterio
from rasterio.windows import Window
with rasterio.Env(GDAL_CACHEMAX=512 * 2**20, GDAL_NUM_THREADS=threads):
    for path in sorted(folder.rglob("*.jp2")):
        if "_SCL_" in path.name or path.parent.name == finest(path.name):
            with rasterio.open(path) as image:
                for top in range(0, image.height, 256):
                    high = min(256, image.height - top)
                    image.read(1, window=Window(0, top, image.width, high))
""",
    "scene": """
from shared import cli
from stages.scene import main
cli.produce(main.run, {"src": folder, "dst": dst, "threads": threads})
""",
}
HEAD = """
import resource, sys, time; from pathlib import Path
import h5py, numpy, rasterio, rasterio.vrt
from tests.bench.safe import finest
folder, dst, threads = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
start = time.process_time()
"""
TAIL = """
seconds = time.process_time() - start
print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""
ROUNDS = 3
BITS = 60.0  # digital numbers of texture: 7 bits a pixel


def finest(name: str) -> str:
    """The folder of the finest image of a band that scene takes, such as R10m."""
    band = next((part for part in name.split("_") if part in safe_products.METRES), "")
    return f"R{safe_products.METRES[band]}m" if band else ""


def texture(name: str, metres: int, size: int) -> np.ndarray:
    """Digital numbers: slopes over kilometres, and noise that the next pixels share in part."""
    side = size * 10 // metres
    rng = np.random.default_rng((safe_products.ORDER.index(name), metres))
    noise = rng.standard_normal((side, side), np.float32)
    noise[1:] += 0.7 * noise[:-1]
    noise[:, 1:] += 0.7 * noise[:, :-1]
    slope = np.add.outer(np.arange(side), np.arange(side)) / side
    return np.clip(1400 + 900 * slope + BITS * noise, 1001, 9000).astype(np.uint16)


def decoded(side: int) -> float:
    """MB of ten bands and SCL, decoded."""
    return side * side * (4 * 2 + 6 * 2 / 4 + 1 / 4) / 1e6


def run(what: str, folder: Path, dst: Path, threads: int) -> tuple[float, float]:
    """Seconds and MB of memory of one process."""
    for left in dst.parent.glob(dst.name + "*"):
        left.unlink()
    done = subprocess.run(
        [sys.executable, "-c", HEAD + CODE[what] + TAIL, str(folder), str(dst), str(threads)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    seconds, memory = map(float, done.stdout.split()[-2:])
    return seconds, memory


def measure(side: int, threads: int) -> list[tuple[object, ...]]:
    """One line for each way of reading."""
    with tempfile.TemporaryDirectory() as folder:
        safe = safe_products.make_safe(Path(folder), "L2A", "05.09", side, texture)
        dst = Path(folder) / "scene.h5"
        runs: dict[str, list[tuple[float, float]]] = {what: [] for what in CODE}
        for _ in range(ROUNDS):
            for what in CODE:
                runs[what].append(run(what, safe, dst, threads))
        base = min(seconds for seconds, _ in runs["rasterio alone"])
        lines: list[tuple[object, ...]] = []
        for what, results in runs.items():
            best = min(seconds for seconds, _ in results)
            memory = max(peak for _, peak in results)
            rate = f"{decoded(side) / best:.0f}"
            lines.append((side, what, f"{best:.1f}", rate, f"{best / base:.2f}", f"{memory:.0f}"))
        return lines


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sides", default="1380,2760")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    print(f"{'side':>6} {'reader':<16} {'s':>7} {'MB/s':>6} {'times':>6} {'memory, MB':>11}")
    for side in map(int, given.sides.split(",")):
        for line in measure(side, given.threads):
            print("{:>6} {:<16} {:>7} {:>6} {:>6} {:>11}".format(*line), flush=True)


if __name__ == "__main__":
    main()
