"""A product as a network sees it: its bands on one grid, in digital numbers, mirrored outside."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from shared.errors import StageError
from shared.products import Product
from shared.sisr_client import FINE, Description, Window

PIXEL = 10  # metres of a pixel of a product


@dataclass(frozen=True)
class View:
    """The bands of a network.

    Attributes:
        product: whose grid, shape and bands have the pixels that the network takes.
        bands: C names.
    """

    product: Product
    bands: tuple[str, ...]

    def read(self, window: Window) -> NDArray[np.float32]:
        """(C, h, w) digital numbers, reflectance * 10,000, NaN where there is no data.

        Args:
            window: may reach beyond the product, where its pixels are repeated in reverse order
                (reflect: the last one is not repeated).
        """
        height, width = self.product.shape
        inside = window.clip(Window(0, 0, height, width))
        chosen = self.product.choose(self.bands)
        pixels = np.stack([band.read(inside.rows, inside.columns) for band in chosen])
        beyond = [
            (inside.row - window.row, window.rows.stop - inside.rows.stop),
            (inside.column - window.column, window.columns.stop - inside.columns.stop),
        ]
        if any(map(any, beyond)):
            pixels = np.pad(pixels, [(0, 0), *beyond], mode="reflect")
        return pixels


def name_bands(description: Description) -> tuple[str, ...]:
    """Bands that are opened: those of 10 m as well where the network takes others alone.

    By their size single files of 20 m are known as such.
    """
    fine = () if description.metres == PIXEL else FINE
    return (*description.bands, *fine)


def look(product: Product, description: Description) -> View:
    """A product on the grid of a network: of 10 m, or of 20 m where it takes bands of 20 m alone.

    Raises:
        StageError: a band that the product lacks, or has with other pixels.
    """
    bands = product.choose(description.bands)
    step = description.metres // PIXEL
    if step == 1:
        return View(product, description.bands)
    for name, band in zip(description.bands, bands, strict=True):
        if band.factor % step:
            expected = f"expected {name} with pixels of {description.metres} m, which the network"
            cure = "give the product itself, or its bands as files of their own with one of 10 m"
            raise StageError(f"{product.name}: {expected} takes, found pixels of {PIXEL} m; {cure}")
    coarse = {
        name: replace(band, factor=band.factor // step)
        for name, band in zip(description.bands, bands, strict=True)
    }
    shape = product.shape[0] // step, product.shape[1] // step
    grid = product.grid.coarser(step)
    return View(replace(product, bands=coarse, shape=shape, grid=grid), description.bands)
