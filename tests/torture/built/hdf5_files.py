"""HDF5: shapes without values, endless texts, deep groups, links, values that lie elsewhere."""

import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from h5py import h5d, h5p, h5s, h5t, h5z
from hypothesis import strategies as st

OUTSIDE = (
    "../outside/secret.h5", "../outside/secret.bin", "/etc/passwd", "/dev/zero", "/proc/self/mem",
)  # fmt: skip
NAMES = st.sampled_from([
    "x", "a\x1b[2Jb", "a\nb", "a\u202eb", "ä", ".", "a" * 5000, "row", "classes", "é\u0301", " ",
])  # fmt: skip
LARGE = st.sampled_from([10**6, 10**9, 10**12, 2**31, 2**32, 2**40, 2**62])
REFUSED = (ValueError, TypeError, OSError, RuntimeError, KeyError, OverflowError)  # by h5py
Edit = Callable[[h5py.File, str], None]


def _again(file: h5py.File, name: str, shape: Any, kind: Any, **storage: Any) -> None:
    """A dataset made anew, with the attributes that it had."""
    kept = dict(file[name].attrs)
    del file[name]
    made = file.create_dataset(name, shape, kind, **storage)
    for key, value in kept.items():
        made.attrs[key] = value


def _grow(axis: int, size: int, chunk: int) -> Edit:
    """So long an axis, and chunks that are not there."""

    def edit(file: h5py.File, name: str) -> None:
        old = file[name]
        shape = list(old.shape) or [1]
        shape[axis % len(shape)] = size
        chunks = [max(1, min(chunk, side)) for side in shape]
        _again(file, name, tuple(shape), old.dtype, chunks=tuple(chunks), fillvalue=0)

    return edit


def _retype(kind: Any, shape: tuple[int, ...] | None) -> Edit:
    """Another type of values, which are not there."""

    def edit(file: h5py.File, name: str) -> None:
        size = file[name].shape if shape is None else shape
        _again(file, name, size, kind)

    return edit


def _external(target: str, offset: int) -> Edit:
    """Values that lie in another file."""

    def edit(file: h5py.File, name: str) -> None:
        old = file[name]
        _again(file, name, old.shape, old.dtype, external=[(target, offset, h5py.h5f.UNLIMITED)])

    return edit


def _virtual(target: str, inner: str, endless: bool) -> Edit:
    """A virtual dataset of another file, or of itself."""

    def edit(file: h5py.File, name: str) -> None:
        old, kept = file[name], dict(file[name].attrs)
        shape, kind = old.shape or (1,), old.dtype
        most = (None, *shape[1:]) if endless else shape
        layout = h5py.VirtualLayout(shape, kind, maxshape=most)
        layout[...] = h5py.VirtualSource(target, inner or name, shape, maxshape=most)
        del file[name]
        file.create_virtual_dataset(name, layout, fillvalue=0).attrs.update(kept)

    return edit


def _link(target: str, inner: str) -> Edit:
    """A link in the place of a member."""

    def edit(file: h5py.File, name: str) -> None:
        del file[name]
        file[name] = h5py.ExternalLink(target, inner) if target else h5py.SoftLink(inner)

    return edit


def _deep(levels: int, loop: bool) -> Edit:
    """Groups in groups, the last of which may be the first again."""

    def edit(file: h5py.File, name: str) -> None:
        values, kept = file[name][()], dict(file[name].attrs)
        group = file.create_group("deep")
        for _ in range(levels):
            group = group.create_group("g")
        if loop:
            group["again"] = file["deep"]
        group["values"] = values
        group["values"].attrs.update(kept)
        del file[name]
        file[name] = group["values"]

    return edit


def _many(count: int) -> Edit:
    """Members that nobody needs."""

    def edit(file: h5py.File, _: str) -> None:
        for number in range(count):
            file.create_group(f"g{number}")

    return edit


def _attribute(key: str, value: Any, whole: bool) -> Edit:
    """An attribute of another kind."""

    def edit(file: h5py.File, name: str) -> None:
        owner = file if whole else file[name]
        keys = [*owner.attrs, key]
        owner.attrs[keys[len(key) % len(keys)]] = value

    return edit


def _filter(code: int) -> Edit:
    """Values that are packed, as far as the file says, by a filter that is hardly anywhere."""

    def edit(file: h5py.File, name: str) -> None:
        values, kept = file[name][()], dict(file[name].attrs)
        plan, space = h5p.create(h5p.DATASET_CREATE), h5s.create_simple(values.shape)
        plan.set_chunk(values.shape)
        plan.set_filter(code, h5z.FLAG_OPTIONAL, (1, 2))
        del file[name]
        made = h5d.create(file.id, name.encode(), h5t.py_create(values.dtype), space, plan)
        made.write_direct_chunk((0,) * values.ndim, values.tobytes())
        file[name].attrs.update(kept)

    return edit


def _rename(other: str) -> Edit:
    return lambda file, name: file.move(name, other)


def _group(file: h5py.File, name: str) -> None:
    """A group in the place of a dataset."""
    del file[name]
    file.create_group(name)


KINDS = st.sampled_from([
    "S1000000000", "S2147483647", "V1000000000", h5py.string_dtype(), h5py.ref_dtype, "c16", "b1",
    h5py.vlen_dtype(np.dtype("f8")), np.dtype([("r", "f4"), ("i", "f4")]), "f2", "i1", "u8", "f8",
    np.dtype(("f4", (1000, 1000))), h5py.enum_dtype({"a": 1}),
])  # fmt: skip
VALUES = st.sampled_from([
    np.float64("nan"), np.inf, -1, 0, 2**63 - 1, "text", "a\x1b[2J", b"\xff\xfe", "x" * 60_000,
    np.zeros(0), np.zeros((2, 2)), np.array([b"a", b"b"]), h5py.Empty("f4"), True, 1e300, 1e-300,
    np.arange(17), ["a"] * 17, ["a", "a"], np.void(b"123"), np.array(["\u202e"], "O"), 3 + 4j,
])  # fmt: skip
SHAPES = st.none() | st.lists(LARGE | st.integers(0, 40), max_size=5).map(tuple)
PLACES = st.sampled_from([*OUTSIDE, "gone.h5", "."])
# Links and virtual datasets may lead to HDF5 files elsewhere: a documented feature, and recorded.
NEAR = st.sampled_from(["gone.h5", ".", "/etc/passwd", "/dev/zero", "\x1b[2J", "%b", "gone%b.h5"])
EDITS = st.one_of(
    st.builds(_grow, st.integers(0, 4), LARGE, st.sampled_from([1, 16, 4096, 2**20])),
    st.builds(_retype, KINDS, SHAPES),
    st.builds(_external, PLACES, st.sampled_from([0, 1, 10**6])),
    st.builds(_virtual, NEAR, st.sampled_from(["", "x", "/"]), st.booleans()),
    st.builds(_link, st.sampled_from(["", "gone.h5", "/etc/passwd", "/dev/zero", "x\x1b[2J"]),
              st.sampled_from(["/", "/sen2", "/x", "", "/a\x1b[2J"])),
    st.builds(_deep, st.sampled_from([3, 300, 3000]), st.booleans()),
    st.builds(_many, st.sampled_from([1, 3000])),
    st.builds(_attribute, st.text("abcdefg", max_size=7), VALUES, st.booleans()),
    st.builds(_filter, st.sampled_from([4, 305, 307, 32001, 32004, 32013, 32015, 65000])),
    st.builds(_rename, NAMES),
    st.just(_group),
)  # fmt: skip


def edit_file(content: bytes, edits: list[tuple[int, Edit]]) -> bytes:
    """The content with changes of members, by number; what the library refuses is left out."""
    folder = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.NamedTemporaryFile(dir=folder) as draft:
        draft.write(content)
        draft.flush()
        with h5py.File(draft.name, "r+", libver="latest", locking=False) as file:
            for number, edit in edits:
                names = sorted(name for name in file if _is_dataset(file, name))
                if names:
                    with contextlib.suppress(*REFUSED):
                        edit(file, names[number % len(names)])
        return Path(draft.name).read_bytes()


def _is_dataset(file: h5py.File, name: str) -> bool:
    """Whether a member is one, and not a link to nothing."""
    with contextlib.suppress(*REFUSED):
        return file.get(name, getclass=True) is h5py.Dataset
    return False


def draw(good: Path, _: str) -> Any:
    """Contents of an HDF5 file."""
    content = good.read_bytes()
    edits = st.lists(st.tuples(st.integers(0, 9), EDITS), min_size=1, max_size=2)
    return edits.map(lambda listed: edit_file(content, listed))
