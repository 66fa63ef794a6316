"""Asks pip-audit what is known about the packages of every lock.

    python3 -m shared.tools.vulnerabilities .venvs/supply/bin/pip-audit images/tda/requirements.txt

Standard library only. Where no database answers, this is said, and is no pass.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shared import terminal
from shared.errors import StageError

FLAGS = ["--disable-pip", "--require-hashes", "--format", "json", "--progress-spinner", "off"]
# How pip-audit's last line begins when its database does not answer: its own, or a traceback's.
NO_ANSWER = re.compile(
    r".*network may be blocking|\S*((Connection|Proxy|SSL|HTTP|Service|JSONDecode)Error|Timeout)\b"
)
NOWHERE = "no advisory database was reachable"

Package = tuple[str, str]  # name and version


@dataclass
class Findings:
    """What the answers about several locks say together."""

    known: dict[Package, dict[str, str]] = field(default_factory=dict)  # advisories, by their ids
    places: dict[Package, list[str]] = field(default_factory=dict)  # images or locks that have it
    asked: set[Package] = field(default_factory=set)
    skipped: set[str] = field(default_factory=set)

    def add(self, lock: str, dependencies: Iterable[dict[str, Any]]) -> None:
        """Take the answer about one lock.

        Args:
            lock: its path.
            dependencies: as pip-audit lists them: name, and either skip_reason, or version and
                vulns with id, aliases and fix_versions.
        """
        for one in dependencies:
            if "skip_reason" in one:
                self.skipped.add(one["skip_reason"].rpartition(": ")[2])
                continue
            package = (one["name"], one["version"])
            self.asked.add(package)
            if one["vulns"]:
                self.known[package] = {vuln["id"]: _tell(vuln) for vuln in one["vulns"]}
                image = lock.removesuffix("/requirements.txt").removeprefix("images/")
                self.places.setdefault(package, []).append(image)

    def tell(self) -> str:
        """One line for each advisory of a package, and one with the counts."""
        lines = [
            f"{name} {version}: {text}; in {', '.join(self.places[name, version])}"
            for (name, version), advisories in sorted(self.known.items())
            for _, text in sorted(advisories.items())
        ]
        counts = f"{len(self.asked)} packages asked for, {len(self.known)} with known advisories"
        missing = f"not in the database: {', '.join(sorted(self.skipped))}"
        return "\n".join([*lines, counts, *([missing] if self.skipped else [])])


def read_answer(text: str, complaint: str) -> list[dict[str, Any]] | None:
    """The dependencies of one answer, or None when no database could be connected to.

    Args:
        text: stdout of pip-audit.
        complaint: its stderr.

    Raises:
        StageError: it could not read the lock, or failed otherwise.
    """
    if not text.strip():
        last = (complaint.strip().splitlines() or ["pip-audit said nothing"])[-1]
        if NO_ANSWER.match(last):
            return None
        raise StageError(f"pip-audit: expected an answer, found {terminal.join_line(last)[:300]}")
    found: list[dict[str, Any]] = json.loads(text)["dependencies"]
    return found


def main(tool: str, locks: list[str]) -> int:
    """Print what is known: 0, 1 when something is, or 2 when pip-audit cannot be asked.

    An index that has packages but no advisories answers "not found" for each one of the first lock.
    """
    findings, unanswered = Findings(), ""
    try:
        for lock in locks:
            answer = _ask(tool, lock)
            findings.add(lock, answer or [])
            if answer is None or (findings.skipped and not findings.asked):
                unanswered = lock
                break
    except StageError as error:
        return terminal.refuse(error)
    if findings.asked:
        print(terminal.escape_lines(findings.tell()))
    if unanswered:
        which = f"{len(locks) - locks.index(unanswered)} of {len(locks)} locks"
        print(f"{NOWHERE}: nothing is known about {which}, {unanswered} first")
    return 1 if findings.known else 0


def _ask(tool: str, lock: str) -> list[dict[str, Any]] | None:
    if not Path(lock).is_file():
        raise StageError(f"{lock}: expected a lock, found no such file")
    try:
        said = subprocess.run([tool, *FLAGS, "-r", lock], capture_output=True, text=True)
    except OSError as error:
        raise StageError(f"{tool}: {error.strerror}; make .venvs/supply") from None
    try:
        return read_answer(said.stdout, said.stderr)
    except StageError as error:
        raise StageError(f"{lock}: {error}") from None


def _tell(vuln: dict[str, Any]) -> str:
    aliases = f" ({', '.join(vuln['aliases'])})" if vuln["aliases"] else ""
    fixed = ", ".join(vuln["fix_versions"])
    return f"{vuln['id']}{aliases}, {'fixed in ' + fixed if fixed else 'not fixed yet'}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
