"""Super-resolution: the reference way against ours, for every method and scale, on this machine.

    make bench-sr
    .venvs/dev/bin/python -m tests.bench.sr --out data/bench --only swinir-x2 --budget 10

Each measurement runs in a process of its own under the stage's own interpreter. Writes sr.json and
sr.md into the folder and prints the latter.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from shared.sr.methods import load_all
from tests.bench import scenes, table

ROOT = Path(__file__).resolve().parents[2]
METHODS = {name: method.variants for name, method in load_all().items()}
ROWS = 320
MEMORY = {"cpu": ("reference", "float32", "bfloat16"),
          "cuda": ("reference", "float32", "bfloat16", "float16")}  # fmt: skip


def interpreter(method: str) -> Path | None:
    """Python of a stage's environment; None, and a line that says so, where it is not made."""
    path = ROOT / ".venvs" / f"sr_{method}" / "bin" / "python"
    if path.exists():
        return path
    print(f"sr-{method}: left out, no .venvs/sr_{method}: make .venvs/sr_{method}/made",
          file=sys.stderr)  # fmt: skip
    return None


def child(python: Path, module: str, *arguments: object) -> dict[str, Any]:
    """The JSON that a measuring process ends with; its own complaints go to stderr."""
    line = [str(python), "-W", "ignore", "-m", f"tests.bench.{module}", *map(str, arguments)]
    done = subprocess.run(line, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def gpu(python: Path) -> bool:
    """Whether this environment's torch sees a GPU."""
    code = "import torch; print(torch.cuda.is_available())"
    done = subprocess.run([python, "-W", "ignore", "-c", code], capture_output=True, text=True)
    return done.stdout.strip() == "True"


def measure(
    method: str, scale: int, python: Path, src: Path, budget: float
) -> dict[str, dict[str, Any]]:
    """What is found per device."""
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "weights.safetensors"
        child(python, "case", method, scale, weights, src, "cpu", "weights", "")
        devices = {}
        for device in ("cpu", "cuda")[: 1 + gpu(python)]:
            print(f"sr-{method} x{scale} on {device}", file=sys.stderr)
            where = (method, scale, weights, src, device)
            devices[device] = child(python, "case", *where, "times", budget)
            devices[device]["memory"] = {
                kind: child(python, "case", *where, "memory", kind) for kind in MEMORY[device]
            }
    return devices


def machine() -> dict[str, Any]:
    """The processor, and which of its units matter here."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    pairs = [line.partition(":") for line in lines]
    fields = {name.strip(): value.strip() for name, _, value in pairs}
    units = {"avx2", "avx512f", "avx512_bf16", "amx_bf16", "avx512_fp16"}
    return {
        "processor": fields.get("model name", platform.processor()),
        "cores": os.cpu_count(),
        "units": sorted(units & set(fields.get("flags", "").split())),
        "load": os.getloadavg()[0],
    }


def main() -> None:
    """Measures, prints the tables and writes them."""
    parser = argparse.ArgumentParser(description="Super-resolution: the reference way and ours.")
    parser.add_argument("--out", type=Path, required=True, help="folder for sr.json and sr.md")
    parser.add_argument("--only", help="one of them, such as swinir-x2, or storage")
    parser.add_argument("--budget", type=float, default=10, help="seconds of repeats for each")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        src = Path(folder) / "src.h5"
        result: dict[str, Any] = {
            "machine": machine(), "patches": scenes.write(src, ROWS), "cases": {}, "storage": None,
        }  # fmt: skip
        for method, scale in [(m, s) for m, scales in METHODS.items() for s in scales]:
            name = f"{method}-x{scale}"
            if given.only in (None, name) and (python := interpreter(method)):
                result["cases"][name] = measure(method, scale, python, src, given.budget)
        if given.only in (None, "storage") and (python := interpreter("vdsr")):
            print("storage", file=sys.stderr)
            result["storage"] = child(python, "storage", src)
    text = table.page(result)
    (given.out / "sr.json").write_text(json.dumps(result, indent=1) + "\n")
    (given.out / "sr.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
