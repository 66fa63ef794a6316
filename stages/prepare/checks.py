"""What is wrong with a block of rows, and whether sixteen bits hold all of it."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared import lcz
from shared.errors import StageError
from shared.patches import FLAT, list_rows
from shared.progress import say

REFLECTANCE = (0.0, 2.8)  # of sen2; sen1 has no bounds but float16's


@dataclass
class Faults:
    """Row numbers by what is wrong with them, gathered over blocks.

    Attributes:
        rows: that cannot be stored, by what is wrong.
        flat: that hold one value only, by dataset.
    """

    rows: dict[str, list[int]] = field(default_factory=dict)
    flat: dict[str, list[int]] = field(default_factory=dict)

    def add(self, what: str, wrong: NDArray[np.bool_], rows: NDArray[np.integer]) -> None:
        """Note the rows where wrong (rows,) is true."""
        if wrong.any():
            self.rows.setdefault(what, []).extend(rows[wrong].tolist())

    def tell_flat(self, path: Path, total: int) -> None:
        """Say how many patches hold one value only; StageError if it is all of them."""
        for name, rows in self.flat.items():
            which = list_rows(np.unique(rows))
            if len(rows) == total:
                raise StageError(f"{path}: {name}: expected pictures, found {FLAT} in all {total}")
            say(f"{path}: {name}: {FLAT} in {len(rows)} of {total} patches: {which}")

    def __str__(self) -> str:
        return "; ".join(
            f"{what} in {list_rows(np.unique(rows))}" for what, rows in self.rows.items()
        )


def inspect_rows(
    values: NDArray[np.floating], name: str, dtype: str, rows: NDArray[np.integer], faults: Faults
) -> None:
    """Gather the rows of an image block that cannot be stored as they should.

    Args:
        values: (N, H, W, C) physical values.
        name: "sen1" or "sen2".
        dtype: how they will be stored.
        rows: (N,) their numbers in the source.
        faults: where they are noted.
    """
    low, high = values.min((1, 2, 3)), values.max((1, 2, 3))
    finite = np.isfinite(low) & np.isfinite(high)
    if (flat := finite & (low == high)).any():
        faults.flat.setdefault(name, []).extend(rows[flat].tolist())
    faults.add(f"{name}: NaN or infinite values", ~finite, rows)
    if name == "sen2":
        least, most = REFLECTANCE
        outside = finite & ((low < least) | (high > most))
        faults.add(f"{name}: values outside {least:g} … {most:g}", outside, rows)
        finite &= ~outside
    if dtype.startswith("float"):
        large = finite & (np.maximum(-low, high) > np.finfo(dtype).max)
        hint = " (use --dtype float32)" if dtype == "float16" else ""
        faults.add(f"{name}: too large for {dtype}{hint}", large, rows)
    if dtype == "uint16":
        lossy = np.zeros(len(values), bool)
        lossy[finite] = ~is_lossless(values[finite])
        faults.add(f"{name}: not whole multiples of 1e-4 (use --dtype float32)", lossy, rows)


def is_lossless(values: NDArray[np.floating]) -> NDArray[np.bool_]:
    """(N,) whether each patch reads back from uint16 as exactly the float32 it is in the source.

    Args:
        values: (N, H, W, C) reflectance, finite, 0 to 2.8.
    """
    stored = lcz.SEN2.encode(values, np.dtype("uint16"))
    same = lcz.SEN2.decode(stored) == values.astype(np.float32)
    whole: NDArray[np.bool_] = same.all((1, 2, 3))
    return whole
