"""Cases that no mutation finds, drawn by hypothesis: bombs, links, attacks, odd names.

Each strategy is made from the good file and its path below the folder of the case; it gives another
content, or a whole change of that folder (`tests.torture.places.Change`). It is imported when it is
needed, as some need packages that only the stages have which read such files.
"""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

Strategy = Callable[[Path, str], Any]

STRATEGIES = {
    "hdf5": "hdf5_files.draw",
    "json": "documents.draw",
    "npy": "arrays.draw",
    "npz": "arrays.draw_archives",
    "onnx": "networks.draw",
    "pickle": "pickles.draw",
    "picture": "pictures.draw",
    "places": "odd_places.draw",
    "raster": "rasters.draw",
    "safetensors": "tensors.draw",
    "xml": "markup.draw",
    "yaml": "documents.draw_yaml",
}


def load(kind: str) -> Strategy:
    """The strategy of a kind of built cases."""
    module, _, name = STRATEGIES[kind].partition(".")
    strategy: Strategy = getattr(importlib.import_module(f"{__name__}.{module}"), name)
    return strategy
