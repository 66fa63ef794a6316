"""The image of a stage in the engine: whether it is there and current; built when it is not."""

import contextlib
import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from shared.errors import StageError
from shared.pipeline.containers.inputs import Recipe, digest_inputs, read_recipe, read_revision

# A registry that is this machine: where the base is missing, no public registry is asked for it.
BASE = "localhost/lcz42-edge/base"
WHEELS = "localhost/lcz42-edge/wheels"  # files of packages: `make from-kit`
LABEL, REVISION = "lcz42-edge.inputs", "org.opencontainers.image.revision"
ABSENT = ("no such image", "no such object", "image not known")  # in the words of engines
SHOWN = 30  # last lines of a build that failed
# Lines of .env that `write_settings` writes; all others are kept.
OURS = ("UID", "GID", "BASE", "WHEELS", "OFFLINE", "BUILD_NETWORK")


@dataclass(frozen=True)
class Image:
    """An image in the engine: its id, the digest of what it was built from, and the commit."""

    number: str
    inputs: str
    revision: str


def ensure_images(stages: Sequence[str]) -> None:
    """Write .env, have the images of the stages, and say for each that it is up to date."""
    write_settings(Path.cwd(), find_image(BASE))
    for stage in stages:
        ensure_image(stage)
        _say(f"image {stage}: up to date")


def ensure_image(stage: str) -> str:
    """The id of the image of a stage, which is built first unless it is that of this checkout.

    Args:
        stage: hyphenated name, of the checkout in the working directory.

    Raises:
        StageError: no engine answers, or the build failed.
    """
    root, base = Path.cwd(), find_image(BASE)
    write_settings(root, base)
    recipe = read_recipe(stage, root)
    expected = digest_inputs(recipe, base.number if base else "pinned")
    if (image := find_image(f"lcz42-edge/{stage}")) and image.inputs == expected:
        return image.number
    with _lock(root):  # with `make -j`, one build after the other: the torch layer is built once
        image = find_image(f"lcz42-edge/{stage}")
        if image is None or image.inputs != expected:
            _say(f"image {stage}: building ({_reason(image)})")
            _build(stage, recipe, expected)
            image = find_image(f"lcz42-edge/{stage}")
    if image is None:
        raise StageError(f"lcz42-edge/{stage}: not in the engine after its build; docker images")
    return image.number


def find_image(name: str) -> Image | None:
    """An image of the engine by name, None when there is none; no registry is asked.

    Raises:
        StageError: no engine answers.
    """
    try:
        done = subprocess.run(
            ["docker", "image", "inspect", "-f", "{{.Id}} {{json .Config.Labels}}", name],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    except FileNotFoundError:
        raise StageError("docker: no such command; RUNNER=local needs none") from None
    if done.returncode == 0:
        number, text = done.stdout.split(maxsplit=1)
        labels = json.loads(text) or {}
        return Image(number, *(labels.get(name, "") for name in (LABEL, REVISION)))
    if any(words in done.stderr.lower() for words in ABSENT):
        return None
    raise StageError(f"docker: {done.stderr.strip()}; RUNNER=local needs no container engine")


def write_settings(root: Path, base: Image | None) -> None:
    """Write .env, which `docker compose` as typed reads, and keep the lines that others put there.

    Args:
        root: the checkout.
        base: image that `make base` made, None for the pinned one.
    """
    path = root / ".env"
    now = path.read_text().splitlines() if path.exists() else []
    kept = [line for line in now if line.partition("=")[0].strip() not in OURS]
    values = [os.getuid(), os.getgid(), BASE if base else "pinned"]
    if find_image(WHEELS):  # then builds take packages from there, and have no network
        values += [WHEELS, "1", "none"]
    lines = [*(f"{name}={value}" for name, value in zip(OURS, values, strict=False)), *kept]
    if lines != now:
        draft = path.with_name(f".env.{os.getpid()}.partial")
        draft.write_text("\n".join(lines) + "\n")
        draft.replace(path)
    if not (root / "data").is_dir():  # else Compose refuses to start
        (root / "data").mkdir()


def _reason(image: Image | None) -> str:
    if image is None:
        return "it is not in the engine"
    if image.inputs in ("", "unknown"):
        return "the one in the engine was not built by this version of make"
    return f"the one in the engine, of {image.revision[:15]}, was built from other files"


@contextlib.contextmanager
def _lock(root: Path) -> Iterator[None]:
    folder = root / ".make"
    folder.mkdir(exist_ok=True)
    with (folder / "build.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build(stage: str, recipe: Recipe, inputs: str) -> None:
    """Run `docker compose build`; without a terminal its output goes to a file in .make/."""
    log, start = recipe.root / ".make" / f"build-{stage}.log", time.monotonic()
    words = ["docker", "compose", "build", stage]
    environment = {**os.environ, "INPUTS": inputs, "REVISION": read_revision(recipe)}
    for name in OURS[2:]:  # .env has them
        environment.pop(name, None)
    if sys.stderr.isatty():
        code = subprocess.run(words, cwd=recipe.root, env=environment, check=False).returncode
    else:
        with log.open("w") as file:
            code = subprocess.run(
                words, cwd=recipe.root, env=environment, stdout=file, stderr=file, check=False
            ).returncode
    if code:
        if not sys.stderr.isatty():
            _say("\n".join(log.read_text().splitlines()[-SHOWN:]))
        raise StageError(f"image {stage}: `docker compose build {stage}` failed, see above")
    _say(f"image {stage}: built in {time.monotonic() - start:.0f} s")


def _say(text: str) -> None:
    print(text, file=sys.stderr)
