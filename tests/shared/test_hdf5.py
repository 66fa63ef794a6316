"""Reading HDF5 of others: what it leaves out or refers to is named, whatever the library says."""

import contextlib
import mmap
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from h5py import h5d, h5p, h5s, h5t, h5z

from shared import patches
from shared.errors import StageError
from shared.patches import hdf5
from shared.patches.hdf5 import guard, linked, storage, touching
from shared.runs import record
from tests.conftest import pixels, write_raw

VALUES = np.arange(40.0).reshape(10, 4)


@pytest.fixture
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the current one, as raw files are looked for there."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refusal(path: Path, name: str = "x") -> str:
    """The message for one dataset of a file."""
    with hdf5.File(path) as file, pytest.raises(StageError) as refused:
        file[name][()]
    return str(refused.value).removeprefix(f"{path}: ")


def virtual(path: Path, *sources: h5py.VirtualSource | None) -> None:
    """A dataset x of ten rows from each source, None being a gap."""
    layout = h5py.VirtualLayout((10 * len(sources), 4), "f8")
    for number, source in enumerate(sources):
        if source is not None:
            layout[10 * number : 10 * (number + 1)] = source
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("x", layout)


def numbered(path: Path, name: bytes) -> None:
    """A virtual dataset x of as many rows as there are files of a pattern with ``%b``."""
    plan = h5p.create(h5p.DATASET_CREATE)
    space = h5s.create_simple((0, 4), (h5s.UNLIMITED, 4))
    space.select_hyperslab((0, 0), (h5s.UNLIMITED, 1), stride=(10, 1), block=(10, 4))
    plan.set_virtual(space, name, b"x", h5s.create_simple((10, 4)))
    with h5py.File(path, "w") as file:
        empty = h5s.create_simple((0, 4), (h5s.UNLIMITED, 4))
        h5d.create(file.id, b"x", h5t.IEEE_F64LE, empty, plan)


# --- links ----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("link", "message"),
    [
        (h5py.SoftLink("/gone"), "sen2: link to /gone leads nowhere"),
        (h5py.SoftLink("sen2"), "sen2: link to sen2 leads nowhere"),
        (
            h5py.ExternalLink("gone.h5", "/x"),
            "sen2: link to gone.h5 leads nowhere: there is no such file",
        ),
        (h5py.ExternalLink("other.h5", "/y"), "sen2: link to /y of {}/other.h5 leads nowhere"),
        (h5py.ExternalLink("text.h5", "/y"), "not a complete HDF5 file (file signature not found)"),
    ],
)
def test_a_needed_link_that_leads_nowhere_is_named(
    tmp_path: Path, link: h5py.SoftLink, message: str
) -> None:
    write_raw(tmp_path / "other.h5", {"x": VALUES})
    (tmp_path / "text.h5").write_text("no HDF5")
    path = write_raw(tmp_path / "a.h5", {"label": np.eye(17)[:4]})
    with h5py.File(path, "r+") as file:
        file["sen2"] = link
    with pytest.raises(StageError) as refused:
        patches.read(path, "label", "sen2")
    assert str(refused.value).endswith(message.format(tmp_path))


def test_members_nobody_asked_for_are_never_opened(tmp_path: Path) -> None:
    path = write_raw(tmp_path / "a.h5", pixels(4))
    with h5py.File(path, "r+") as file:
        file["preview"] = h5py.SoftLink("/gone")
        file["far"] = h5py.ExternalLink("gone.h5", "/x")
        file[b"For\xeat"] = 1
    with patches.read(path, "sen2", "label") as source:
        assert source["sen2"][slice(0, 1)].shape == (1, 32, 32, 10)
        assert "preview" in source
        with pytest.raises(StageError, match=r"found .'For.*xeat', 'far', 'label', 'preview'"):
            source["rgb"]


def test_a_message_lists_twenty_members(tmp_path: Path) -> None:
    path = write_raw(tmp_path / "a.h5", {f"x{i:02}": VALUES for i in range(30)})
    with pytest.raises(StageError, match=r"'x18', 'x19'. and 10 more$"):
        patches.read(path, "sen2")


def test_links_that_lead_somewhere_are_read(tmp_path: Path) -> None:
    write_raw(tmp_path / "other.h5", {"x": VALUES})
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"], file["y"] = h5py.ExternalLink("other.h5", "/x"), h5py.SoftLink("/x")
    with hdf5.File(tmp_path / "a.h5") as opened:
        np.testing.assert_array_equal(opened["x"][2:4], VALUES[2:4])
        np.testing.assert_array_equal(opened["y"][()], VALUES)


# --- what HDF5 fills in ---------------------------------------------------------------------------
@pytest.mark.parametrize("chunks", [None, (5, 4)])
def test_a_dataset_that_was_never_written_is_refused(
    tmp_path: Path, chunks: tuple[int, ...] | None
) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", (10, 4), "f8", chunks=chunks)
    assert "x: expected values, found none: the dataset was never" in refusal(tmp_path / "a.h5")


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_rows_that_were_never_written_are_known(tmp_path: Path, compression: str | None) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        x = file.create_dataset("x", (10, 4), "f8", chunks=(3, 2), compression=compression)
        x[0:3], x[9:10], x[3:6, 0:2] = 1, 1, 1
        file.create_dataset("whole", data=VALUES, chunks=(3, 2), compression=compression)
    with hdf5.File(tmp_path / "a.h5") as opened:
        assert opened["x"].unwritten.tolist() == [3, 4, 5, 6, 7, 8]
        assert opened["whole"].unwritten.tolist() == []


def test_virtual_datasets_with_all_their_sources_are_read(inside: Path) -> None:
    (inside / "parts").mkdir()
    write_raw(inside / "parts" / "0.h5", {"x": VALUES})
    write_raw(inside / "one.h5", {"x": VALUES + 1})
    shape = VALUES.shape
    virtual(
        inside / "parts" / "a.h5",
        h5py.VirtualSource("0.h5", "x", shape),
        h5py.VirtualSource(inside / "moved" / "0.h5", "x", shape),  # beside it, says HDF5
        h5py.VirtualSource("one.h5", "x", shape),  # in the current folder
    )
    with hdf5.File(inside / "parts" / "a.h5") as opened:
        np.testing.assert_array_equal(opened["x"][()], np.vstack([VALUES, VALUES, VALUES + 1]))


def test_missing_sources_of_a_virtual_dataset_are_named(tmp_path: Path) -> None:
    path, shape = tmp_path / "a.h5", VALUES.shape
    write_raw(tmp_path / "0.h5", {"x": VALUES})
    with h5py.File(tmp_path / "empty.h5", "w") as file:
        file.create_dataset("x", shape, "f8")
    there = h5py.VirtualSource("0.h5", "x", shape)
    virtual(path, there, h5py.VirtualSource("gone.h5", "x", shape))
    assert refusal(path) == "x: a virtual dataset whose source gone.h5 is missing"
    virtual(path, there, h5py.VirtualSource("0.h5", "y", shape))
    assert refusal(path).endswith(f"x: a virtual dataset whose source y of {tmp_path}/0.h5 is gone")
    virtual(path, there, None)
    assert refusal(path) == "x: a virtual dataset with gaps: only 40 of 80 values have a source"
    virtual(path, there, h5py.VirtualSource("empty.h5", "x", shape))
    assert refusal(path).startswith(f"{tmp_path}/empty.h5: x: expected values, found none")
    virtual(tmp_path / "b.h5", h5py.VirtualSource("gone.h5", "x", shape))
    virtual(path, there, h5py.VirtualSource("b.h5", "x", shape))
    assert refusal(path) == f"{tmp_path}/b.h5: x: a virtual dataset whose source gone.h5 is missing"
    virtual(tmp_path / "b.h5", h5py.VirtualSource("a.h5", "x", shape))
    virtual(path, h5py.VirtualSource("b.h5", "x", shape))
    assert "x: a virtual dataset that is its own source" in refusal(path)


def test_a_missing_number_of_a_virtual_dataset_is_named(tmp_path: Path) -> None:
    """HDF5 itself would stop at the gap: ten rows instead of thirty."""
    for number in range(3):
        write_raw(tmp_path / f"part-{number}.h5", {"x": VALUES + number})
    numbered(tmp_path / "a.h5", b"part-%b.h5")
    with hdf5.File(tmp_path / "a.h5") as opened:
        np.testing.assert_array_equal(opened["x"][20:], VALUES + 2)
    (tmp_path / "part-1.h5").unlink()
    assert refusal(tmp_path / "a.h5").endswith("whose source part-1.h5 is missing")


@pytest.mark.usefixtures("inside")
@pytest.mark.parametrize(("axis", "count"), [(0, 3), (1, 4)])
def test_sources_are_numbered_along_the_axis_without_an_end(
    monkeypatch: pytest.MonkeyPatch, axis: int, count: int
) -> None:
    """Of (25, 40) values from 2 and 1 on, ten rows or columns each."""
    counts = [1, 1]
    counts[axis] = h5s.UNLIMITED
    slab = ((2, 1), (10, 10), tuple(counts), (10, 10))
    monkeypatch.setattr(storage, "_hyperslab", lambda _: slab)
    monkeypatch.setattr(linked, "last_block", lambda *_: -1)
    names = list(storage._repeats(None, (25, 40), ("a%b.h5", "x"), Path("own.h5")))
    assert names == [(f"a{number}.h5", "x") for number in range(count)]
    assert list(storage._repeats(None, (25, 40), ("a.h5", "x"), Path("own.h5"))) == [("a.h5", "x")]


def test_values_in_files_outside_of_the_folder_are_not_read(
    inside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files of values have no format: any file of the machine would be some."""
    (inside / "deep").mkdir()
    (inside / "secret").write_bytes(VALUES.tobytes())
    for name in ("secret", "deep/../secret", str(inside / "secret")):
        with h5py.File("deep/a.h5", "w") as file:
            file.create_dataset("x", VALUES.shape, "f8", external=[(name, 0, VALUES.nbytes)])
        monkeypatch.delenv(linked.RAW, raising=False)
        assert refusal(Path("deep/a.h5")) == (
            f"x: its values lie in {name}, outside of its folder: HDF5_EXTFILE_PREFIX says where "
            "else such files may lie"
        )
        assert linked.list_linked(Path("deep/a.h5")) == [(name, None)]
        monkeypatch.setenv(linked.RAW, str(inside))
        assert linked.resolve(name, Path("deep/a.h5"), linked.RAW) == inside / name


@pytest.mark.usefixtures("inside")
def test_files_of_raw_values_must_be_there_and_whole() -> None:
    with h5py.File("a.h5", "w") as file:
        parts = [("one.raw", 0, 160), ("two.raw", 8, h5s.UNLIMITED)]
        file.create_dataset("x", data=VALUES, external=parts)
    with hdf5.File(Path("a.h5")) as opened:
        np.testing.assert_array_equal(opened["x"][()], VALUES)
    os.truncate("two.raw", 100)  # HDF5 would read zeros
    expected = "x: its values lie in two.raw: expected 168 bytes, found 100"
    assert refusal(Path("a.h5")) == expected
    Path("one.raw").unlink()
    assert refusal(Path("a.h5")) == "x: its values lie in one.raw, which is missing"


def test_filters_are_called_as_the_hdf_group_registered_them() -> None:
    assert storage.FILTERS == {
        4: "szip", 305: "lzo", 307: "bzip2", 32000: "lzf", 32001: "blosc", 32004: "lz4",
        32008: "bitshuffle", 32013: "zfp", 32015: "zstd", 32017: "sz", 32026: "blosc2",
    }  # fmt: skip


# --- what the library says ------------------------------------------------------------------------
def test_an_unknown_filter_is_named(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", data=VALUES, chunks=(5, 4), compression="gzip")
        file.create_dataset("plain", data=VALUES, chunks=(5, 4))
    content = (tmp_path / "a.h5").read_bytes()
    # The filter's message: number 1 (deflate), with the length of its name, becomes 32015.
    gzip = b"\x01\x00\x08\x00\x01\x00\x01\x00deflate\x00"
    assert content.count(gzip) == 1
    zstd = (32015).to_bytes(2, "little") + gzip[2:]
    (tmp_path / "a.h5").write_bytes(content.replace(gzip, zstd))
    assert not h5z.filter_avail(32015)
    message = refusal(tmp_path / "a.h5")
    assert "x: needs HDF5 filter 32015 (zstd), which is not here: " in message
    assert "h5repack -f GZIP=1 a.h5 new.h5" in message
    with hdf5.File(tmp_path / "a.h5") as opened:
        np.testing.assert_array_equal(opened["plain"][()], VALUES)
    other = (40000).to_bytes(2, "little") + gzip[2:]  # registered by nobody: it has a name itself
    (tmp_path / "a.h5").write_bytes(content.replace(gzip, other))
    assert "x: needs HDF5 filter 40000 (deflate), which is not here" in refusal(tmp_path / "a.h5")


def test_a_file_in_use_is_told_so(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    code = (
        f"from shared.patches import hdf5; from pathlib import Path; hdf5.File(Path({str(path)!r}))"
    )
    with h5py.File(path, "w") as file:
        file["x"] = VALUES
        file.flush()
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    last = done.stderr.splitlines()[-1]
    assert last.endswith(
        f"{path}: in use by another program: close it there; if that is a network file system, "
        "set HDF5_USE_FILE_LOCKING=FALSE"
    )


def test_a_linked_file_in_use_is_told_so(tmp_path: Path) -> None:
    other = tmp_path / "other.h5"
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = h5py.ExternalLink("other.h5", "/x")
    code = f"from tests.shared.test_hdf5 import *; print(refusal(Path({str(tmp_path / 'a.h5')!r})))"
    with h5py.File(other, "w") as file:
        file["x"] = VALUES
        file.flush()
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.startswith(f"{other}: in use by another program: "), done.stderr


def test_a_file_whose_writer_was_killed_is_told_so(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    code = (
        f"import h5py, os; f = h5py.File({str(path)!r}, 'w', libver='latest'); f['x'] = 1; "
        "f.flush(); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(StageError, match=r"left open by one that was stopped: .*h5clear -s a.h5"):
        hdf5.File(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_told_so(tmp_path: Path) -> None:
    path = write_raw(tmp_path / "a.h5", {"x": VALUES})
    path.chmod(0)
    with pytest.raises(StageError, match=r"a.h5: cannot open \(Permission denied\)"):
        hdf5.File(path)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda f: f.create_dataset("x", data=h5py.Empty("f8")), "x: expected values, found none"),
        (lambda f: f.create_group("x"), "x: expected a dataset, found a group"),
        (lambda f: f.__setitem__("x", np.dtype("f8")), "x: expected a dataset, found a datatype"),
    ],
)
def test_other_members_are_refused(
    tmp_path: Path, write: Callable[[h5py.File], object], message: str
) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        write(file)
    assert refusal(tmp_path / "a.h5").startswith(message)


def test_an_attribute_without_a_value_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = VALUES
        file["x"].attrs["low"], file["x"].attrs["high"] = h5py.Empty("f8"), 3.0
    with hdf5.File(tmp_path / "a.h5") as opened:
        attrs = opened["x"].attrs
        assert sorted(attrs) == ["high", "low"]
        assert (attrs["high"], attrs.get("mean"), "mean" in attrs) == (3.0, None, False)
        with pytest.raises(StageError, match="x: attribute 'low': expected a value, found none"):
            attrs["low"]


def test_every_error_of_the_library_becomes_one_line() -> None:
    for error in (KeyError("Unable to\nopen object (bad heap)"), RuntimeError("link (failed)")):
        message = r"^a.h5: cannot read \((bad heap|failed)\)$"
        with pytest.raises(StageError, match=message), hdf5.refuse_errors("a.h5"):
            raise error
    with pytest.raises(AssertionError), hdf5.refuse_errors("a.h5"):
        raise AssertionError


# --- damage that the library does not survive -----------------------------------------------------
def hang(path: Path, attribute: bool) -> None:
    """A file whose texts the library looks for without end: a heap with an object of no size."""
    with h5py.File(path, "w") as file:
        file["x"] = VALUES
        if attribute:
            file["x"].attrs["bands"] = ["B2", "B3"]
        else:
            file["city"] = ["Berlin", "Rome"]
    content = path.read_bytes()
    heap = content.index(b"GCOL") + 16  # behind signature, version and size: the first object
    path.write_bytes(content[:heap] + bytes(64) + content[heap + 64 :])


@pytest.mark.parametrize("attribute", [True, False])
def test_a_file_on_which_the_library_hangs_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attribute: bool
) -> None:
    monkeypatch.setattr(guard, "SECONDS", 1)
    hang(tmp_path / "a.h5", attribute)
    with pytest.raises(StageError, match=r"a.h5: damaged: the HDF5 library comes to no end"):
        record.digest(tmp_path / "a.h5")


def damage_listing(path: Path, group: str) -> None:
    """The members of one group can no longer be listed; those of the file can."""
    whole = path.read_bytes()
    for found in re.finditer(b"SNOD", whole):
        path.write_bytes(whole[: found.start()] + b"none" + whole[found.end() :])
        with h5py.File(path) as file, contextlib.suppress(RuntimeError):
            if group in list(file):
                try:
                    list(file[group])
                except RuntimeError:
                    return
    raise AssertionError(f"{path}: no table of {group} found")


@pytest.mark.parametrize("place", ["attribute", "dataset", "pointed at"])
def test_a_file_whose_texts_take_all_memory_is_refused(tmp_path: Path, place: str) -> None:
    """The first one says that it is 4 GiB long, and the library makes room for that."""
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        if place == "attribute":
            file.attrs["classes"] = ["forest", "lake"]
        elif place == "dataset":
            file["city"] = ["Berlin", "Rome"]
        else:  # through a cell and a cell of cells, as MATLAB's tables are
            hidden = file.create_group("refs")
            hidden["struct"] = [1.0]
            hidden["struct"].attrs["fields"] = ["a", "b"]
            cells = hidden.create_dataset("cells", (2,), h5py.ref_dtype)
            around = file.create_dataset("around", (2, 3), h5py.ref_dtype)
            cells[1], around[1, 0], around[0, 2] = hidden["struct"].ref, cells.ref, file.ref
    if place == "pointed at":
        damage_listing(path, "refs")
    content = path.read_bytes()
    heap = content.index(b"GCOL").to_bytes(8, "little")
    length = content.index(heap + (1).to_bytes(4, "little")) - 4  # of text 1, before its place
    path.write_bytes(content[:length] + b"\xff" * 4 + content[length + 4 :])
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    with pytest.raises(StageError, match=r"a.h5: damaged: the HDF5 library takes all memory"):
        record.digest(path)
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < before + 2**20  # KiB


def test_more_texts_than_are_read_at_once_are_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(touching, "TEXTS", 7)
    names = np.array([f"name {number}" for number in range(30)], object)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for key, value in {
            "flat": names,
            "high": names.reshape(3, 5, 2),
            "none": names[:0],
        }.items():
            file.create_dataset(key, data=value, dtype=h5py.string_dtype())
        file["one"] = "name"
    assert guard.probe(tmp_path / "a.h5") == []


def test_unfinished_work_on_which_the_library_hangs_is_begun_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(guard, "SECONDS", 1)
    hang(tmp_path / "a.h5", True)
    assert hdf5.resume(tmp_path / "a.h5", lambda _: True, "is another one") is None
    assert not (tmp_path / "a.h5").exists()
    assert "a.h5: is damaged, discarded; starting again" in capsys.readouterr().err


@pytest.mark.parametrize("packed", [False, True])
def test_unfinished_work_has_no_packed_values(tmp_path: Path, packed: bool) -> None:
    """A filter that damage put into a header is met now, not in the middle of the work."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", data=VALUES, chunks=(5, 4), fletcher32=packed)
        file.attrs["complete_header"] = True
    found = hdf5.resume(tmp_path / "a.h5", lambda _: True, "is another one")
    assert (found is None) is packed
    if found:
        found.close()


def test_a_file_on_which_the_library_crashes_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(_: Path, touch: bool = False) -> None:
        os.kill(os.getpid(), signal.SIGSEGV if touch else signal.SIGTERM)

    monkeypatch.setattr(linked, "list_linked", crash)
    path = write_raw(tmp_path / "a.h5", {"x": VALUES})
    with pytest.raises(StageError, match=r"a.h5: damaged: the HDF5 library crashes reading its"):
        record.digest(path)


def test_a_child_that_stands_still_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that waits for a lock which another thread held when it was made."""

    def stand_still(_: Path, touch: bool = False) -> list[tuple[str, None]]:
        if touch:
            signal.pause()
        return [("seen here", None)]

    monkeypatch.setattr(linked, "list_linked", stand_still)
    monkeypatch.setattr(guard, "IDLE", 0.2)
    path = write_raw(tmp_path / "a.h5", {"x": VALUES})
    assert guard.probe(path) == [("seen here", None)]


def test_a_child_that_works_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And its answer may be longer than a pipe holds.

    On a busy machine it may get no processor for some tenths of a second, which is no idleness.
    """
    name = "n" * 300_000

    def work(_: Path, touch: bool = False) -> list[tuple[str, None]]:
        stop = time.monotonic() + 4
        while touch and time.monotonic() < stop:
            pass
        return [(name, None)] if touch else []

    monkeypatch.setattr(linked, "list_linked", work)
    monkeypatch.setattr(guard, "IDLE", 1.5)
    assert guard.probe(write_raw(tmp_path / "a.h5", {"x": VALUES})) == [(name, None)]


def test_a_mistake_of_our_own_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linked, "list_linked", lambda *_, **__: 1 / 0)
    path = write_raw(tmp_path / "a.h5", {"x": VALUES})
    with pytest.raises(ZeroDivisionError):
        record.digest(path)


def test_the_child_may_take_768_mebibytes_more_and_two_minutes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than it has of addresses, not of memory in use: these are 2 GiB apart here."""
    path, log = write_raw(tmp_path / "a.h5", {"x": VALUES}), tmp_path / "log"

    def note(kind: int, limits: tuple[int, int]) -> None:
        with log.open("a") as file:
            file.write(f"{kind} {limits[0]}\n")

    monkeypatch.setattr(resource, "setrlimit", note)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (-1, resource.RLIM_INFINITY))
    with mmap.mmap(-1, 2 * 2**30):
        addresses = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        assert guard.probe(path) == []
    pairs = [line.split() for line in log.read_text().splitlines()]
    noted = {int(kind): int(limit) for kind, limit in pairs}
    assert abs(noted[resource.RLIMIT_AS] - addresses - 3 * 2**28) < 2**28
    assert (noted[resource.RLIMIT_CPU], noted[resource.RLIMIT_CORE]) == (120, 0)


def test_limits_of_the_system_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, log = write_raw(tmp_path / "a.h5", {"x": VALUES}), tmp_path / "log"
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: log.write_text(str(limits)))
    monkeypatch.setattr(resource, "getrlimit", lambda _: (-1, 0))
    guard.probe(path)
    assert log.read_text() == "(0, 0)"
