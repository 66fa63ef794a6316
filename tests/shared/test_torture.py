"""The judge of damaged input: each way in which a reader must not end is noticed."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from shared.errors import StageError
from shared.runs import environment
from tests.torture import worker
from tests.torture.places import Place
from tests.torture.readers import Reader

WAYS: dict[str, Callable[[Path], object]] = {
    "read": Path.read_text,
    "traceback": lambda _: 1 // 0,
    "crash": lambda _: os.kill(os.getpid(), signal.SIGSEGV),
    "hang": lambda _: [None for _ in iter(int, 1)],
    "memory": lambda _: np.ones(2**27 + 2**25),
    "outside": lambda _: Path("../outside/secret.txt").read_bytes(),
    "executed": lambda _: subprocess.run(["true"], check=True),
}


def _refuse(path: Path) -> None:
    raise StageError(f"{path}: expected nothing, found {path.read_text()}")


def _wait(_: Path) -> None:
    time.sleep(100)


def _escape(_: Path) -> None:
    """A line that a library wrote, with a command for the terminal in it."""
    os.write(2, b"\x1b[2J\n")
    raise StageError("expected nothing")


def _leave(path: Path) -> None:
    path.with_name("left").write_text("behind")
    raise StageError("expected nothing")


def _change(path: Path) -> None:
    path.write_text("changed")


WAYS |= {"refused": _refuse, "hang waiting": _wait, "traceback of control": _escape}
WAYS |= {"traceback left": _leave, "traceback changed": _change}


def read(*, src: Path, dst: Path, how: str) -> None:
    """Read in one of the ways.

    Args:
        src: file.
        dst: text.
        how: name of the way.
    """
    WAYS[how](src)
    dst.write_text("read")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """One file to be read."""
    for name in ("good", "scratch"):
        (tmp_path / name).mkdir()
    (tmp_path / "good" / "a.txt").write_text("good")
    made = Place.make(tmp_path / "scratch", tmp_path / "good", "a.txt")
    yield made
    made.watch.close()


@pytest.mark.parametrize("how", WAYS)
def test_each_end_has_its_name(how: str, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAGE_REVISION", "torture")  # else git is asked, as a program
    monkeypatch.setattr(environment, "gather", lambda *_: {})
    # Pages of memory cost processor time as well, more where the machine is short of it.
    monkeypatch.setattr(worker, "SECONDS", 1 if how == "hang" else 30)
    monkeypatch.setattr(worker, "WALL", 60 if how != "hang waiting" else 1)
    monkeypatch.setattr(Reader, "run", lambda _: read)
    reader = Reader("dev", "a.txt", __name__, ("--src={bad}", f"--how={how}"))
    case = worker.run_case(reader, place, {"a.txt": b"damaged"})
    assert case["outcome"] == how.split()[0], case
    assert bool(case["said"]) == (case["outcome"] not in ("read", "refused", "executed", "hang",
                                                          "crash"))  # fmt: skip
    assert worker.run_case(reader, place, {"a.txt": b"again"})["outcome"] == how.split()[0]
