"""Where the pixels of a scene lie: reference system and affine transform, without any package."""

from dataclasses import dataclass, replace

from shared.errors import StageError

NORTH, SOUTH = 32600, 32700  # EPSG numbers of UTM on WGS 84: these plus the zone


def utm_wkt(epsg: int) -> str:
    """The text (WKT 1) of a UTM zone on WGS 84.

    Args:
        epsg: 32601 to 32660 in the north, 32701 to 32760 in the south.

    Raises:
        StageError: another number.
    """
    south, zone = epsg > SOUTH, epsg % 100
    if epsg - zone not in (NORTH, SOUTH) or not 1 <= zone <= 60:
        raise StageError(
            f"expected a UTM zone, EPSG:32601 to 32660 or 32701 to 32760, found {epsg}"
        )
    return (
        f'PROJCS["WGS 84 / UTM zone {zone}{"S" if south else "N"}",GEOGCS["WGS 84",'
        'DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563,AUTHORITY["EPSG","7030"]],'
        'AUTHORITY["EPSG","6326"]],PRIMEM["Greenwich",0,AUTHORITY["EPSG","8901"]],'
        'UNIT["degree",0.0174532925199433,AUTHORITY["EPSG","9122"]],AUTHORITY["EPSG","4326"]],'
        'PROJECTION["Transverse_Mercator"],PARAMETER["latitude_of_origin",0],'
        f'PARAMETER["central_meridian",{6 * zone - 183}],PARAMETER["scale_factor",0.9996],'
        f'PARAMETER["false_easting",500000],PARAMETER["false_northing",{10_000_000 * south}],'
        'UNIT["metre",1,AUTHORITY["EPSG","9001"]],AXIS["Easting",EAST],AXIS["Northing",NORTH],'
        f'AUTHORITY["EPSG","{epsg}"]]'
    )


@dataclass(frozen=True)
class Grid:
    """Reference system and transform of an image.

    Attributes:
        transform: a b c d e f of x = a·column + b·row + c, y = d·column + e·row + f, which give
            the upper left corner of a pixel, as rasterio's Affine does.
        crs: WKT text; "" if there is none.
        epsg: its number; 0 if there is none.
    """

    transform: tuple[float, ...] = (10.0, 0.0, 0.0, 0.0, -10.0, 0.0)
    crs: str = ""
    epsg: int = 0

    @classmethod
    def utm(cls, epsg: int, west: float, north: float, pixel: float = 10.0) -> "Grid":
        """A grid with north up in a UTM zone, by its upper left corner in metres."""
        return cls((pixel, 0.0, west, 0.0, -pixel, north), utm_wkt(epsg), epsg)

    @property
    def pixel(self) -> tuple[float, float]:
        """Width and height of a pixel in units of the system, both positive."""
        a, b, _, d, e, _ = self.transform
        return float((a * a + d * d) ** 0.5), float((b * b + e * e) ** 0.5)

    def place(self, row: float, column: float) -> tuple[float, float]:
        """x and y of a place in rows and columns: whole numbers are corners, halves centres."""
        a, b, c, d, e, f = self.transform
        return a * column + b * row + c, d * column + e * row + f

    def index(self, x: float, y: float) -> tuple[float, float]:
        """Row and column of a place, the reverse of `place`."""
        a, b, c, d, e, f = self.transform
        size = a * e - b * d
        column = (e * (x - c) - b * (y - f)) / size
        return (a * (y - f) - d * (x - c)) / size, column

    def moved(self, row: float, column: float) -> "Grid":
        """The grid whose first pixel has its corner at this row and column of ours."""
        x, y = self.place(row, column)
        a, b, _, d, e, _ = self.transform
        return replace(self, transform=(a, b, x, d, e, y))

    def coarser(self, step: float) -> "Grid":
        """The grid of pixels `step` times as wide and high, from the same corner."""
        a, b, c, d, e, f = self.transform
        return replace(self, transform=(a * step, b * step, c, d * step, e * step, f))
