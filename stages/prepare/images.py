"""The images of a source in physical units, refused where they are in others."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from shared import cli, lcz
from shared.errors import StageError
from shared.patches import Source, explain_wrong_units, list_rows, thin_out
from stages.prepare.selection import read_rows

NAMES = ("sen1", "sen2")
AS_GOOD_AS = 1e-6  # of a unit of 1e-4: what rounding in double precision leaves


@dataclass(frozen=True)
class Units:
    """Units of sen2 in the source, where it is not reflectance.

    Attributes:
        scale: sen2 of src times this is reflectance; 1e-4 for digital numbers.
        offset: added after that; -0.1 for digital numbers of processing baseline 04.00 and later.
    """

    scale: Annotated[float, cli.between(0, 1e6, above=True)] = 1.0
    offset: Annotated[float, cli.between(-1e6, 1e6)] = 0.0

    def apply(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values of any shape as reflectance, whole multiples of 1e-4 where they are as good as.

        1000 * 1e-4 - 0.1 may be 1e-17 below 0, and so outside of the range and no multiple.
        """
        if self == Units():
            return values
        fine = (values * self.scale + self.offset) * lcz.SEN2.per_unit
        whole = np.rint(fine) + 0.0  # never -0
        return np.where(abs(fine - whole) < AS_GOOD_AS, whole, fine) / lcz.SEN2.per_unit


@dataclass(frozen=True)
class Images:
    """Sen1 and sen2 of a source, or one of the two.

    Attributes:
        source: the open file.
        names: of its image datasets.
        units: of its sen2.
    """

    source: Source
    names: tuple[str, ...]
    units: Units

    def layout(self, name: str) -> lcz.Layout:
        """Bands, range and unit of one of them."""
        layout = self.source[name].layout
        assert layout is not None  # as of every dataset of these names
        return layout

    def read(self, name: str, rows: NDArray[np.integer]) -> NDArray[np.float64]:
        """(rows, H, W, C) physical values: the file's own numbers in their unit.

        Raises:
            StageError: most of them are in another unit.
        """
        layout = self.layout(name)
        values = read_rows(self.source[name], rows).astype(np.float64, copy=False)
        if layout.per_unit != 1.0:
            values = values / layout.per_unit
        if name == "sen2":
            values = self.units.apply(values)
        if reason := explain_wrong_units(thin_out(values), name, layout):
            where = f"{list_rows(np.sort(rows))}: " if rows.min() else ""
            raise StageError(f"{self.source.path}: {where}{reason}")
        return values


def find_images(source: Source, units: Units) -> Images:
    """The image datasets of a source, their shapes checked.

    Raises:
        StageError: neither sen1 nor sen2; other channels or rows; units without a sen2.
    """
    names = tuple(name for name in NAMES if name in source)
    if not names:
        expected = "expected dataset 'sen1' or 'sen2'"
        raise StageError(f"{source.path}: {expected}, found {source.file.list_members()}")
    for name in names:
        source[name]  # refused now: other channels, other rows than labels
    if units != Units() and "sen2" not in names:
        what = "--scale, --offset: expected dataset 'sen2'"
        raise StageError(f"{source.path}: {what}, found {list(names)}")
    return Images(source, names, units)
