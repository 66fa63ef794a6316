"""Files that others made, read without believing what they say of themselves.

`documents` needs the standard library only; `numpy_files` needs numpy. Both are imported by name
where they are used.
"""

__all__ = ["documents", "numpy_files"]
