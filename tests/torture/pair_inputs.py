"""Good data sets of image pairs: one small folder in each layout that `pairs` reads."""

import zipfile
from pathlib import Path

import numpy as np

from tests.torch_files import strides, tensor
from tests.torch_files import write as write_torch

SITES = ("A", "B", "C")
TILE = "T-1"
SIDE = 16  # pixels of 10 m along a side of a patch


def _image(path: Path, values: np.ndarray, metres: float = 10.0) -> bytes:
    """(H, W, C) as a GeoTIFF; its bytes."""
    import rasterio

    high, wide, count = values.shape
    with rasterio.open(
        path, "w", driver="GTiff", height=high, width=wide, count=count, dtype=values.dtype,
        compress="deflate", crs="EPSG:32631", transform=(metres, 0, 4e5, 0, -metres, 5e6),
    ) as file:  # fmt: skip
        file.write(values.transpose(2, 0, 1))
    return path.read_bytes()


def _patch(scale: int) -> np.ndarray:
    side = SIDE * scale
    return np.random.default_rng(scale).integers(0, 4000, (side, side, 4), np.int16)


def _packed_site(folder: Path) -> None:
    """A site of Sen2Venµs version 2."""
    folder.mkdir(parents=True)
    columns = {"b2b3b4b8_10m": 1, "b2b3b4b8_05m": 2}
    places = []
    for name, scale in columns.items():
        raw = _image(folder / "scratch.tif", _patch(scale), 10 / scale)
        with zipfile.ZipFile(folder / f"{name}.zip", "w") as archive:
            archive.writestr("0.tif", raw)
        places.append(f"{name}.zip/0.tif")
    (folder / "scratch.tif").unlink()
    lines = (["", *columns], ["0", *places])
    (folder / "index.csv").write_text("".join("\t".join(line) + "\n" for line in lines))


def _site_of_tensors(folder: Path) -> None:
    """A site of version 1, with the bands of 10 m alone."""
    folder.mkdir(parents=True)
    for name, scale in {"10m_b2b3b4b8": 1, "05m_b2b3b4b8": 2}.items():
        array = np.ascontiguousarray(_patch(scale).transpose(2, 0, 1)[None])
        made = tensor("0", array.size, array.shape, strides(array), kind="ShortStorage")
        write_torch(folder / f"S_2018-02-14_{name}.pt", made, {"0": array}, legacy=False)


def _worldstrat(folder: Path) -> None:
    """One tile with one date."""
    coarse, fine = folder / "lr_dataset_l2a" / TILE / "L2A", folder / "hr_dataset" / TILE
    coarse.mkdir(parents=True)
    fine.mkdir(parents=True)
    _image(coarse / f"{TILE}-1-L2A_data.tiff", np.full((138, 138, 12), 0.2, np.float32))
    _image(fine / f"{TILE}_ps.tiff", np.full((920, 920, 4), 2000, np.uint16), 1.5)
    (coarse / f"{TILE}-1.metadata").write_text("cloud_cover: 0.1\ndelta: 2\n")
    (folder / "stratified_train_val_test_split.csv").write_text(f"tile,split\n{TILE},train\n")
    table = f"tile,n,lowres_date,highres_date\n{TILE},1,2020-06-11,2020-06-10\n"
    (folder / "metadata.csv").write_text(table)


def make(folder: Path) -> None:
    """The data sets, below a folder."""
    for site in SITES:
        _packed_site(folder / "sen2venus" / site)
        _site_of_tensors(folder / "sen2venus-1" / site)
    _worldstrat(folder / "worldstrat")
