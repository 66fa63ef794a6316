"""What a super-resolved product costs on disk in each format, and what overlapping saves.

    .venvs/sr_vdsr/bin/python -m tests.bench.storage src.h5

Started by tests.bench.sr; the last line of stdout is JSON.
"""

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from shared import cli, patches
from shared.patches.fields import CHUNK_BYTES
from shared.sr import bands, forward, stream
from shared.sr.networks import vdsr

KINDS: dict[str, dict[str, Any]] = {
    "none": {}, "lzf": {"compression": "lzf"},
    "lzf, shuffle": {"compression": "lzf", "shuffle": True},
    "gzip 1, shuffle": {"compression": "gzip", "compression_opts": 1, "shuffle": True},
}  # fmt: skip
SCALE, ROUNDS = 2, 7
ROWS = 36  # whole chunks at this scale


class AtOnce:
    """An executor without threads: what is submitted is done before it returns."""

    def __init__(self, workers: int) -> None:
        assert workers == 1

    def __enter__(self) -> "AtOnce":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def submit(self, work: Callable[..., Any], *given: Any, **named: Any) -> "Future[Any]":
        done: Future[Any] = Future()
        done.set_result(work(*given, **named))
        return done


def enlarge_sample(src: Path) -> np.ndarray:
    """(ROWS, 64, 64, 10) reflectance as super-resolution makes it, here by bicubic enlargement."""
    with patches.read(src, "sen2") as source:
        sen2 = source["sen2"][:ROWS]
    large = vdsr.resize_bicubic(torch.from_numpy(bands.to_planes(sen2)), SCALE).numpy()
    return bands.to_images(large, sen2.shape[-1]).clip(0, 2.8)


def formats(large: np.ndarray, folder: Path) -> list[dict[str, Any]]:
    """Bytes and milliseconds a patch of each type and compression; files stay in the page cache."""
    stored = {"uint16": np.round(large * 1e4).astype("uint16"), "float16": large.astype("float16")}
    lines = []
    for kind, values in stored.items():
        rows = max(1, CHUNK_BYTES // values[0].nbytes)
        error = float(np.abs(values / (1e4 if kind == "uint16" else 1) - large).max())
        for name, flags in KINDS.items():
            path, spent = folder / "x.h5", []
            for _ in range(ROUNDS):
                path.unlink(missing_ok=True)
                start = time.perf_counter()
                with h5py.File(path, "w") as file:
                    chunks = (rows, *values.shape[1:])
                    file.create_dataset("sen2", data=values, chunks=chunks, **flags)
                written = time.perf_counter()
                with h5py.File(path) as file:
                    np.asarray(file["sen2"])
                spent.append((written - start, time.perf_counter() - written))
            write, read = (
                1e3 * statistics.median(part) / len(large) for part in zip(*spent, strict=True)
            )
            lines.append({
                "type": kind, "compression": name, "kb": path.stat().st_size / len(large) / 1e3,
                "write_ms": write, "read_ms": read, "largest_error": error,
            })  # fmt: skip
    return lines


def time_stream(src: Path, folder: Path) -> dict[str, float]:
    """Milliseconds a patch through a small network, with and without overlapping."""
    torch.manual_seed(1)
    model = forward.prepare_network(vdsr.VDSR(16, 2), forward.prepare_device("cpu"))

    def enlarge(sen2: np.ndarray) -> np.ndarray:
        return forward.enlarge_bands(model, sen2, device="cpu", precision="float32")

    def run(*, src: Path, dst: Path) -> None:
        """Enlarge.

        Args:
            src: patches.
            dst: product.
        """
        stream.enlarge_file(src, dst, lambda: enlarge, scale=SCALE, batch=16, shard="1/1")

    with patches.read(src, "sen2") as source:
        total = source.total
    executors: dict[str, type] = {"overlapped": ThreadPoolExecutor, "in turn": AtOnce}
    spent: dict[str, list[float]] = {name: [] for name in executors}
    for turn in range(2 * 3 + 2):
        name = list(executors)[turn % 2]
        setattr(stream, "ThreadPoolExecutor", executors[name])  # noqa: B010
        start = time.perf_counter()
        cli.main(run, [f"--src={src}", f"--dst={folder / f'{turn}.h5'}"])
        spent[name].append(1e3 * (time.perf_counter() - start) / total)
    setattr(stream, "ThreadPoolExecutor", ThreadPoolExecutor)  # noqa: B010
    return {name: statistics.median(values[1:]) for name, values in spent.items()}


def main(src: Path) -> None:
    """Prints what was found as JSON."""
    with tempfile.TemporaryDirectory() as folder:
        figures = {
            "formats": formats(enlarge_sample(src), Path(folder)),
            "stream": time_stream(src, Path(folder)),
        }
    print(json.dumps(figures))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
