"""Which jobs were submitted for the products of a data folder: D/.slurm/jobs.json."""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from shared.reading import documents

FOLDER = ".slurm"


@dataclass
class Entry:
    """What was submitted for one ident.

    Attributes:
        name: of the job, as in `Job`.
        product: that the job helps to make.
        command: as in `Job`; what was made by another one is not taken for the same.
        makes: what a task makes, as in `Job`.
        count: number of tasks.
        tries: submissions of each task, by its number as text.
        numbers: of the latest job of each task in Slurm, by its number as text.
    """

    name: str
    product: str
    command: str
    makes: str
    count: int
    tries: dict[str, int] = field(default_factory=dict)
    numbers: dict[str, str] = field(default_factory=dict)


class Ledger:
    """The submitted jobs of a data folder, kept in a file."""

    def __init__(self, data: str) -> None:
        """Read the file of a data folder; without one, nothing was submitted."""
        self.folder = Path(data) / FOLDER
        self.entries: dict[str, Entry] = {}
        with contextlib.suppress(OSError, ValueError, TypeError):
            content: dict[str, Any] = documents.read_json(self._file)
            self.entries = {ident: Entry(**entry) for ident, entry in content.items()}

    @property
    def _file(self) -> Path:
        return self.folder / "jobs.json"

    def save(self) -> None:
        """Write the file, whole or not at all."""
        draft = self._file.with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps({i: asdict(e) for i, e in self.entries.items()}, indent=1))
        draft.replace(self._file)

    def note(self, name: str, task: int | str) -> Path:
        """Where a task writes the exit code that it ended with."""
        return self.folder / "ended" / f"{name}.{task}"

    def log(self, name: str, is_array: bool) -> Path:
        """Where a job writes what it prints; %A, %a and %j are numbers that Slurm fills in."""
        return self.folder / "logs" / f"{name}.{'%A.%a' if is_array else '%j'}.log"

    def logs(self, name: str, number: str, task: str, is_array: bool) -> Path:
        """The log of one task that was submitted."""
        return self.folder / "logs" / f"{name}.{number}{f'.{task}' * is_array}.log"


@contextlib.contextmanager
def open_ledger(data: str) -> Iterator[Ledger]:
    """The ledger of a data folder; no other submission on this machine changes it meanwhile."""
    folder = Path(data) / FOLDER
    for name in ("ended", "logs"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        with contextlib.suppress(OSError):  # a network volume without locks
            fcntl.lockf(file, fcntl.LOCK_EX)
        yield Ledger(data)
