"""Inputs that are not there: all of them in one line, and what `make` has for them."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

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
    """Refuse inputs that are neither file nor folder.

    Args:
        inputs: paths by parameter name.

    Raises:
        StageError: lists every one that is missing, and the stages whose folders they would be in.
    """
    missing = {
        name: [path for path in paths if not (path.is_file() or path.is_dir())]
        for name, paths in inputs.items()
    }
    said = [
        f"--{name}: no such file or folder: {', '.join(map(str, paths))}"
        for name, paths in missing.items()
        if paths
    ]
    if said:
        found = [path for paths in missing.values() for path in paths]
        raise StageError("; ".join([*said, *suggest_commands(found)]))


def suggest_commands(paths: Sequence[Path]) -> Iterator[str]:
    """The command that makes what lies in stages' folders of the volume, one for each source."""
    wanted: dict[str, dict[str, None]] = {}
    for path in paths:
        source, stage = _source_and_stage(path)
        if _is_stage(stage):
            wanted.setdefault(source, {})[stage] = None
    for source, stages in wanted.items():
        words = ["make", *([f"SOURCE={source}"] if source else []), *stages]
        yield f"{' '.join(words)} makes {'it' if len(paths) == 1 else 'them'}"


def _source_and_stage(path: Path) -> tuple[str, str]:
    """Source and stage by the path: "demo" and "tda" of data/demo/tda/prepare/training.h5."""
    parts = path.parts
    if VOLUME not in parts[:-1]:
        return "", ""
    below = parts[len(parts) - parts[::-1].index(VOLUME) :]
    source = below[0] if below[0] in SOURCES and len(below) > 1 else ""
    rest = below[1:] if source else below
    return source, rest[0] if len(rest) > 1 else ""


def _is_stage(stage: str) -> bool:
    """Whether a stage has this name; an image, which holds one stage alone, takes any for one."""
    known = [folder.parent.name.replace("_", "-") for folder in STAGES.glob("*/main.py")]
    return bool(stage) and stage != "so2sat" and (stage in known or len(known) == 1)
