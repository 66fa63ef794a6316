"""What can be set of a run."""

from dataclasses import dataclass
from typing import Annotated, Literal

from shared import cli

SIDE = 1000  # output pixels


@dataclass(frozen=True)
class Stored:
    """What the numbers of stacks mean; the metadata of products say it themselves.

    Attributes:
        channels: bands in the order of the channels, such as B02,B03,B04,B08; else they are read
            from the file, or known by their number (10, 12 or 13).
        per_unit: stored number of reflectance 1; else 10,000 for whole numbers and 1 for others.
        offset: what is added to stored numbers before that, such as -1000.
        nodata: stored value of a missing pixel; else what the file says, or 0.
    """

    channels: tuple[str, ...] = ()
    per_unit: Annotated[float | None, cli.more_than(0)] = None
    offset: float | None = None
    nodata: float | None = None


@dataclass(frozen=True)
class Running:
    """How the network is run.

    Attributes:
        tile: output pixels of a side of a tile, about: all tiles of a region are made equal.
        threads: processors, 0 for all; changes time, not results.
        together: tiles that are computed beside each other, at most as many as threads; each one
            needs memory of its own, some 2 GiB for CARN and tiles of 1,000. 0 is one for each
            thread, up to four. Changes time, not results.
        device: cpu, or cuda where onnxruntime-gpu is installed; auto takes cuda where it is.
    """

    tile: Annotated[int, cli.between(16, 8192)] = SIDE
    threads: Annotated[int, cli.at_least(0)] = 0
    together: Annotated[int, cli.at_least(0)] = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
