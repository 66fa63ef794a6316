"""What a pair file holds: the same land as two sensors saw it, row by row. See shared/README.md."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shared import patches

PER_UNIT = 10_000  # stored number of reflectance 1
NODATA = -10_000  # stored number of a pixel that was not seen
SPLITS = ("training", "validation", "testing")
LEFT_OUT = len(SPLITS)  # in `split`: a row with missing pixels, which counts nowhere
IMAGES = ("low", "coarse", "high", "truth")  # those that a file may have, with bands


@dataclass(frozen=True)
class Bands:
    """The channels of an image.

    Attributes:
        names: in the order of the channels.
        metres: size of a pixel.
    """

    names: tuple[str, ...]
    metres: float


@dataclass(frozen=True)
class Form:
    """Images of a row, all squares of the same land.

    Attributes:
        side: pixels of a side of `low`.
        bands: of each image, by its name in `IMAGES`; low and high are always there.
        simulated: whether flow, gain and offset are known, as `two-sensors` writes them.
    """

    side: int
    bands: dict[str, Bands]
    simulated: bool = False

    @property
    def factor(self) -> int:
        """Pixels of high along one of low."""
        return round(self.bands["low"].metres / self.bands["high"].metres)

    def shape(self, image: str) -> tuple[int, int, int]:
        """(H, W, C) of an image."""
        bands = self.bands[image]
        side = round(self.side * self.bands["low"].metres / bands.metres)
        return side, side, len(bands.names)


def fields(form: Form) -> dict[str, patches.Field]:
    """The datasets with one entry a row, for `patches.Writer`.

    In order of their names, as `merge` writes them: joined shards have the same bytes.
    """
    made = {name: patches.Field(form.shape(name), "int16") for name in form.bands}
    for name in form.bands.keys() & {"low", "coarse", "high"}:
        channels = len(form.bands[name].names)
        made[f"{name}_moments"] = patches.Field((2, channels), "float64")
    if form.simulated:
        grid, channels = (form.side, form.side), len(form.bands["high"].names)
        made["flow"] = patches.Field((*grid, 2), "float32")
        made["gain"] = made["offset"] = patches.Field((*grid, channels), "float32")
    made["correlation"] = patches.Field((), "float32")
    made["date"] = made["site"] = patches.Field((), "int32")
    made["split"] = patches.Field((), "uint8")
    return dict(sorted(made.items()))


def constants(form: Form, sites: Sequence[str]) -> dict[str, patches.Constant]:
    """The datasets that hold for all rows: bands with their resolution, factor, names of sites."""
    bands = {
        f"{name}_bands": patches.Constant(
            np.full(len(each.names), each.metres), {"names": list(each.names)}
        )
        for name, each in form.bands.items()
    }
    factor = patches.Constant(np.array([form.factor], np.int32))
    return dict(sorted({**bands, "factor": factor, "sites": patches.name_table(sites)}.items()))
