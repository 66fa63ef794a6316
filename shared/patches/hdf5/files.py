"""A file and its members: listed without opening them, opened and checked when asked for."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from shared.errors import StageError
from shared.patches.hdf5 import storage
from shared.patches.hdf5.opening import ERRORS, open_stored, reason, refuse_errors

LISTED = 20  # members that a message lists


class Attributes(Mapping[str, Any]):
    """HDF5 attributes by name; StageError for one that cannot be read or has no value."""

    def __init__(self, where: str, owner: Any) -> None:
        self._where = where
        with refuse_errors(where):
            self._stored = owner.attrs

    def __getitem__(self, name: str) -> Any:
        if name not in self:
            raise KeyError(name)
        where = f"{self._where}: attribute {name!r}"
        with refuse_errors(where):
            value = self._stored[name]
        if isinstance(value, h5py.Empty):
            raise StageError(f"{where}: expected a value, found none (a null data space)")
        return value

    def __contains__(self, name: object) -> bool:
        with refuse_errors(self._where):
            return name in self._stored

    def __iter__(self) -> Iterator[str]:
        with refuse_errors(self._where):
            return iter([str(name) for name in self._stored])

    def __len__(self) -> int:
        return len(list(iter(self)))


class Dataset:
    """One dataset, open; ``dataset[rows]`` reads.

    Attributes:
        where: file and dataset, for messages.
        name: of the dataset in its file.
        stored: h5py's own object; what is read through it may raise anything.
        shape: (N, …); () for a single value.
        dtype: of the values as numpy reads them.
        attrs: its attributes.
        chunks: shape of one chunk, None when the values are not in chunks.
        unwritten: (M,) rows that nobody wrote and HDF5 therefore reads as its fill value.
    """

    def __init__(self, path: Path, name: str, stored: h5py.Dataset) -> None:
        self.where, self.name, self.stored = f"{path}: {name}", name, stored
        with refuse_errors(self.where):
            shape, self.dtype = stored.shape, np.dtype(stored.dtype)
            self.chunks: tuple[int, ...] | None = stored.chunks
            self.unwritten = storage.check(self.where, stored)
        if shape is None:
            raise StageError(f"{self.where}: expected values, found none (a null data space)")
        self.shape: tuple[int, ...] = shape
        self.attrs = Attributes(self.where, stored)

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> NDArray[Any]:
        """The values of ``key``, such as rows 0:8, as stored; ``dataset[()]`` reads all."""
        with refuse_errors(self.where):
            return np.asarray(self.stored[key])


class File:
    """An HDF5 file, open for reading; a context manager.

    Attributes:
        path: where it is.
        stored: h5py's own object.
        attrs: attributes of the whole file.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.stored = path, open_stored(path)
        self.attrs = Attributes(str(path), self.stored)

    def keys(self) -> list[str]:
        """Names of all members, sorted; none of them is opened."""
        with refuse_errors(str(self.path)):
            names = list(self.stored.id)
        return sorted(name.decode("utf-8", "backslashreplace") for name in names)

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self.keys())

    def __contains__(self, name: object) -> bool:
        """Whether there is a member or link of this name, wherever it leads."""
        with refuse_errors(str(self.path)):
            return bool(self.stored.id.links.exists(str(name).encode(errors="surrogateescape")))

    def list_members(self) -> str:
        """Names of the members for a message, at most LISTED."""
        names = self.keys()
        more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
        return f"{names[:LISTED]}{more}"

    def __getitem__(self, name: str) -> Dataset:
        """A dataset of the file.

        Raises:
            StageError: none of this name, a link that leads nowhere, something else than a
                dataset, one whose values were never written or lie in a file that is missing.
        """
        where = f"{self.path}: {name}"
        if name not in self:
            expected = f"expected dataset {name!r}"
            raise StageError(f"{self.path}: {expected}, found {self.list_members()}")
        try:
            stored = self.stored[name]
        except ERRORS as error:
            with refuse_errors(where):
                storage.check_link(self.path, self.stored, name)
            raise StageError(f"{where}: cannot read ({reason(error)})") from None
        if not isinstance(stored, h5py.Dataset):
            kind = type(stored).__name__.lower()
            raise StageError(f"{where}: expected a dataset, found a {kind}")
        return Dataset(self.path, name, stored)

    def close(self) -> None:
        """Close the file and all that was opened through it."""
        with refuse_errors(str(self.path)):
            self.stored.close()

    def __enter__(self) -> "File":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
