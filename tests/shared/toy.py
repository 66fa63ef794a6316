"""A stage in miniature, for the tests of its front: a text, several times."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from shared import cli
from shared.errors import StageError


def run(
    *,
    src: Path,
    dst: Path,
    extra: Path | None = None,  # noqa: ARG001
    more: tuple[Path, ...] = (),  # noqa: ARG001
    scale: int = 2,
    ratio: float = 0.5,  # noqa: ARG001
    names: tuple[str, ...] = ("a", "b"),  # noqa: ARG001
    fast: bool = False,  # noqa: ARG001
    mode: str = "",
) -> None:
    """Repeat a text.

    Args:
        src: text file.
        dst: file to write.
        extra: another input, or none.
        more: any number of other inputs.
        scale: how many times.
        ratio: not used.
        names: not used.
        fast: not used.
        mode: what goes wrong.
    """
    if mode == "early":
        raise StageError(f"{src}: expected a better text, found this one")
    half = dst.read_text() if dst.exists() else src.read_text()
    dst.write_text(half)
    misbehave(mode, dst)
    dst.write_text(src.read_text() * scale)


def misbehave(mode: str, dst: Path) -> None:
    """Do what a stage might do halfway."""
    if mode == "print":
        print("from Python")
        os.write(1, b"from C\n")
        subprocess.run([sys.executable, "-c", "print('from a subprocess')"], check=True)
    elif mode == "refuse":
        raise StageError(f"{dst}: expected more,\n found less")
    elif mode == "bug":
        raise ZeroDivisionError("a bug")
    elif mode == "full":
        raise OSError(28, "No space left on device")
    elif mode == "none":
        dst.unlink()
        raise SystemExit(3)
    elif mode in ("wait", "swallow", "exit"):
        linger(mode)


def linger(mode: str) -> None:
    """Wait for a signal; answer it as some trainer libraries do."""
    print("waiting", file=sys.stderr, flush=True)
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        if mode == "wait":
            raise
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if mode == "exit":
            sys.exit(1)


if __name__ == "__main__":
    cli.main(run)
