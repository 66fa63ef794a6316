"""A `docker compose run` made ready: the image, its id, links, and the one data folder."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from shared.errors import StageError
from shared.pipeline.containers.images import ensure_image
from shared.pipeline.containers.links import VOLUME, find_mounts

START = ("docker", "compose", "run")
WITH_VALUE = {"-v", "--volume", "-e", "--env", "--entrypoint", "--name", "-u", "--user"}


def prepare(
    command: Sequence[str], environment: Mapping[str, str]
) -> tuple[list[str], dict[str, str]]:
    """The words and the environment to run a command with; unchanged unless it is START.

    Args:
        command: words, such as docker compose run --rm -T tda --dst data/x.h5.
        environment: of the process.

    Raises:
        StageError: no engine answers, the image cannot be built, or a link cannot be mounted.
    """
    words = list(command)
    if tuple(words[: len(START)]) != START:
        return words, dict(environment)
    place = _service(words)
    stage, arguments = words[place], words[place + 1 :]
    number = ensure_image(stage)
    mounts = [word for mount in find_mounts(arguments) for word in mount.words()]
    changes = {"STAGE_IMAGE": number, "DATA": os.path.realpath(VOLUME)}
    return [*words[:place], *mounts, stage, *arguments], {**environment, **changes}


def _service(words: Sequence[str]) -> int:
    """Where the name of the service stands."""
    place = len(START)
    while words[place].startswith("-"):
        place += 2 if words[place] in WITH_VALUE else 1
    return place


def check_folders(folder: str, data: str, root: Path) -> None:
    """Check that containers will see the folder that make, status, report and ship look into.

    Args:
        folder: of the products, D.
        data: the variable DATA, "" when it is not set.
        root: the checkout.

    Raises:
        StageError: D is outside data/, or DATA, also in .env, is another folder than data/.
    """
    if Path(os.path.normpath(folder)).parts[:1] != (VOLUME,):
        raise StageError(
            f"D: expected a folder below {VOLUME}/, which is all that containers see, found "
            f"{folder}; RUNNER=local writes anywhere"
        )
    data = data or _written_data(root)
    if data and os.path.realpath(root / data) != os.path.realpath(root / VOLUME):
        raise StageError(
            f"DATA: expected {VOLUME}/ of this checkout, where make looks for products, found "
            f"{data}; make {VOLUME} a link to it: ln -s {os.path.realpath(root / data)} {VOLUME}"
        )


def _written_data(root: Path) -> str:
    """DATA as .env says it, "" without such a line."""
    text = (root / ".env").read_text() if (root / ".env").exists() else ""
    lines = [line.partition("=") for line in text.splitlines()]
    values = {name.strip(): value.strip().strip("'\"") for name, _, value in lines}
    return values.get("DATA", "")
