"""A stage in its own environment, warm: the tests start runs of it, wait for them or kill them."""

import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
LONGEST = 60  # seconds a run may take before it counts as hanging
# What stages import inside `run`, so that each run of a test need not.
HEAVY = (
    "numpy", "h5py", "torch", "lightning_fabric", "pytorch_lightning", "timm", "spandrel",
    "safetensors.torch", "gtda.homology", "realesrgan", "torchmetrics", "shared.sr.forward",
    "onnx", "onnxruntime", "onnxruntime.quantization", "sklearn", "scipy.ndimage", "matplotlib",
    "PIL.Image", "yaml", "jinja2", "pandas", "shared.models.figures", "shared.training.ensemble",
    "captum.attr",
)  # fmt: skip


@dataclass
class Stage:
    """Runs of one stage, one after the other; `pid`, `stdout`, `stderr` of the last."""

    name: str
    process: "subprocess.Popen[bytes]"
    constants: dict[str, Any] = field(default_factory=dict)
    hooks: list[tuple[str, list[Any]]] = field(default_factory=list)
    pid: int = 0
    heard: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="heard-")))

    def start(self, arguments: list[str], volume: str = "", at: Path | str = "") -> int:
        """Process id of a new run; see tests/e2e/warm.py."""
        for file in self.heard.iterdir():
            file.unlink()
        assert self.process.stdin is not None
        run = {
            "module": f"stages.{self.name}.main", "constants": self.constants,
            "arguments": arguments, "heard": str(self.heard), "volume": volume, "at": str(at),
            "hooks": self.hooks,
        }  # fmt: skip
        self.process.stdin.write(json.dumps(run).encode() + b"\n")
        self.pid = int(self._line())
        return self.pid

    def ended(self, seconds: float) -> bool:
        """Whether the run ended within that time; its pipe is unbuffered, so select knows."""
        stdout = self.process.stdout
        assert stdout is not None
        return bool(select.select([stdout], [], [], seconds)[0])

    def status(self) -> int:
        """Exit status of the run, or minus the signal that ended it; waits for it."""
        if not self.ended(LONGEST):
            os.kill(self.pid, signal.SIGKILL)
        return int(self._line())

    def text(self, name: str) -> str:
        """What the run left in `stdout`, `stderr` or `left`."""
        return (self.heard / name).read_text()

    def _line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline().decode()
        assert line, f"{self.name}: the warm process ended"
        return line


@contextmanager
def warm(name: str, **constants: Any) -> Iterator[Stage]:
    """A stage in its own environment; skips where that is not made."""
    python = ROOT / ".venvs" / name / "bin" / "python"
    if not python.exists():
        pytest.skip(f"no .venvs/{name}: make .venvs/{name}")
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [python, "-m", "tests.e2e.warm", *HEAVY],
        cwd=ROOT, stdin=pipe, stdout=pipe, bufsize=0,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    ) as process:  # fmt: skip
        stage = Stage(name, process, constants)
        yield stage
        assert process.stdin is not None
        process.stdin.close()
    shutil.rmtree(stage.heard)
