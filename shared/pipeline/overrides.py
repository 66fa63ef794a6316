"""Settings that the variables of make change, such as SR, MEMBERS-resnet18 or FLAGS-tda."""

import shlex
from collections.abc import Mapping
from typing import Any

from shared.errors import StageError
from shared.pipeline.product import override, without


def changed_fields(content: Mapping[str, Any], changes: Mapping[str, str]) -> dict[str, Any]:
    """Fields of `Settings` that the variables of the caller change."""
    values: dict[str, Any] = {}
    words = {"SR": "sr", "ARCHITECTURES": "architectures", "MODES": "modes",
             "FUSION_VARIANTS": "fusion_variants", "LEARNING": "learning",
             "SEEDS": "seeds", "STUDENTS": "students", "PAIRS": "pairs",
             "SEGMENTERS": "segmenters"}  # fmt: skip
    texts = {"D": "data", "W": "weights_folder", "WEIGHTS": "weights", "MIRROR": "mirror",
             "STUDENT_TEACHER": "student_teacher", "ABLATED": "ablated",
             "EUROSAT": "eurosat", "SPLIT_LISTS": "split_lists", "FUSION_BATCH": "fusion_batch",
             "STAGE": "sweep_stage", "GRID": "grid", "SCENE": "scene", "LANDCOVER": "landcover",
             "MODEL": "map_model", "SEN2VENUS": "sen2venus",
             "WORLDSTRAT": "worldstrat"}  # fmt: skip
    values |= {key: tuple(changes[name].split()) for name, key in words.items() if name in changes}
    values |= {key: changes[name] for name, key in texts.items() if name in changes}
    if "STUDENT_TEACHER" in changes:
        values["students_teacher"] = changes["STUDENT_TEACHER"]
    values["own_weights"] = _by_ending(changes, "WEIGHTS-")
    own_flags = _by_ending(changes, "FLAGS-")
    said = {stage: tuple(flags) for stage, flags in content.get("flags", {}).items()}
    given = {stage: _words(f"FLAGS-{stage}", text) for stage, text in own_flags.items()}
    # Beside what the source says, such as the views of a publication, and before it where both say.
    values["flags"] = said | {s: override(said.get(s, ()), words) for s, words in given.items()}
    if "LEARNING" in changes:
        values["learning"] = override(tuple(content.get("learning", ())), values["learning"])
    if "distill" in given:
        own = tuple(content.get("student_flags", ()))
        values["student_flags"] = without(own, given["distill"])
    for name in ("members", "epochs", "pixels", "teacher_batch"):
        variable = name.upper()
        every = {"all": changes[variable]} if variable in changes else {}
        values[name] = {**content.get(name, {}), **_by_ending(changes, f"{variable}-"), **every}
    return values


def _words(variable: str, text: str) -> tuple[str, ...]:
    """Words of a command line, as a shell splits them."""
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise StageError(f"{variable}: expected words as in a shell, found {text}") from error


def _by_ending(changes: Mapping[str, str], start: str) -> dict[str, str]:
    return {name[len(start) :]: value for name, value in changes.items() if name.startswith(start)}
