"""The YAML that tells the client which network to run, and how."""

import reprlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.errors import StageError
from shared.reading import documents

KEYS = ("model", "bands", "margin", "factor")
FINE = ("B2", "B3", "B4", "B8")  # with any of these, the client reads all bands at 10 m
BANDS = (*FINE, "B5", "B6", "B7", "B8A", "B11", "B12")  # those that the client reads
NODATA = -10_000  # what the client writes where a network gives NaN
SUFFIXES = (".yaml", ".yml")
LARGEST = 2**20  # bytes of a YAML


@dataclass(frozen=True)
class Description:
    """A network as the client knows it.

    Attributes:
        path: the YAML.
        model: the ONNX file.
        bands: C names, in the order of the channels of input and output.
        margin: output pixels that are cut off each side of a tile.
        factor: output pixels along one of the input.
    """

    path: Path
    model: Path
    bands: tuple[str, ...]
    margin: int
    factor: int

    @property
    def metres(self) -> int:
        """Size of the pixels that the client reads: of bands of 20 m alone, theirs."""
        return 10 if set(self.bands) & set(FINE) else 20

    @property
    def whole_margin(self) -> int:
        """The margin, or the next multiple of the factor: whole input pixels."""
        return -(-self.margin // self.factor) * self.factor


def find(path: Path) -> Path:
    """The YAML itself, or the only one of a folder.

    Raises:
        StageError: the folder has none or several.
    """
    if not path.is_dir():
        return path
    names = sorted(file.name for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
    if len(names) != 1:
        found = ", ".join(names) or "none"
        raise StageError(f"{path}: expected one YAML, found {found}; name the file itself")
    return path / names[0]


def read(path: Path) -> Description:
    """Read and check a YAML, which may be written as JSON, or the only one of a folder.

    Raises:
        StageError: none or several in the folder, not YAML, other keys than the four, a value that
            the client cannot use, or no ONNX file where it says.
    """
    import yaml

    path = find(path)
    try:
        content = yaml.safe_load(documents.read_text(path, LARGEST))
    except (yaml.YAMLError, ValueError, RecursionError, OSError, TypeError) as error:
        raise StageError(f"{path}: not YAML ({' '.join(str(error).split())})") from None
    if not isinstance(content, dict) or set(content) != set(KEYS):
        found = ", ".join(map(_name, content)) if isinstance(content, dict) else "no mapping"
        raise StageError(f"{path}: expected exactly the keys {', '.join(KEYS)}, found {found}")
    model = content["model"]
    if not isinstance(model, str) or not (path.parent / model).is_file():
        raise StageError(f"{path}: model: expected an ONNX file beside it, found {_show(model)}")
    margin, factor = (_read_whole(path, content, key) for key in ("margin", "factor"))
    if factor < 1:
        raise StageError(f"{path}: factor: expected 1 or more, found {factor}")
    return Description(path, path.parent / model, _read_bands(path, content), margin, factor)


def name_network(path: Path, network: Path | None) -> dict[str, Path]:
    """The ONNX file that a YAML names, by the flag `network`: so it is an input of its own.

    Args:
        path: YAML, or a folder with one.
        network: what the flag says, if it is given.

    Raises:
        StageError: as `read`, or another file is given.
    """
    named = read(path).model
    if network and network.resolve() != named.resolve():
        raise StageError(f"--network: expected {named}, which {path} names, found {network}")
    return {"network": named}


def _show(value: object) -> str:
    """A value for a message, cut off: a few lines of YAML can stand for gigabytes of text."""
    return reprlib.repr(value)[:200]


def _name(key: object) -> str:
    return key if isinstance(key, str) else _show(key)


def _read_whole(path: Path, content: dict[str, Any], key: str) -> int:
    value = content[key]
    whole = isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
    if not whole or value != int(min(value, 10_000)):
        expected = "expected a whole number from 0 to 10000"
        raise StageError(f"{path}: {key}: {expected}, found {_show(value)}")
    return int(value)


def _read_bands(path: Path, content: dict[str, Any]) -> tuple[str, ...]:
    bands = content["bands"]
    if (
        not isinstance(bands, list)
        or not bands
        or any(band not in BANDS for band in bands)
        or len(set(bands)) != len(bands)
    ):
        expected = f"expected different ones of {', '.join(BANDS)}"
        raise StageError(f"{path}: bands: {expected}, found {_show(bands)}")
    return tuple(bands)


def write(path: Path, model: str, bands: tuple[str, ...], margin: int, factor: int) -> None:
    """Write the YAML of a network.

    Args:
        path: to write.
        model: name of the ONNX file beside it.
        bands: in the order of the channels.
        margin: output pixels.
        factor: the client wants it as a floating-point number.
    """
    import yaml

    content = {
        "model": model, "bands": list(bands), "margin": margin, "factor": float(factor),
    }  # fmt: skip
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
