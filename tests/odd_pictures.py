"""Pictures that people have: each writes one, of 64 x 64 pixels unless said otherwise. Pillow."""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin

SIDE = 64


def noise(channels: int = 3) -> np.ndarray:
    """(64, 64, channels) uint8."""
    return np.random.default_rng(1).integers(0, 256, (SIDE, SIDE, channels), np.uint8)


def chunk(kind: bytes, data: bytes) -> bytes:
    """One part of a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(path: Path, bits: int, colour: int, size: tuple[int, int], rows: bytes) -> None:
    """A PNG by hand: bits a channel, colour type 0 grey, 2 RGB, 4 grey and alpha, 6 RGBA."""
    head = struct.pack(">IIBBBBB", *size, bits, colour, 0, 0, 0)
    parts = chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def deep(colour: int, channels: int) -> Callable[[Path], None]:
    """A PNG of 16 bits a channel."""
    return lambda path: png(
        path,
        16,
        colour,
        (SIDE, SIDE),
        SIDE * (b"\0" + bytes(range(256)) * (channels * SIDE // 128)),
    )


def bomb(width: int, height: int) -> Callable[[Path], None]:
    """A PNG of a few bytes that says that it has so many pixels."""
    return lambda path: png(path, 8, 2, (width, height), b"\0\0\0\0")


def saved(mode: str, kind: str, **flags: object) -> Callable[[Path], None]:
    """Noise in one of Pillow's modes and formats."""
    return lambda path: Image.fromarray(noise()).convert(mode).save(path, kind, **flags)


def whole(kind: str, dtype: type) -> Callable[[Path], None]:
    """Grey of more than 8 bits in one of Pillow's formats."""
    return lambda path: Image.fromarray(noise()[..., 0].astype(dtype) * 200).save(path, kind)


def portable(path: Path) -> None:
    """PPM of 16 bits a channel."""
    path.write_bytes(f"P6\n{SIDE} {SIDE}\n65535\n".encode() + bytes(6 * SIDE**2))


def moving(kind: str) -> Callable[[Path], None]:
    """Three pictures in one file."""
    images = [Image.fromarray(noise() // (k + 1)) for k in range(3)]
    return lambda path: images[0].save(path, kind, save_all=True, append_images=images[1:])


def cut(kind: str) -> Callable[[Path], None]:
    """The first half of a picture."""

    def write(path: Path) -> None:
        file = io.BytesIO()
        Image.fromarray(noise()).save(file, kind)
        path.write_bytes(file.getvalue()[: len(file.getvalue()) // 2])

    return write


def large_text(path: Path) -> None:
    """A PNG with a note that unpacks to more than Pillow takes."""
    note = PngImagePlugin.PngInfo()
    note.add_text("note", "a" * 3 * 2**20, zip=True)
    Image.fromarray(noise()).save(path, "PNG", pnginfo=note)


def script(path: Path) -> None:
    """PostScript under the name of a picture: Pillow would start a program."""
    path.write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\nshowpage\n"
    )


CUT_SHORT = "not a readable picture, or cut short"
DEPTH = "expected 8 bits a channel, found"
# What is refused: kind to writer and reason. The file is PNG by its name whatever it is.
REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "16-bit grey PNG": (deep(0, 1), f"{DEPTH} 16"),
    "16-bit RGB PNG": (deep(2, 3), f"{DEPTH} 16"),
    "16-bit RGBA PNG": (deep(6, 4), f"{DEPTH} 16"),
    "16-bit TIFF": (whole("TIFF", np.uint16), f"{DEPTH} 16"),
    "32-bit TIFF": (whole("TIFF", np.int32), f"{DEPTH} 32"),
    "float TIFF": (whole("TIFF", np.float32), f"{DEPTH} 32"),
    "16-bit PPM": (portable, f"{DEPTH} 16"),
    "Lab": (saved("LAB", "TIFF"), "expected grey, palette or RGB, found LAB"),
    "GIF of three": (moving("GIF"), "expected one picture, found 3 in one file"),
    "PNG of three": (moving("PNG"), "expected one picture, found 3 in one file"),
    "TIFF of three": (moving("TIFF"), "expected one picture, found 3 in one file"),
    "WebP of three": (moving("WEBP"), "expected one picture, found 3 in one file"),
    "cut PNG": (cut("PNG"), CUT_SHORT),
    "cut JPEG": (cut("JPEG"), CUT_SHORT),
    "cut BMP": (cut("BMP"), CUT_SHORT),
    "cut TIFF": (cut("TIFF"), CUT_SHORT),
    "cut WebP": (cut("WEBP"), CUT_SHORT),
    "bomb": (bomb(20_000, 20_000), "expected at most 178,956,970 pixels, found"),
    "larger bomb": (bomb(2**31 - 1, 2**31 - 1), "expected at most 178,956,970 pixels, found"),
    "bomb of text": (large_text, CUT_SHORT),
    "PostScript": (script, CUT_SHORT),
    "Targa": (saved("RGB", "TGA"), CUT_SHORT),  # nothing in such a file says what it is
    "icon": (saved("RGBA", "ICO"), CUT_SHORT),
    "text": (lambda path: path.write_text("no picture"), CUT_SHORT),
    "empty": (lambda path: path.write_bytes(b""), CUT_SHORT),
}
# What is read: kind to writer. The pixels are those that Pillow's conversion to RGB gives.
READ: dict[str, Callable[[Path], object]] = {
    "RGB": saved("RGB", "PNG"),
    "JPEG": saved("RGB", "JPEG"),
    "grey": saved("L", "PNG"),
    "black and white": saved("1", "PNG"),
    "palette": saved("P", "PNG"),
    "palette, one colour clear": saved("P", "PNG", transparency=3),
    "RGBA": saved("RGBA", "PNG"),
    "grey and alpha": saved("LA", "PNG"),
    "print colours": saved("CMYK", "JPEG"),
    "PPM": saved("RGB", "PPM"),
    "BMP": saved("RGB", "BMP"),
    "DIB": saved("RGB", "DIB"),
    "TIFF": saved("RGB", "TIFF"),
    "WebP": saved("RGB", "WEBP", lossless=True),
    "GIF": saved("P", "GIF"),
    "two pictures of a camera": lambda path: Image.fromarray(noise()).save(
        path, "MPO", save_all=True, append_images=[Image.fromarray(noise()[:8, :8])]
    ),
}


def add_clutter(folder: Path) -> int:
    """Put into a folder what systems leave behind; how many entries a stage skips."""
    for name in ("._a.jpg", ".DS_Store", "Thumbs.db", "desktop.ini", "note.txt", "._b.PNG"):
        (folder / name).write_bytes(b"\0\5\26\7 no picture")
    (folder / "x.jpg").mkdir()
    return 7
