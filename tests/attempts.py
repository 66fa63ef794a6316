"""What a stage must not do, tried from inside its container; prints how each try ended, as JSON.

The text of this file is given to the Python of an image, which has nothing else of the tests. The
words on the command line: the id of a process outside, and "bomb" to start more tasks than fit.
"""

import ctypes
import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path

C = ctypes.CDLL(None, use_errno=True)
PLACES = ("/x", "/app/x", "/opt/venv/x", "/usr/bin/x")
FILES = ("/app/stages/__main__.py", "/etc/passwd", "/proc/sys/kernel/core_pattern")
NEW_USERS, NEW_MOUNTS = 0x10000000, 0x20000  # of unshare
SEIZE = 0x4206  # ptrace of a process that goes on
TASKS = 5000  # more than compose.yaml allows


def call(name: str, *arguments: object) -> str:
    """How a function of the C library ended."""
    return "done" if getattr(C, name)(*arguments) >= 0 else os.strerror(ctypes.get_errno())


def attempt(action: Callable[[], object]) -> str:
    """How a function of Python ended."""
    try:
        action()
    except OSError as error:
        return str(error.strerror)
    return "done"


def open_for_writing(path: str) -> str:
    """How the opening of a file ended; nothing is written."""
    return attempt(lambda: os.close(os.open(path, os.O_WRONLY)))


def outcomes(outside: int) -> dict[str, str]:
    """Every try and how it ended, "done" where nothing refused it."""
    tries = {f"make {path}": attempt(Path(path).touch) for path in PLACES}
    tries |= {f"write {path}": open_for_writing(path) for path in FILES}
    tries |= {
        "mount": call("mount", b"x", b"/mnt", b"tmpfs", 0, None),
        "device": attempt(lambda: os.mknod("/tmp/device", 0o60600, os.makedev(8, 0))),
        "owner": attempt(lambda: os.chown("/tmp", 1, 1)),
        "other user": call("setuid", 0),
        "other groups": attempt(lambda: os.setgroups([0, 1])),
        "host name": call("sethostname", b"x", 1),
        "raw packets": attempt(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close()),
        "trace a process outside": call("ptrace", SEIZE, outside, None, None),
        "stop a process outside": attempt(lambda: os.kill(outside, 0)),
        "read memory outside": open_for_writing(f"/proc/{outside}/mem"),
        "users of its own": call("unshare", NEW_USERS),
        "mounts of its own": call("unshare", NEW_MOUNTS),
        "root of its own": call("chroot", b"/tmp"),
    }
    return tries


def facts() -> dict[str, object]:
    """What the kernel says of this process and of what it sees."""
    lines = Path("/proc/self/status").read_text().splitlines()
    status = dict(line.split(":\t", 1) for line in lines)
    kept = {name: status[name] for name in ("Uid", "CapEff", "CapBnd", "NoNewPrivs", "Seccomp")}
    files = (Path(top, name) for top, _, names in os.walk("/usr") for name in names)
    raised = [
        str(path) for path in files if path.lstat().st_mode & 0o6000 and not path.is_symlink()
    ]
    networks = [name for _, name in socket.if_nameindex()]
    engine = [path for path in ("/var/run/docker.sock", "/run/docker.sock") if Path(path).exists()]
    return {**kept, "networks": networks, "engine": engine, "setuid programs": raised}


def start_threads(told: int) -> None:
    """In a process of the bomb: start threads until one is refused, tell, and wait."""
    word = b"."
    try:
        for _ in range(TASKS // 50):
            threading.Thread(target=threading.Event().wait, daemon=True).start()
    except RuntimeError:
        word = b"x"
    os.write(told, word)
    signal.pause()


def bomb() -> dict[str, object]:
    """Start TASKS processes and threads; whether the limit held, and how many there were then."""
    threading.stack_size(65536)
    end, told = os.pipe()
    children: list[int] = []
    refused = 0
    try:
        while len(children) < 50:
            if not (child := os.fork()):
                start_threads(told)
            children.append(child)
    except OSError:
        refused = 1
    words = b"".join(os.read(end, 1) for _ in children)
    places = [Path("/sys/fs/cgroup", place, "pids.current") for place in ("", "pids")]
    (tasks,) = [int(place.read_text()) for place in places if place.exists()]
    for child in children:
        os.kill(child, signal.SIGKILL)
    return {"refused": refused + words.count(b"x") > 0, "tasks": tasks}


if __name__ == "__main__":
    told: dict[str, object] = {"facts": facts(), "bomb": bomb() if "bomb" in sys.argv else None}
    print(json.dumps(told | {"tries": outcomes(int(sys.argv[1]))}))
