"""Disk space for one run, beside its product: files without a name, and a stand-in for /tmp."""

from shared.scratch.temporary import lend_folder
from shared.scratch.unnamed import Scratch, beside

__all__ = ["Scratch", "beside", "lend_folder"]
