"""Rows of a dataset however it is chunked, compressed and turned in its file.

A *layer* is a run of rows whose values lie in the same HDF5 chunks. Layers are read as a whole, so
that the order in which rows are asked for does not decide how often a chunk is decompressed.
"""

from shared.patches.layers.layers import Layers
from shared.patches.layers.stored import Stored

__all__ = ["Layers", "Stored"]
