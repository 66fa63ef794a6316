"""Writing scene files block by block, so that a killed run continues where it stopped.

As in `shared.patches.writer`: all storage is allocated and all metadata written before the first
block; `written[i]` changes from 0 to 1 once block i is on disk.
"""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from shared import progress
from shared.patches import hdf5
from shared.scenes.form import BLOCK, PER_UNIT, Header, encode
from shared.scenes.reader import Window, blocks
from shared.unfinished import work

HEADER = "header"


class SceneWriter:
    """Blocks of 256 rows, in any order; a context manager.

    Args:
        dst: file to write; blocks already in it are kept if it has the same header and shape.
        shape: rows and columns.
        header: bands, grid and the rest.
        truth: whether each pixel's class is known.

    Raises:
        StageError: no room on the volume.
    """

    def __init__(
        self, dst: Path, shape: tuple[int, int], header: Header, *, truth: bool = False
    ) -> None:
        self.dst, self.shape, self.header = dst, shape, header
        self.layers = ("mask", "truth") if truth else ("mask",)
        fault = "has another header, or was damaged"
        self.file = hdf5.resume(dst, self._is_same, fault) or self._create()

    def _attributes(self) -> dict[str, Any]:
        header, grid = self.header, self.header.grid
        offset = header.source_offset or (0.0,) * len(header.bands)
        return {
            "kind": "scene", "bands": list(header.bands), "crs": grid.crs, "epsg": grid.epsg,
            "transform": np.array(grid.transform, np.float64), "level": header.level,
            "product": header.product, "date": header.date, "per_unit": PER_UNIT,
            "source_offset": np.array(offset, np.float64), "masked": header.masked,
        }  # fmt: skip

    def _is_same(self, file: h5py.File) -> bool:
        expected = self._attributes()
        equal = all(np.array_equal(file.attrs[name], value) for name, value in expected.items())
        names = {"reflectance", "written", *self.layers}
        same = equal and set(file) == names and file["reflectance"].shape[:2] == self.shape
        known = work.noted()
        if not same or known is None:
            return same
        self._forget_damaged(file, known)
        return hdf5.hash_structure(file, names) in known.get(HEADER, set())

    def _forget_damaged(self, file: h5py.File, known: Mapping[str, set[str]]) -> None:
        """Mark blocks as unwritten that are not what was written, so that they are made again."""
        done = file["written"][:]
        for number, window in enumerate(blocks(*self.shape)):
            sums = known.get(_name(window), set())
            if done[number] and (done[number] != 1 or self._hash(file, window) not in sums):
                progress.say(f"{self.dst}: {_name(window)} is not what was written; made again")
                done[number] = 0
        file["written"][:] = done
        file.flush()

    def _hash(self, file: h5py.File, window: Window) -> str:
        sums = hashlib.sha256()
        for name in ("reflectance", *self.layers):
            sums.update(np.ascontiguousarray(file[name][window.slices]).tobytes())
        return sums.hexdigest()

    def _create(self) -> h5py.File:
        height, width = self.shape
        count = len(self.header.bands)
        hdf5.check_room(self.dst, height * width * (2 * count + len(self.layers)))
        file = h5py.File(self.dst, "w")
        _allocate(file, "reflectance", (height, width, count), "uint16")
        for name in self.layers:
            _allocate(file, name, self.shape, "uint8")
        file.create_dataset("written", data=np.zeros(-(-height // BLOCK), np.uint8))
        file.attrs.update(self._attributes())
        file.attrs["complete_header"] = True
        file.flush()
        names = ("reflectance", "written", *self.layers)
        work.note(HEADER, hdf5.hash_structure(file, names))
        return file

    def todo(self, what: str = "") -> Iterator[Window]:
        """Windows of whole rows that are not written yet, with a progress bar in rows."""
        done = self.file["written"][:] > 0
        windows = list(blocks(*self.shape))
        ready = sum(w.height for w, there in zip(windows, done, strict=True) if there)
        with progress.bar(self.shape[0], what or self.dst.stem, done=ready) as bar:
            for window, there in zip(windows, done, strict=True):
                if not there:
                    yield window
                    bar.update(window.height)

    def put(self, window: Window, reflectance: NDArray[Any], **layers: NDArray[np.uint8]) -> None:
        """Store one block; it is on disk when this returns.

        Args:
            window: one of `todo`.
            reflectance: (height, width, C) reflectance, NaN where there is no data; or stored
                numbers, uint16.
            layers: (height, width) `mask`, zeros if left out, and `truth` if the file has it.

        Raises:
            ValueError: a shape does not fit, or a layer is missing: a bug in the stage.
        """
        stored = reflectance if reflectance.dtype == np.uint16 else encode(reflectance)
        flat = (window.height, window.width)
        given = {"mask": np.zeros(flat, np.uint8), **layers, "reflectance": stored}
        if set(given) != {"reflectance", *self.layers}:
            raise ValueError(f"expected {self.layers}, found {sorted(given)}")
        for name, values in given.items():
            if values.shape[:2] != flat:
                raise ValueError(f"{name}: {values.shape} for {window}")
            self.file[name][window.slices] = values
        self.file.flush()
        work.note(_name(window), self._hash(self.file, window))
        self.file["written"][window.top // BLOCK] = 1
        self.file.flush()

    def __enter__(self) -> "SceneWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self.file:
            if kind is None and not self.file["written"][:].all():
                raise ValueError(f"{self.dst}: blocks left unwritten")


def _name(window: Window) -> str:
    return f"block of row {window.top}"


def _allocate(file: h5py.File, name: str, shape: tuple[int, ...], kind: str) -> None:
    """Create a dataset in square chunks whose storage is fixed now."""
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_chunk((min(BLOCK, shape[0]), min(BLOCK, shape[1]), *shape[2:]))
    creation.set_obj_track_times(False)  # equal content, equal bytes
    creation.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    creation.set_fill_value(np.zeros((), kind))
    creation.set_fill_time(h5py.h5d.FILL_TIME_ALLOC)  # what lies beyond the edge is the same always
    space = h5py.h5s.create_simple(shape)
    h5py.h5d.create(file.id, name.encode(), h5py.h5t.py_create(np.dtype(kind)), space, creation)


def create_scene(
    dst: Path, shape: tuple[int, int], header: Header, *, truth: bool = False
) -> SceneWriter:
    """Open a scene file for writing, or go on with one that a run left unfinished."""
    return SceneWriter(dst, shape, header, truth=truth)
