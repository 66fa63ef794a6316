"""Images between a container engine and files, and files of packages as an image."""

import json
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shared.errors import StageError
from shared.pipeline.containers import BASE, WHEELS, find_image


def answers() -> bool:
    """Whether a container engine answers."""
    try:
        return subprocess.run(["docker", "info"], capture_output=True).returncode == 0
    except OSError:
        return False


def save(names: Sequence[str], archive: Path) -> None:
    """Write images into one archive, layers that they share once; one that has them stays.

    Args:
        names: of images in the engine.
        archive: tar to write, which gets its name when it is whole.

    Raises:
        StageError: the engine refused.
    """
    numbers = {found.number.removeprefix("sha256:") for n in names if (found := find_image(n))}
    if read_numbers(archive) == numbers:
        _say(f"{archive.name}: is there")
        return
    draft = archive.with_name(archive.name + ".partial")
    with draft.open("wb") as file:
        _ask(["docker", "save", *names], stdout=file)
    draft.replace(archive)
    _say(f"{archive.name}: {len(numbers)} images, {archive.stat().st_size / 1e6:,.0f} MB")


def read_numbers(archive: Path) -> set[str]:
    """The ids of the images in an archive of `docker save`, none where it cannot be read."""
    try:
        with tarfile.open(archive, "r:") as tar:
            file = tar.extractfile("manifest.json")
            content: list[dict[str, Any]] = json.load(file) if file else []
        configs = [Path(one["Config"]).name.removesuffix(".json") for one in content]
        return set(configs)
    except (OSError, KeyError, ValueError, tarfile.TarError):
        return set()


def load(archive: Path) -> None:
    """Have the images of an archive in the engine.

    Raises:
        StageError: the engine refused.
    """
    _ask(["docker", "load", "--quiet", "--input", str(archive)], stdout=subprocess.DEVNULL)
    _say(f"{archive.name}: loaded")


def import_wheels(folder: Path) -> None:
    """Make an image of the files of packages, which builds then read without a network.

    Raises:
        StageError: the engine refused.
    """
    read, write = ["tar", "--create", "--directory", str(folder), "."], ["docker", "import", "-"]
    with subprocess.Popen(read, stdout=subprocess.PIPE) as packed:
        _ask([*write, WHEELS], stdin=packed.stdout, stdout=subprocess.DEVNULL)
    if packed.returncode:
        raise StageError(f"{folder}: tar ended with {packed.returncode}")
    _say(f"{WHEELS}: builds take packages from it; docker rmi {WHEELS} ends that")


def base_name(root: Path) -> str:
    """The base that builds use: that of `make base` where it is there, else the pinned one."""
    if find_image(BASE):
        return BASE
    text = (root / "images" / "plain.Dockerfile").read_text()
    (line,) = [line for line in text.splitlines() if line.endswith(" AS pinned")]
    return line.split()[1]


def _ask(words: Sequence[str], **streams: Any) -> None:
    done = subprocess.run(words, stderr=subprocess.PIPE, check=False, **streams)
    if done.returncode:
        said = " ".join(done.stderr.decode(errors="replace").split())
        raise StageError(f"{' '.join(words[:2])}: {said}")


def _say(text: str) -> None:
    print(text, file=sys.stderr)
