"""The good files: small, so that the library's own book-keeping is a large part of their bytes."""

import subprocess
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from shared import lcz, patches
from tests.conftest import write_raw
from tests.e2e.inputs import score_folder

ROWS, SIDE, BINS = 17, 16, 4


def pixels(side: int) -> dict[str, Any]:
    """Patches of one row a class, in float64, with multiples of 1e-4 as reflectance."""
    rng = np.random.default_rng(0)
    sen2 = np.round(rng.uniform(0, 0.4, (ROWS, SIDE, SIDE, 10)), 4)
    sen1 = rng.uniform(-0.4, 0.4, (ROWS, SIDE, SIDE, 8))
    arrays = {"sen1": sen1, "sen2": sen2, "label": np.eye(17), "city": np.arange(ROWS) % 5}
    factor = side // SIDE
    return arrays | {n: arrays[n].repeat(factor, 1).repeat(factor, 2) for n in ("sen1", "sen2")}


def write(path: Path, side: int = SIDE, shard: str = "1/1") -> None:
    """A patch file as `prepare` makes it."""
    arrays = pixels(side)
    fields = {
        "sen2": patches.Field((side, side, 10), "uint16", lcz.SEN2),
        "sen1": patches.Field((side, side, 8), "float16", lcz.SEN1),
        "label": patches.Field((17,), "uint8"),
        "city": patches.Field((), "int32", names=tuple("abcde")),
    }
    _fill(path, arrays, shard, {}, fields)


def write_features(path: Path) -> None:
    """A features file as `tda` makes it."""
    from stages.tda.settings import Setting

    rng = np.random.default_rng(0)
    setting = Setting("sen2", lcz.SEN2, bins=BINS, sigma=1.0, essential=False)
    grid = np.tile([[0.0, 200.0], [0.0, 90.0]], (10, 2, 1, 1))
    width = 10 * 2 * BINS * BINS
    arrays = pixels(SIDE) | {"features": rng.uniform(0, 1, (ROWS, width)).astype("f2")}
    fields = {
        "features": patches.Field((width,), "float16"),
        "label": patches.Field((17,), "uint8"),
    }
    constants = {"grid": patches.Constant(grid, setting.attributes())}
    _fill(path, arrays, "1/1", constants, fields)


def _fill(
    path: Path, arrays: dict[str, Any], shard: str, constants: Any, fields: dict[str, Any]
) -> None:
    with patches.Writer(
        path, ROWS, shard, classes=lcz.CLASSES, constants=constants, like=None, **fields
    ) as sink:
        for rows in sink.todo(ROWS):
            sink.put(rows, **{name: arrays[name][rows] for name in fields})


def copy(src: Path, dst: Path, libver: str = "earliest", **storage: Any) -> None:
    """The same content, stored in another way."""
    with h5py.File(src) as old, h5py.File(dst, "w", libver=libver) as new:
        new.attrs.update(old.attrs)
        for name, data in old.items():
            new.create_dataset(name, data=data[()], **(storage if data.shape else {}))
            new[name].attrs.update(data.attrs)


def environment_python(name: str) -> Path:
    """The interpreter of the environment of a stage, which need not be there."""
    return Path(__file__).resolve().parents[2] / ".venvs" / name / "bin" / "python"


def _write_table(path: Path, python: Path) -> None:
    """A table of MATLAB's, version 7.3, by the package that `prepare` reads it with."""
    lines = f"""
import matio, pandas
rows = range(1, {ROWS + 1})
table = pandas.DataFrame({{"Label": [float(i) for i in rows], "Index": [float(i) for i in rows]}})
matio.save_to_mat({str(path)!r}, {{"chosen": table}})
"""
    subprocess.run([python, "-c", lines], check=True)


def make(folder: Path) -> None:
    """All good files of `readers.READERS`."""
    raw = pixels(SIDE)
    write_raw(folder / "raw.h5", raw)
    copy(folder / "raw.h5", folder / "raw-gzip.h5", chunks=True, compression="gzip", shuffle=True)
    chunked = {"chunks": True, "compression": "lzf", "fletcher32": True}
    copy(folder / "raw.h5", folder / "raw-latest.h5", "latest", **chunked)
    with h5py.File(folder / "raw.mat", "w", userblock_size=512) as file:
        for name in ("sen2", "label"):
            stored = file.create_dataset(name, data=raw[name].T, chunks=True, compression="gzip")
            stored.attrs["MATLAB_class"] = np.bytes_("double")
    place = np.zeros((ROWS, 6))
    place[:, 0], place[:, 3] = 3e5 + 4e4 * np.arange(ROWS), 5e6
    write_raw(folder / "geo.h5", {"epsg": np.full(ROWS, 32632), "tfw": place})
    with h5py.File(folder / "city.h5", "w") as file:
        names = [f"city {number % 5}" for number in range(ROWS)]
        file.create_dataset("city", data=names, dtype=h5py.string_dtype())
    if (python := environment_python("prepare")).exists():
        _write_table(folder / "table.mat", python)
    write(folder / "patches.h5")
    copy(folder / "patches.h5", folder / "patches-gzip.h5", chunks=True, compression="gzip")
    write(folder / "x2.h5", 2 * SIDE)
    for part in (1, 2):
        write(folder / f"part-{part}.h5", shard=f"{part}/2")
    write_features(folder / "features.h5")
    score_folder(folder / "scores", (ROWS, ROWS))
