"""One stage under observation: its runs, what they leave, and what its product has to be."""

import os
import random
import re
import shutil
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.runs import lock, record
from tests.e2e.stage import Stage, warm
from tests.torture.faults import server, works

PRODUCT = "product"
BEAT = 0.1  # seconds between two signs of life, in place of ten
REMOVE = re.compile(r"error: (?P<path>.+?): .*remove it and run again")
FETCH = re.compile("SHA-256: .*not kept$")  # what was fetched is gone: the next run fetches it


class BrokenError(Exception):
    """A stage took an accident in a way that it must not."""


def expect(right: object, what: str, said: str = "") -> None:
    """BrokenError unless something is as it should be."""
    if not right:
        raise BrokenError(f"{what}\n{said}")


@dataclass
class Lab:
    """What a case of an accident gets.

    Attributes:
        work: the product that is made.
        stage: its stage, warm.
        good: folder of good inputs.
        flags: the command line without --dst.
        whole: contents of the product of an undisturbed run.
        plan: of that run.
        seconds: that it took.
        folder: empty, for one case.
        runs: whether a run was begun whose end nobody asked for.
    """

    work: works.Work
    stage: Stage
    good: Path
    flags: list[str]
    whole: dict[str, bytes]
    plan: Any
    seconds: float
    folder: Path
    runs: bool = False

    def start(self, dst: Path, instead: Mapping[Path, Path] | None = None) -> int:
        """Begin a run; its process id.

        Args:
            dst: the product.
            instead: inputs that are taken from another place.
        """
        flags = self.flags
        for path, other in (instead or {}).items():
            flags = [re.sub(rf"{re.escape(str(path))}(?=,|$)", str(other), flag) for flag in flags]
        self.runs = True
        return self.stage.start([*flags, f"--dst={dst}"])

    def end(self) -> tuple[int, str]:
        """Exit status and stderr of the run."""
        status, self.runs = self.stage.status(), False
        said = self.stage.text("stderr")
        expect("Traceback" not in said, f"traceback, status {status}", said)
        return status, said

    def run(self, dst: Path, instead: Mapping[Path, Path] | None = None) -> tuple[int, str]:
        """A run that nothing disturbs from outside."""
        self.start(dst, instead)
        return self.end()

    def abort(self) -> None:
        """End what a case that failed left running, or stopped."""
        if self.runs:
            os.kill(self.stage.pid, signal.SIGCONT)
            os.kill(self.stage.pid, signal.SIGKILL)
            self.stage.status()
            self.runs = False

    def refused(self, status: int, said: str) -> str:
        """The one line of a refusal, which this must be."""
        lines = [line for line in re.split(r"[\r\n]+", said) if line.startswith("error: ")]
        expect(status == 2, f"status {status}", said)
        expect(len(lines) == 1 and said.rstrip().endswith(lines[0]), "no single last line", said)
        expect(self.stage.text("stdout") == "", "a path on stdout", said)
        return lines[0]

    def wait_for_work(self, dst: Path) -> bool:
        """Wait until a run has something to lose; False when it ended before."""
        while not lock.partial_path(dst).exists():
            if self.stage.ended(0.001):
                return False
        return True

    def check_whole(self, dst: Path) -> None:
        """BrokenError unless the product is that of an undisturbed run, and nothing else is there.

        A record is written before the product; what it says is compared as well.
        """
        found = contents(dst)
        other = [n for n in found.keys() | self.whole.keys() if found.get(n) != self.whole.get(n)]
        expect(not other, f"another product: {sorted(other)}")
        made = record.load(dst)
        expect(made and made["plan"] == self.plan, "another plan in the record")
        names = {path.name for path in dst.parent.iterdir()}
        expect(names == {dst.name, record.record_path(dst).name}, f"left behind: {sorted(names)}")

    def recover(self, dst: Path) -> str:
        """Run again as a user does after an accident, doing what the messages say.

        Returns:
            "finished" when the product was there already, "recovered" when a run made it.
        """
        there = dst.exists()
        for _ in range(3):
            status, said = self.run(dst)
            if status == 0:
                self.check_whole(dst)
                return "finished" if there else "recovered"
            line = self.refused(status, said)
            named = REMOVE.search(line)
            expect(named or FETCH.search(line), "does not say what to do", said)
            if named:
                remove(Path(named["path"]))
        raise BrokenError("refused again and again")


def contents(product: Path) -> dict[str, bytes]:
    """What counts of a product, by file."""
    if not product.exists():
        return {}
    files = record.files_of(product)
    return {str(file.relative_to(product)): file.read_bytes() for file in files}


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def open_lab(name: str, good: Path, scratch: Path) -> Iterator[Lab]:
    """A lab for one of `works.WORKS`, after an undisturbed run."""
    work = works.WORKS[name]
    with server.serve(works.content()) as url, warm(work.stage, **work.constants) as stage:
        stage.hooks.append(("tests.torture.faults.hooks:hurry", [BEAT]))
        if work.stage == "weights":
            hook = ("tests.torture.faults.hooks:publish_lists", [str(good / "lists")])
            stage.hooks.append(hook)
        flags = [text.format(good=good, url=url) for text in work.arguments]
        lab = Lab(work, stage, good, flags, {}, {}, 0.0, scratch / "case")
        dst = scratch / "whole" / PRODUCT
        for _ in range(2):  # the first run imports and compiles what later ones need not
            remove(dst.parent)
            begun = time.monotonic()
            status, said = lab.run(dst)
            expect(status == 0, "the undisturbed run fails", said)
            lab.seconds = time.monotonic() - begun
        lab.whole, lab.plan = contents(dst), (record.load(dst) or {})["plan"]
        yield lab


def moment(lab: Lab, rng: random.Random) -> float:
    """Seconds after the start of a run, mostly within it."""
    return rng.uniform(0, 1.1 * lab.seconds)
