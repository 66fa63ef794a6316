"""Where a shipment goes: a folder here, or one on another machine by the system's own ssh."""

import json
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from shared import manifest
from shared.errors import RetryableError, StageError
from shared.manifest import digest
from shared.progress import bar, say

HOST = Path(__file__).with_name("host")
# The first is what the other two need.
SCRIPTS = (Path(manifest.__file__), HOST / "install.py", HOST / "receive.py")
BLOCK = 2**20
SHORT, LOST = 3, 255  # exit codes of receive.py and ssh: the connection broke


@dataclass(frozen=True)
class Destination:
    """A folder, on another machine when there is a host.

    Attributes:
        host: as ssh takes it, or None for this machine.
        folder: as that machine's shell sees it from where ssh starts.
    """

    host: str | None
    folder: str

    def __str__(self) -> str:
        return f"{self.host}:{self.folder}" if self.host else self.folder

    def line(self, *words: str) -> list[str]:
        """A command line that runs words there. ssh hands them to a shell, so they are quoted."""
        return ["ssh", self.host, shlex.join(words)] if self.host else list(words)

    def script(self, name: str, *words: str) -> list[str]:
        """The same for one of the scripts that lie there."""
        python = "python3" if self.host else sys.executable
        return self.line(python, "-B", f"{self.folder}/{name}", *words)  # no __pycache__ there

    def ask(self, name: str, *words: str) -> Any:
        """What a script there prints as JSON, None when it prints nothing."""
        done = subprocess.run(self.script(name, *words), capture_output=True, text=True)
        self._refuse(done.returncode, done.stderr)
        return json.loads(done.stdout) if done.stdout.strip() else None

    def show(self, name: str, *words: str) -> None:
        """Run a script there, its output before the eyes of the caller."""
        reason = ""
        with subprocess.Popen(
            self.script(name, *words), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stderr is not None
            for line in process.stderr:
                if line.startswith("error: "):
                    reason = line
                else:
                    print(line, end="", file=sys.stderr, flush=True)
        self._refuse(process.returncode, reason)

    def start(self) -> None:
        """Make the folder and put the scripts there, which all else needs."""
        for script in SCRIPTS:
            path = f"{self.folder}/{script.name}"
            words = 'mkdir -p "$1" && cat >"$2.part" && mv "$2.part" "$2"'
            line = self.line("sh", "-c", words, "sh", self.folder, path)
            done = subprocess.run(line, input=script.read_bytes(), capture_output=True)
            self._refuse(done.returncode, done.stderr.decode(errors="replace"))

    def send(self, source: Path, name: str) -> None:
        """Copy a file there under a name, from where an earlier copy broke off.

        Raises:
            RetryableError: the connection broke; the same again goes on.
            StageError: what arrived has another digest, or cannot be written.
        """
        size, sha256 = source.stat().st_size, digest(source)
        there = self.ask("receive.py", "state", name)
        if there["whole"] == sha256:
            say(f"{name}: already there")
            return
        if there["whole"]:
            say(f"{name}: what is there differs, copied again")
        offset = self._resume_offset(source, name, size, there)
        line = self.script("receive.py", "take", name, str(size), sha256, str(offset))
        with subprocess.Popen(line, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdin is not None
            assert process.stderr is not None
            with (
                source.open("rb") as file,
                bar(size, name, unit="B", done=offset, quiet=size < BLOCK) as progress,
            ):
                file.seek(offset)
                _pump(file, process.stdin, progress)
            stderr = process.stderr.read().decode(errors="replace")
        self._refuse(process.returncode, stderr)

    def _resume_offset(self, source: Path, name: str, size: int, there: dict[str, Any]) -> int:
        """The byte to go on from: the end of the part there, if it is the beginning of the file."""
        have = int(there["bytes"])
        if not have:
            return 0
        if have <= size and digest(source, have) == there["part"]:
            say(f"{name}: goes on from byte {have:,} of {size:,}")
            return have
        say(f"{name}: the part that is there is of another file or damaged, copied again")
        return 0

    def _refuse(self, code: int, stderr: str) -> None:
        reason = (stderr.strip().splitlines() or ["no reason given"])[-1].removeprefix("error: ")
        if code == SHORT or (self.host and code == LOST):
            raise RetryableError(
                f"{self}: the connection broke ({reason}); the same command goes on"
            )
        if code:
            raise StageError(f"{self}: {reason}")


def _pump(file: IO[bytes], pipe: IO[bytes], progress: Any) -> None:
    """The rest of a file into a pipe; one that closes early tells why by its exit code."""
    try:
        while block := file.read(BLOCK):
            pipe.write(block)
            progress.update(len(block))
        pipe.close()
    except BrokenPipeError:
        pass


def parse(dest: str) -> Destination:
    """`user@host:dir` or `host:dir`, else a folder of this machine; as rsync and scp tell them.

    Raises:
        StageError: no folder, or a host that ssh would take for an option.
    """
    host, colon, folder = dest.partition(":")
    if not colon or "/" in host:
        host, folder = "", dest
    elif not host or host.startswith("-"):
        raise StageError(f"--dest: expected user@host:dir or a folder, found {dest!r}")
    if not folder.strip():
        raise StageError(f"--dest: expected user@host:dir or a folder, found {dest!r}")
    if not host:
        return Destination(None, str(Path(folder).expanduser().absolute()))
    if folder == "~" or folder.startswith("~/"):  # where ssh starts; quoted, no shell expands it
        folder = folder[1:].strip("/") or "."
    folder = folder.rstrip("/") or "/"
    return Destination(host, f"./{folder}" if folder.startswith("-") else folder)
