"""In a container a product is made on the volume, or not at all."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from shared import cli, volume
from shared.errors import StageError
from shared.runs import environment, lock

ROOT = Path(__file__).resolve().parents[2]
# As a container of compose.yaml sees it; the last three are mounts of other people.
MOUNTS = r"""
600 500 0:50 / / ro,relatime - overlay overlay ro,lowerdir=/l
601 600 0:53 / /proc rw,nosuid - proc proc rw
602 600 0:54 / /tmp rw,nosuid - tmpfs tmpfs rw
603 600 0:55 / /dev/shm rw - tmpfs shm rw,size=2g
604 600 254:0 /home/me/data /app/data rw,relatime - ext4 /dev/vda rw
605 600 0:61 / /big rw,relatime - nfs4 server:/big rw
606 600 0:24 /user/1000 /run/user rw,relatime - tmpfs tmpfs rw
607 600 254:0 /m /media/my\040disk rw,relatime - ext4 /dev/vda rw
""".strip()


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("/app/data/tda/x.h5", True),
        ("/app/data2/x.h5", False),
        ("/app/x", False),
        ("/home/me/data/x", False),  # a path of the machine, not of the container
        ("/tmp/x", False),
        ("/dev/shm/a/b", False),
        ("/big/x", True),
        ("/run/user/x", True),  # in the memory of the machine, as its owner wanted it
        ("/media/my disk/x", True),
    ],
)
def test_what_outlives_a_container(place: str, expected: bool) -> None:
    assert volume.is_lasting(Path(place), MOUNTS, Path("/app/data")) == expected


def test_a_volume_in_memory_or_of_an_engine_inside_an_engine_is_a_volume() -> None:
    in_memory = MOUNTS.replace(
        "/home/me/data /app/data rw,relatime - ext4", "/ /app/data rw - tmpfs"
    )
    assert volume.is_lasting(Path("/app/data/x"), in_memory, Path("/app/data"))
    without = "\n".join(line for line in MOUNTS.splitlines() if "/app/data" not in line)
    assert not volume.is_lasting(Path("/app/data/x"), without, Path("/app/data"))


def copy(*, src: Path, dst: Path) -> None:
    """Copy.

    Args:
        src: text.
        dst: text.
    """
    dst.write_text(src.read_text())


@pytest.fixture
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory like that of a container, with a volume below it."""
    (tmp_path / "data").mkdir()
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        f"1 0 0:50 / / ro - overlay o ro\n2 1 254:0 /x {tmp_path}/data rw - ext4 /dev/vda rw\n"
    )
    monkeypatch.setattr(volume, "MOUNTS", mounts)
    monkeypatch.setenv("STAGE_VOLUME", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("dst", ["/out/x", "out.txt", "data/../out.txt", "data/link/out.txt"])
def test_refused_before_anything_is_read(
    inside: Path, dst: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (inside / "data" / "link").symlink_to("/nowhere")
    with pytest.raises(SystemExit, match="2"):
        cli.main(copy, ["--src=data/none.txt", f"--dst={dst}"])  # whose input is not there either
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(
        f"error: --dst: expected a path on the volume, such as data/{Path(dst).name}"
    )
    assert len(err.splitlines()) == 1
    assert "none.txt" not in err
    assert sorted(path.name for path in inside.iterdir()) == ["data", "mountinfo"]


def test_made_on_the_volume(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (inside / "data" / "a.txt").write_text("a")
    cli.main(copy, ["--src=data/a.txt", "--dst=data/deep/b.txt"])
    assert capsys.readouterr().out == "data/deep/b.txt\n"


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("/big/a.txt", "(a link to /big/a.txt, which is not mounted here: make mounts it; by hand, "
                       "docker compose run -v /big/a.txt:/big/a.txt:ro)"),
        ("../../big/a.txt", "docker compose run -v FILE:{above}/big/a.txt:ro)"),
    ],
)  # fmt: skip
def test_a_link_out_of_the_volume_is_told(
    inside: Path, target: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (inside / "data" / "a.txt").symlink_to(target)
    with pytest.raises(SystemExit, match="2"):
        cli.main(copy, ["--src=data/a.txt", "--dst=data/b.txt"])
    assert said.format(above=inside.parent) in capsys.readouterr().err


def test_an_input_outside_the_volume_is_told(
    inside: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert inside
    with pytest.raises(SystemExit, match="2"):
        cli.main(copy, ["--src=/home/me/a.txt", "--dst=data/b.txt"])
    assert "/home/me/a.txt (a container sees only data/)" in capsys.readouterr().err


def test_a_record_made_in_a_container_always_names_its_image(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("STAGE_IMAGE", raising=False)
    monkeypatch.delenv("STAGE_INPUTS", raising=False)
    assert environment.gather(1.0, "cpu")["image"] == ""
    monkeypatch.setenv("STAGE_IMAGE", "")  # `docker compose run` as typed
    monkeypatch.setenv("STAGE_INPUTS", "12ab")
    assert environment.gather(1.0, "cpu")["image"] == "built from 12ab"
    monkeypatch.setenv("STAGE_IMAGE", "sha256:9")
    assert environment.gather(1.0, "cpu")["image"] == "sha256:9"


def test_a_run_that_goes_on_in_a_container_is_found_by_docker_ps(inside: Path) -> None:
    """A client that is killed leaves its container, which still holds the lock."""
    script = (
        "import sys; from pathlib import Path; from shared.runs import lock\n"
        "with lock.acquire(Path('data/x'), {'stage': 'copy'}):\n"
        "    print('held', flush=True); sys.stdin.read()\n"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=pipe, stdout=pipe, cwd=inside,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as holder:  # fmt: skip
        assert holder.stdout
        assert holder.stdout.readline() == b"held\n"
        with (
            pytest.raises(StageError, match=r"another run is working on it; .*`docker ps` lists"),
            lock.acquire(inside / "data" / "x", {"stage": "copy"}),
        ):
            pass
