"""Scenes, and the maps of a source: its scene, classified by its student and its teacher."""

import re
from collections.abc import Iterator
from pathlib import Path

from shared.errors import StageError
from shared.pipeline.product import Product
from shared.pipeline.settings import Settings

SCENE_FILE = ".h5"  # what is one already
PUBLISHED = "so2sat-resnet20"  # product of weights
PACKED = {".safe", ".zip", ".tif", ".tiff", ".jp2", ".npy", ".npz"}


def scene_file(settings: Settings) -> str:
    """The scene file that maps are of.

    It is that of SCENE, the file itself or what `scene` makes of a product; else the simulated city
    of a procedural source; "" where there is neither.
    """
    given = settings.scene
    if given.endswith(SCENE_FILE):
        return given
    if given:
        return settings.below(f"scene/{stem(given)}.h5")
    return settings.below("city.h5") if settings.raw == "demo" else ""


def stem(scene: str) -> str:
    """Name of a scene file or product, without the endings of its folder or file."""
    path = Path(scene)
    while path.suffix.lower() in {SCENE_FILE, *PACKED}:
        path = path.with_suffix("")
    return path.name


def check_scene(settings: Settings) -> None:
    """Refuse a SCENE that a rule cannot have.

    Raises:
        StageError: there is nothing by the name of SCENE, or make cannot write that name.
    """
    if settings.scene and not Path(settings.scene).exists():
        raise StageError(f"SCENE: no such file or folder: {settings.scene}")
    if re.search(r"[\s:;#%$*?|]", settings.scene):
        raise StageError(
            f"SCENE: make wants a path without spaces and :;#%$*?|, found {settings.scene!r}; "
            "rename it, or run the stages themselves"
        )


def products(settings: Settings) -> Iterator[Product]:
    """The scenes of a source: the one that the caller names, and of a procedural one a city.

    Raises:
        StageError: there is nothing by the name of SCENE, or make cannot write that name.
    """
    check_scene(settings)
    if settings.raw == "demo":
        yield Product("city", settings.below("city.h5"))
    if settings.scene and not settings.scene.endswith(SCENE_FILE):
        flags = ("--src", settings.scene)
        yield Product("scene", scene_file(settings), (), flags, raw=(settings.scene,))


def classified(settings: Settings) -> Iterator[Product]:
    """A map a classifier, below ``D/map/SCENE``; none where there is no scene.

    MODEL names a folder of its own. Else a scene that the caller names is classified by the
    published network, as nothing need be trained for that; a simulated city by the source's student
    and, where it sees optical bands alone, its teacher.
    """
    scene = scene_file(settings)
    if not scene:
        return
    is_given = settings.scene == scene
    for name, model in classifiers(settings).items():
        made = settings.map_model != model
        yield Product(
            "map", settings.below(f"map/{stem(scene)}/{name}"),
            (*(() if is_given else (scene,)), *((model,) if made else ())),
            ("--src", scene, "--model", model),
            raw=(*((scene,) if is_given else ()), *(() if made else (model,))),
        )  # fmt: skip


def classifiers(settings: Settings) -> dict[str, str]:
    """Name to model folder."""
    if settings.map_model:
        return {settings.map_model.rstrip("/").rpartition("/")[2]: settings.map_model}
    if settings.scene:
        return {PUBLISHED: f"{settings.weights_folder}/{PUBLISHED}"}
    found = {settings.student: settings.below(f"distill/{settings.student}")}
    stage, _, name = settings.student_teacher.partition("/")
    if stage == "teacher" and not name.endswith("-sar"):
        found[f"teacher-{name}"] = settings.below(settings.student_teacher)
    return found
