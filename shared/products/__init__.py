"""Sentinel-2 scenes as they are distributed, or as people keep them: bands, grid, mask.

`sources.read` opens any of them. Needs rasterio and defusedxml.
"""

from shared.products.names import read_names
from shared.products.product import Band, Product
from shared.products.regions import UNITS, find_window
from shared.products.stack import Place, Units

__all__ = [
    "UNITS", "Band", "Place", "Product", "Units", "find_window", "read_names", "sources",
]  # fmt: skip
