"""What a job of each stage asks a cluster for: `resources.toml`, changed by a file of the site."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

import tomllib

from shared.errors import StageError

DEFAULTS = Path(__file__).with_name("resources.toml")
EVERY = "any"  # the entry for all stages
SHARDS = ("", "rows", "members")


@dataclass(frozen=True)
class Resources:
    """What one job asks for; `resources.toml` explains each name.

    Attributes:
        time: longest time, hours:minutes:seconds.
        memory: of a node, such as 8G; "" leaves it to the site.
        cores: of a task.
        gpus: of a task.
        tasks: processes that train one product together.
        partition: of Slurm, "" for the default of the site.
        options: further words for sbatch.
        shards: what can be divided: rows, members, or "" for nothing.
    """

    time: str
    memory: str
    cores: int
    gpus: int
    tasks: int
    partition: str
    options: tuple[str, ...]
    shards: str


def read_resources(path: Path | None = None) -> dict[str, Resources]:
    """Resources by stage, and under `EVERY` those of all other stages.

    Args:
        path: TOML file of a site, whose values win over those of `resources.toml`; its [any] also
            over what that file says of single stages.

    Raises:
        StageError: no such file, no TOML, an unknown name, or a value of another kind.
    """
    tables, own = _load(DEFAULTS), _load(path) if path else {}
    for stage, table in own.items():
        if not isinstance(table, dict):
            raise StageError(f"{path}: expected tables such as [any] or [teacher], found {stage}")
    everywhere = own.get(EVERY, {})
    return {
        stage: _checked(
            tables[EVERY] | tables.get(stage, {}) | everywhere | own.get(stage, {}), path, stage
        )
        for stage in {**tables, **own}
    }


def _load(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise StageError(f"RESOURCES: {path}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise StageError(f"RESOURCES: {path}: expected TOML, found: {error}") from None


def _checked(table: Mapping[str, Any], path: Path | None, stage: str) -> Resources:
    kinds: dict[str, Any] = get_type_hints(Resources)
    place = f"RESOURCES: {path}: [{stage}]"
    for name, value in table.items():
        if name not in kinds:
            raise StageError(f"{place}: expected one of {', '.join(kinds)}, found {name}")
        if not _fits(name, value, kinds[name]):
            words = {int: "a whole number from 1 (gpus: 0)", str: "text"}
            expected = words.get(kinds[name], "a list of texts")
            raise StageError(f"{place}: {name}: expected {expected}, found {value!r}")
    if table["shards"] not in SHARDS:
        raise StageError(f"{place}: shards: expected rows, members or '', found {table['shards']}")
    return Resources(**{**table, "options": tuple(table["options"])})


def _fits(name: str, value: object, kind: object) -> bool:
    if kind is int:
        return type(value) is int and value >= (0 if name == "gpus" else 1)
    if kind is str:
        return isinstance(value, str)
    return isinstance(value, list) and all(isinstance(word, str) for word in value)
