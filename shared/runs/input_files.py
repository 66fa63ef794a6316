"""Missing inputs: one message lists all of them and the commands that make them."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from shared import volume
from shared.destination import describe_link, leads_nowhere
from shared.errors import StageError

STAGES = Path(__file__).resolve().parents[2] / "stages"
VOLUME = "data"  # the folder of products, here and in containers
SOURCES = (
    "demo",
    "gallery",
    "tiny",
    "eurosat",
)  # folders of VOLUME that hold a pipeline of their own


def require(inputs: Mapping[str, Sequence[Path]]) -> None:
    """Check that every input is a file or a folder.

    Args:
        inputs: paths by parameter name.

    Raises:
        StageError: lists all missing inputs, with the `make` command for them where known.
    """
    missing = {
        name: [path for path in paths if not (path.is_file() or path.is_dir())]
        for name, paths in inputs.items()
    }
    messages = [
        f"--{name}: no such file or folder: {', '.join(map(_describe, paths))}"
        for name, paths in missing.items()
        if paths
    ]
    if messages:
        missing_paths = [path for paths in missing.values() for path in paths]
        raise StageError("; ".join([*messages, *suggest_commands(missing_paths)]))


def _describe(path: Path) -> str:
    """A missing path; in a container, why what exists on the machine may be missing there."""
    if not volume.is_container():
        return f"{path} ({describe_link(path)})" if path.is_symlink() else str(path)
    for link in (path, *path.parents):
        if leads_nowhere(link):
            target = link.readlink()
            place = os.path.normpath(Path.cwd() / link.parent / target)
            source = target if target.is_absolute() else "FILE"
            return (
                f"{path} (a link to {target}, which is not mounted here: make mounts it; by hand, "
                f"docker compose run -v {source}:{place}:ro)"
            )
    outside = Path(os.environ[volume.VARIABLE]) not in (Path.cwd() / path).parents
    return f"{path} (a container sees only {VOLUME}/)" if outside else str(path)


def suggest_commands(paths: Sequence[Path]) -> Iterator[str]:
    """The `make` commands for files that belong to stages' folders, one command per source."""
    stages_by_source: dict[str, dict[str, None]] = {}
    for path in paths:
        source, stage = _source_and_stage(path)
        if _is_stage(stage):
            stages_by_source.setdefault(source, {})[stage] = None
    for source, stages in stages_by_source.items():
        words = ["make", *([f"SOURCE={source}"] if source else []), *stages]
        yield f"{' '.join(words)} makes {'it' if len(paths) == 1 else 'them'}"


def _source_and_stage(path: Path) -> tuple[str, str]:
    """Source and stage of a path: "demo" and "tda" of data/demo/tda/prepare/training.h5."""
    parts = path.parts
    if VOLUME not in parts[:-1]:
        return "", ""
    below = parts[len(parts) - parts[::-1].index(VOLUME) :]
    source = below[0] if below[0] in SOURCES and len(below) > 1 else ""
    rest = below[1:] if source else below
    return source, rest[0] if len(rest) > 1 else ""


def _is_stage(stage: str) -> bool:
    """Whether a stage has this name; an image contains only one stage and so accepts any name."""
    names = [folder.parent.name.replace("_", "-") for folder in STAGES.glob("*/main.py")]
    return bool(stage) and stage != "so2sat" and (stage in names or len(names) == 1)
