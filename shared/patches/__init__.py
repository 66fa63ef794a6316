"""Patch files: row i is the same patch in every file, images are NHWC, labels one-hot.

`read` opens and checks, `Writer` writes and goes on after a stop. Formats: shared/README.md.
"""

from shared.patches import attributes, hdf5
from shared.patches.fields import Constant, Field, name_table, read_name_table
from shared.patches.marks import read_marks
from shared.patches.reader import Rows, Source, open_hdf5, read
from shared.patches.rows import FLAT, list_rows
from shared.patches.shard import shard_range
from shared.patches.units import explain_wrong_units, thin_out
from shared.patches.writer import Writer

__all__ = [
    "FLAT",
    "Constant",
    "Field",
    "Rows",
    "Source",
    "Writer",
    "attributes",
    "explain_wrong_units",
    "hdf5",
    "list_rows",
    "name_table",
    "open_hdf5",
    "read",
    "read_marks",
    "read_name_table",
    "shard",
    "shard_range",
    "thin_out",
]
