"""The product of `register`: an ONNX network that says where one image shows what another does."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from shared.errors import StageError
from shared.names import open_by_name
from shared.reading import documents

ONNX, CARD = "registration.onnx", "registration.json"
Planes = NDArray[np.float32]  # (N, h, w) reflectance of one band


class Registrar:
    """A registration network.

    Args:
        folder: of `register`.

    Attributes:
        band: name of the band that it compares.
        metres: size of its pixels.

    Raises:
        StageError: not such a folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, path = folder, folder / CARD
        try:
            card = documents.read_json(path)
            self.band, self.metres = str(card["band"]), float(card["metres"])
        except OSError:
            found = "none" if folder.is_dir() else "no folder"
            expected = f"--registration: expected a folder of register with {CARD}"
            raise StageError(f"{folder}: {expected}, found {found}") from None
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise StageError(f"{path}: not a registration ({error})") from None
        self._session = _open(folder / ONNX)

    def check(self, bands: tuple[str, ...], metres: float) -> None:
        """Refuse a network of another band or resolution.

        Args:
            bands: names of those that it may compare.
            metres: size of their pixels.

        Raises:
            StageError: says what it is of.
        """
        if self.band not in bands or not math.isclose(self.metres, metres):
            expected = f"expected a registration by {' or '.join(bands)} of {metres:g} m"
            found = f"one by {self.band} of {self.metres:g} m"
            raise StageError(f"{self.folder / CARD}: {expected}, found {found}")

    def flow(self, reference: Planes, moving: Planes) -> Planes:
        """(N, h, w, 2) pixels: `moving` shows at place + flow what `reference` shows at place.

        Raises:
            StageError: the network takes or gives something else.
        """
        images = np.stack([reference, moving], 1)
        (first, *_) = self._session.get_inputs()
        try:
            (made, *_) = self._session.run(None, {first.name: images})
        except Exception as error:  # onnxruntime has classes of its own, which share nothing
            reason = str(error).partition("\n")[0]
            raise StageError(f"{self.folder / ONNX}: does not run: {reason}") from None
        if made.shape != images.shape or not np.isfinite(made).all():
            expected = f"expected finite flows of the shape {images.shape}"
            raise StageError(f"{self.folder / ONNX}: {expected}, found {made.shape}")
        return np.ascontiguousarray(np.moveaxis(made, 1, -1), np.float32)


def _open(path: Path) -> Any:
    if not path.is_file():
        raise StageError(f"{path}: expected the network beside {CARD}, found no file")
    options, given = onnxruntime.SessionOptions(), open_by_name(path)
    options.log_severity_level = 4  # what is wrong is said once, below
    try:
        return onnxruntime.InferenceSession(given, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise StageError(f"{path}: not an ONNX network: {reason}") from None
