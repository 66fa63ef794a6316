"""What a product consists of: its files, their text, their images, where these lie."""

from shared.products.contents import metadata
from shared.products.contents.files import Files, open_raster
from shared.products.contents.grids import (
    PIXEL,
    expect_same_place,
    grid_of,
    is_ten_metres,
    reproject,
    utm_grid,
    utm_zone,
)
from shared.products.contents.layers import Array, Layer, Raster, read_fine, read_nearest

__all__ = [
    "PIXEL", "Array", "Files", "Layer", "Raster", "expect_same_place", "grid_of", "is_ten_metres",
    "metadata", "open_raster", "read_fine", "read_nearest", "reproject", "utm_grid", "utm_zone",
]  # fmt: skip
