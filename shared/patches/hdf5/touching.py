"""Reading what is no number of a file, only to see whether the library survives it."""

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np
from h5py import h5o

from shared.patches.hdf5.opening import ERRORS

TEXTS = 2**16  # that are read at once


class EndlessError(Exception):
    """An attribute or a few texts take all memory that may be had, which no whole ones do."""


def touch_member(member: Any, touched: set[int]) -> None:
    """Read what is no number of a member, and of all that it points at.

    Errors are told where what they concern is needed.

    Args:
        member: a file, group or dataset.
        touched: addresses of members that were read before; these are left out.

    Raises:
        EndlessError: an attribute or a few texts take all memory.
    """
    waiting = [member]
    while waiting:
        one = waiting.pop()
        with _pass_over():
            place = h5o.get_info(one.id).addr
            if place not in touched:
                touched.add(place)
                # Members of a damaged group cannot be listed, but still be pointed at.
                waiting += _touch(one)


def _touch(member: Any) -> list[Any]:
    """Read one member; the members that its values point at, as MATLAB's do."""
    names, targets = list[str](), list[Any]()
    with _pass_over():
        names += list(member.attrs)
    for name in names:
        with _pass_over():
            member.attrs[name]
    if isinstance(member, h5py.Dataset):
        with _pass_over():
            member.id.get_space_status()
            if member.dtype.kind == "O":  # texts lie in the same heaps as those of attributes
                pointers = h5py.check_ref_dtype(member.dtype) is h5py.Reference
                for values in _read_all(member):
                    for value in np.ravel(values) if pointers else ():
                        with _pass_over():
                            targets.append(member.file[value])
    return targets


@contextlib.contextmanager
def _pass_over() -> Iterator[None]:
    try:
        yield
    except ERRORS as error:
        if isinstance(error, MemoryError) or "memory allocation failed" in str(error):
            raise EndlessError from None


def _read_all(texts: h5py.Dataset) -> Iterator[Any]:
    """All values, a few at a time: whole files may have more of them than memory holds."""
    if not texts.shape:
        yield texts[()]
        return
    for row in range(0, len(texts), step := max(1, TEXTS // (math.prod(texts.shape[1:]) or 1))):
        yield texts[row : row + step]
