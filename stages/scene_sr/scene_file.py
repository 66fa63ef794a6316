"""A scene file, which `scene` and `city` write, as a product."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared import scenes
from shared.products import Band, Product

ENDINGS = (".h5", ".hdf5")


class Channel:
    """One band of a scene file; of the window that was read last, all of them are remembered.

    Args:
        scene: open.
        number: of the band.
        last: the window and its pixels, common to all bands of a scene.
    """

    def __init__(self, scene: scenes.Scene, number: int, last: dict[Any, NDArray[Any]]) -> None:
        self.scene, self.number, self.last = scene, number, last

    @property
    def where(self) -> str:
        """File and band, for messages."""
        return f"{self.scene.path}, {self.scene.bands[self.number]}"

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.scene.shape

    def read(self, rows: slice, columns: slice) -> NDArray[np.uint16]:
        """Stored numbers of a window."""
        window = (rows.start, columns.start, rows.stop - rows.start, columns.stop - columns.start)
        if window not in self.last:
            self.last.clear()
            self.last[window] = self.scene.raw(*window)
        return self.last[window][..., self.number]


def read(path: Path, stack: ExitStack) -> Product:
    """Open a scene file.

    Args:
        path: of the file.
        stack: closes it.

    Raises:
        StageError: what `scenes.open_scene` refuses.
    """
    scene = stack.enter_context(scenes.open_scene(path))
    header, last = scene.header, dict[Any, NDArray[Any]]()
    bands = {name: Band(Channel(scene, i, last)) for i, name in enumerate(scene.bands)}
    return Product(
        header.product or path.stem, bands, header.grid, scene.shape, header.level,
        date=header.date, states_offset=True,
    )  # fmt: skip
