"""What runs networks for the client `sentinel2_superresolution`: description, network, tiles.

A pair is NAME.yaml beside NAME.onnx, ours or one that others published. `Description` reads it,
`Network` checks it against the ONNX file and runs it, `tiling` says which input each tile needs,
and `emulate` runs a whole image as the client does. Needs pyyaml and onnxruntime.
"""

from shared.sisr_client import tiling
from shared.sisr_client.description import (
    BANDS,
    FINE,
    NODATA,
    Description,
    name_network,
    read,
    write,
)
from shared.sisr_client.emulation import emulate, resolve, saturate, wrap
from shared.sisr_client.network import GRID, Network, choose_options
from shared.sisr_client.tiling import Window

__all__ = [
    "BANDS", "FINE", "GRID", "NODATA", "Description", "Network", "Window", "choose_options",
    "emulate", "name_network", "read", "resolve", "saturate", "tiling", "wrap", "write",
]  # fmt: skip
