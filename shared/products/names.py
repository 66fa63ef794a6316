"""Names of Sentinel-2's bands, as products and people write them, to So2Sat's: B2 … B8A … B12."""

import re
from collections.abc import Sequence

from shared import lcz
from shared.errors import StageError

# All thirteen, in the order of `band_id` in the metadata of products.
ORDER = ("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B10", "B11", "B12")
WITHOUT_CIRRUS = tuple(name for name in ORDER if name != "B10")
# Orders of a stack that does not name its channels, by their number.
USUAL = {10: lcz.SEN2.bands, 12: WITHOUT_CIRRUS, 13: ORDER}
COMMON = {
    "coastal": "B1", "blue": "B2", "green": "B3", "red": "B4", "rededge1": "B5", "rededge2": "B6",
    "rededge3": "B7", "nir": "B8", "nir08": "B8A", "nir09": "B9", "cirrus": "B10", "swir16": "B11",
    "swir22": "B12",
}  # fmt: skip
EDITION = re.compile(r"(?:band|b)?[ _-]?0*(\d{1,2})(a?)", re.I)
# In a file's name: B02, B2, B8A, B08A after anything but a letter or a digit.
IN_FILE = re.compile(r"(?<![A-Za-z0-9])B(\d{1,2}A?)(?![A-Za-z0-9])", re.I)


def read_name(text: str) -> str | None:
    """So2Sat's name of a band in any edition (B02, b2, 02, B8A, band 8a, nir); None for others."""
    text = text.strip()
    if text.lower() in COMMON:
        return COMMON[text.lower()]
    match = EDITION.fullmatch(text)
    name = f"B{int(match[1])}{match[2].upper()}" if match else ""
    return name if name in ORDER else None


def find_name(file: str) -> str | None:
    """The band that a file name such as T33UUB_20220701T101559_B02_10m.jp2 ends with; or None."""
    found = [read_name(f"B{part}") for part in IN_FILE.findall(file)]
    return found[-1] if found else None


def read_names(flag: str, texts: Sequence[str]) -> tuple[str, ...]:
    """Names that a flag gives.

    Raises:
        StageError: one that is no band of Sentinel-2, or one twice.
    """
    names = tuple(read_name(text) for text in texts)
    for text, name in zip(texts, names, strict=True):
        if name is None:
            raise StageError(f"--{flag}: expected bands such as B02, B2 or B8A, found {text!r}")
        if names.count(name) > 1:
            raise StageError(f"--{flag}: expected each band once, found {name} twice")
    return tuple(name for name in names if name)
