"""Unfinished work: what is still what was written, and which run, on which machine, goes on."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.errors import StageError
from shared.runs import lock
from shared.unfinished import holders, work

ROOT = Path(__file__).resolve().parents[2]
PLAN = {"stage": "toy", "parameters": {}, "inputs": {}}
DIGEST = "0" * 64
# A run on another machine that goes on until it is told to end.
OTHER = """
import sys; from pathlib import Path; from shared.runs import lock; from shared.unfinished import *
from shared.unfinished import holders
holders.machine, holders.BEAT = (lambda: "n2"), 0.05
with lock.acquire(Path(sys.argv[1]), {"stage": "toy", "parameters": {}, "inputs": {}}):
    Path(sys.argv[1] + ".partial").touch(); print("held", flush=True); sys.stdin.readline()
"""


@pytest.fixture
def partial(tmp_path: Path) -> Path:
    return tmp_path / "out.partial"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holders, "BEAT", 0.1)


@pytest.fixture
def other(tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A run of another machine, which holds tmp_path/out."""
    pipe = subprocess.PIPE
    line = [sys.executable, "-c", OTHER, str(tmp_path / "out")]
    with subprocess.Popen(line, cwd=ROOT, stdin=pipe, stdout=pipe) as process:
        assert process.stdout
        assert process.stdout.readline() == b"held\n"
        yield process
        process.send_signal(signal.SIGCONT)
        process.kill()


# --- what was written -----------------------------------------------------------------------------
def test_folders_of_a_product_begin_in_no_other_place(tmp_path: Path) -> None:
    """Where the folder around it was moved away, a new one would hide that."""
    partial = tmp_path / "volume" / "out.partial"
    partial.parent.mkdir()
    with work.begin(partial):
        for _ in range(2):
            work.make_folder(partial / "val" / "lake")
        partial.parent.rename(tmp_path / "elsewhere")
        with pytest.raises(FileNotFoundError):
            work.make_folder(partial / "val" / "forest")
        work.make_folder(tmp_path / "scratch" / "deep")  # no part of the product
    assert [path.name for path in (tmp_path / "elsewhere/out.partial/val").iterdir()] == ["lake"]
    assert {path.name for path in tmp_path.iterdir()} == {"elsewhere", "scratch"}


def test_a_file_that_changed_is_made_again(
    partial: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with work.begin(partial):
        partial.mkdir()
        for name in ("kept", "changed", "lost"):
            (partial / "draft").write_text(name)
            work.publish(partial / "draft", partial / name)
        (partial / "unknown").write_text("nobody noted this")
    (partial / "changed").write_text("Changed")
    (partial / "lost").unlink()
    with work.begin(partial):
        found = {name: work.keeps(partial / name) for name in ("kept", "changed", "unknown")}
        assert found == {"kept": True, "changed": False, "unknown": False}
        assert not work.is_intact(partial / "lost")
        assert work.is_intact(partial / "never there")
    assert capsys.readouterr().err.count("not what was written, discarded") == 2
    assert not (partial / "changed").exists()


def test_work_of_an_older_version_counts_as_it_is(partial: Path) -> None:
    partial.write_text("begun before there were sums")
    with work.begin(partial):
        work.note("rows 0 8", DIGEST)
        assert work.is_intact(partial)
        assert work.noted() is None
        assert work.is_worth_keeping()
    assert not work.sums_path(partial).exists()


def test_a_line_that_is_cut_or_changed_vouches_for_nothing(partial: Path) -> None:
    with work.begin(partial):
        partial.touch()
        for name in ("a", "b", "c"):
            work.note(name, DIGEST)
    sums = work.sums_path(partial)
    sums.write_bytes(sums.read_bytes().replace(b"0  b", b"x  b")[:-1])
    with work.begin(partial):
        assert work.noted() == {"a": {DIGEST}}


def test_outside_of_a_run_nothing_is_kept(tmp_path: Path) -> None:
    work.note("rows", DIGEST)
    work.note_files([tmp_path / "not even there"])
    assert not work.is_worth_keeping()
    assert list(tmp_path.iterdir()) == []


# --- which run goes on ----------------------------------------------------------------------------
def refuse(*_: object) -> None:
    raise OSError(37, "No locks available")


def test_a_run_on_another_machine_that_is_alive_is_waited_for(
    tmp_path: Path, other: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fcntl, "lockf", refuse)
    who = f"process {other.pid} on "
    message = rf"another run is working on it; wait until it ends \({who}"
    with pytest.raises(StageError, match=message), lock.acquire(tmp_path / "out", PLAN):
        pass
    assert (tmp_path / "out.partial").exists()


def test_a_sign_of_life_is_a_file_like_others(tmp_path: Path) -> None:
    """Whoever shares the folder may read it as the umask says, and nobody may run it."""
    before = os.umask(0)
    try:
        with lock.acquire(tmp_path / "out", PLAN) as claim:
            assert claim.holder.path.stat().st_mode & 0o777 == 0o666
    finally:
        os.umask(before)


@pytest.mark.parametrize("locks", ["none", "held by the dead machine"])
def test_in_the_place_of_a_dead_machine_a_run_goes_on(
    tmp_path: Path, other: Any, monkeypatch: pytest.MonkeyPatch, locks: str
) -> None:
    other.send_signal(signal.SIGSTOP)  # a machine without power; its locks may stay for long
    if locks == "none":
        monkeypatch.setattr(fcntl, "lockf", refuse)
    with lock.acquire(tmp_path / "out", PLAN) as claim:
        assert claim.earlier
        assert claim.holder.taken_over
        assert claim.explain_loss() == ""


def test_a_machine_that_comes_back_gives_up(tmp_path: Path, other: Any) -> None:
    other.send_signal(signal.SIGSTOP)
    with lock.acquire(tmp_path / "out", PLAN):
        other.send_signal(signal.SIGCONT)
        assert other.wait(30) != 0
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"out.partial", "out.partial.json"}


def test_a_killed_run_of_this_machine_is_not_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder = tmp_path / "out.partial.holder-7"
    with lock.acquire(tmp_path / "out", PLAN):
        (tmp_path / "out.partial").touch()
        holder.write_bytes((tmp_path / "out.partial.holder-1").read_bytes())
    monkeypatch.setattr(holders, "BEAT", 1000.0)
    with lock.acquire(tmp_path / "out", PLAN) as claim:
        assert not holder.exists()
        assert claim.holder.path.name == "out.partial.holder-8"


@pytest.mark.parametrize("function", ["pwrite", "fsync", "link"])
def test_a_run_that_is_killed_while_it_begins_leaves_no_sign_of_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    """An empty one would be looked at for a minute, as if another machine had made it."""
    partial = tmp_path / "out.partial"
    pid = os.fork()
    if not pid:
        setattr(os, function, lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
        holders.hold(partial, [])
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(holders, "BEAT", 1000.0)
    with lock.acquire(tmp_path / "out", PLAN) as claim:
        assert claim.holder.path.name == "out.partial.holder-1"


@pytest.mark.parametrize("function", ["open", "link"])
def test_file_systems_without_files_that_have_no_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    able = getattr(os, function)

    def refuse(*given: Any, **more: Any) -> Any:
        if function == "open" and given[1] & os.O_TMPFILE != os.O_TMPFILE:
            return able(*given, **more)
        raise OSError(errno.EOPNOTSUPP, "not supported")

    monkeypatch.setattr(os, function, refuse)
    path = tmp_path / "out.partial.holder-1"
    holder = holders.hold(tmp_path / "out.partial", [])
    assert holder
    assert holders.read(path)["process"] == os.getpid()
    assert holders.hold(tmp_path / "out.partial", []) is None
    holder.release()
    assert list(tmp_path.iterdir()) == []


def test_signs_of_life_differ(tmp_path: Path) -> None:
    with lock.acquire(tmp_path / "out", PLAN) as claim:
        before = claim.holder.path.read_bytes()
        ends = time.monotonic() + 30
        while claim.holder.path.read_bytes() == before:
            assert time.monotonic() < ends
            time.sleep(0.01)
        said = holders.read(claim.holder.path)
    assert said["process"] == os.getpid()
    assert said["machine"] == holders.machine()


def test_a_folder_that_is_moved_away_is_told(tmp_path: Path) -> None:
    dst = tmp_path / "volume" / "out"
    dst.parent.mkdir()
    message = "its folder was moved away, or its volume is gone; bring it back and run again"

    def move() -> None:
        (dst.parent / "out.partial").touch()
        dst.parent.rename(tmp_path / "elsewhere")
        raise FileNotFoundError(dst)

    with pytest.raises(StageError, match=message), lock.acquire(dst, PLAN):
        move()
    assert (tmp_path / "elsewhere" / "out.partial").exists()
    assert not dst.parent.exists()
