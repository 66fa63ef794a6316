"""Scene files: one Sentinel-2 scene, ten bands on one grid of 10 m, with mask and, if known, truth.

`open_scene` opens and checks, `create_scene` writes and goes on after a stop. Format:
shared/README.md.
"""

from shared.scenes.form import (
    BLOCK,
    CIRRUS,
    CLEAR,
    CLOUD,
    HIDING,
    LEVELS,
    MASKS,
    NO_DATA,
    PER_UNIT,
    SHADOW,
    SNOW,
    UNKNOWN,
    Header,
)
from shared.scenes.grid import Grid, utm_wkt
from shared.scenes.reader import Scene, Window, blocks, open_scene
from shared.scenes.writer import SceneWriter, create_scene

__all__ = [
    "BLOCK", "CIRRUS", "CLEAR", "CLOUD", "HIDING", "LEVELS", "MASKS", "NO_DATA", "PER_UNIT",
    "SHADOW", "SNOW", "UNKNOWN", "Grid", "Header", "Scene", "SceneWriter", "Window", "blocks",
    "create_scene", "open_scene", "utm_wkt",
]  # fmt: skip
