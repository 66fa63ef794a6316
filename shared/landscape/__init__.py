"""Procedural land of the 17 Local Climate Zones, and how Sentinel-2 sees it.

By the same recipes, `demo` makes patches of it, `city` whole scenes, `orthophoto` pictures from the
air and `two-sensors` pairs of images of two satellites. Needs scipy.
"""

from shared.landscape.ground import Ground, cover, cover_patch, lay_out
from shared.landscape.land import Land, cross, draw_land, find_cut
from shared.landscape.materials import CODE, NAMES, City, draw_city
from shared.landscape.optics import SIDE, SKYLIGHT, add_air, blur, light_up, record, sen2, shadow
from shared.landscape.texture import CELL, CELLS, MARGIN, noise
from shared.landscape.zones import ZONES, Zone

__all__ = [
    "CELL", "CELLS", "CODE", "MARGIN", "NAMES", "SIDE", "SKYLIGHT", "ZONES", "City", "Ground",
    "Land", "Zone", "add_air", "blur", "cover", "cover_patch", "cross", "draw_city", "draw_land",
    "find_cut", "lay_out", "light_up", "noise", "record", "sen2", "shadow",
]  # fmt: skip
