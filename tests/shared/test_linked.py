"""Digests of HDF5 files that keep their values elsewhere: a change there is another content."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from h5py import h5d, h5p, h5s, h5t

from shared import cli
from shared.errors import StageError
from shared.patches.hdf5 import linked
from shared.runs import fingerprints, linked_files, record
from shared.tools import inventory

VALUES = np.arange(20.0).reshape(5, 4)


def write(path: Path, name: str, value: object) -> None:
    with h5py.File(path, "a") as file:
        file.require_group("deep/er")[name] = value


def by_link(folder: Path) -> Path:
    write(folder / "a.h5", "x", h5py.ExternalLink("far/other.h5", "/deep/er/x"))
    write(folder / "far" / "other.h5", "x", VALUES)
    return folder / "far" / "other.h5"


def by_two_links(folder: Path) -> Path:
    """Through a third file, that refers back to the first and to itself."""
    write(folder / "a.h5", "x", h5py.ExternalLink("far/third.h5", "/deep/er/x"))
    for name, target in (("x", "other.h5"), ("back", str(folder / "a.h5")), ("own", "third.h5")):
        write(folder / "far" / "third.h5", name, h5py.ExternalLink(target, "/deep/er/x"))
    write(folder / "far" / "other.h5", "x", VALUES)
    return folder / "far" / "other.h5"


def by_virtual(folder: Path) -> Path:
    write(folder / "far" / "other.h5", "x", VALUES)
    layout = h5py.VirtualLayout(VALUES.shape, "f8")
    layout[:] = h5py.VirtualSource("far/other.h5", "deep/er/x", VALUES.shape)
    with h5py.File(folder / "a.h5", "w", userblock_size=1024) as file:
        file.require_group("deep").create_virtual_dataset("x", layout)
    return folder / "far" / "other.h5"


def by_number(folder: Path) -> Path:
    for number in range(3):
        write(folder / "far" / f"{number}.h5", "x", VALUES)
    plan, endless = h5p.create(h5p.DATASET_CREATE), (h5s.UNLIMITED, 4)
    space = h5s.create_simple((0, 4), endless)
    space.select_hyperslab((0, 0), (h5s.UNLIMITED, 1), stride=(5, 1), block=(5, 4))
    plan.set_virtual(space, b"far/%b.h5", b"deep/er/x", h5s.create_simple((5, 4)))
    with h5py.File(folder / "a.h5", "w") as file:
        h5d.create(file.id, b"x", h5t.IEEE_F64LE, h5s.create_simple((0, 4), endless), plan)
    return folder / "far" / "2.h5"


def by_raw_file(folder: Path) -> Path:
    with h5py.File(folder / "a.h5", "w") as file:
        file.create_dataset("x", data=VALUES, external="far/x.raw")
    return folder / "far" / "x.raw"


WAYS = [by_link, by_two_links, by_virtual, by_number, by_raw_file]
each_way = pytest.mark.parametrize("way", WAYS)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a folder `far`; the current one, where HDF5 looks for raw values."""
    (tmp_path / "src" / "far").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "src")
    return tmp_path / "src"


def change(path: Path) -> None:
    """Another last byte, the same size, a later time."""
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns + 10**9))


@each_way
@pytest.mark.parametrize("whole", [False, True], ids=["file", "folder"])
def test_digest_covers_what_an_input_refers_to(
    folder: Path, tmp_path: Path, way: Callable[[Path], Path], whole: bool
) -> None:
    other = way(folder)
    path = folder if whole else folder / "a.h5"
    if whole:
        (folder / "far").rename(tmp_path / "elsewhere")
        (folder / "far").symlink_to(tmp_path / "elsewhere")  # rglob does not enter it
    before = record.fingerprint(path)
    assert str(other) in before["linked"]
    assert record.fingerprint(path) == before
    assert record.digest(path) == before["sha256"]
    change(other)
    after = record.fingerprint(path)
    assert after["sha256"] != before["sha256"]
    assert after["modified_ns"] > before["modified_ns"]


@each_way
def test_shortcuts_see_what_an_input_refers_to(
    folder: Path, way: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    other, path = way(folder), folder / "a.h5"
    known: list[record.Fingerprint] = []
    before = record.digest(path, known)
    assert [entry["sha256"] for entry in known] == [before]
    record.save(path, {"plan": {}, "output": record.fingerprint(path)})
    with monkeypatch.context() as unread:
        unread.setattr(fingerprints, "_hash", lambda *_: pytest.fail("read the file"))
        assert record.digest(path) == before  # from the record
        record.record_path(path).unlink()
        assert record.digest(path, known) == before
    record.save(path, {"plan": {}, "output": record.fingerprint(path)})
    change(other)
    after = record.digest(path, known)
    assert after != before
    other.unlink()
    assert record.digest(path, known) not in (before, after)


def test_entries_from_before_are_only_trusted_for_files_that_stand_alone(folder: Path) -> None:
    by_link(folder)
    write(folder / "alone.h5", "x", VALUES)
    for name, lent in (("a.h5", False), ("alone.h5", True)):
        stat = (folder / name).stat()
        old = {"sha256": "old", "bytes": stat.st_size, "modified_ns": stat.st_mtime_ns}
        assert (record.digest(folder / name, [old]) == "old") == lent


def test_digest_of_a_file_that_stands_alone_is_its_sha256(folder: Path) -> None:
    write(folder / "a.h5", "x", VALUES)
    write(folder / "a.h5", "soft", h5py.SoftLink("/deep"))
    write(folder / "a.h5", "own", h5py.ExternalLink("a.h5", "/deep/er/x"))
    measured = record.fingerprint(folder / "a.h5")
    assert measured["sha256"] == hashlib.sha256((folder / "a.h5").read_bytes()).hexdigest()
    assert measured.keys() == {"sha256", "bytes", "modified_ns"}


def test_digest_does_not_depend_on_the_place(folder: Path, tmp_path: Path) -> None:
    by_link(folder)
    before = record.digest(folder / "a.h5")
    moved = folder.rename(tmp_path / "moved")
    assert record.digest(moved / "a.h5") == before


def test_a_file_that_comes_back_is_noticed(folder: Path) -> None:
    other, known = by_link(folder), list[record.Fingerprint]()
    content = other.read_bytes()
    other.unlink()
    without = record.digest(folder / "a.h5", known)
    other.write_bytes(content)
    assert record.digest(folder / "a.h5", known) != without


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_damaged_file_has_a_digest(folder: Path, share: float) -> None:
    """It is refused when it is read, in words that say what is wrong with it."""
    other = by_link(folder)
    for path in (other, folder / "a.h5"):
        path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
        assert len(record.digest(folder / "a.h5")) == 64


def test_files_are_found_by_their_first_bytes(tmp_path: Path) -> None:
    for place in (0, 512, 1024, 4096):
        (tmp_path / "a").write_bytes(bytes(place) + linked_files.SIGNATURE + bytes(9))
        assert linked_files.is_hdf5(tmp_path / "a")
    for content in (b"", b"\x89HDF", bytes(700) + linked_files.SIGNATURE, bytes(5000)):
        (tmp_path / "a").write_bytes(content)
        assert not linked_files.is_hdf5(tmp_path / "a")


def test_h5py_is_imported_only_for_hdf5(folder: Path) -> None:
    (folder / "a.csv").write_text("a,b\n")
    write(folder / "a.h5", "x", VALUES)
    code = (
        "import sys; from pathlib import Path; from shared.runs import record\n"
        "for name in ('a.csv', 'a.h5'):\n"
        "    record.digest(Path(sys.argv[1]) / name); print('h5py' in sys.modules)"
    )
    root = Path(__file__).resolve().parents[2]
    line = [sys.executable, "-c", code, str(folder)]
    done = subprocess.run(line, cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def run(*, src: Path, dst: Path) -> None:
    """A stage in miniature.

    Args:
        src: any file.
        dst: file to write, of as many bytes.
    """
    dst.write_bytes(bytes(src.stat().st_size))


@each_way
def test_a_product_of_other_linked_values_is_another_product(
    folder: Path, tmp_path: Path, way: Callable[[Path], Path], capfd: Any
) -> None:
    """What every stage does, as `cli` runs every stage."""
    other, values = way(folder), {"src": folder / "a.h5", "dst": tmp_path / "out"}
    cli.produce(run, values)
    assert "up to date" not in capfd.readouterr().err
    cli.produce(run, values)
    assert "up to date" in capfd.readouterr().err
    change(other)
    with pytest.raises(StageError, match=r"with other settings \(src: other content\)"):
        cli.produce(run, values)


def test_status_knows_linked_files_without_h5py(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, known = by_link(folder), list[record.Fingerprint]()
    digest = record.digest(folder / "a.h5", known)
    made = {folder / "p": {"plan": {}, "large_inputs": known, "output": {"sha256": ""}}}
    monkeypatch.setattr(fingerprints, "list_references", lambda _: {})
    monkeypatch.setattr(record, "list_references", lambda _: {})
    assert inventory.find_content(folder, {digest}, made) == {digest: folder / "a.h5"}
    change(other)
    assert inventory.find_content(folder, {digest}, made) == {}


def test_status_passes_over_files_that_the_library_does_not_survive(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(files: list[Path]) -> dict[Path, Any]:
        if any(file.suffix == ".h5" for file in files):
            raise StageError("damaged: the HDF5 library crashes")
        return {}

    write(folder / "b.h5", "x", VALUES)
    digest = record.digest(folder / "b.h5")
    made = {"plan": {}, "output": record.fingerprint(folder / "b.h5") | {"modified_ns": 0}}
    (folder / "c.txt").write_text("c")
    text = record.digest(folder / "c.txt")
    for module in (fingerprints, record):
        monkeypatch.setattr(module, "list_references", refuse)
    assert inventory.find_content(folder, {digest, text}, {}) == {text: folder / "c.txt"}
    assert not inventory.is_intact(folder / "b.h5", made)


def test_the_last_block_is_that_of_the_largest_number(tmp_path: Path) -> None:
    for name in ("a-2.h5", "a-10.h5", "b-11.h5", "a-x.h5"):
        (tmp_path / name).touch()
    names = ("a-%b.h5", "b-%b.h5", "c-%b.h5", "a.h5", "a-%b-%b.h5")
    found = [linked.last_block(name, tmp_path / "whole.h5") for name in names]
    assert found == [10, 11, -1, -1, -1]
