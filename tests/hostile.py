"""Names that break what is careless: not UTF-8, of several lines, with commands for a terminal."""

import os
import unicodedata
from pathlib import Path

# What makes it hostile, to the name; all can be names of files.
NAMES = {
    "not-utf8": os.fsdecode(b"For\xeat"),
    "newline": "two\nlines",
    "escape": "\x1b[31mred\x1b[0m",
    "title": "\x1b]0;taken\x07",
    "backspace": "a\b\b\rb",
    "right-to-left": "a\u202egpj.b",
    "separator": "a\u2028b",
}
# Names that are odd but can be read: nothing may break on them.
ODD = {
    "quotes": 'it\'s "so"',
    "markup": "<script>alert(1)<script>",
    "markup-of-latex": "50% of $x_1 & {y}$",
    "comma": "a, b",
    "pipe": "a | b",
    "yaml": "- x: [y",
    "other-letters": "Wälder 森",
}


def is_calm(text: str) -> bool:
    """Whether printing this does no more than to show lines of letters."""
    return all(c.isprintable() or c in "\r\n" or unicodedata.category(c) == "Zs" for c in text)


def deeper(folder: Path) -> Path:
    """A new folder in this one whose name has all that is hostile at once."""
    place = folder / os.fsdecode(b"For\xeat\n\x1b[31m \xe2\x80\xae'\"")
    place.mkdir()
    return place
