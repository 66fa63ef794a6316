"""Builds images a second time and names every file that is not as in the first one.

    python3 -m shared.tools.image_trees.main merge teacher

The images of the checkout are built first where the engine lacks them, as by `make build`.
"""

import sys
import tempfile
import time
from pathlib import Path

from shared import terminal
from shared.errors import StageError
from shared.pipeline import containers
from shared.tools.image_trees import rebuild, tree

SHOWN = 20  # differences of one image


def verify(stage: str, root: Path) -> list[str]:
    """Build the image of a stage again and compare.

    Args:
        stage: hyphenated name.
        root: the checkout, which is the working directory.

    Returns:
        a line for each difference; none where both builds gave the same.

    Raises:
        StageError: no engine answers, or a build failed.
    """
    containers.ensure_image(stage)
    start = time.monotonic()
    first = rebuild.name_of(stage)
    with (
        tempfile.TemporaryDirectory() as folder,
        rebuild.built_anew(stage, Path(folder), root) as second,
    ):
        seconds = time.monotonic() - start
        one, other = rebuild.read_tree(first), rebuild.read_tree(second)
        lines = list(tree.differences(one, other))
        before, after = rebuild.inspect(first), rebuild.inspect(second)
    lines += [
        f"{key}: {before.get(key)}, then {after.get(key)}"
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
    ]
    if not lines:
        _say(f"{stage}: identical, {len(one):,} paths, SHA-256 of all {tree.digest(one)}; "
             f"built anew in {seconds:.0f} s")  # fmt: skip
    return lines


def main(stages: list[str]) -> int:
    """Verify images; 0 where all are identical, 1 where one is not, 2 on a refusal."""
    different = 0
    for stage in stages:
        try:
            lines = verify(stage, Path.cwd())
        except StageError as error:
            print(terminal.escape_lines(f"error: {error}"), file=sys.stderr)
            return 2
        for line in lines[:SHOWN]:
            _say(f"{stage}: {line}")
        if lines:
            different += 1
            _say(f"{stage}: {len(lines)} differences")
    return int(different > 0)


def _say(line: str) -> None:
    print(terminal.escape(line), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
