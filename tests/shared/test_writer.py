"""Writing patch files: values and attributes, shards, going on after a stop, refusals."""

import contextlib
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from shared import lcz, patches
from shared.errors import StageError
from shared.unfinished import work
from tests.conftest import pixels, write_patches, write_raw

ROWS = 20
ARRAYS = pixels(ROWS)
FIELDS: dict[str, Any] = {
    "sen1": patches.Field((32, 32, 8), "float16", lcz.SEN1),
    "sen2": patches.Field((32, 32, 10), "uint16", lcz.SEN2),
    "label": patches.Field((17,), "uint8"),
}


def write(path: Path, shard: str = "1/1", batch: int = 7, stop: int = ROWS) -> Path:
    """Write rows of a shard, in batches; stop as if crashed before row `stop`."""
    with patches.Writer(path, ROWS, shard, classes=lcz.CLASSES, **FIELDS) as sink:
        for rows in sink.todo(batch):
            if rows.start >= stop:
                raise InterruptedError
            sink.put(rows, **{name: ARRAYS[name][rows] for name in FIELDS})
    return path


def contents(path: Path) -> dict[str, np.ndarray]:
    with h5py.File(path) as file:
        return {name: np.asarray(data) for name, data in file.items()}


def test_values_attributes_and_moments(tmp_path: Path) -> None:
    with h5py.File(write(tmp_path / "a.h5")) as file:
        np.testing.assert_array_equal(file["sen2"], np.rint(ARRAYS["sen2"] * 1e4))
        np.testing.assert_array_equal(file["sen1"], ARRAYS["sen1"].astype("f2"))
        np.testing.assert_array_equal(file["label"], ARRAYS["label"])
        np.testing.assert_array_equal(file["row"], np.arange(ROWS))
        assert tuple(file.attrs["span"]) == (0, ROWS, ROWS)
        assert tuple(file.attrs["classes"]) == lcz.CLASSES
        attributes = file["sen2"].attrs
        assert tuple(attributes["bands"]) == lcz.SEN2.bands
        assert (attributes["low"], attributes["high"], attributes["per_unit"]) == (0, 2.8, 1e4)
        scaled = ARRAYS["sen2"] / 2.8 * 255
        np.testing.assert_allclose(attributes["mean"], scaled.mean((0, 1, 2)))
        np.testing.assert_allclose(attributes["std"], scaled.std((0, 1, 2)))
        sums = np.stack([scaled.sum((1, 2)), (scaled**2).sum((1, 2))], 1)
        np.testing.assert_allclose(file["sen2_moments"], sums)
        assert file["sen1"].attrs["clip"]


@pytest.mark.parametrize("n", [2, 3, 23])  # 23 shards of 20 rows: three are empty
def test_shards_joined_are_the_whole(tmp_path: Path, n: int) -> None:
    whole = contents(write(tmp_path / "whole.h5"))
    parts = [contents(write(tmp_path / f"{i}.h5", f"{i}/{n}")) for i in range(1, n + 1)]
    for name, expected in whole.items():
        np.testing.assert_array_equal(np.concatenate([part[name] for part in parts]), expected)


@pytest.mark.parametrize("batch", [1, 6, 7, 20])
def test_goes_on_after_a_stop_to_the_same_bytes(tmp_path: Path, batch: int) -> None:
    whole = write(tmp_path / "whole.h5").read_bytes()
    for stop in (0, 5, 14):
        with contextlib.suppress(InterruptedError):
            write(tmp_path / "a.h5", batch=batch, stop=stop)
    with h5py.File(tmp_path / "a.h5") as file:
        done = int((file["row"][:] >= 0).sum())
        np.testing.assert_array_equal(file["row"][:done], np.arange(done))
        assert (file["row"][done:] == -1).all()
        np.testing.assert_array_equal(file["sen1"][:done], ARRAYS["sen1"][:done].astype("f2"))
    assert done >= 14
    assert write(tmp_path / "a.h5", batch=batch).read_bytes() == whole


def test_rows_done_are_not_asked_for_again(tmp_path: Path) -> None:
    with pytest.raises(InterruptedError):
        write(tmp_path / "a.h5", stop=14)
    with patches.Writer(tmp_path / "a.h5", ROWS, classes=lcz.CLASSES, **FIELDS) as sink:
        left = list(sink.todo(7))
        assert left == [slice(14, 20)]
        sink.put(left[0], **{name: ARRAYS[name][14:] for name in FIELDS})


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_unfinished_file_that_does_not_open_is_begun_anew(
    tmp_path: Path, share: float, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = write(tmp_path / "a.h5").read_bytes()
    (tmp_path / "a.h5").write_bytes(whole[: int(share * len(whole))])
    assert write(tmp_path / "a.h5").read_bytes() == whole
    assert "discarded; starting again" in capsys.readouterr().err


@pytest.mark.parametrize("error", [ValueError("bad heap"), TypeError("no type"), MemoryError()])
def test_unfinished_file_is_begun_anew_whatever_the_library_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    whole, opened = write(tmp_path / "a.h5").read_bytes(), h5py.File

    def fail(path: Path, mode: str) -> h5py.File:
        if mode == "r+":
            raise error
        return opened(path, mode)

    (tmp_path / "a.h5").write_bytes(whole[:-1] + b"x")
    monkeypatch.setattr(h5py, "File", fail)
    assert write(tmp_path / "a.h5").read_bytes() == whole


def test_unfinished_file_of_another_shape_is_begun_anew(tmp_path: Path) -> None:
    write_raw(tmp_path / "a.h5", {"sen2": np.zeros((3, 2))})
    assert write(tmp_path / "a.h5").read_bytes() == write(tmp_path / "b.h5").read_bytes()


def _far(file: h5py.File) -> None:
    del file["row"]
    file["row"] = h5py.ExternalLink("other.h5", "/row")


def _raw(file: h5py.File) -> None:
    del file["row"]
    file.create_dataset("row", (ROWS,), "i8", external=[("values.raw", 0, 8 * ROWS)])


def _huge(file: h5py.File) -> None:
    del file["row"]
    file.create_dataset("row", (10**12,), "i8", chunks=(2**20,))


def _nothing(file: h5py.File) -> None:
    del file["row"]
    file.create_dataset("row", (ROWS,), "i8")


@pytest.mark.parametrize("change", [_far, _raw, _huge, _nothing])
def test_unfinished_file_whose_rows_lie_elsewhere_is_begun_anew(
    tmp_path: Path, change: Callable[[h5py.File], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither read nor written through: what lies there is not ours."""
    monkeypatch.chdir(tmp_path)
    whole = write(tmp_path / "a.h5").read_bytes()
    write(tmp_path / "other.h5")
    raw = np.full(ROWS, -1, "<i8").tobytes()
    (tmp_path / "values.raw").write_bytes(raw)
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        change(file)
    assert write(tmp_path / "a.h5").read_bytes() == whole
    assert (tmp_path / "other.h5").read_bytes() == whole
    assert (tmp_path / "values.raw").read_bytes() == raw


def test_file_open_elsewhere_is_not_discarded(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5")
    with h5py.File(path), pytest.raises(StageError, match="open in another program"):
        write(path)
    look = f"import h5py; file = h5py.File({str(path)!r}); print(flush=True); input()"
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", look], stdin=pipe, stdout=pipe) as viewer:
        assert viewer.stdout is not None
        viewer.stdout.readline()
        with pytest.raises(StageError, match="open in another program"):
            write(path)
        viewer.communicate(b"\n")
    assert contents(path)["row"][-1] == ROWS - 1


def test_like_copies_labels_and_classes(tmp_path: Path) -> None:
    field = patches.Field((2,), "float32")
    whole = write(tmp_path / "a.h5")
    with (
        patches.read(whole, "sen2") as source,
        patches.Writer(tmp_path / "b.h5", ROWS, "2/2", like=source, features=field) as sink,
    ):
        for rows in sink.todo(4):
            sink.put(rows, features=np.ones((rows.stop - rows.start, 2)))
    with patches.read(tmp_path / "b.h5", "features", "label") as copy:
        np.testing.assert_array_equal(copy.labels(), ARRAYS["label"][10:].argmax(1))
        assert copy.classes == lcz.CLASSES
        np.testing.assert_array_equal(copy["row"].raw(slice(None)), np.arange(10, 20))


def test_like_refuses_labels_that_are_not_one_hot(tmp_path: Path) -> None:
    label = ARRAYS["label"].copy()
    label[9] = 0.5
    raw = write_raw(tmp_path / "a.h5", {**ARRAYS, "label": label})
    with patches.read(raw, "sen2") as source:
        sink = patches.Writer(tmp_path / "b.h5", ROWS, like=source, sen2=FIELDS["sen2"])
        sink.put(slice(0, 9), sen2=ARRAYS["sen2"][:9])
        with pytest.raises(StageError, match=r"a.h5: label: not one-hot in .*9"):
            sink.put(slice(9, 12), sen2=ARRAYS["sen2"][9:12])


def test_like_keeps_cities_and_their_names(tmp_path: Path) -> None:
    city = np.arange(ROWS, dtype=np.int32) % 3
    named = patches.Field((), "int32", names=("Berlin", "Köln", "Lima"))
    with patches.Writer(tmp_path / "a.h5", ROWS, **FIELDS, city=named) as sink:
        for rows in sink.todo(7):
            sink.put(rows, **{name: ARRAYS[name][rows] for name in FIELDS}, city=city[rows])
    for shard in ("1/1", "2/3"):
        path = tmp_path / f"{shard[0]}.h5"
        with patches.read(tmp_path / "a.h5", "sen2") as source:
            fields: dict[str, Any] = {"sen2": FIELDS["sen2"]}
            with patches.Writer(path, ROWS, shard, like=source, **fields) as sink:
                for rows in sink.todo(7):
                    sink.put(rows, sen2=ARRAYS["sen2"][rows])
        with h5py.File(path) as file:
            np.testing.assert_array_equal(file["city"], city[file["row"][:]])
            assert tuple(file["city"].attrs["names"]) == ("Berlin", "Köln", "Lima")


@pytest.mark.parametrize("dtype", ["?", "i8", "u1"])
def test_like_keeps_the_marks_of_validation_as_bytes(tmp_path: Path, dtype: str) -> None:
    marks = np.zeros(ROWS, dtype)
    marks[[3, 11, 19]] = 1
    raw = write_raw(tmp_path / "a.h5", {**ARRAYS, "validation": marks})
    with (
        patches.read(raw, "sen2") as source,
        patches.Writer(tmp_path / "b.h5", ROWS, "2/2", like=source, sen2=FIELDS["sen2"]) as sink,
    ):
        for rows in sink.todo(7):
            sink.put(rows, sen2=ARRAYS["sen2"][rows])
    with h5py.File(tmp_path / "b.h5") as file:
        assert file["validation"].dtype == np.uint8
        assert file["validation"][:].tolist() == [0, 1, 0, 0, 0, 0, 0, 0, 0, 1]
    with patches.read(tmp_path / "b.h5") as copy:
        read = patches.read_marks(copy, slice(1, 3))
        assert read is not None
        assert read.tolist() == [True, False]


def test_like_refuses_other_marks_before_the_first_row(tmp_path: Path) -> None:
    marks = np.zeros(ROWS, np.uint8)
    marks[[4, 19]] = 7
    raw = write_raw(tmp_path / "a.h5", {**ARRAYS, "validation": marks})
    with (
        patches.read(raw, "sen2") as source,
        pytest.raises(
            StageError, match=r"a.h5: validation: expected 0 or 1, found 7 in rows 4, 19$"
        ),
    ):
        patches.Writer(tmp_path / "b.h5", ROWS, like=source, sen2=FIELDS["sen2"])
    assert not (tmp_path / "b.h5").exists()


def test_like_refuses_cities_by_name(tmp_path: Path) -> None:
    raw = write_raw(tmp_path / "a.h5", {**ARRAYS, "city": np.array([b"Berlin"] * ROWS)})
    with (
        patches.read(raw, "sen2") as source,
        pytest.raises(StageError, match=r"a.h5: city: expected numbers, found \|S6"),
    ):
        patches.Writer(tmp_path / "b.h5", ROWS, like=source, sen2=FIELDS["sen2"])


def put(path: Path, names: Sequence[str], **wrong: np.ndarray) -> None:
    with patches.Writer(path, ROWS, **FIELDS) as sink:
        for rows in sink.todo(ROWS):
            sink.put(rows, **{**{name: ARRAYS[name][rows] for name in names}, **wrong})


@pytest.mark.parametrize(
    ("names", "wrong", "message"),
    [
        (("sen1", "sen2"), {}, r"no values for \['label'\]"),
        (FIELDS, {"label": np.ones((ROWS, 3))}, r"label: \(20, 3\) for rows"),
        (FIELDS, {"sen2": np.full((ROWS, 32, 32, 10), np.nan)}, "sen2: not finite"),
        (FIELDS, {"sen2": np.full((ROWS, 32, 32, 10), 7.0)}, "70000 … 70000 does not fit uint16"),
        (FIELDS, {"sen2": np.full((ROWS, 32, 32, 10), -0.1)}, "-1000 … -1000 does not fit uint16"),
    ],
)
def test_wrong_values_are_a_bug(
    tmp_path: Path, names: Sequence[str], wrong: dict[str, np.ndarray], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        put(tmp_path / "a.h5", names, **wrong)


def test_leaving_rows_unwritten_is_a_bug(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="rows left unwritten"):
        patches.Writer(tmp_path / "a.h5", ROWS, **FIELDS).__exit__(None, None, None)


def test_says_beforehand_that_the_volume_is_too_small(tmp_path: Path) -> None:
    huge = patches.Field((2**20, 2**20), "float64")
    with pytest.raises(StageError, match=r"no space left: a.h5 needs .* GB, .* GB are free"):
        patches.Writer(tmp_path / "a.h5", ROWS, huge=huge)
    assert not list(tmp_path.iterdir())


def test_other_class_sets_travel_in_the_file(tmp_path: Path) -> None:
    label, rgb = patches.Field((3,), "uint8"), patches.Field((4, 4, 3), "uint8", lcz.RGB)
    with patches.Writer(tmp_path / "a.h5", 3, classes=["a", "b", "c"], label=label, rgb=rgb) as s:
        for rows in s.todo(3):
            s.put(rows, label=np.eye(3), rgb=np.full((3, 4, 4, 3), 200.0))
    with patches.read(tmp_path / "a.h5", "rgb", "label") as source:
        assert source.classes == ("a", "b", "c")
        assert source["rgb"].layout == lcz.RGB
        assert source.statistics("rgb")[0].tolist() == [200, 200, 200]


def test_conftest_writes_what_prepare_writes(tmp_path: Path) -> None:
    other = write_patches(tmp_path / "b.h5", ARRAYS).read_bytes()
    assert write(tmp_path / "a.h5").read_bytes() == other


@pytest.mark.parametrize(
    ("marks", "mean", "std"),
    [
        ([0, 1, 0, 1], 20, 10),  # of 10 and 30
        ([0, 0, 0, 0], 100, np.sqrt((90**2 + 10**2 + 70**2 + 150**2) / 4)),
        ([1, 1, 1, 1], 100, np.sqrt((90**2 + 10**2 + 70**2 + 150**2) / 4)),
    ],
)
def test_statistics_are_those_of_the_rows_that_networks_learn_from(
    tmp_path: Path, marks: list[int], mean: float, std: float
) -> None:
    layout = lcz.Layout(("B4",), 0, 255)
    fields: dict[str, Any] = {"rgb": patches.Field((2, 2, 1), "uint8", layout),
              "validation": patches.Field((), "uint8")}  # fmt: skip
    values = np.array([10, 110, 30, 250], np.float32).reshape(4, 1, 1, 1) * np.ones((1, 2, 2, 1))
    with patches.Writer(tmp_path / "a.h5", 4, **fields) as sink:
        for rows in sink.todo(4):
            sink.put(rows, rgb=values[rows], validation=np.array(marks, np.uint8)[rows])
    with h5py.File(tmp_path / "a.h5") as file:
        np.testing.assert_allclose(file["rgb"].attrs["mean"], [mean])
        np.testing.assert_allclose(file["rgb"].attrs["std"], [std])


# --- damage of an unfinished file -----------------------------------------------------------------
def stop_and_damage(partial: Path, place: int) -> None:
    """Fourteen of twenty rows, of which one bit is turned round at a place of the file."""
    with work.begin(partial), contextlib.suppress(InterruptedError):
        write(partial, stop=14)
    content = bytearray(partial.read_bytes())
    content[place] ^= 1
    partial.write_bytes(content)


def first_byte(path: Path, name: str) -> int:
    with h5py.File(path) as file:
        dataset = file[name].id
        chunked = dataset.get_num_chunks() if file[name].chunks else 0
        return int(dataset.get_chunk_info(0).byte_offset if chunked else dataset.get_offset())


@pytest.mark.parametrize("name", ["sen2", "label", "sen2_moments", "row"])
def test_rows_that_a_disk_changed_are_made_again(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, partial = write(tmp_path / "whole.h5"), tmp_path / "x.h5"
    stop_and_damage(partial, first_byte(whole, name))
    with work.begin(partial):
        write(partial)
    assert partial.read_bytes() == whole.read_bytes()
    assert "7 rows are not what was written; made again" in capsys.readouterr().err


@pytest.mark.parametrize("text", [b"Compact", b"per_unit", b"mean"])
def test_a_header_that_a_disk_changed_is_not_gone_on_with(tmp_path: Path, text: bytes) -> None:
    whole, partial = write(tmp_path / "whole.h5"), tmp_path / "x.h5"
    stop_and_damage(partial, whole.read_bytes().index(text))
    with work.begin(partial):
        write(partial)
    assert partial.read_bytes() == whole.read_bytes()


def test_a_stop_in_the_last_step_loses_no_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, partial = write(tmp_path / "whole.h5"), tmp_path / "x.h5"

    def finish(*_: object) -> None:
        raise InterruptedError

    with monkeypatch.context() as patch, work.begin(partial):
        patch.setattr(patches.Writer, "_finish", finish)
        with pytest.raises(InterruptedError):
            write(partial)
    with h5py.File(partial, "r+") as file:  # one of two attributes was written
        file["sen2"].attrs.modify("mean", np.ones(10))
    with work.begin(partial), patches.Writer(partial, ROWS, classes=lcz.CLASSES, **FIELDS) as sink:
        assert list(sink.todo(7)) == []
    assert partial.read_bytes() == whole.read_bytes()
