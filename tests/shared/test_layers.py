"""Rows of datasets in every layout: the same values, and no chunk read from the file too often."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from shared import patches, scratch
from shared.errors import StageError
from shared.patches import hdf5
from shared.patches.layers import Layers, Stored, pieces

ROWS, SHAPE = 83, (6, 5, 10)  # not square, and no multiple of any chunk
Write = Callable[[h5py.File, np.ndarray], Any]


def values(kind: str = "f8") -> np.ndarray:
    """(ROWS, 6, 5, 10) different numbers, which compress somewhat."""
    rng = np.random.default_rng(0)
    return np.asarray(rng.integers(0, 2 if kind == "?" else 28000, (ROWS, *SHAPE)).astype(kind))


def layout(**flags: Any) -> Write:
    return lambda file, data: file.create_dataset("x", data=data, **flags)


def matlab(**flags: Any) -> Write:
    def write(file: h5py.File, data: np.ndarray) -> None:
        stored = file.create_dataset("x", data=np.ascontiguousarray(data.T), **flags)
        stored.attrs["MATLAB_class"] = np.bytes_("double")

    return write


def virtual(file: h5py.File, data: np.ndarray) -> None:
    file.create_dataset("y", data=data, chunks=(9, 4, 4, 2), compression="gzip")
    whole = h5py.VirtualLayout(data.shape, data.dtype)
    whole[:] = h5py.VirtualSource(file["y"])
    file.create_virtual_dataset("x", whole)


def external(file: h5py.File, data: np.ndarray) -> None:
    name = str(Path(file.filename).with_suffix(".raw"))
    file.create_dataset("x", data=data, external=[(name, 0, data.nbytes)])


def unfiltered_chunk(file: h5py.File, data: np.ndarray) -> None:
    stored = file.create_dataset("x", data.shape, data.dtype, chunks=data.shape, compression="gzip")
    stored.id.write_direct_chunk((0, 0, 0, 0), data.tobytes(), filter_mask=1)


ONE = (ROWS, *SHAPE)
LAYOUTS: dict[str, Write] = {
    "contiguous": layout(),
    "whole rows": layout(chunks=(10, *SHAPE)),
    "whole rows, gzip": layout(chunks=(10, *SHAPE), compression="gzip"),
    "cut": layout(chunks=(9, 4, 4, 2)),
    "cut, gzip": layout(chunks=(9, 4, 4, 2), compression="gzip"),
    "cut, lzf": layout(chunks=(9, 4, 4, 2), compression="lzf"),
    "cut, all filters": layout(
        chunks=(40, 4, 4, 3), compression="gzip", shuffle=True, fletcher32=True
    ),
    "single rows, cut, gzip": layout(chunks=(1, 4, 4, 2), compression="gzip"),
    "one chunk": layout(chunks=ONE),
    "one chunk, gzip": layout(chunks=ONE, compression="gzip"),
    "one chunk, lzf": layout(chunks=ONE, compression="lzf"),
    "one chunk, shuffle": layout(chunks=ONE, compression="gzip", shuffle=True),
    "one chunk, all filters": layout(chunks=ONE, compression="gzip", shuffle=True, fletcher32=True),
    "one chunk, larger than all": layout(
        chunks=(99, 7, 7, 11), maxshape=(None,) * 4, compression="gzip"
    ),
    "all rows, two chunks": layout(chunks=(ROWS, *SHAPE[:2], 5), compression="gzip"),
    "one chunk, filter skipped": unfiltered_chunk,
    "virtual": virtual,
    "external": external,
    "MATLAB, contiguous": matlab(),
    "MATLAB, cut": matlab(chunks=(2, 4, 4, 9)),
    "MATLAB, cut, gzip": matlab(chunks=(2, 4, 4, 9), compression="gzip"),
    "MATLAB, one plain chunk": matlab(chunks=ONE[::-1]),
    "MATLAB, one chunk": matlab(chunks=ONE[::-1], compression="gzip"),
    "MATLAB, one chunk, shuffle": matlab(chunks=ONE[::-1], compression="gzip", shuffle=True),
}
LARGE = 40_000  # bytes: a layer of more is too large for memory
each_layout = pytest.mark.parametrize("name", LAYOUTS)


@pytest.fixture(params=["in memory", "too large"])
def memory(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Layers that fit into memory, and some that do not."""
    if request.param == "too large":
        for module in ("stored", "pieces", "layers"):
            monkeypatch.setattr(f"shared.patches.layers.{module}.LAYER_BYTES", LARGE)
        monkeypatch.setattr(pieces, "PIECE_BYTES", LARGE // 6)


def write(path: Path, name: str, data: np.ndarray, **file: Any) -> Path:
    with h5py.File(path, "w", **file) as out:
        LAYOUTS[name](out, data)
    return path


def read(path: Path, order: list[tuple[int, int]]) -> list[np.ndarray]:
    """Runs of rows, start and stop, in this order."""
    with hdf5.File(path) as file:
        layers = Layers(Stored(file["x"]))
        return [layers.read(*rows) for rows in order]


def test_texts_are_read_as_they_are_asked_for(tmp_path: Path) -> None:
    """What knows chunks by heart knows numbers only."""
    texts = np.array([f"{row} b".encode() for row in range(ROWS)])
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", data=texts, chunks=(10,), compression="gzip")
    with hdf5.File(tmp_path / "a.h5") as opened:
        assert Stored(opened["x"]).layer_rows == 0
    (values,) = read(tmp_path / "a.h5", [(7, 31)])
    assert values.tolist() == texts[7:31].tolist()


def in_order(step: int) -> list[tuple[int, int]]:
    return [(start, min(start + step, ROWS)) for start in range(0, ROWS, step)]


def in_disorder() -> list[tuple[int, int]]:
    starts = np.random.default_rng(1).permutation(np.repeat(np.arange(ROWS), 2))
    return [(int(start), min(int(start) + 1 + int(start) % 3, ROWS)) for start in starts]


ORDERS = {
    "at once": [(0, ROWS)], "single": in_order(1), "blocks": in_order(16), "twice": in_order(7) * 2,
    "backwards": in_order(5)[::-1], "in disorder": in_disorder(), "none": [(4, 4)],
}  # fmt: skip


@pytest.mark.usefixtures("memory")
@each_layout
def test_rows_are_the_same_in_every_layout(tmp_path: Path, name: str) -> None:
    data, path = values(), tmp_path / "a.h5"
    write(path, name, data)
    for order in ORDERS.values():
        for (start, stop), part in zip(order, read(path, order), strict=True):
            assert part.dtype == np.float64
            assert part.flags.c_contiguous
            np.testing.assert_array_equal(part, data[start:stop])


@pytest.mark.usefixtures("memory")
@pytest.mark.parametrize("kind", ["f2", "f4", ">f8", ">u2", "i1", "?"])
@pytest.mark.parametrize("name", ["contiguous", "cut, gzip", "one chunk, shuffle", "MATLAB, cut"])
def test_rows_of_every_type_of_number(tmp_path: Path, name: str, kind: str) -> None:
    data = values(kind)
    for part in read(write(tmp_path / "a.h5", name, data), [(70, 83), (3, 9)]):
        assert part.dtype == np.dtype(kind).newbyteorder("=")
    np.testing.assert_array_equal(part, data[3:9])


@pytest.mark.usefixtures("memory")
@each_layout
def test_rows_of_every_kind_of_file(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "a.h5", name, values(), userblock_size=1024, libver="latest")
    np.testing.assert_array_equal(read(path, [(0, ROWS)])[0], values())


@pytest.mark.usefixtures("memory")
@pytest.mark.parametrize("chunks", [(9, 4, 4, 5), (ROWS, *SHAPE[:2], 5)])
def test_chunks_that_were_never_written_hold_the_fill_value(
    tmp_path: Path, chunks: tuple[int, ...]
) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", ONE, "f8", chunks=chunks, compression="gzip", fillvalue=7.0)
        file["x"][..., :5] = values()[..., :5]
    rows = np.concatenate(read(tmp_path / "a.h5", in_order(16)))
    assert (rows[..., 5:] == 7).all()
    np.testing.assert_array_equal(rows[..., :5], values()[..., :5])


def bytes_read() -> int:
    """What this process has read from files so far, from the page cache too."""
    path = Path("/proc/self/io")
    if not path.exists():
        pytest.skip("the system does not count what a process reads")
    return int(path.read_text().split("rchar:")[1].split()[0])


# Without chunks that several reads would share; those of a virtual dataset are elsewhere.
NOT_SHARED = {
    *("contiguous", "external", "MATLAB, contiguous", "virtual"),
    *("whole rows", "one chunk", "single rows, cut, gzip"),
}


@pytest.mark.usefixtures("memory")
@pytest.mark.parametrize("name", sorted(LAYOUTS.keys() - NOT_SHARED))
def test_a_chunk_is_read_once_or_twice(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied, original = [0], scratch.Scratch.read

    def count(file: scratch.Scratch, view: memoryview, place: int) -> None:
        copied[0] += view.nbytes
        original(file, view, place)

    monkeypatch.setattr(scratch.Scratch, "read", count)
    path = write(tmp_path / "a.h5", name, values())
    read(path, [(0, ROWS)])  # imports are files, too
    for order, times in {"single": 1, "blocks": 1, "twice": 2, "in disorder": 1}.items():
        copied[0] = 0
        with hdf5.File(path) as file:
            layers, before = Layers(Stored(file["x"])), bytes_read()
            for rows in ORDERS[order]:
                layers.read(*rows)
            size = bytes_read() - before - copied[0]
            index = 2**15  # in which HDF5 looks up where the chunks are
            assert size < times * file["x"].stored.id.get_storage_size() + index, order


@pytest.mark.parametrize("cut", [1, 5000])
@pytest.mark.parametrize("name", ["one chunk, gzip", "one chunk, shuffle"])
def test_a_damaged_chunk_is_refused(
    tmp_path: Path, name: str, cut: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.patches.layers.pieces.LAYER_BYTES", LARGE)
    monkeypatch.setattr("shared.patches.layers.layers.LAYER_BYTES", LARGE)
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        for dataset in ("sen2", "label"):
            LAYOUTS[name](file, values() / 10_000)
            file.move("x", dataset)
        where = file["sen2"].id.get_chunk_info_by_coord((0, 0, 0, 0))
    with path.open("r+b") as damaged:
        damaged.seek(where.byte_offset + where.size - cut)
        damaged.write(bytes(cut))
    with (
        patches.read(path, "sen2") as source,
        pytest.raises(StageError, match=r"a.h5: sen2: cannot read \(.*chunk"),
    ):
        source["sen2"].raw(slice(0, ROWS))


def test_unpacking_needs_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.patches.layers.layers.LAYER_BYTES", LARGE)
    monkeypatch.setattr(scratch.Scratch, "free", lambda _: 1000)
    path = write(tmp_path / "a.h5", "one chunk, gzip", values())
    with pytest.raises(StageError, match=r"no space left: unpacking .*a.h5: x needs 0\.000199 GB"):
        read(path, [(0, 4)])


def test_without_room_a_layer_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scratch.Scratch, "free", lambda _: 1000)
    path = write(tmp_path / "a.h5", "cut, gzip", values())
    for (start, stop), part in zip(in_disorder(), read(path, in_disorder()), strict=True):
        np.testing.assert_array_equal(part, values()[start:stop])


def test_scratch_lies_beside_the_product_and_has_no_name(tmp_path: Path) -> None:
    with scratch.beside(tmp_path):
        file = scratch.Scratch()
        file.write(memoryview(b"abcdef"), 4)
        assert file.folder == tmp_path
        three = bytearray(3)
        file.read(memoryview(three), 5)
        assert three == b"bcd"
        assert list(tmp_path.iterdir()) == []
        with pytest.raises(OSError, match="shorter"):
            file.read(memoryview(bytearray(9)), 4)
    assert scratch.Scratch().folder != tmp_path


@pytest.mark.parametrize(
    ("shape", "width", "rows_first"),
    [
        ((10, 6, 5, 83), 10, (83, 5, 6, 10)),  # as MATLAB saves (N, H, W, C)
        ((83, 6, 5, 10), 10, (83, 6, 5, 10)),  # what its h5read had turned already
        ((10, 6, 5, 10), 10, (10, 5, 6, 10)),  # ten rows
        ((17, 83), 17, (83, 17)),
        ((83, 17), 17, (83, 17)),
        ((1, 17), 17, (17, 1)),  # a column of 17 numbers
        ((1, 83), None, (83, 1)),
    ],
)
def test_arrays_of_matlab_are_turned(
    tmp_path: Path, shape: tuple[int, ...], width: int | None, rows_first: tuple[int, ...]
) -> None:
    with h5py.File(tmp_path / "a.mat", "w", userblock_size=512) as file:
        stored = file.create_dataset("x", data=np.arange(np.prod(shape)).reshape(shape))
        file["plain"] = stored[()]
        stored.attrs["MATLAB_class"] = np.bytes_("double")
    with hdf5.File(tmp_path / "a.mat") as opened:
        assert Stored(opened["plain"], width).shape == shape
        assert Stored(opened["x"], width).shape == rows_first


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"MATLAB_class": np.bytes_("cell")}, "numbers, found an array of MATLAB's class 'cell'"),
        ({"MATLAB_class": "char"}, "found an array of MATLAB's class 'char'"),
        ({"MATLAB_class": np.bytes_("double"), "MATLAB_empty": 1}, "found an empty array"),
    ],
)
def test_refuses_what_is_no_array_of_numbers(
    tmp_path: Path, attributes: dict[str, Any], message: str
) -> None:
    with h5py.File(tmp_path / "a.mat", "w") as file:
        file["sen2"] = np.ones((10, 6, 5, 83))
        file["sen2"].attrs.update(attributes)
    with pytest.raises(StageError, match=message) as refused:
        patches.read(tmp_path / "a.mat", "sen2")
    assert str(refused.value).startswith(f"{tmp_path / 'a.mat'}: sen2: ")


@pytest.mark.parametrize(
    ("shape", "limit", "sizes"),
    [
        ((4, 6), 24, [24]), ((4, 6), 23, [18, 6]), ((4, 6), 12, [12, 12]), ((4, 6), 6, [6] * 4),
        ((4, 6), 5, [5, 1] * 4), ((4, 6), 1, [1] * 24), ((4, 6), 0, [1] * 24), ((7,), 3, [3, 3, 1]),
        ((2, 3, 4), 8, [8, 4, 8, 4]),
    ],
)  # fmt: skip
def test_boxes_of_so_many_elements(shape: tuple[int, ...], limit: int, sizes: list[int]) -> None:
    """They cover an array once, in its order, each without a gap."""
    array = np.arange(np.prod(shape)).reshape(shape)
    boxes = [array[box] for box in pieces.split(shape, limit)]
    assert [box.size for box in boxes] == sizes
    seen = np.concatenate([box.ravel() for box in boxes]) if boxes else np.zeros(0)
    np.testing.assert_array_equal(seen, np.arange(np.prod(shape)))


def test_pictures_of_one_number_may_all_be_alike(tmp_path: Path) -> None:
    """A patch of one pixel and one band holds one value only, rightly; two bands do not."""
    for bands, refused in ((["B2"], False), (["B2", "B3"], True)):
        path = tmp_path / f"{len(bands)}.h5"
        with h5py.File(path, "w") as file:
            file["sen2"] = np.full((3, 1, 1, len(bands)), 0.5)
            file["sen2"].attrs["bands"] = bands
        with patches.read(path, "sen2") as source:
            if refused:
                with pytest.raises(StageError, match="one value only in each of 3 patches"):
                    source["sen2"][0:3]
            else:
                assert source["sen2"][0:3].tolist() == [[[[0.5]]]] * 3
