"""Pictures that people bring: which files of a folder are some, and what is in one. Needs Pillow.

One loader for all stages. Its rules: 8 bits a channel; grey and palette become red, green, blue as
the file says; transparency is left out; one picture a file; a size that memory can hold.
"""

from shared.pictures.folders import ENDINGS, list_files, tell_skipped, walk_files
from shared.pictures.loader import MOST_PIXELS, Picture, load_picture, read_picture

__all__ = [
    "ENDINGS",
    "MOST_PIXELS",
    "Picture",
    "list_files",
    "load_picture",
    "read_picture",
    "tell_skipped",
    "walk_files",
]
