"""The names in Sen2Venµs: groups of bands, columns of index.csv, what each image of a pair is of.

Source: Michel et al. 2022, "SEN2VENµS", and the records of its versions on Zenodo.
"""

from collections.abc import Mapping
from typing import Literal

from shared.sisr.form import Bands

Choice = Literal["10m", "20m", "all"]
Columns = Mapping[str, tuple[str, ...]]  # columns of each image, whose bands lie one after another

GROUPS = {
    "b2b3b4b8": ("B2", "B3", "B4", "B8"),
    "b5b6b7b8a": ("B5", "B6", "B7", "B8A"),
    "b11b12": ("B11", "B12"),
}
COLUMNS: Mapping[str, Columns] = {
    "10m": {"low": ("b2b3b4b8_10m",), "high": ("b2b3b4b8_05m",)},
    "20m": {"low": ("b5b6b7b8a_20m",), "high": ("b5b6b7b8a_05m",)},
    "all": {
        "low": ("b2b3b4b8_10m",),
        "coarse": ("b5b6b7b8a_20m", "b11b12_20m"),
        "high": ("b2b3b4b8_05m", "b5b6b7b8a_05m"),
    },
}
# What `two-sensors` adds: the image as it should be, also of bands that the finer sensor lacks, and
# on the grid of the coarser one how the finer one differs.
TRUTH: Mapping[str, tuple[str, ...]] = {
    "10m": ("truth_b2b3b4b8_05m",),
    "20m": ("truth_b5b6b7b8a_05m",),
    "all": ("truth_b2b3b4b8_05m", "truth_b5b6b7b8a_05m", "truth_b11b12_05m"),
}
FIELDS = ("flow", "gain", "offset")  # gain and offset have the eight bands of the finer sensor
FINE = GROUPS["b2b3b4b8"] + GROUPS["b5b6b7b8a"]


def describe_columns(columns: tuple[str, ...]) -> Bands:
    """Bands and resolution of columns such as b2b3b4b8_10m, all of one resolution."""
    groups = [column.split("_")[-2] for column in columns]
    metres = float(columns[0].rpartition("_")[2].removesuffix("m"))
    return Bands(tuple(name for group in groups for name in GROUPS[group]), metres)
