"""Patch files: row i is the same patch in every file, images are NHWC, labels one-hot.

`read` opens and checks, `Writer` writes and goes on after a stop. Formats: shared/README.md.
"""

from shared.source import Rows, Source, read
from shared.storage import Constant, Field
from shared.writer import Writer

__all__ = ["Constant", "Field", "Rows", "Source", "Writer", "read"]
