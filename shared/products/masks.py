"""What hides the ground, from the masks of products."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared import scenes
from shared.errors import StageError
from shared.products.contents import Layer, metadata, read_nearest
from shared.products.product import Mask

# Sen2Cor's scene classification; what is not listed is clear.
SCL = {0: scenes.UNKNOWN, 3: scenes.SHADOW, 8: scenes.CLOUD, 9: scenes.CLOUD, 10: scenes.CIRRUS,
       11: scenes.SNOW}  # fmt: skip
# Channels of MSK_CLASSI, the later ones win.
CLASSI = (scenes.CLOUD, scenes.CIRRUS, scenes.SNOW)
GML = {"OPAQUE": scenes.CLOUD, "CIRRUS": scenes.CIRRUS}


def from_codes(layer: Layer, factor: int, codes: Mapping[int, int]) -> Mask:
    """Mask of a classification, such as SCL, whose mask refuses what are no class numbers."""
    table = np.zeros(256, np.uint8)
    table[list(codes)] = list(codes.values())

    def mask(rows: slice, columns: slice) -> NDArray[np.uint8]:
        found = read_nearest(layer, factor, rows, columns)
        if wrong := found[~np.isin(found, np.arange(256))].tolist():
            raise StageError(f"{layer.where}: expected class numbers 0 to 255, found {wrong[0]}")
        return table[found.astype(np.uint8)]

    return mask


def from_channels(layers: list[Layer], factor: int) -> Mask:
    """Mask of MSK_CLASSI, whose channels are 1 for opaque cloud, cirrus and snow. Clouds win."""

    def mask(rows: slice, columns: slice) -> NDArray[np.uint8]:
        shape = (rows.stop - rows.start, columns.stop - columns.start)
        made = np.zeros(shape, np.uint8)
        for layer, code in reversed(list(zip(layers, CLASSI, strict=False))):
            made[read_nearest(layer, factor, rows, columns) > 0] = code
        return made

    return mask


def from_bits(clouds: Layer, ground: Layer | None) -> Mask:
    """Mask of MAJA's products at 10 m.

    Args:
        clouds: CLM; bit 1 is any cloud but the thinnest, bit 7 high cloud.
        ground: MG2, if it is there; bit 2 is snow, bit 3 the shadow of a cloud.
    """

    def mask(rows: slice, columns: slice) -> NDArray[np.uint8]:
        made = np.zeros((rows.stop - rows.start, columns.stop - columns.start), np.uint8)
        if ground:
            land = read_nearest(ground, 1, rows, columns)
            made[land & 4 > 0], made[land & 8 > 0] = scenes.SNOW, scenes.SHADOW
        cloud = read_nearest(clouds, 1, rows, columns)
        made[cloud & 128 > 0], made[cloud & 2 > 0] = scenes.CIRRUS, scenes.CLOUD
        return made

    return mask


def from_polygons(content: bytes, where: str, grid: scenes.Grid) -> Mask:
    """Mask of a GML file of products before baseline 04.00: polygons in the zone of the bands.

    Raises:
        StageError: not a complete GML file, or polygons of another zone.
    """
    from rasterio import features
    from rasterio.transform import Affine

    shapes = _shapes(metadata.parse(content, where), where, grid)

    def mask(rows: slice, columns: slice) -> NDArray[np.uint8]:
        shape = (rows.stop - rows.start, columns.stop - columns.start)
        if not shapes:
            return np.zeros(shape, np.uint8)
        place = Affine(*grid.moved(rows.start, columns.start).transform)
        made = features.rasterize(shapes, shape, transform=place, dtype="uint8")
        return np.asarray(made, np.uint8)

    return mask


def _shapes(root: Any, where: str, grid: scenes.Grid) -> list[tuple[dict[str, Any], int]]:
    """Polygons and their numbers, opaque clouds last so that they win."""
    for envelope in metadata.elements(root, "Envelope"):
        named = envelope.get("srsName", "").rpartition(":")[2]
        if grid.epsg and named.isdigit() and int(named) != grid.epsg:
            raise StageError(f"{where}: expected EPSG:{grid.epsg} as the bands, found {named}")
    shapes = []
    for feature in metadata.elements(root, "MaskFeature"):
        code = GML.get(metadata.text(feature, "maskType").upper())
        if code is None:
            continue
        for polygon in metadata.elements(feature, "Polygon"):
            rings = [_ring(ring, where) for ring in metadata.elements(polygon, "posList")]
            if rings:
                shapes.append(({"type": "Polygon", "coordinates": rings}, code))
    return sorted(shapes, key=lambda shape: -shape[1])


def _ring(positions: Any, where: str) -> list[tuple[float, float]]:
    """Corners of one ring."""
    numbers = [metadata.to_number(part, where) for part in (positions.text or "").split()]
    size = 3 if positions.get("srsDimension") == "3" else 2
    if len(numbers) % size or len(numbers) < 3 * size:
        raise StageError(f"{where}: expected rings of three or more corners in {size} numbers each")
    return list(zip(numbers[::size], numbers[1::size], strict=True))
