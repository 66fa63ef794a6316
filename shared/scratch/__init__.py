"""Disk space for one run, beside its product, in files without a name."""

from shared.scratch.unnamed import Scratch, beside

__all__ = ["Scratch", "beside"]
