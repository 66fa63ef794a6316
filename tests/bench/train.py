"""Speed of training: the reference's loader, ours, the network alone, and all of it together.

    .venvs/teacher/bin/python -m tests.bench.train --out data/bench

Writes train.md and train.json. Every number is that of a process of its own; reference and ours
are measured one after the other, the network alone and end to end in turns within one process.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from tests.bench import train_reference, train_table

Figures = dict[str, Any]
CPU = [(64, 128, 1), (64, 128, 4), (224, 32, 1)]  # pixels, rows of a batch, members in a pass
GPU = [(224, 1024, 1), (224, 1024, 10)]
PRECISIONS = {"cpu": ("float32", "bfloat16"), "cuda": ("bfloat16",)}


def job(name: str, threads: int, **given: Any) -> Figures:
    """One measurement in a process of its own, what it was given beside what it found."""
    print(name, threads, given, file=sys.stderr)
    number = str(threads)
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.train_jobs", name, json.dumps(given)],
        capture_output=True,
        env=os.environ | {"OMP_NUM_THREADS": number, "MKL_NUM_THREADS": number},
    )
    if done.returncode:
        sys.exit(f"{name}: {done.stderr.decode()}")
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return {"job": name, "threads": threads} | given | figures


def loaders(folder: Path, threads: int, cuda: bool) -> Iterator[Figures]:
    """The reference with and without workers, with radar; ours at three sizes."""
    path = str(train_reference.write(folder / "training.h5", 1024))
    for workers in (0, 1, 2):
        yield job("reference", 1, path=path, workers=workers, radar=False, rows=768)
    yield job("reference", 1, path=path, workers=0, radar=True, rows=192)
    for count in sorted({1, threads}):
        for size in (32, 64, 224):
            rows = 16_384 if size < 224 else 2048
            given = {"size": size, "batch": 1024, "rows": rows, "rounds": 5}
            yield job("pipeline", count, device="cpu", **given)
    if cuda:
        yield job("pipeline", threads, device="cuda", size=224, batch=1024, rows=2**17, rounds=5)


def training(threads: int, cuda: bool) -> Iterator[Figures]:
    """Every size, precision and number of members; rows without numbers where no GPU is."""
    for device, cases in (("cpu", CPU), ("cuda", GPU)):
        for precision in PRECISIONS[device]:
            for size, batch, members in cases:
                if device == "cpu" and members > 1 and precision != "float32":
                    continue  # once is enough to see what sharing a pass costs
                steps = 20 if device == "cuda" else 6 if size < 224 else 3
                given = {
                    "device": device, "size": size, "batch": batch, "precision": precision,
                    "members": members, "steps": steps, "rounds": 2,
                }  # fmt: skip
                missing = device == "cuda" and not cuda
                yield given if missing else job("training", threads, **given)


def hardware() -> dict[str, Any]:
    """The processor, how many cores this process may use, the GPU if any, how busy they are."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    named = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    some = hasattr(os, "sched_getaffinity")
    return {
        "processor": (named or [platform.processor()])[0],
        "cores": len(os.sched_getaffinity(0)) if some else os.cpu_count() or 1,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU",
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def main() -> None:
    """Measure, print, write."""
    machine = hardware()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of train.md, train.json")
    parser.add_argument("--threads", type=int, default=machine["cores"], help="of training")
    given = parser.parse_args()
    cuda = torch.cuda.is_available()
    with tempfile.TemporaryDirectory() as folder:
        jobs = list(loaders(Path(folder), given.threads, cuda))
    jobs += training(given.threads, cuda)
    head = machine | {"threads": given.threads}
    text = train_table.page(jobs, head)
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "train.md").write_text(text)
    (given.out / "train.json").write_text(json.dumps(head | {"found": jobs}, indent=1) + "\n")
    print(text)


if __name__ == "__main__":
    main()
