"""What every reader gives: rows that are known before a pixel is read, and a way to read one."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared import sisr
from shared.errors import StageError

DATE = re.compile(r"(\d{4})-(\d{2})-(\d{2})")

Sample = dict[str, NDArray[Any]]  # (H, W, C) of each image and field of a pair, as it is stored


@dataclass(frozen=True)
class Row:
    """One pair.

    Attributes:
        site: name of its place; whole sites are held out.
        date: of the coarser image as yyyymmdd; 0 where the layout does not tell it.
        parts: what the reader needs to find its pixels.
        split: of a published table, a name in `sisr.SPLITS`; "" without one.
    """

    site: str
    date: int
    parts: tuple[Any, ...]
    split: str = ""


@dataclass(frozen=True)
class Layout:
    """A data set as it was opened.

    Attributes:
        form: of its pairs.
        rows: in the order in which they are written.
        read: the pixels of a row.
        name: where the coarser image of a row lies, for messages.
        note: what is not among the rows, and why; "" where all that there is is read.
    """

    form: sisr.Form
    rows: list[Row]
    read: Callable[[Row], Sample]
    name: Callable[[Row], str]
    note: str = ""


def read_date(name: str) -> int:
    """The first date in a name such as SO1_0_2020-06-15_32ULU, as yyyymmdd; 0 without one."""
    date = DATE.search(name)
    return int("".join(date.groups())) if date else 0


def as_int16(values: NDArray[Any], where: str) -> NDArray[np.int16]:
    """Stored numbers, rounded; missing ones (NaN) become NODATA.

    Raises:
        StageError: numbers that int16 does not hold, as values in other units are.
    """
    if values.dtype == np.int16:
        return values
    missing = np.isnan(values) if values.dtype.kind == "f" else np.zeros(values.shape, bool)
    whole = np.where(missing, sisr.NODATA, np.rint(values))
    limit = np.iinfo(np.int16)
    if whole.min() < limit.min or whole.max() > limit.max:
        expected = f"expected reflectance * {sisr.PER_UNIT:,} of {limit.min:,} … {limit.max:,}"
        raise StageError(f"{where}: {expected}, found {whole.min():,.0f} … {whole.max():,.0f}")
    return whole.astype(np.int16)


def count_missing(sample: Sample) -> int:
    """Pixels of the two sensors' images that were not seen in some band."""
    images = (sample[name] for name in ("low", "coarse", "high") if name in sample)
    return sum(int((image == sisr.NODATA).any(-1).sum()) for image in images)
