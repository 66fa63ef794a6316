"""Reading what is no number of a file, only to see whether the library survives it."""

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import h5py

from shared.patches.hdf5.opening import ERRORS

TEXTS = 2**16  # that are read at once


class EndlessError(Exception):
    """An attribute or a few texts take all memory that may be had, which no whole ones do."""


def touch_member(member: Any) -> None:
    """Read what is no number of a member; errors are told where it is needed.

    Raises:
        EndlessError: an attribute or a few texts take all memory.
    """
    names: list[str] = []
    with _pass_over():
        names += list(member.attrs)
    for name in names:
        with _pass_over():
            member.attrs[name]
    if isinstance(member, h5py.Dataset):
        with _pass_over():
            member.id.get_space_status()
            if member.dtype.kind == "O":  # texts lie in the same heaps as those of attributes
                _read_all(member)


@contextlib.contextmanager
def _pass_over() -> Iterator[None]:
    try:
        yield
    except ERRORS as error:
        if isinstance(error, MemoryError) or "memory allocation failed" in str(error):
            raise EndlessError from None


def _read_all(texts: h5py.Dataset) -> None:
    """All values, a few at a time: whole files may have more of them than memory holds."""
    if not texts.shape:
        texts[()]
        return
    for row in range(0, len(texts), step := max(1, TEXTS // (math.prod(texts.shape[1:]) or 1))):
        texts[row : row + step]
