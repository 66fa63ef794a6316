"""Where the values of a dataset lie: HDF5 fills what is missing there, we refuse it by name."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from h5py import h5d, h5l, h5s, h5z
from numpy.typing import NDArray

from shared.errors import StageError
from shared.patches.hdf5 import linked
from shared.patches.hdf5.opening import open_stored

FILTERS = {
    4: "szip", 305: "lzo", 307: "bzip2", 32000: "lzf", 32001: "blosc", 32004: "lz4",
    32008: "bitshuffle", 32013: "zfp", 32015: "zstd", 32017: "sz", 32026: "blosc2",
}  # fmt: skip
Key = tuple[Path, str]  # a file and a dataset in it


def check(where: str, stored: h5py.Dataset) -> NDArray[np.int64]:
    """Rows of a dataset that nobody wrote, so that HDF5 would invent them.

    Args:
        where: file and dataset, for messages.
        stored: the dataset.

    Returns:
        (M,) row numbers; usually none.

    Raises:
        StageError: nothing was ever written, a file that values lie in is missing or too short,
            or the values are packed by a filter that is not here.
    """
    if not stored.size:
        return np.array([], np.int64)
    plan = stored.id.get_create_plist()
    if plan.get_layout() == h5d.VIRTUAL:
        _check_virtual(where, stored, ())
        return np.array([], np.int64)
    _check_external(where, stored, plan)
    status = stored.id.get_space_status()
    if status == h5d.SPACE_STATUS_NOT_ALLOCATED:
        raise StageError(f"{where}: expected values, found none: the dataset was never written")
    if plan.get_layout() == h5d.CHUNKED:
        _check_filters(where, stored, plan)
        if status == h5d.SPACE_STATUS_PART_ALLOCATED:
            return _unwritten_rows(stored)
    return np.array([], np.int64)


def check_link(path: Path, file: h5py.File, name: str) -> None:
    """StageError when a member that does not open is a link that leads nowhere."""
    kind = file.id.links.get_info(name.encode(errors="surrogateescape")).type
    if kind not in (h5l.TYPE_SOFT, h5l.TYPE_EXTERNAL):
        return
    target = file.id.links.get_val(name.encode(errors="surrogateescape"))
    if kind == h5l.TYPE_SOFT:
        raise StageError(f"{path}: {name}: link to {_text(target)} leads nowhere")
    other, inner = (_text(part) for part in target)
    there = linked.resolve(other, path, linked.LINK)
    if there is None:
        raise StageError(f"{path}: {name}: link to {other} leads nowhere: there is no such file")
    with open_stored(there) as opened:
        if inner.strip("/") and inner not in opened:
            raise StageError(f"{path}: {name}: link to {inner} of {there} leads nowhere")


def _text(name: bytes | str) -> str:
    return name.decode("utf-8", "backslashreplace") if isinstance(name, bytes) else name


def _unwritten_rows(stored: h5py.Dataset) -> NDArray[np.int64]:
    """Rows in chunks that are not there."""
    tall, shape = stored.chunks[0], stored.shape
    beside = math.prod(-(-n // c) for n, c in zip(shape[1:], stored.chunks[1:], strict=True))
    there = np.zeros(-(-shape[0] // tall), np.int64)

    def count(chunk: Any) -> None:
        if chunk.chunk_offset[0] < shape[0]:
            there[chunk.chunk_offset[0] // tall] += 1

    stored.id.chunk_iter(count)
    return np.flatnonzero(np.repeat(there < beside, tall)[: shape[0]])


def _check_filters(where: str, stored: h5py.Dataset, plan: Any) -> None:
    """StageError that names a filter which the first chunk needs and this machine has not."""
    for place in range(plan.get_nfilters()):
        code, _, _, name = plan.get_filter(place)
        if h5z.filter_avail(code):
            continue
        if stored.id.get_num_chunks() and stored.id.get_chunk_info(0).filter_mask >> place & 1:
            continue  # an optional filter that was left out
        known = FILTERS.get(code) or _text(name).partition(";")[0] or "unknown"
        repack = f"h5repack -f GZIP=1 {Path(stored.file.filename).name} new.h5"
        raise StageError(
            f"{where}: needs HDF5 filter {code} ({known}), which is not here: "
            f"{repack}, where that filter is, makes a file that can be read"
        )


def _check_external(where: str, stored: h5py.Dataset, plan: Any) -> None:
    """StageError that names a file of raw values which is missing, or too short for them."""
    left = stored.size * stored.id.get_type().get_size()
    for number in range(plan.get_external_count()):
        name, offset, size = plan.get_external(number)
        there = linked.resolve(_text(name), Path(stored.file.filename), linked.RAW)
        if there is None:
            own, fault = Path(stored.file.filename), "which is missing"
            if linked.lies_outside(_text(name), own):
                fault = f"outside of its folder: {linked.RAW} says where else such files may lie"
            raise StageError(f"{where}: its values lie in {_text(name)}, {fault}")
        wanted = left if size == h5s.UNLIMITED else min(size, left)
        if there.stat().st_size < offset + wanted:
            lengths = f"expected {offset + wanted} bytes, found {there.stat().st_size}"
            raise StageError(f"{where}: its values lie in {there}: {lengths}")
        left -= wanted


def _check_virtual(where: str, stored: h5py.Dataset, above: tuple[Key, ...]) -> None:
    """StageError that names a source of a virtual dataset that is missing, or rows without one."""
    plan, mapped = stored.id.get_create_plist(), 0
    own = Path(stored.file.filename)
    for number in range(plan.get_virtual_count()):
        space = plan.get_virtual_vspace(number)
        names = plan.get_virtual_filename(number), plan.get_virtual_dsetname(number)
        repeats = list(_repeats(space, stored.shape, names, own))
        for file, inner in repeats:
            _check_source(own, where, (file, inner), above)
        # Without an end, and so with as many values as its sources have.
        endless = h5s.UNLIMITED in np.ravel(_hyperslab(space))
        mapped = stored.size if endless else mapped + space.get_select_npoints()
    if mapped < stored.size:
        share = f"only {mapped} of {stored.size} values have a source"
        raise StageError(f"{where}: a virtual dataset with gaps: {share}")


def _hyperslab(space: Any) -> tuple[Any, ...]:
    regular = space.get_select_type() == h5s.SEL_HYPERSLABS and space.is_regular_hyperslab()
    return space.get_regular_hyperslab() if regular else ()


def _repeats(
    space: Any, shape: tuple[int, ...], names: tuple[str, str], own: Path
) -> Iterator[tuple[str, str]]:
    """Names of one source, or of as many as ``%b`` stands for: those in use, and all up to the
    last that exists, as HDF5 stops at the first that does not."""
    if not any("%b" in name for name in names):
        yield names
        return
    start, stride, count, _ = _hyperslab(space)
    axis = next((i for i, n in enumerate(count) if n == h5s.UNLIMITED), 0)
    used = max(0, -(-(shape[axis] - start[axis]) // stride[axis]))
    for number in range(max(used, linked.last_block(names[0], own) + 1, 1)):
        yield tuple(linked.block_name(name, number) for name in names)  # type: ignore[misc]


def _check_source(own: Path, where: str, source: tuple[str, str], above: tuple[Key, ...]) -> None:
    file, inner = source
    there = own if file == "." else linked.resolve(file, own, linked.VIRTUAL)
    if there is None:
        raise StageError(f"{where}: a virtual dataset whose source {file} is missing")
    key = (there.resolve(), inner)
    if key in above:
        raise StageError(f"{where}: a virtual dataset that is its own source, through {there}")
    with open_stored(there) as opened:
        if inner not in opened:
            raise StageError(f"{where}: a virtual dataset whose source {inner} of {there} is gone")
        stored = opened[inner]
        if isinstance(stored, h5py.Dataset) and stored.is_virtual:
            _check_virtual(f"{there}: {inner}", stored, (*above, key))
        elif isinstance(stored, h5py.Dataset):
            check(f"{there}: {inner}", stored)
