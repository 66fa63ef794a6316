"""w2w 0.6.0 (LCZ to WRF) on a map: the band that it takes and its check of the map.

    .venvs/w2w/bin/python tests/w2w_reads.py MAP SCRATCH

prints the number of the band, the classes that it found in it and the reference system.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import rioxarray
import xarray
from w2w import w2w


def main(source: Path, scratch: Path) -> None:
    """Let w2w read the map for a domain in its middle, as its command line does first."""
    shutil.copy(source / "classes.tif", scratch / "lcz.tif")
    bounds = rioxarray.open_rasterio(scratch / "lcz.tif").rio.reproject("EPSG:4326").rio.bounds()
    ends = [(bounds[k] * 3 + bounds[k + 2]) / 4 for k in (0, 1)]
    others = [(bounds[k] + bounds[k + 2] * 3) / 4 for k in (0, 1)]
    sides = [np.linspace(*pair, 5) for pair in zip(ends, others, strict=True)]
    east, north = np.meshgrid(*sides)
    domain = {"XLONG_M": (("y", "x"), east), "XLAT_M": (("y", "x"), north)}
    xarray.Dataset(domain).to_netcdf(scratch / "geo_em.nc")
    given = argparse.Namespace(
        io_dir=str(scratch), lcz_file="lcz.tif", wrf_file="geo_em.nc", LCZ_BAND=0,
        built_lcz=list(range(1, 11)),
    )  # fmt: skip
    info = w2w.Info.from_argparse(given)
    band = w2w._get_lcz_band(info, given)
    w2w.check_lcz_integrity(info, band)
    clean = rioxarray.open_rasterio(info.src_file_clean)
    print(
        json.dumps({"band": band, "classes": np.unique(clean).tolist(), "crs": str(clean.rio.crs)})
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
