"""What the layout of a source costs: h5py reading it once, and prepare from file to file.

    .venvs/prepare/bin/python -m tests.bench.layouts --rows 3400

Every figure is the processor time of a process of its own, of which the best of several rounds
counts; the rounds go through the layouts in turn, so that what else the machine does meets all of
them. The time to beat is 1.5 times the sum of what h5py needs to read this file and of what prepare
computes: its time for the contiguous file without reading it. All products must be the same.
"""

import argparse
import hashlib
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

READ = """
import h5py, sys
with h5py.File(sys.argv[1]) as file:
    for name in file:
        file[name][()]
"""
STARTS = ("import h5py", "import stages.prepare.main")  # what takes time before any reading
HEAD = (
    *("layout", "chunks of sen2", "file, MB", "h5py, s", "prepare, s", "to beat, s", "of it"),
    "memory, MB",
)
Arrays = dict[str, NDArray[np.float64]]


@dataclass
class Case:
    """One source and what was measured with it.

    Attributes:
        path: the source.
        flags: of prepare.
        read, made: seconds of h5py and of prepare, of every round.
        memory: peak of prepare in MB.
        product: SHA-256 of the product.
    """

    path: Path
    flags: tuple[str, ...] = ()
    read: list[float] = field(default_factory=list)
    made: list[float] = field(default_factory=list)
    memory: float = 0.0
    product: str = ""


def draw(rows: int) -> Arrays:
    """Patches in So2Sat's own form: reflectances are whole multiples of 1e-4, radar is float32."""
    rng = np.random.default_rng(0)
    classes = np.arange(rows) % 17
    base = 0.05 + 0.01 * classes[:, None, None, None] * np.arange(1, 11) / 10
    sen1 = 0.1 * rng.standard_normal((rows, 32, 32, 8)) + 0.01 * classes[:, None, None, None]
    return {
        "sen1": sen1.astype(np.float32).astype(np.float64),
        "sen2": np.round(base + 0.02 * rng.random((rows, 32, 32, 10)), 4),
        "label": np.eye(17)[classes],
    }


def write(path: Path, arrays: Arrays, turned: bool = False, **given: Any) -> Path:
    """One layout; `whole` puts all values into one chunk, `file` is for the file."""
    file, whole = given.pop("file", {}), given.pop("whole", False)
    with h5py.File(path, "w", **file) as out:
        for name, array in arrays.items():
            data = np.ascontiguousarray(array.T) if turned else array
            more = {"chunks": data.shape} if whole else {}
            stored = out.create_dataset(name, data=data, **given, **more)
            if turned:
                stored.attrs["MATLAB_class"] = np.bytes_("double")
    return path


def write_table(path: Path, rows: int) -> Path:
    """All rows, in disorder."""
    order = np.random.default_rng(1).permutation(rows)
    lines = [f"{row + 1},{row % 17 + 1}" for row in order]
    path.write_text("\n".join(["Index,Label", *lines]))
    return path


def layouts() -> dict[str, dict[str, Any]]:
    """How each source is written."""
    gzip: dict[str, Any] = {"compression": "gzip"}
    matlab: dict[str, Any] = {"turned": True, "file": {"userblock_size": 512}}
    return {
        "contiguous": {},
        "big-endian": {"dtype": ">f8"},
        "userblock": {"file": {"userblock_size": 512}},
        "gzip, h5py's chunks": gzip,
        "gzip, h5py's chunks, latest": {"file": {"libver": "latest"}, **gzip},
        "gzip, one chunk": {"whole": True, **gzip},
        "gzip, shuffle, one chunk": {"whole": True, "shuffle": True, **gzip},
        "lzf, h5py's chunks": {"compression": "lzf"},
        "MATLAB v7.3, contiguous": matlab,
        "MATLAB v7.3, gzip": {**matlab, **gzip},
    }


def write_all(folder: Path, rows: int) -> None:
    """Every layout of the same rows, and a table."""
    arrays = draw(rows)
    for number, given in enumerate(layouts().values()):
        write(folder / f"{number}.h5", arrays, **given)
    write_table(folder / "table.csv", rows)


def cases(folder: Path) -> Iterator[tuple[str, Case]]:
    """The sources by name."""
    for number, name in enumerate(layouts()):
        yield name, Case(folder / f"{number}.h5")
        if name in ("contiguous", "gzip, h5py's chunks"):
            flags = (f"--table={folder / 'table.csv'}",)
            yield f"{name}, table in disorder", Case(folder / f"{number}.h5", flags)


def measure(*line: str) -> tuple[float, float]:
    """Processor seconds and peak memory in MB of one process of Python."""
    quiet = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    running = subprocess.Popen([sys.executable, *line], env=quiet, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(running.pid, 0)
    running.returncode = os.waitstatus_to_exitcode(status)
    assert running.returncode == 0, line
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def run_once(case: Case, dst: Path) -> None:
    """One round of one source."""
    case.read.append(measure("-c", READ, str(case.path))[0])
    stage = ("-m", "stages.prepare.main", f"--src={case.path}", f"--dst={dst}", *case.flags)
    seconds, memory = measure(*stage)
    case.made.append(seconds)
    case.memory = max(case.memory, memory)
    case.product = hashlib.sha256(dst.read_bytes()).hexdigest()
    for path in dst.parent.glob(f"{dst.name}*"):
        path.unlink()


def show(name: str, case: Case, starts: list[float], computing: float) -> str:
    """A row of the table."""
    with h5py.File(case.path) as file:
        chunks = str(file["sen2"].chunks or "none")
    read, made = min(case.read) - starts[0], min(case.made) - starts[1]
    limit = 1.5 * (read + computing)
    size = f"{case.path.stat().st_size / 1e6:.0f}"
    seconds = [f"{value:.2f}" for value in (read, made, limit)]
    return " | ".join([name, chunks, size, *seconds, f"{made / limit:.0%}", f"{case.memory:.0f}"])


def main() -> None:
    """Prints the table as Markdown."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=3400)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, spent = Path(name), list[list[float]]()
        # Elsewhere, as a process counts the memory of the one that started it for its own.
        writer = multiprocessing.Process(target=write_all, args=(folder, given.rows))
        writer.start()
        writer.join()
        sources = dict(cases(folder))
        for _ in range(given.rounds):
            spent.append([measure("-c", code)[0] for code in STARTS])
            for case in sources.values():
                run_once(case, folder / "out.h5")
        starts, plain = [min(times) for times in zip(*spent, strict=True)], sources["contiguous"]
        computing = min(plain.made) - starts[1] - (min(plain.read) - starts[0])
        print(f"{given.rows} rows; prepare computes {computing:.2f} s; best of {given.rounds}\n")
        for line in (" | ".join(HEAD), " | ".join(["---"] * len(HEAD))):
            print(f"| {line} |")
        for name, case in sources.items():
            print(f"| {show(name, case, starts, computing)} |")
        for table in (False, True):
            products = {one.product for one in sources.values() if bool(one.flags) == table}
            assert len(products) == 1, "products differ"


if __name__ == "__main__":
    main()
