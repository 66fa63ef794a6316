"""Scenes, and what is made of them."""

import re
from collections.abc import Iterator
from pathlib import Path

from shared.errors import StageError
from shared.pipeline.product import Product
from shared.pipeline.settings import Settings

SCENE_FILE = ".h5"  # what is one already
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
        return settings.below(f"scene/{_stem(given)}.h5")
    return settings.below("city.h5") if settings.raw == "demo" else ""


def _stem(scene: str) -> str:
    """Name of a product without the endings of its folder or file."""
    path = Path(scene)
    while path.suffix.lower() in PACKED:
        path = path.with_suffix("")
    return path.name


def products(settings: Settings) -> Iterator[Product]:
    """The scenes of a source: the one that the caller names, and of a procedural one a city.

    Raises:
        StageError: there is nothing by the name of SCENE, or make cannot write that name.
    """
    if settings.scene and not Path(settings.scene).exists():
        raise StageError(f"SCENE: no such file or folder: {settings.scene}")
    if re.search(r"[\s:;#%$*?|]", settings.scene):
        raise StageError(
            f"SCENE: make wants a path without spaces and :;#%$*?|, found {settings.scene!r}; "
            "rename it, or run the stages scene and map themselves"
        )
    if settings.raw == "demo":
        yield Product("city", settings.below("city.h5"))
    if settings.scene and not settings.scene.endswith(SCENE_FILE):
        flags = ("--src", settings.scene)
        yield Product("scene", scene_file(settings), (), flags, raw=(settings.scene,))
