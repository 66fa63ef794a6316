"""HDF5 attributes as other people write them, decoded and checked; a refusal names the attribute.

Text comes as str, as bytes of fixed or of any length, as one text or as a list; numbers come as
scalars or as lists of one. Everything else is refused, so that no stage works with `b'B2'` as the
name of a band, or takes the text "no" for true.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared import lcz
from shared.errors import StageError
from shared.patches import hdf5

Owner = hdf5.Dataset | hdf5.File


def read_texts(owner: Owner, name: str, count: int | None = None) -> tuple[str, ...]:
    """The names in an attribute, such as classes or bands.

    Args:
        owner: dataset or file that has the attribute.
        name: of the attribute.
        count: how many names there must be; None takes any number but none.

    Raises:
        StageError: no list of texts, a text that is not UTF-8, empty or not printable, two equal
            ones, or another number of them.
    """
    values = _values(owner, name)
    expected = f"expected {'' if count is None else f'{count} '}different names"
    if values.dtype.kind not in "OSU" or values.ndim != 1 or not len(values):
        raise _refusal(owner, name, expected, _describe(values))
    names = [decode_text(value) for value in values.tolist()]
    for text in names:
        if text is None:
            raise _refusal(owner, name, expected, "one that is not UTF-8 text")
        if not text.strip() or not text.isprintable():
            raise _refusal(owner, name, f"{expected} of printable letters", ascii(text))
        if names.count(text) > 1:
            raise _refusal(owner, name, expected, f"{text!r} twice")
    if count is not None and len(names) != count:
        raise _refusal(owner, name, expected, str(len(names)))
    return tuple(map(str, names))


def read_text(owner: Owner, name: str) -> str:
    """The one text in an attribute; StageError when it holds anything else."""
    value = _values(owner, name)
    text = decode_text(value.item()) if value.size == 1 else None
    if text is None:
        raise _refusal(owner, name, "expected a text", _describe(value))
    return text


def read_number(owner: Owner, name: str) -> float:
    """The one finite number in an attribute; StageError when it holds anything else."""
    value = _values(owner, name)
    if value.size != 1 or value.dtype.kind not in "fiu" or not np.isfinite(value).all():
        raise _refusal(owner, name, "expected one number", _describe(value))
    return float(value.item())


def read_numbers(owner: Owner, name: str, count: int) -> NDArray[np.float64]:
    """(count,) finite numbers in an attribute; StageError when it holds anything else."""
    values = _values(owner, name)
    if values.shape != (count,) or values.dtype.kind not in "fiu" or not np.isfinite(values).all():
        raise _refusal(owner, name, f"expected {count} finite numbers", _describe(values))
    return values.astype(np.float64)


def read_flag(owner: Owner, name: str) -> bool:
    """The one truth value in an attribute, true, false, 1 or 0; StageError otherwise."""
    value = _values(owner, name)
    if value.size != 1 or value.dtype.kind not in "biu" or value.item() not in (0, 1):
        raise _refusal(owner, name, "expected true or false", _describe(value))
    return bool(value.item())


def read_layout(stored: hdf5.Dataset, preset: lcz.Layout, shape: tuple[int, ...]) -> lcz.Layout:
    """Bands and range of an image dataset; what it does not say is as in the preset.

    Args:
        stored: the dataset.
        preset: the layout of a file that does not say its own, stored without a unit.
        shape: (N, H, W, C), in whatever order the file holds the axes.

    Raises:
        StageError: an attribute that cannot be what it is called, or other channels than bands.
    """
    given = stored.attrs
    bands = preset.bands
    if "bands" in given and len(shape) == 4:
        bands = read_texts(stored, "bands", shape[3])
    if len(shape) != 4 or shape[3] != len(bands):
        raise StageError(f"{stored.where}: expected (N, H, W, {len(bands)}), found {shape}")
    numbers = {"low": preset.low, "high": preset.high, "per_unit": 1.0}
    numbers |= {name: read_number(stored, name) for name in numbers if name in given}
    if not numbers["low"] < numbers["high"]:
        both = f"{numbers['low']:g} and {numbers['high']:g}"
        raise _refusal(stored, "low", "expected a number below attribute 'high'", both)
    if numbers["per_unit"] <= 0:
        raise _refusal(stored, "per_unit", "expected a number above 0", f"{numbers['per_unit']:g}")
    clip = read_flag(stored, "clip") if "clip" in given else preset.clip
    return lcz.Layout(bands, **numbers, clip=clip)


def decode_text(value: Any) -> str | None:
    """A text as str, without the padding of fixed lengths; None for what is no UTF-8 text."""
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError:
            return None
    if not isinstance(value, str) or any("\ud800" <= letter <= "\udfff" for letter in value):
        return None  # half a surrogate is how h5py shows a byte that is not UTF-8
    return value.rstrip("\0 ")


def make_plain(value: Any) -> Any:
    """An attribute as plain Python: numbers, str, lists of them."""
    value = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
    if isinstance(value, list):
        return [make_plain(one) for one in value]
    return decode_text(value) if isinstance(value, bytes) else value


def _values(owner: Owner, name: str) -> NDArray[Any]:
    """What the attribute holds; StageError where it is missing."""
    value = owner.attrs.get(name)
    if value is None:
        raise _refusal(owner, name, "expected a value", "no such attribute")
    return np.asarray(value)


def _refusal(owner: Owner, name: str, expected: str, actual: str) -> StageError:
    where = owner.where if isinstance(owner, hdf5.Dataset) else owner.path
    return StageError(f"{where}: attribute {name!r}: {expected}, found {actual}")


def _describe(values: NDArray[Any]) -> str:
    """What an attribute holds, in a few words on one line."""
    kind = "texts" if values.dtype.kind in "OSU" else f"{values.dtype} numbers"
    return ascii(values.item())[:60] if values.ndim == 0 else f"{kind} of shape {values.shape}"
