"""Procedural land of the 17 Local Climate Zones, and how Sentinel-2 sees it.

`demo` makes patches of it, `city` whole scenes and `orthophoto` pictures from the air, by the same
recipes. Needs scipy.
"""

from shared.landscape.ground import Ground, cover, cover_patch, lay_out
from shared.landscape.materials import CODE, NAMES, City, draw_city
from shared.landscape.optics import SIDE, SKYLIGHT, add_air, blur, record, sen2, shadow
from shared.landscape.texture import CELL, CELLS, MARGIN, noise
from shared.landscape.zones import ZONES, Zone

__all__ = [
    "CELL", "CELLS", "CODE", "MARGIN", "NAMES", "SIDE", "SKYLIGHT", "ZONES", "City", "Ground",
    "Zone", "add_air", "blur", "cover", "cover_patch", "draw_city", "lay_out", "noise", "record",
    "sen2", "shadow",
]  # fmt: skip
