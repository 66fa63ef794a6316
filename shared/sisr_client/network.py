"""The ONNX file of a description: checked against it, and run on tiles as the client runs it."""

import re
from collections.abc import Sequence

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from shared import names, onnx_graphs
from shared.errors import StageError
from shared.sisr_client.description import Description

CPU = ("CPUExecutionProvider",)
NAME, KIND = "input", "tensor(float)"
TRIAL = (40, 36)  # input pixels of the tile that every network is tried on; not square
DN = 1000.0  # of that tile
GRID, COARSEST = "lcz42-edge.grid", 64  # a property of ONNX files of ours; input pixels, at most
Tile = NDArray[np.float32]


def choose_options(threads: int) -> onnxruntime.SessionOptions:
    """Of a session whose numbers do not change from run to run; 0 threads for all processors."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads
    options.use_deterministic_compute = True
    return options


class Network:
    """A network that is known to be what its description says.

    Attributes:
        description: the YAML.
        session: of onnxruntime.
        grid: input pixels; a tile is a part of the whole if it begins at a multiple of them. Files
            say so by the property `GRID`; 1, they may begin anywhere, where they do not.
    """

    def __init__(
        self, description: Description, threads: int = 0, providers: Sequence[str] = CPU
    ) -> None:
        """Open the ONNX file, look at its ends, and try it on a small tile.

        Args:
            description: the YAML.
            threads: processors, 0 for all.
            providers: what onnxruntime runs it on, the first that can.

        Raises:
            StageError: not a usable ONNX file, or not what the description says.
        """
        self.description = description
        onnx_graphs.check_rounds(description.model)
        try:
            self.session = onnxruntime.InferenceSession(
                names.open_by_name(description.model),
                choose_options(threads),
                providers=list(providers),
            )
        except Exception as error:  # of onnxruntime; their classes are not all public
            reason = _first_line(error)
            raise StageError(f"{description.model}: not a usable ONNX file ({reason})") from None
        self.grid = self._read_grid()
        self._check_input()
        self._check_factor()

    def _read_grid(self) -> int:
        told = self.session.get_modelmeta().custom_metadata_map.get(GRID, "1")
        if not re.fullmatch(r"[1-9]\d?", told) or int(told) > COARSEST:
            expected = f"expected a whole number from 1 to {COARSEST}, found {told[:20]!r}"
            raise StageError(f"{self.description.model}: {GRID}: {expected}")
        return int(told)

    def _check_input(self) -> None:
        entries, count = self.session.get_inputs(), len(self.description.bands)
        path = self.description.model
        if [(entry.name, entry.type) for entry in entries] != [(NAME, KIND)]:
            shown = ", ".join(f"{entry.name} {entry.type}" for entry in entries)
            raise StageError(f"{path}: expected one input, {NAME} {KIND}, found {shown or 'none'}")
        shape = entries[0].shape
        fixed = len(shape) == 4 and any(isinstance(size, int) for size in shape[2:])
        if len(shape) != 4 or fixed or (isinstance(shape[0], int) and shape[0] != 1):
            expected = "expected input (b, c, h, w) of any height and width"
            shown = ", ".join(map(str, shape))
            raise StageError(f"{path}: {expected}, found ({shown})")
        if isinstance(shape[1], int) and shape[1] != count:
            where = f"{self.description.path}: bands"
            raise StageError(f"{where}: expected the {shape[1]} of {path.name}, found {count}")

    def _check_factor(self) -> None:
        path, factor, count = (
            self.description.model, self.description.factor, len(self.description.bands),
        )  # fmt: skip
        made = self.run(np.full((count, *TRIAL), DN, np.float32))
        expected = (count, *(factor * size for size in TRIAL))
        if made.shape != expected:
            given = (count, *TRIAL)
            told = f"by bands and factor of {self.description.path.name}"
            raise StageError(f"{path}: expected {expected} from {given} {told}, found {made.shape}")

    def run(self, tile: Tile) -> Tile:
        """What the network makes of a tile.

        Args:
            tile: (C, h, w) digital numbers, reflectance * 10,000; NaN where there is no data.

        Returns:
            (C, factor * h, factor * w) the first output, NaN where there is no data.

        Raises:
            StageError: it fails on this tile.
        """
        try:
            made = self.session.run(None, {NAME: tile[None].astype(np.float32, copy=False)})[0]
        except Exception as error:
            size = " x ".join(map(str, tile.shape))
            reason = _first_line(error)
            raise StageError(
                f"{self.description.model}: does not run on a tile of {size} ({reason})"
            ) from None
        return np.asarray(made[0] if np.ndim(made) == 4 else made)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
