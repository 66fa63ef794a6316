"""Text of others on a terminal: names and messages never move its cursor or break its encoding.

What is printed goes through here: errors, progress and the product's path. Standard library only.
"""

import os
import re
import sys
import unicodedata

BYTES = range(0xDC80, 0xDD00)  # how Python keeps the bytes of a name that is not UTF-8
SPACES = "Zs"  # category of spaces: they are shown as they are
ESCAPES = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


def escape(text: str) -> str:
    r"""The same text in one line that shows what cannot be printed, such as ``\x1b`` or ``\u202e``.

    Control characters, characters without a width, marks that change the direction of writing and
    lone surrogates are escaped; a byte of a name that is not UTF-8 is shown as that byte.
    """
    if text.isprintable():
        return text
    return "".join(_escape_sign(sign) for sign in text)


def _escape_sign(sign: str) -> str:
    if sign.isprintable() or unicodedata.category(sign) == SPACES:
        return sign
    number = ord(sign)
    if number in BYTES:
        return f"\\x{number - BYTES.start + 0x80:02x}"
    small = f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"
    return ESCAPES.get(sign, small if number < 0x10000 else f"\\U{number:08x}")


def escape_lines(text: str) -> str:
    """As `escape`, for text of several lines: they stay lines."""
    return "\n".join(map(escape, text.split("\n")))


def join_line(text: str) -> str:
    """One line of a message that a library or a person wrote in several."""
    return escape(re.sub(r"[ \t\r\n]+", " ", text.strip()))


def print_path(path: os.PathLike[str]) -> None:
    """Print a path on stdout: escaped on a terminal, its very bytes for a program that reads it."""
    if sys.stdout.isatty() or not hasattr(sys.stdout, "buffer"):
        print(escape(os.fspath(path)), flush=True)
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(os.fsencode(path) + b"\n")
        sys.stdout.buffer.flush()


def refuse(error: Exception) -> int:
    """Say in one line of stderr what a tool cannot do; the exit code of that, 2."""
    print(join_line(f"error: {error}"), file=sys.stderr)
    return 2
