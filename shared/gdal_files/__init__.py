"""Images as GDAL reads them: what it is told, the formats it may open, damage told in one line.

Needs rasterio. GDAL itself would follow a VRT to any file or address, look for files beside those
that are named, and write some.
"""

from shared.gdal_files.opening import attempt, environment, open_image

__all__ = ["attempt", "environment", "open_image"]
