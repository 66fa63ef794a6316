"""The files of all packages that locks name, fetched by pip with their hashes."""

import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from shared.errors import StageError

PIN = re.compile(r"^([\w.-]+)==(\S+)", re.M)
# Published as source only, and what their setup.py looks for is in no lock but this one's.
IN_PLACE = {"basicsr": Path(".venvs/sr_realesrgan/bin/python")}
BATCH = 10  # packages at a time: pip keeps nothing of a call that is cut off
SHOWN = 5  # last lines of a pip that failed


def read_pins(lock: str) -> dict[tuple[str, str], str]:
    """The entries of a lock, each with its hashes and without its comments.

    Args:
        lock: text of a requirements.txt, as `make lock` writes it.

    Returns:
        name and version to the lines of the entry, as pip reads them.
    """
    lines = [line for line in lock.splitlines() if not line.lstrip().startswith("#")]
    entries = re.split(r"\n(?=\S)", "\n".join(lines))
    pins = {}
    for entry in entries:
        if match := PIN.match(entry):
            pins[match[1], match[2]] = entry.strip()
    return pins


def plan_rounds(locks: Iterable[str]) -> list[list[str]]:
    """Entries of all locks in as few lists as there are versions of one package.

    pip takes one version of a package at a time.

    Args:
        locks: their texts.

    Returns:
        lists of entries; in each one every package comes once.
    """
    pins: dict[tuple[str, str], str] = {}
    for lock in locks:
        pins |= read_pins(lock)
    rounds: list[list[str]] = []
    counts: dict[str, int] = {}
    for (name, _), entry in sorted(pins.items()):
        number = counts[name] = counts.get(name, -1) + 1
        if number == len(rounds):
            rounds.append([])
        rounds[number].append(entry)
    return rounds


def fetch(locks: Sequence[Path], folder: Path, pip: Sequence[str]) -> None:
    """Fetch every file that this machine's Python needs of the locks; those that are there stay.

    Args:
        locks: files of `make lock`.
        folder: for the files.
        pip: words that start pip.

    Raises:
        StageError: a file cannot be had, or has another hash than the lock says.
    """
    folder.mkdir(parents=True, exist_ok=True)
    list_file = folder.with_name("wheels.partial.txt")
    try:
        for entries in plan_rounds(lock.read_text() for lock in locks):
            special = [entry for entry in entries if _name(entry) in IN_PLACE]
            plain = [entry for entry in entries if entry not in special]
            for start in range(0, len(plain), BATCH):
                _download(plain[start : start + BATCH], list_file, folder, pip)
            for entry in special:
                python = str(IN_PLACE[_name(entry)])
                _download([entry], list_file, folder, [*pip, "--python", python])
    finally:
        list_file.unlink(missing_ok=True)


def _name(entry: str) -> str:
    return entry.partition("==")[0]


def _download(entries: Sequence[str], list_file: Path, folder: Path, pip: Sequence[str]) -> None:
    """Fetch entries, or compare the hashes of their files where all are there."""
    list_file.write_text("\n".join(entries) + "\n")
    words = [*pip, "download", "--quiet", "--no-cache-dir", "--no-deps", "--require-hashes"]
    words += ["--dest", str(folder), "--requirement", str(list_file)]
    if "--python" in pip:
        words.append("--no-build-isolation")
    if all(_is_there(entry, folder) for entry in entries):
        if _run([*words, "--no-index", "--find-links", str(folder)]).returncode == 0:
            return
        _say(f"{folder}: a file is not as its lock says, fetched again")
    done = _run(words)
    if done.returncode:
        said = " ".join(done.stdout.splitlines()[-SHOWN:])
        raise StageError(
            f"{folder}: pip did not fetch every file ({said}); what is there stays, and the "
            "same command goes on"
        )
    _say(f"wheels: {', '.join(map(_name, entries))}")


def _is_there(entry: str, folder: Path) -> bool:
    """Whether a file of a package's version is in a folder, of whatever platform."""
    name, version = PIN.findall(entry)[0]
    start = f"{_plain(name)}-{version}"
    return any(_plain_start(path.name).startswith(start) for path in folder.iterdir())


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "_", name).lower()


def _plain_start(file: str) -> str:
    """The name of a file with its package's name as `_plain` writes it; sources have hyphens."""
    match = re.match(r"(.+?)-(?=\d)", file)
    return f"{_plain(match[1])}-{file[match.end() :]}" if match else file


def _run(words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _say(text: str) -> None:
    print(text, file=sys.stderr)
