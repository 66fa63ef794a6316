"""A second build of an image, without cache, of copies of the files with other modes and times."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shared.errors import StageError
from shared.pipeline.containers import Recipe, list_files, read_recipe
from shared.tools.image_trees import tree

TAG = "built-anew"
COMPOSE = "com.docker.compose."  # labels of Compose, which builds the first image alone
SHOWN = 20  # last lines of a build that failed
OLD = 1_000_000_000  # seconds since 1970: the time of all copied files, years before any checkout


def name_of(stage: str, tag: str = "latest") -> str:
    """The image of a stage in the engine."""
    return f"lcz42-edge/{stage}:{tag}"


@contextmanager
def built_anew(stage: str, folder: Path, root: Path) -> Iterator[str]:
    """Build a stage's image again under another tag, which is gone afterwards.

    Args:
        stage: hyphenated name, whose image is in the engine.
        folder: empty one, for the copies.
        root: the checkout.

    Yields:
        the name of the second image.

    Raises:
        StageError: the build failed.
    """
    recipe, labels = read_recipe(stage, root), inspect(name_of(stage))["Labels"]
    _copy(recipe, folder)
    build = _build_of(stage, root, labels)
    words = ["docker", "build", "--no-cache", "--tag", name_of(stage, TAG)]
    words += ["--file", str(folder / build["dockerfile"]), "--network", build["network"]]
    for name, value in {**build["args"], "UV_NO_CACHE": "1"}.items():
        words += ["--build-arg", f"{name}={value}"]
    environment = {**os.environ, "DOCKER_BUILDKIT": "1"}
    done = subprocess.run(
        [*words, str(folder)], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = "\n".join(done.stderr.splitlines()[-SHOWN:])
        raise StageError(f"{stage}: the second build failed:\n{said}")
    try:
        yield name_of(stage, TAG)
    finally:
        _ask("image", "rm", "--force", name_of(stage, TAG))


def _copy(recipe: Recipe, folder: Path) -> None:
    """Copy what a build sees, readable by its owner alone, as an umask of 077 makes it."""
    names = [path.relative_to(recipe.root) for path in list_files(recipe)]
    plain = [Path(".dockerignore"), *Path("images").glob("*.Dockerfile")]
    for name in [*names, *(path for path in plain if (recipe.root / path).exists())]:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(recipe.root / name, target)
        executable = (recipe.root / name).stat().st_mode & 0o100
        target.chmod(0o600 | executable)
        os.utime(target, (OLD, OLD))


def _build_of(stage: str, root: Path, labels: dict[str, str]) -> dict[str, Any]:
    """What compose.yaml says of the build, for the revision and the digest of the first image."""
    variables = {
        "INPUTS": labels["lcz42-edge.inputs"],
        "REVISION": labels["org.opencontainers.image.revision"],
    }
    words = ["docker", "compose", "--project-directory", str(root), "config", "--format", "json"]
    done = subprocess.run(
        words, env={**os.environ, **variables}, capture_output=True, text=True, check=True
    )
    build: dict[str, Any] = json.loads(done.stdout)["services"][stage]["build"]
    return {"network": "default", **build}


def inspect(image: str) -> dict[str, Any]:
    """The configuration of an image: user, variables, labels, what it runs."""
    configuration: dict[str, Any] = json.loads(_ask("image", "inspect", image))[0]["Config"]
    for name in ("Hostname", "Image"):  # of what an engine made while it built
        configuration.pop(name, None)
    labels = configuration.get("Labels") or {}
    own = {name: text for name, text in labels.items() if not name.startswith(COMPOSE)}
    return {**configuration, "Labels": own}


def read_tree(image: str) -> dict[str, tree.Entry]:
    """The files of an image, through a container that is never started."""
    container = _ask("create", "--pull", "never", image).strip()
    try:
        with subprocess.Popen(["docker", "export", container], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            found = tree.read(process.stdout)
            process.stdout.read()  # tar ends before its padding does
        if process.returncode:
            raise StageError(f"{image}: docker export ended with {process.returncode}")
        return found
    finally:
        _ask("rm", container)


def _ask(*words: str) -> str:
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise StageError(f"docker {' '.join(words[:2])}: {done.stderr.strip()}")
    return done.stdout
