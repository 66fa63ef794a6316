"""The stage as a user runs it: from patch file to features file, and what compression would do."""

import json
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from shared import lcz, patches

Textures = Callable[[int, int], dict[str, np.ndarray]]


def measure(folder: Path, rows: int, textures: Textures) -> dict[str, Any]:
    """Seconds and memory of a small and a large file, and the cost of storing features."""
    small, large = (write(folder / f"{n}.h5", n, textures) for n in (rows // 4, rows))
    runs = [
        run(src, folder / f"{src.stem}-{jobs}.h5", jobs)
        for jobs in sorted({1, cores()})
        for src in (small, large)
    ]
    per_band = {}
    for jobs in sorted({line["jobs"] for line in runs}):
        few, many = (line for line in runs if line["jobs"] == jobs)
        bands = (many["rows"] - few["rows"]) * many["bands"]
        per_band[jobs] = 1e3 * (many["seconds"] - few["seconds"]) / bands
    return {
        "runs": runs,
        "per_band_ms": per_band,
        "one_process_ms": serial(large, folder / f"{rows}-1.h5", folder / "serial.h5"),
        "storage": storage(folder, rows),
    }


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def write(path: Path, rows: int, textures: Textures) -> Path:
    """A patch file of smooth bands with noise, 32 x 32, stored as `prepare` does."""
    field = patches.Field((32, 32, 10), "uint16", lcz.SEN2)
    label = patches.Field((17,), "uint8")
    band = textures(32, 1024)["smooth + noise"].clip(0, 255) * 2.8 / 255
    rng, classes = np.random.default_rng(1), np.eye(17, dtype=np.uint8)
    with patches.Writer(path, rows, classes=lcz.CLASSES, sen2=field, label=label) as sink:
        for block in sink.todo(256):
            count = block.stop - block.start
            chosen = band[rng.integers(0, len(band), (count, 10))]
            sink.put(
                block,
                sen2=np.moveaxis(chosen, 1, -1).astype(np.float32),
                label=classes[np.arange(block.start, block.stop) % 17],
            )
    return path


def run(src: Path, dst: Path, jobs: int) -> dict[str, Any]:
    """One run of the stage in a process of its own, start-up included."""
    command = [sys.executable, "-m", "stages.tda.main"]
    flags = [f"--src={src}", f"--dst={dst}", f"--jobs={jobs}"]
    start = time.perf_counter()
    subprocess.run([*command, *flags], check=True, capture_output=True)
    seconds = time.perf_counter() - start
    record = json.loads(dst.with_name(f"{dst.name}.run.json").read_text())
    with h5py.File(src) as file:
        shape = file["sen2"].shape
    peak = record["peak_memory_bytes"] / 1e6
    return {"rows": shape[0], "bands": shape[3], "jobs": jobs, "seconds": seconds, "peak_mb": peak}


def serial(src: Path, features: Path, dst: Path) -> float:
    """Milliseconds per band that the reading and writing process needs, however many compute."""
    with patches.read(src, "sen2", "label") as source, patches.read(features, "features") as made:
        field = patches.Field(made["features"].shape[1:], "float16")
        stored = [made["features"].raw(slice(n, n + 64)) for n in range(0, source.total, 64)]
        start = time.process_time()
        with patches.Writer(dst, source.total, like=source, features=field) as sink:
            for rows, block in zip(sink.todo(64), stored, strict=True):
                pickle.dumps(source["sen2"][rows])
                sink.put(rows, features=pickle.loads(pickle.dumps(block)))
        seconds = time.process_time() - start
        return 1e3 * seconds / source.total / source["sen2"].shape[3]


def storage(folder: Path, rows: int) -> list[dict[str, Any]]:
    """The features of the large file, written again with each filter HDF5 always has."""
    with h5py.File(folder / f"{rows}-1.h5") as file:
        features = file["features"][: min(rows, 1000)]
    lines = []
    ways: dict[str, dict[str, Any]] = {
        "none (as stored)": {},
        "lzf": {"compression": "lzf"},
        "shuffle, lzf": {"compression": "lzf", "shuffle": True},
        "shuffle, gzip 1": {"compression": "gzip", "compression_opts": 1, "shuffle": True},
        "shuffle, gzip 4": {"compression": "gzip", "compression_opts": 4, "shuffle": True},
    }
    for name, filters in ways.items():
        path = folder / "filtered.h5"
        start = time.process_time()
        with h5py.File(path, "w") as file:
            chunks = (min(len(features), 29), features.shape[1])
            file.create_dataset("features", data=features, chunks=chunks, **filters)
        seconds = time.process_time() - start
        size = path.stat().st_size / len(features)
        lines.append({"filter": name, "bytes": size, "ms": 1e3 * seconds / len(features) / 10})
    return lines
