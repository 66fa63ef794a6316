"""What goes into the image of a stage, as one digest, and the revision that it comes from."""

import hashlib
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Recipe:
    """How the image of a stage is built, as compose.yaml and its Dockerfile say.

    Attributes:
        root: the checkout.
        build: the lines of compose.yaml that say which Dockerfile, with which arguments.
        dockerfile: its text.
        sources: files and folders that it copies from the checkout.
    """

    root: Path
    build: str
    dockerfile: str
    sources: tuple[str, ...]


def read_recipe(stage: str, root: Path) -> Recipe:
    """The recipe of a stage.

    Args:
        stage: hyphenated name.
        root: the checkout.
    """
    text = (root / "compose.yaml").read_text()
    service = re.search(rf"^  {re.escape(stage)}:\n((?:    .*\n|\n)+)", text, re.M)
    if service is None:
        raise ValueError(f"compose.yaml: no service {stage}")
    build = "\n".join(re.findall(r"^      .*(?:<<: \*|args: ).*$", service[1], re.M))
    kind = re.search(r"<<: \*(\w+)", build)
    if kind is None:
        raise ValueError(f"compose.yaml: {stage}: no Dockerfile")
    dockerfile = (root / "images" / f"{kind[1]}.Dockerfile").read_text()
    copied = re.findall(r"^COPY (?!--)(.+) \S+$", dockerfile, re.M)
    module = stage.replace("-", "_")
    words = [word for line in copied for word in line.replace("${STAGE}", module).split()]
    return Recipe(root, build, dockerfile, tuple(dict.fromkeys(words)))


def digest_inputs(recipe: Recipe, base: str) -> str:
    """SHA-256 of all that decides what the image contains; the same in every clone.

    Args:
        recipe: of the stage.
        base: what names the content of the base image.
    """
    whole = hashlib.sha256(f"{base}\0{recipe.build}\0{recipe.dockerfile}\0".encode())
    for path in sorted(list_files(recipe)):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        whole.update(f"{path.relative_to(recipe.root).as_posix()}\0{content}\n".encode())
    return whole.hexdigest()


def read_revision(recipe: Recipe) -> str:
    """The commit; "-dirty" follows when files that go into the image are not as in the commit."""
    git = ["git", "-C", str(recipe.root)]
    try:
        commit = _run(*git, "describe", "--always", "--abbrev=40")
        changed = _run(*git, "status", "--porcelain", "--", *recipe.sources)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit + "-dirty" * bool(changed)


def _run(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


def list_files(recipe: Recipe) -> Iterator[Path]:
    """Every file that the Dockerfile copies, without what .dockerignore leaves out."""
    lines = (recipe.root / ".dockerignore").read_text().splitlines()
    left_out = [line for line in lines if line and line[0] not in "#!" and line != "*"]
    for source in recipe.sources:
        place = recipe.root / source
        for path in place.rglob("*") if place.is_dir() else [place]:
            name = path.relative_to(recipe.root).as_posix()
            if path.is_file() and not any(_matches(name, pattern) for pattern in left_out):
                yield path


def _matches(name: str, pattern: str) -> bool:
    """Whether a line of .dockerignore, either ``**/NAME`` or a plain path, covers a file."""
    if pattern.startswith("**/"):
        return pattern.removeprefix("**/") in name.split("/")
    return name == pattern or name.startswith(f"{pattern}/")
