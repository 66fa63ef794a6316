"""The locks of containers, each one broken on purpose: what compose.yaml refuses, and goes on with.

Skipped where no engine answers or an image is not built; with IMAGES=required that is a failure.
"""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import test_images

ROOT, STRANGER = test_images.ROOT, test_images.STRANGER
ATTEMPTS = (ROOT / "tests" / "attempts.py").read_text()
# What a container may do at most, so that each try can be seen to end otherwise without the locks.
OPEN = ("--cap-add=SYS_ADMIN", "--cap-add=SYS_PTRACE", "--security-opt=seccomp=unconfined",
        "--pid=host", "--user=0")  # fmt: skip
REFUSED = "Operation not permitted"
READ_ONLY = "Read-only file system"
WAIT = 60.0  # seconds until a container has begun its product

engine, volume, home = test_images.engine, test_images.volume, test_images.home


@pytest.fixture
def outside() -> Iterator[int]:
    """A process of this machine that is in no container."""
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process.pid
        process.kill()


def tries_of(told: dict[str, Any]) -> dict[str, str]:
    tries: dict[str, str] = told["tries"]
    return tries


@pytest.mark.usefixtures("engine")
def test_each_lock_holds_and_is_what_refuses(volume: Path, outside: int) -> None:
    """The same tries in a stage's container and in one without its locks, where all succeed."""
    test_images.inspect("merge")
    words = ["-c", ATTEMPTS, str(outside)]
    (line,) = test_images.run("merge", *words, "bomb", volume=volume, entrypoint="python")
    told = json.loads(line)
    assert told["facts"] == {
        "Uid": "\t".join([str(STRANGER)] * 4),
        "CapEff": "0" * 16,
        "CapBnd": "0" * 16,
        "NoNewPrivs": "1",
        "Seccomp": "2",  # the engine's own filter
        "networks": ["lo"],
        "engine": [],
        "setuid programs": [],
    }
    assert told["bomb"] == {"refused": True, "tasks": 4096}
    places = {name: text for name, text in tries_of(told).items() if name.startswith("make ")}
    assert set(places.values()) == {READ_ONLY}
    others = {"write /app/stages/__main__.py", "write /etc/passwd"}
    hidden = {name: tries_of(told)[name] for name in told["tries"] if name.endswith("outside")}
    assert hidden == {
        "trace a process outside": "No such process",
        "stop a process outside": "No such process",
        "read memory outside": "No such file or directory",
    }
    assert {tries_of(told)[name] for name in others} <= {"Permission denied", READ_ONLY}
    rest = told["tries"].keys() - places.keys() - hidden.keys() - others - {KERNEL}
    assert len(rest) == 10
    assert {tries_of(told)[name] for name in rest} == {REFUSED}
    assert tries_of(told)[KERNEL] in ("Permission denied", READ_ONLY)
    line = command_line("merge", *OPEN, "--entrypoint=python", words=words)
    without = tries_of(json.loads(line))
    assert {name for name, text in without.items() if text != "done"} == {KERNEL}


KERNEL = "write /proc/sys/kernel/core_pattern"  # read-only in every container


def command_line(stage: str, *options: str, words: list[str]) -> str:
    """What a container of an image prints, started without compose.yaml and so without locks."""
    done = test_images.command(
        "run", "--rm", "--pull=never", *options, f"lcz42-edge/{stage}", *words
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.usefixtures("engine")
def test_a_setuid_program_on_the_volume_gives_nothing(volume: Path) -> None:
    test_images.inspect("merge")
    mount = f"--volume={volume}:/app/data"
    script = "cp /usr/bin/id /app/data/id && chmod 4755 /app/data/id"
    command_line("merge", mount, "--user=0", "--entrypoint=sh", words=["-c", script])
    program, someone = "--entrypoint=/app/data/id", f"--user={STRANGER}"
    assert command_line("merge", mount, someone, program, words=["-u"]) == "0"
    locked = test_images.run("merge", "-u", volume=volume, entrypoint="/app/data/id")
    assert locked == [str(STRANGER)]


@pytest.mark.usefixtures("engine")
def test_only_weights_has_a_network_and_the_base_is_pinned() -> None:
    done = test_images.command("compose", "config", "--format=json")
    services = json.loads(done.stdout)["services"]
    assert len(services) > 20
    networks = {name: service["network_mode"] for name, service in services.items()}
    assert [name for name, mode in networks.items() if mode != "none"] == ["weights"]
    for name, service in services.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["read_only"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name  # seccomp as it is
        assert not {"privileged", "cap_add", "devices", "pid", "ipc"} & service.keys(), name
        assert service["pids_limit"] == 4096, name
        assert [volume["target"] for volume in service["volumes"]] == ["/app/data"], name
        text = (ROOT / service["build"]["dockerfile"]).read_text()
        outer = [line for line in text.splitlines() if re.match(r"FROM [^$]*:", line)]
        assert len(outer) == 1
        assert "@sha256:" in outer[0]


def find_process(dst: str) -> int | None:
    """The process of a stage, by its product, which stands in its command line."""
    for place in Path("/proc").glob("[0-9]*"):
        try:
            words = (place / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        named = any(word.endswith(dst.encode()) for word in words)
        if named and words[:3] == [b"python", b"-m", b"stages"]:
            return int(place.name)
    return None


def stop_when_begun(dst: str, partial: Path) -> None:
    """Halt a stage in its container as soon as something of its product is there."""
    end = time.monotonic() + WAIT
    while time.monotonic() < end:
        if partial.exists() and any(partial.rglob("*") if partial.is_dir() else [partial]):
            process = find_process(dst)
            assert process, f"{dst}: no process"
            os.kill(process, signal.SIGSTOP)
            return
        time.sleep(0.002)
    raise AssertionError(f"{partial}: nothing after {WAIT} s")


@pytest.mark.usefixtures("engine")
def test_a_stage_killed_for_memory_says_so_and_goes_on(home: Path) -> None:
    """The memory is taken by its /tmp, which counts as the stage's; the partial product is kept."""
    test_images.inspect("demo")
    test_images.build("demo")  # so that no build is waited for below
    product, small = home / "so2sat", "FLAGS-demo=--train_per_class 5 --test_per_class 1"
    words = [f"{product.relative_to(ROOT)}.run.json", small]
    line = ["make", "RUNNER=docker", "SOURCE=tiny", "D=data/test-images", *words]
    environment = os.environ | {"STAGE_MEMORY": "300m"}
    with subprocess.Popen(
        line, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        dst = str(product.relative_to(ROOT))
        stop_when_begun(dst, product.with_name("so2sat.partial"))
        own = "--filter=label=com.docker.compose.service=demo"
        names = test_images.command("ps", "--quiet", own)
        fill = "import mmap\nwith open('/tmp/x', 'wb') as f:\n while 1: f.write(bytes(1 << 20))"
        test_images.command("exec", names.stdout.split()[0], "python", "-c", fill)
        _, said = process.communicate()
    assert process.returncode == 2, said
    assert "demo: ended with exit code 137: the system killed it, mostly because memory" in said
    assert not product.exists()
    assert product.with_name("so2sat.partial").exists()
    done = test_images.run_make(*words)
    assert done.returncode == 0, done.stderr
    done = test_images.run_make("rerun-demo")
    assert "data/test-images/so2sat: identical" in done.stdout, done.stderr
