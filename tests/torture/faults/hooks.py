"""What is done to one run of a stage, in its own process, before the stage begins."""

import errno
import fcntl
import os
import resource
import time
from pathlib import Path


def limit_file_size(size: int) -> None:
    """No file grows beyond so many bytes: a full disk where no volume can be mounted."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def publish_lists(folder: str) -> None:
    """Let `weights` know the file of the tests, and no other one."""
    from shared import published
    from shared.sr import methods

    methods.load_published.__defaults__ = (Path(folder),)
    published.load_classifiers.__defaults__ = (Path(folder) / "none",)


def hurry(beat: float) -> None:
    """Give signs of life, and look for them, as often as a test has time for."""
    from shared.unfinished import holders

    holders.BEAT = beat


def be_another_machine(name: str) -> None:
    """Let this run be on a machine of its own."""
    from shared.unfinished import holders

    holders.machine = lambda: name


def refuse_locks() -> None:
    """A volume without locks, as some network file systems are mounted."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    fcntl.lockf = refuse


def grant_all_locks() -> None:
    """Locks that hold on one machine only, as another such mount has them."""
    fcntl.lockf = lambda *_: None


def slow_down(seconds: float) -> None:
    """Rest after each part, so that a run is there while a test looks at another one."""
    from shared.unfinished import work

    keep = work.note

    def note(name: str, digest: str) -> None:
        keep(name, digest)
        time.sleep(seconds)

    work.note = note
