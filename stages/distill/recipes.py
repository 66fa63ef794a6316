"""Whole ways of teaching under one word; what the caller says wins over them.

``published`` is what the students' own table says. Another recipe names the flags in which it
differs, so that a run says and records all of them, as if each had been given.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from stages.distill.presets import complete_stopping, preset_of
from stages.distill.settings import Student

Name = Literal["published", "consistent"]


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What a word stands for.

    Attributes:
        flags: name to value.
        longer: times the published epochs of the student.
    """

    flags: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    longer: int = 1


RECIPES: dict[Name, Recipe] = {
    "published": Recipe(),
    # Beyer et al. 2022, "Knowledge distillation: a good teacher is patient and consistent": the
    # teacher sees the student's views, for long. Correlations in place of their KL.
    "consistent": Recipe(
        {"loss": "dist", "standardise": False, "targets": "consistent"}, longer=2
    ),
}  # fmt: skip


def complete(given: Mapping[str, Any]) -> dict[str, Any]:
    """Values of flags that student and recipe say, from those that the caller gives."""
    recipe = RECIPES[given.get("recipe", "published")]
    said = {**complete_stopping(given), **recipe.flags}
    if recipe.longer > 1:
        architecture = given.get("architecture", Student.architecture)
        said["epochs"] = recipe.longer * preset_of(architecture).epochs
    return said
