"""ONNX networks across sensors, run without torch: sessions, and the flows of `register`.

Needs onnx and onnxruntime.
"""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from shared import onnx_graphs
from shared.errors import StageError
from shared.reading import documents

CARD, ONNX = "registration.json", "registration.onnx"  # in the folder of `register`
CPU = ["CPUExecutionProvider"]
Planes = NDArray[np.float32]  # (N, h, w) reflectance of one band


def open_session(path: Path) -> onnxruntime.InferenceSession:
    """A session of one thread on the CPU, so that no number depends on how many there are.

    Raises:
        StageError: not a network that can be run, or not from one float32 tensor to another.
    """
    content = onnx_graphs.load(path).SerializeToString()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(content, options, providers=CPU)
    except Exception as error:  # onnxruntime's exceptions have no common class of their own
        reason = str(error).splitlines()[0]
        raise StageError(f"{path}: not a usable ONNX file ({reason})") from None
    for what, ends in (("input", session.get_inputs()), ("output", session.get_outputs())):
        if [end.type for end in ends] != ["tensor(float)"]:
            found = ", ".join(f"{end.name} {end.type}" for end in ends) or "none"
            raise StageError(f"{path}: expected one {what} of float32, found {found}")
    return session


def run_session(
    session: onnxruntime.InferenceSession, images: NDArray[np.float32], path: Path, row: int
) -> NDArray[np.float32]:
    """The first output for one row.

    Raises:
        StageError: it does not run, or gives NaN or infinity.
    """
    try:
        made = session.run(None, {session.get_inputs()[0].name: images})[0]
    except Exception as error:
        reason = str(error).splitlines()[0]
        raise StageError(f"{path}: does not run on row {row} ({reason})") from None
    if not np.isfinite(made).all():
        raise StageError(f"{path}: row {row}: expected finite numbers, found NaN or infinity")
    return np.asarray(made)


class Registrar:
    """A registration network: where one image shows what another one shows.

    Args:
        folder: product of `register`, given as --registration.

    Attributes:
        band: name of the band that it compares.
        metres: size of its pixels.

    Raises:
        StageError: not such a folder, or a file of it is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, path = folder, folder / CARD
        try:
            card = documents.read_json(path)
            self.band, self.metres = str(card["band"]), float(card["metres"])
        except OSError:
            found = "none" if folder.is_dir() else "a file"
            expected = f"--registration: expected a folder of register with {CARD}"
            raise StageError(f"{folder}: {expected}, found {found}") from None
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise StageError(f"{path}: not a registration ({error})") from None
        self._session = open_session(folder / ONNX)

    def check(self, bands: Mapping[str, float], where: Path) -> None:
        """Refuse a network of another band or resolution.

        Args:
            bands: metres of a pixel, by name, of those that it may compare.
            where: file that has them.

        Raises:
            StageError: says what it is of.
        """
        if self.band not in bands:
            expected = f"expected a registration by a band of {where} ({', '.join(bands)})"
            raise StageError(f"{self.folder}: {expected}, found one by {self.band}")
        if not math.isclose(self.metres, bands[self.band]):
            expected = f"expected a registration of {bands[self.band]:g} m, as {self.band}"
            raise StageError(
                f"{self.folder}: {expected} in {where}, found one of {self.metres:g} m"
            )

    def flow(self, reference: Planes, moving: Planes, row: int) -> Planes:
        """Where an image shows what the other one shows.

        Args:
            reference: (N, h, w) reflectance of the band.
            moving: (N, h, w), likewise.
            row: what to name if it fails.

        Returns:
            (N, h, w, 2) pixels down and to the right: `moving` shows at place + flow what
            `reference` shows at place.

        Raises:
            StageError: the network does not run, or gives another shape, NaN or infinity.
        """
        images, path = np.stack([reference, moving], 1), self.folder / ONNX
        made = run_session(self._session, images, path, row)
        if made.shape != images.shape:
            raise StageError(f"{path}: expected an output {images.shape}, found {made.shape}")
        return np.ascontiguousarray(np.moveaxis(made, 1, -1), np.float32)
