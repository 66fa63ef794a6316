"""Procedural land of the 17 Local Climate Zones, and how Sentinel-2 sees it.

`demo` makes patches of it and `city` whole scenes, by the same recipes. Needs scipy.
"""

from shared.landscape.ground import Ground, cover, cover_patch
from shared.landscape.materials import CODE, NAMES, City, draw_city
from shared.landscape.optics import SIDE, add_air, blur, record, sen2, shadow
from shared.landscape.texture import CELL, CELLS, MARGIN, noise
from shared.landscape.zones import ZONES, Zone

__all__ = [
    "CELL", "CELLS", "CODE", "MARGIN", "NAMES", "SIDE", "ZONES", "City", "Ground", "Zone",
    "add_air", "blur", "cover", "cover_patch", "draw_city", "noise", "record", "sen2", "shadow",
]  # fmt: skip
