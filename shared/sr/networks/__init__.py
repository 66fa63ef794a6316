"""Networks that a super-resolution stage and `sr-train` share, and the names of their weights."""

from shared.sr.networks.naming import Naming

__all__ = ["Naming", "edsr", "folding", "naming", "rrdb", "tail", "vdsr"]
