"""Several methods side by side: pictures of patches under each one, tables for papers.

`latex` needs the standard library only; `canvas` needs matplotlib. Both are imported by name where
they are used.
"""

__all__ = ["canvas", "latex"]
