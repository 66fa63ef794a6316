"""Lists the images of the stages with the bytes that each one has alone and shares with others.

    python3 -m shared.tools.sizes

Standard library only. An image that is no longer named, of an earlier build, counts among those
that share: `docker image prune` removes them.
"""

import json
import re
import subprocess
import sys
from typing import Any

from shared import terminal
from shared.errors import StageError

NAME = "lcz42-edge/"
UNITS = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}


def read_bytes(text: str) -> float:
    """The bytes of a text such as "124.5MB"; engines write three or four digits.

    Raises:
        StageError: another text.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([kMGT]?B)", text)
    if match is None:
        raise StageError(f"docker system df: expected a size such as 124.5MB, found {text}")
    return float(match[1]) * UNITS[match[2]]


def format_table(images: list[dict[str, Any]], whole: float) -> str:
    """One line per image of this project, the largest own share first, and what all take on disk.

    Args:
        images: as the engine lists them: Repository, UniqueSize, SharedSize.
        whole: bytes of all layers of all images on this machine, each counted once.
    """
    lines = [
        (read_bytes(one["UniqueSize"]), read_bytes(one["SharedSize"]), one["Repository"])
        for one in images
        if one["Repository"].startswith(NAME)
    ]
    rows = [
        f"{alone / 1e6:9.1f}  {shared / 1e6:9.1f}  {name.removeprefix(NAME)}"
        for alone, shared, name in sorted(lines, reverse=True)
    ]
    total = f"{len(lines)} images; all layers of this engine together: {whole / 1e9:.1f} GB"
    return "\n".join(["   own MB  shared MB  image", *rows, total])


def main() -> int:
    """Print the table; 0, or 2 when no engine answers."""
    try:
        detailed, short = _ask("--verbose"), _ask()
        kinds = [json.loads(line) for line in short.splitlines()]
        (whole,) = [read_bytes(kind["Size"]) for kind in kinds if kind["Type"] == "Images"]
        print(terminal.escape_lines(format_table(json.loads(detailed)["Images"], whole)))
    except StageError as error:
        return terminal.refuse(error)
    return 0


def _ask(*words: str) -> str:
    command = ["docker", "system", "df", *words, "--format", "{{json .}}"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        said = " ".join((getattr(error, "stderr", "") or str(error)).split())
        raise StageError(f"make sizes: no container engine answers: {said}") from None


if __name__ == "__main__":
    sys.exit(main())
