"""Settings of a source: its TOML file, changed by what the caller sets for make."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tomllib

from shared.errors import StageError
from shared.sr import methods

SOURCES = Path(__file__).parent / "sources"
WEIGHTS = ("published", "trained")
OBSERVED = "prepare"  # among fusion's variants: the patches as they were observed


@dataclass(frozen=True)
class Settings:
    """What decides which products there are and how they are made.

    Attributes:
        source: so2sat, demo, gallery, tiny or eurosat.
        data: folder of the products, ``D``.
        raw: how patches come in: "files" that people put into ``D/so2sat``, or the stage that makes
            them, demo or eurosat.
        weights_folder: of published weights, ``W``.
        weights: published or trained.
        own_weights: file by variant, such as "edsr-x2".
        mirror: folder or address to take published weights from, "" for their authors' places.
        sr: variants that `make all` makes.
        compared: variants that sr-eval and `make sr` compare.
        small: whether sr-train uses the demo sizes of the methods.
        architectures: backbones of the ensembles.
        modes: how members draw their bands.
        fusion_variants: what the members of a fusion see in turn.
        student_teacher: product below ``D`` that the student learns from.
        ablated: fusion that `make ablations` takes apart.
        all: patterns of the ensembles, below ``D``, that `make all` makes.
        has_topology: whether the source has tda, fusion and super-resolution.
        plot: whether `make all` makes tda-plot.
        members: by architecture, or "any".
        epochs: likewise.
        pixels: likewise.
        teacher_batch: likewise.
        fusion_batch: rows a step of fusion, 0 for its default.
        learning: further flags of teacher and fusion.
        flags: further flags by stage.
        eurosat: folder of its pictures.
        milestones: products below ``D`` after which the report is renewed.
        seconds: what each product took on two cores, below ``D``; for the time that is left.
    """

    source: str
    data: str
    raw: str = "files"
    weights_folder: str = "data/weights"
    weights: str = "published"
    own_weights: Mapping[str, str] = field(default_factory=dict)
    mirror: str = ""
    sr: tuple[str, ...] = ()
    compared: tuple[str, ...] = ()
    small: bool = False
    architectures: tuple[str, ...] = ()
    modes: tuple[str, ...] = ()
    fusion_variants: tuple[str, ...] = ()
    student_teacher: str = ""
    ablated: str = ""
    all: tuple[str, ...] = ("*",)
    has_topology: bool = True
    plot: bool = True
    members: Mapping[str, int] = field(default_factory=dict)
    epochs: Mapping[str, int] = field(default_factory=dict)
    pixels: Mapping[str, int] = field(default_factory=dict)
    teacher_batch: Mapping[str, int] = field(default_factory=dict)
    fusion_batch: int = 0
    learning: tuple[str, ...] = ()
    flags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    eurosat: str = "data/eurosat-rgb"
    milestones: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def prepared(self) -> str:
        """Folder of the prepared splits."""
        return f"{self.data}/prepare"

    def below(self, path: str) -> str:
        """A path in the data folder."""
        return f"{self.data}/{path}"


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
    if source not in sources():
        *most, last = sources()
        raise StageError(f"SOURCE: expected {', '.join(most)} or {last}, found {source}")
    content = tomllib.loads((SOURCES / f"{source}.toml").read_text())
    changes = dict(changes or {})
    values: dict[str, Any] = {name: _tuples(value) for name, value in content.items()}
    values |= _changed(content, changes)
    first, mode = values["architectures"][0], values["modes"][0]
    values.setdefault("data", "data" if source == "so2sat" else f"data/{source}")
    values.setdefault("student_teacher", f"teacher/{first}-{mode}")
    values.setdefault("ablated", f"{first}-{mode}")
    for name in ("sr", "compared"):
        values[name] = values.get(name) or methods.variants()
    if "FUSION_VARIANTS" not in changes:  # those of the source that are made
        chosen_variants = (OBSERVED, *values["sr"])
        variants = values.get("fusion_variants", ())
        values["fusion_variants"] = tuple(name for name in variants if name in chosen_variants)
    names = {"first": first, "mode": mode, "ablated": values["ablated"]}
    values["all"] = tuple(pattern.format(**names) for pattern in values.get("all", ("*",)))
    settings = Settings(source, **values)
    return _checked(settings)


def _tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _tuples(inner) for name, inner in value.items()}
    return tuple(value) if isinstance(value, list) else value


def _changed(content: Mapping[str, Any], changes: Mapping[str, str]) -> dict[str, Any]:
    """Fields of `Settings` that the caller's variables change."""
    values: dict[str, Any] = {}
    words = {"SR": "sr", "ARCHITECTURES": "architectures", "MODES": "modes",
             "FUSION_VARIANTS": "fusion_variants"}  # fmt: skip
    texts = {"D": "data", "W": "weights_folder", "WEIGHTS": "weights", "MIRROR": "mirror",
             "STUDENT_TEACHER": "student_teacher", "ABLATED": "ablated",
             "EUROSAT": "eurosat"}  # fmt: skip
    values |= {key: tuple(changes[name].split()) for name, key in words.items() if name in changes}
    values |= {key: changes[name] for name, key in texts.items() if name in changes}
    values["own_weights"] = _by_ending(changes, "WEIGHTS-")
    values["flags"] = {
        **{stage: tuple(flags) for stage, flags in content.get("flags", {}).items()},
        **{stage: tuple(shlex.split(v)) for stage, v in _by_ending(changes, "FLAGS-").items()},
    }
    for name in ("members", "epochs", "pixels", "teacher_batch"):
        variable = name.upper()
        given = {"all": changes[variable]} if variable in changes else {}
        values[name] = {**content.get(name, {}), **_by_ending(changes, f"{variable}-"), **given}
    if "FUSION_BATCH" in changes:
        values["fusion_batch"] = int(changes["FUSION_BATCH"])
    if "LEARNING" in changes:
        values["learning"] = tuple(changes["LEARNING"].split())
    return values


def _by_ending(changes: Mapping[str, str], start: str) -> dict[str, str]:
    return {name[len(start) :]: value for name, value in changes.items() if name.startswith(start)}


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


def chosen(numbers: Mapping[str, Any], architecture: str) -> Any:
    """What was asked for, else an architecture's own number, else that of any; None without one."""
    return numbers.get("all", numbers.get(architecture, numbers.get("any")))
