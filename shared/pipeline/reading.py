"""The TOML file of a source, read and changed by what the caller sets for make."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import tomllib

from shared.errors import StageError
from shared.pipeline.overrides import changed_fields
from shared.pipeline.products import aerial, sensors
from shared.pipeline.settings import OBSERVED, Settings
from shared.sr import methods

SOURCES = Path(__file__).parent / "sources"
WEIGHTS = ("published", "trained")


def sources() -> list[str]:
    """Every source that has a TOML file."""
    return sorted(path.stem for path in SOURCES.glob("*.toml"))


def read_settings(source: str, changes: Mapping[str, str] | None = None) -> Settings:
    """Settings of a source.

    Args:
        source: name of a file in `SOURCES`.
        changes: make variables that the caller set, such as SR, MEMBERS or FLAGS-tda.

    Raises:
        StageError: unknown source, or a value that is not possible.
    """
    content, changes = _load(source), dict(changes or {})
    values: dict[str, Any] = {name: _tuples(value) for name, value in content.items()}
    values |= changed_fields(content, changes)
    first, mode = "", ""
    if values.get("raw") not in (aerial.RAW, sensors.RAW):  # which have no ensembles
        for name in ("architectures", "modes"):
            if not values.get(name):
                raise StageError(f"{name.upper()}: expected at least one name, found none")
        first, mode = values["architectures"][0], values["modes"][0]
    values.setdefault("data", "data" if source == "so2sat" else f"data/{source}")
    values.setdefault("student_teacher", f"teacher/{first}-{mode}")
    values.setdefault("students_teacher", values["student_teacher"])
    values.setdefault("ablated", f"{first}-{mode}")
    for name in ("sr", "compared"):
        values.setdefault(name, methods.variants())
    if "FUSION_VARIANTS" not in changes:  # those of the source that are made
        chosen_variants = (OBSERVED, *values["sr"])
        variants = values.get("fusion_variants", ())
        values["fusion_variants"] = tuple(name for name in variants if name in chosen_variants)
    names = {"first": first, "mode": mode, "ablated": values["ablated"]}
    values["all"] = tuple(pattern.format(**names) for pattern in values.get("all", ("*",)))
    return _checked(Settings(source, **values))


def _load(source: str) -> dict[str, Any]:
    """Content of the TOML file of a source."""
    if source not in sources():
        *most, last = sources()
        raise StageError(f"SOURCE: expected {', '.join(most)} or {last}, found {source}")
    path = SOURCES / f"{source}.toml"
    try:
        content = tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise StageError(f"{path.name}: not a TOML file ({error})") from error
    allowed = {each.name for each in fields(Settings)} - {"source"}
    if unknown := sorted(content.keys() - allowed):
        expected = ", ".join(sorted(allowed))
        raise StageError(f"{path.name}: expected only {expected}; found {', '.join(unknown)}")
    return content


def _tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _tuples(inner) for name, inner in value.items()}
    return tuple(value) if isinstance(value, list) else value


def _checked(settings: Settings) -> Settings:
    """The settings, if they are possible."""
    known = methods.variants()
    _expect("SR", settings.sr, known)
    if settings.weights not in WEIGHTS:
        raise StageError(
            f"WEIGHTS: expected published or trained, found {settings.weights}; "
            "WEIGHTS-edsr-x2=FILE is for one variant"
        )
    if settings.has_topology:
        _expect("FUSION_VARIANTS", settings.fusion_variants, (OBSERVED, *known))
        if not settings.fusion_variants:
            expected = " ".join((OBSERVED, *known))
            raise StageError(f"FUSION_VARIANTS: expected at least one of {expected}, found none")
    return settings


def _expect(name: str, values: tuple[str, ...], known: tuple[str, ...]) -> None:
    if unknown := [value for value in values if value not in known]:
        raise StageError(f"{name}: expected of {' '.join(known)}, found {' '.join(unknown)}")
