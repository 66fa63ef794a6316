"""status: every word it says, which records it looks at, and that it needs no package."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from shared import cli
from shared.runs import lock, record
from shared.tools import status

ROOT = Path(__file__).resolve().parents[2]


def grow(*, src: Path, dst: Path, by: int = 1) -> None:
    """Append.

    Args:
        src: text.
        dst: text.
        by: letters.
    """
    dst.write_text(src.read_text() + "x" * by)


def make(src: Path, dst: Path, by: int = 1) -> Path:
    return cli.produce(grow, {"src": src, "dst": dst, "by": by})


@pytest.fixture
def chain(tmp_path: Path) -> Path:
    """raw.txt -> a/one.txt -> b/two.txt below one root."""
    (tmp_path / "raw.txt").write_text("raw")
    make(make(tmp_path / "raw.txt", tmp_path / "a" / "one.txt"), tmp_path / "b" / "two.txt", 2)
    return tmp_path


def words(root: Path) -> dict[str, str]:
    return {
        state.path.relative_to(root).as_posix(): state.word for state in status.collect_states(root)
    }


def reasons(root: Path) -> str:
    return "; ".join(state.reason for state in status.collect_states(root))


def touch(path: Path, text: str) -> None:
    """Rewrite a file so that its time says so, too."""
    path.write_text(text)
    later = record.record_path(path).stat().st_mtime_ns if record.record_path(path).exists() else 0
    os.utime(path, ns=(max(later, path.stat().st_mtime_ns) + 10**6,) * 2)


def test_all_there_and_inputs_first(chain: Path) -> None:
    assert list(words(chain).items()) == [("a/one.txt", "up to date"), ("b/two.txt", "up to date")]


def test_changed_input_makes_all_below_it_stale(chain: Path) -> None:
    touch(chain / "raw.txt", "new")
    assert words(chain) == {"a/one.txt": "stale", "b/two.txt": "stale"}
    assert reasons(chain) == "input --src was changed, moved or removed; one.txt is stale"


def test_product_made_anew_from_another_input(chain: Path) -> None:
    record.record_path(chain / "a" / "one.txt").unlink()
    (chain / "a" / "one.txt").unlink()
    make(chain / "raw.txt", chain / "a" / "one.txt", by=5)
    assert words(chain) == {"a/one.txt": "up to date", "b/two.txt": "stale"}


def test_touched_and_lost(chain: Path) -> None:
    touch(chain / "a" / "one.txt", "other")
    (chain / "b" / "two.txt").unlink()
    assert words(chain) == {"a/one.txt": "changed", "b/two.txt": "missing"}


def test_input_inside_a_folder_product(tmp_path: Path) -> None:
    def folder(*, dst: Path) -> None:
        dst.mkdir()
        (dst / "part.txt").write_text("part")

    cli.produce(folder, {"dst": tmp_path / "folder"})
    make(tmp_path / "folder" / "part.txt", tmp_path / "out.txt")
    assert words(tmp_path) == {"folder": "up to date", "out.txt": "up to date"}


def test_partial_stopped_and_running(chain: Path) -> None:
    partial = lock.partial_path(chain / "three.txt")
    script = (
        "import sys; from pathlib import Path; from shared.runs import lock\n"
        f"with lock.acquire(Path({str(chain / 'three.txt')!r}), {{'stage': 'grow'}}):\n"
        f"    Path({str(partial)!r}).touch(); print('held', flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == b"held\n"
        assert reasons(chain) == "; ; being made now"
    assert words(chain)["three.txt"] == "partial"
    assert reasons(chain) == "; ; stopped; the same command continues it"


def test_copied_folder_is_still_there(
    chain: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    copy = tmp_path_factory.mktemp("copy") / "data"
    shutil.copytree(chain, copy, copy_function=shutil.copyfile)
    assert words(copy) == {"a/one.txt": "up to date", "b/two.txt": "up to date"}


def test_large_raw_files_go_by_time(chain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "LARGE", 1)
    monkeypatch.setattr(status.inventory.find_content, "__defaults__", (1,))
    assert words(chain)["a/one.txt"] == "up to date"
    later = record.record_path(chain / "a" / "one.txt").stat().st_mtime_ns + 10**6
    os.utime(chain / "raw.txt", ns=(later, later))
    assert words(chain)["a/one.txt"] == "stale"


def test_command_needs_no_package(chain: Path) -> None:
    line = [sys.executable, "-S", "-m", "shared.tools.status", str(chain)]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=True)
    head, *rows = done.stdout.splitlines()
    assert head.split() == ["state", "product", "stage", "seconds", "MB", "revision", "why"]
    assert [re.split("  +", row)[:3] for row in rows] == [
        ["up to date", "a/one.txt", "shared"],
        ["up to date", "b/two.txt", "shared"],
    ]


def test_empty_missing_and_broken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status.main([str(tmp_path)]) == 0
    assert "no products yet" in capsys.readouterr().out
    (tmp_path / "x.run.json").write_text(json.dumps({"plan": 1})[:5])
    assert words(tmp_path) == {}
    assert status.main([str(tmp_path / "nowhere")]) == 2
    assert "error:" in capsys.readouterr().err


def test_an_image_that_is_gone_is_named(
    chain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, image in (("a/one.txt", "sha256:1"), ("b/two.txt", "sha256:2")):
        path = chain / f"{name}.run.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "image": image}))
    programs = tmp_path / "bin"
    programs.mkdir()
    docker = programs / "docker"
    docker.write_text("#!/bin/bash\necho sha256:2\n")
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    status.main([str(chain)])
    one, two = (line for line in capsys.readouterr().out.splitlines() if ".txt" in line)
    assert one.endswith("its image is gone")
    assert "image" not in two
    docker.write_text("#!/bin/bash\nexit 1\n")  # no engine answers: nothing is known
    status.main([str(chain)])
    assert "image" not in capsys.readouterr().out


def test_parts_may_be_removed_once_they_are_joined(chain: Path) -> None:
    """What merge made holds all of them; an input of any other stage is missed."""
    (chain / "raw.txt").unlink()
    assert words(chain)["a/one.txt"] == "stale"
    path = chain / "a" / "one.txt.run.json"
    path.write_text(path.read_text().replace('"stage": "shared"', '"stage": "merge"'))
    assert json.loads(path.read_text())["plan"]["stage"] == "merge"
    assert words(chain) == {"a/one.txt": "up to date", "b/two.txt": "up to date"}


@pytest.mark.parametrize(
    ("error", "locked"),
    [(BlockingIOError(), True), (PermissionError(), True), (OSError("no locks here"), False)],
)
def test_a_plan_is_locked_where_the_system_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, locked: bool
) -> None:
    """A network volume without locks says nothing."""
    (tmp_path / "plan").touch()
    assert not record.is_locked(tmp_path / "plan")

    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr(record.fcntl, "lockf", refuse)
    assert record.is_locked(tmp_path / "plan") == locked
