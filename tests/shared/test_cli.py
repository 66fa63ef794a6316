"""The front of a stage from outside: exit codes, what is on stdout and stderr, signals."""

import platform
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STAGE = [sys.executable, "-m", "tests.shared.toy"]


@pytest.fixture
def src(tmp_path: Path) -> Path:
    """A text to repeat, alone in its folder."""
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "text.txt").write_text("abc")
    return folder / "text.txt"


def command(src: Path, *flags: str) -> list[str]:
    return [*STAGE, f"--src={src}", f"--dst={src.parent / 'out.txt'}", *flags]


def stage(src: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(src, *flags), cwd=ROOT, capture_output=True, text=True)


def left(src: Path) -> set[str]:
    """Names beside the input."""
    return {path.name for path in src.parent.iterdir()} - {src.name}


def test_stdout_is_the_path_of_the_product_whatever_prints(src: Path) -> None:
    done = stage(src, "--mode=print")
    assert done.stdout == f"{src.parent / 'out.txt'}\n"
    assert done.returncode == 0
    for word in ("from Python", "from C", "from a subprocess"):
        assert word in done.stderr
    assert (src.parent / "out.txt").read_text() == "abcabc"
    assert left(src) == {"out.txt", "out.txt.run.json"}


def test_second_run_does_nothing_and_says_the_path_again(src: Path) -> None:
    first = stage(src)
    made = (src.parent / "out.txt").stat()
    second = stage(src)
    assert second.stdout == first.stdout
    assert second.stderr == f"{src.parent / 'out.txt'}: up to date\n"
    assert second.returncode == 0
    assert (src.parent / "out.txt").stat() == made


@pytest.mark.parametrize(
    ("flag", "line"),
    [
        ("--mode=refuse", "expected more, found less"),
        ("--mode=early", "expected a better text"),
        ("--mode=full", "out.txt: No space left on device"),
        ("--scal=3", "--scal: no such flag; did you mean --scale?"),
        ("--extra=nowhere", "--extra: no such file or folder: nowhere"),
        ("--extra=/dev/null", "--extra: no such file or folder: /dev/null"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(src: Path, flag: str, line: str) -> None:
    done = stage(src, flag)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert line in done.stderr
    assert done.stderr.count("\n") == 1
    assert left(src) == set()


def test_bug_shows_its_traceback_and_keeps_the_work(src: Path) -> None:
    done = stage(src, "--mode=bug")
    assert (done.returncode, done.stdout) == (1, "")
    assert "ZeroDivisionError: a bug" in done.stderr
    names = ("out.txt.partial", "out.txt.partial.json", "out.txt.partial.sums")
    assert left(src) == {*names}


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)]
)
@pytest.mark.parametrize("mode", ["wait", "swallow", "exit"])
def test_stopped_run_is_no_product_and_is_taken_up(
    src: Path, mode: str, number: signal.Signals, code: int
) -> None:
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command(src, f"--mode={mode}"), cwd=ROOT, stdout=pipe, stderr=pipe, text=True
    ) as run:
        assert run.stderr is not None
        assert run.stderr.readline() == "waiting\n"
        run.send_signal(number)
        stdout, stderr = run.communicate(timeout=20)
    assert (run.returncode, stdout) == (code, "")
    names = ("out.txt.partial", "out.txt.partial.json", "out.txt.partial.sums")
    holder = ("out.txt.partial.holder-1",) if number == signal.SIGKILL else ()
    assert left(src) == {*names, *holder}
    if code > 0:
        assert stderr == "stopped; the same command continues from here\n"
    other = stage(src, "--mode=")
    assert other.returncode == 2
    assert f"unfinished work of another plan (mode {mode!r}, now '')" in other.stderr


def test_killed_run_goes_on_and_ends_the_same(src: Path) -> None:
    with subprocess.Popen(
        command(src, "--mode=wait"), cwd=ROOT, stderr=subprocess.PIPE, text=True
    ) as run:
        assert run.stderr is not None
        run.stderr.readline()
        run.kill()
    with subprocess.Popen(
        command(src, "--mode=wait"), cwd=ROOT, stderr=subprocess.PIPE, text=True
    ) as run:
        assert run.stderr is not None
        assert run.stderr.readline() == f"{src.parent / 'out.txt.partial'}: continuing\n"
        run.kill()


def test_a_second_run_at_the_same_product_is_refused(src: Path) -> None:
    with subprocess.Popen(
        command(src, "--mode=wait"), cwd=ROOT, stderr=subprocess.PIPE, text=True
    ) as run:
        assert run.stderr is not None
        run.stderr.readline()
        other = stage(src, "--mode=wait")
        run.kill()
    assert other.returncode == 2
    partial = src.parent / "out.txt.partial"
    who = f"process {run.pid} on {platform.node()}"
    expected = f"error: {partial}: another run is working on it; wait until it ends ({who})\n"
    assert other.stderr == expected


def test_help_answers_on_stdout_without_inputs() -> None:
    done = subprocess.run([*STAGE, "--help"], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Repeat a text" in done.stdout
