"""What a tile file holds. LandCover.ai is a preset, as So2Sat is in `lcz`.

Source of classes and colours: Boguszewski et al. 2021, "LandCover.ai".
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared import patches

CLASSES = ("background", "building", "woodland", "water", "road")
COLOURS = ("#000000", "#614a4a", "#267300", "#00c5ff", "#cfcfcf")  # in class order
IGNORE = 255  # in a mask: a pixel that counts nowhere
SIDE = 512  # pixels of a tile of LandCover.ai


@dataclass(frozen=True)
class Table:
    """What a tile file says of its rows, without their pixels.

    Attributes:
        counts: (N, K) pixels of each class.
        moments: (N, 2, 3) sums of x and x² over the same pixels, per colour.
        pixels: of one tile, with those that are ignored.
        classes: the K names.
    """

    counts: NDArray[np.int64]
    moments: NDArray[np.float64]
    pixels: int
    classes: tuple[str, ...]


def fields(side: int, classes: int) -> dict[str, patches.Field]:
    """The datasets of a tile file with one entry a row, for `patches.Writer`.

    In order of their names, as `merge` writes them: joined shards have the same bytes.

    Args:
        side: pixels of a tile along each axis.
        classes: K.
    """
    return {
        "counts": patches.Field((classes,), "int64"),
        "image": patches.Field((side, side, 3), "uint8"),
        "image_moments": patches.Field((2, 3), "float64"),
        "mask": patches.Field((side, side), "uint8"),
        "place": patches.Field((3,), "int32"),
        "source": patches.Field((), "int32"),
    }


def constants(sources: Sequence[str]) -> dict[str, patches.Constant]:
    """The datasets that hold for all rows: the ignore value, the names of the orthophotos."""
    return {
        "ignore": patches.Constant(np.array([IGNORE], np.uint8)),
        "sources": patches.name_table(sources),
    }


def list_names(source: patches.Source) -> tuple[str, ...]:
    """The name of each row: that of its orthophoto, an underscore, the number of the tile."""
    stems = patches.read_name_table(source, "sources")
    numbers = source["source"].raw(slice(None))
    tiles = source["place"].raw(slice(None))[:, 0]
    return tuple(f"{stems[n]}_{tile}" for n, tile in zip(numbers, tiles, strict=True))


def read_table(source: patches.Source) -> Table:
    """The counts and sums of an open tile file, from which `describe` makes statistics."""
    return Table(
        source["counts"].raw(slice(None)),
        source["image_moments"].raw(slice(None)),
        int(np.prod(source["mask"].shape[1:])),
        source.classes,
    )
