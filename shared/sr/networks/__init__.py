"""Networks that a super-resolution stage and `sr-train` share, and the names of their weights."""

from shared.sr.networks.spelling import Spelling

__all__ = ["Spelling", "edsr", "folding", "rrdb", "spelling", "tail", "vdsr"]
