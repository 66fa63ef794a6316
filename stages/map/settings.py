"""What can be set of a map: its cells, its domain, its filter, its form."""

from dataclasses import dataclass
from typing import Annotated, Literal

from shared import cli
from shared.errors import StageError

FORMS = ("classes", "wudapt")
SIDE, STRIDE = 512, 32  # pixels of a tile, and of the coarsest stride of usual networks


@dataclass(frozen=True)
class Cells:
    """The windows that are classified, and the grid that they give.

    Attributes:
        step: pixels from one window to the next, along rows and columns; 10 gives cells of 100 m.
        window: pixels per side of a window, that of the patches the network learned from.
        max_masked: share of a window without data or under clouds above which its cell is nodata.
    """

    step: Annotated[int, cli.between(1, 1000)] = 10
    window: Annotated[int, cli.between(1, 1024)] = 32
    max_masked: Annotated[float, cli.between(0.0, 1.0)] = 0.1


PIXELS = Cells(step=1, window=1)  # of an orthophoto each pixel is a cell


@dataclass(frozen=True)
class Tiles:
    """The overlapping tiles in which a segmentation network sees an orthophoto.

    Attributes:
        tile: pixels per side of a tile; without it 512, or the size that the network takes alone.
        overlap: pixels that two neighbouring tiles share, at most half a tile; without it a quarter
            of a tile, rounded to 32. Multiples of 32 keep the strides of networks in step.
        batch: tiles of one call of the network.
    """

    tile: Annotated[int | None, cli.between(32, 8192)] = None
    overlap: Annotated[int | None, cli.between(0, 4096)] = None
    batch: Annotated[int, cli.at_least(1)] = 4

    def side(self, fixed: int | None) -> int:
        """Pixels of a tile.

        Args:
            fixed: those that a network takes alone, or None.

        Raises:
            StageError: another size than that.
        """
        if fixed and self.tile not in (None, fixed):
            raise StageError(
                f"--tile: expected {fixed}, the only size that this network takes, "
                f"found {self.tile}"
            )
        return fixed or self.tile or SIDE

    def shared(self, side: int) -> int:
        """Pixels that neighbours of this size share.

        Raises:
            StageError: more than half of a tile.
        """
        usual = min(max(STRIDE, side // 4 // STRIDE * STRIDE), side // 2)
        overlap = usual if self.overlap is None else self.overlap
        if overlap > side // 2:
            raise StageError(
                f"--overlap: expected at most half of a tile, {side // 2}, found {overlap}"
            )
        return overlap


@dataclass(frozen=True)
class Network:
    """How the networks see the scene or orthophoto.

    Attributes:
        precision: fp32 runs the networks that the folder names; int8 the one of an export that is
            quantised.
        match: whether the mean and deviation of each band of the scene are brought to those of the
            training split, which the model's card tells.
        threads: windows at once, 0 for all cores; changes time, not results.
    """

    precision: Literal["fp32", "int8"] = "fp32"
    match: bool = False
    threads: Annotated[int, cli.at_least(0)] = 0


@dataclass(frozen=True)
class Drawing:
    """What is made of the scores.

    Attributes:
        filter: gaussian gives each cell the class whose blurred membership is largest, as WUDAPT
            does; majority the class that is most frequent around it.
        sigma: of the Gaussian, in cells.
        radius: cells on each side that a filter looks at.
        form: classes writes one band; wudapt the three of the LCZ Generator: class, filtered class
            (gaussian unless --filter says majority), probability in percent.
        probabilities: whether the score of every class is written as a GeoTIFF, too.
        coverage: with --calibration, the share of cells whose set of classes is to hold the true
            one, such as 0.9; a cell whose set is not one class is undecided. 0 makes no sets.
    """

    filter: Literal["none", "gaussian", "majority"] = "none"
    sigma: Annotated[float, cli.more_than(0)] = 1.0
    radius: Annotated[int, cli.between(1, 20)] = 2
    form: Literal["classes", "wudapt"] = "classes"
    probabilities: bool = False
    coverage: Annotated[float, cli.between(0.0, 0.999)] = 0.0

    @property
    def applied(self) -> str:
        """The filter of the second band of wudapt, or of the only one."""
        return "gaussian" if self.form == "wudapt" and self.filter == "none" else self.filter
