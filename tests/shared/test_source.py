"""Reading patch files: decoded values; refusals name the file, the dataset and the rows."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from shared import lcz, patches
from shared.errors import StageError
from shared.patches import attributes, hdf5
from shared.terminal import escape
from tests import hostile
from tests.conftest import ROWS, pixels, write_patches, write_raw


def broken(path: Path, **arrays: np.ndarray) -> Path:
    return write_raw(path, {**pixels(4), **arrays})


def test_raw_and_prepared_files_hold_the_same_values(lcz42: Path, prepared: Path) -> None:
    with patches.read(lcz42, "sen2", "label") as raw, patches.read(prepared, "sen2") as ours:
        assert raw.total == ours.total == ROWS
        rows = slice(3, 9)
        assert ours["sen2"].raw(rows).dtype == np.uint16
        np.testing.assert_array_equal(raw["sen2"][rows], ours["sen2"][rows])
        np.testing.assert_array_equal(raw["sen2"][rows], pixels(ROWS)["sen2"][rows].astype("f4"))
        np.testing.assert_allclose(raw["sen1"][rows], ours["sen1"][rows], atol=1e-3)
        np.testing.assert_array_equal(raw.labels(), np.arange(ROWS) % 17)
        np.testing.assert_array_equal(raw.labels(rows), ours.labels(rows))
        assert raw.classes == ours.classes == lcz.CLASSES
        assert "sen1" in raw
        assert "rgb" not in raw


def test_statistics_are_those_of_the_pixels(prepared: Path) -> None:
    with patches.read(prepared) as source:
        mean, std = source.statistics("sen2")
    scaled = pixels(ROWS)["sen2"] / 2.8 * 255
    np.testing.assert_allclose(mean, scaled.mean((0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(std, scaled.std((0, 1, 2)), rtol=1e-9)


def test_blocks_cover_all_rows(lcz42: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.patches.rows.READ_BYTES", 5 * 32 * 32 * 10 * 8)
    with patches.read(lcz42, "sen2") as source:
        blocks = list(source["sen2"].blocks())
    assert [block.start for block in blocks] == list(range(0, ROWS, 5))
    assert blocks[-1].stop == ROWS


@pytest.mark.parametrize(
    ("names", "arrays", "message"),
    [
        (("rgb",), {}, r"expected dataset 'rgb', found \['label', 'sen1', 'sen2'\]"),
        (("sen2",), {"sen2": np.ones((4, 32, 32, 9))}, r"expected \(N, H, W, 10\), found \(4, 32"),
        (("sen2",), {"sen2": np.ones((4, 10))}, r"sen2: expected \(N, H, W, 10\), found \(4, 10\)"),
        (("sen2",), {"sen2": np.full((4, 2, 2, 10), b"x")}, "sen2: expected numbers, found"),
        (
            ("sen2", "label"),
            {"label": np.eye(17)[:3]},
            "expected the same number of rows, found {'sen2': 4, 'label': 3",
        ),
        (("sen2",), {"sen2": np.ones((0, 32, 32, 10))}, "sen2: no rows"),
        (("sen2",), {"sen2": np.float64(3)}, "sen2: expected .N, H, W, 10"),
    ],
)
def test_refuses_on_opening(
    tmp_path: Path, names: tuple[str, ...], arrays: dict[str, np.ndarray], message: str
) -> None:
    path = broken(tmp_path / "training.h5", **arrays)
    with pytest.raises(StageError, match=message) as refused:
        patches.read(path, *names)
    assert str(path) in str(refused.value)


def test_refuses_unfinished_files_of_ours_only(tmp_path: Path) -> None:
    path = broken(tmp_path / "training.h5", row=np.array([0, 1, -1, -1]))
    with patches.read(path, "sen2") as source:
        assert source.row_numbers() is None  # somebody else's `row` is nothing to us
    with h5py.File(path, "r+") as file:
        file.attrs["complete_header"] = True
    with pytest.raises(StageError, match="unfinished: 2 of 4 rows are not written"):
        patches.read(path, "sen2")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_names_rows_that_are_not_numbers(tmp_path: Path, value: float) -> None:
    sen2 = pixels(4)["sen2"]
    sen2[[1, 3], 5, 6, 7] = value
    with (
        patches.read(broken(tmp_path / "a.h5", sen2=sen2), "sen2") as source,
        pytest.raises(StageError, match=r"sen2: NaN or infinite values in .*3"),
    ):
        source["sen2"][2:4]


@pytest.mark.parametrize("row", [np.zeros(17), np.full(17, np.nan), np.eye(17)[3] / 2, np.ones(17)])
def test_names_label_rows_that_are_not_one_hot(tmp_path: Path, row: np.ndarray) -> None:
    label = pixels(4)["label"]
    label[2] = row
    with (
        patches.read(broken(tmp_path / "a.h5", label=label), "label") as source,
        pytest.raises(StageError, match=r"a.h5: label: not one-hot in .*2"),
    ):
        source.labels(slice(1, 4))


def test_row_counts_are_also_checked_later(tmp_path: Path) -> None:
    path = broken(tmp_path / "a.h5", label=np.eye(17)[:3])
    with (
        patches.read(path, "sen2") as source,
        pytest.raises(StageError, match="expected the same number of rows"),
    ):
        source.labels()


def test_labels_of_other_class_sets_need_names(tmp_path: Path) -> None:
    path = broken(tmp_path / "a.h5", label=np.eye(5)[:4])
    with (
        patches.read(path) as source,
        pytest.raises(StageError, match="expected an attribute 'classes'"),
    ):
        source.labels()
    with h5py.File(path, "r+") as file:
        file.attrs["classes"] = list("abcd")
    with patches.read(path) as source, pytest.raises(StageError, match=r"expected \(N, 4\)"):
        source.labels()


def test_statistics_are_asked_of_prepare(lcz42: Path) -> None:
    with (
        patches.read(lcz42) as source,
        pytest.raises(StageError, match="run prepare on the file first"),
    ):
        source.statistics("sen2")


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_refuses_truncated_files(prepared: Path, share: float) -> None:
    whole = prepared.read_bytes()
    prepared.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(StageError, match=r"training.h5: not a complete HDF5 file \("):
        patches.read(prepared, "sen2")


@pytest.mark.parametrize("value", [0.0, 0.25])
@pytest.mark.parametrize("block", [slice(0, 2), slice(2, 4)])
def test_patches_that_are_all_flat_are_refused(tmp_path: Path, value: float, block: slice) -> None:
    """As they are where nobody wrote the values; other bands or one pixel are no such thing."""
    flat = np.full((4, 32, 32, 10), value)
    path = broken(tmp_path / "a.h5", sen2=flat)
    expected = "a.h5: sen2: expected pictures, found one value only in each of 4 patches"
    with patches.read(path, "sen2", "label") as source:
        source.labels()
        with pytest.raises(StageError, match=expected):
            source["sen2"][block]
    one_pixel, one_band = flat.copy(), flat.copy()
    one_pixel[3, 31, 31, 9], one_band[..., 9] = 0.5, 0.5
    for values in (one_pixel, one_band):
        with patches.read(broken(tmp_path / "a.h5", sen2=values), "sen2") as source:
            np.testing.assert_array_equal(source["sen2"][block], values[block].astype("f4"))


def test_rows_that_were_never_written_are_told_once(tmp_path: Path, capsys: Any) -> None:
    path = broken(tmp_path / "a.h5")
    with h5py.File(path, "r+") as file:
        sen2 = file["sen2"][()]
        del file["sen2"], file["label"]
        file.create_dataset("sen2", sen2.shape, "f8", chunks=(1, 32, 32, 10))[:2] = sen2[:2]
        file.create_dataset("label", (4, 17), "f8", chunks=(1, 17))[:2] = np.eye(17)[:2]
    for _ in range(2):
        with patches.read(path, "sen2") as source:
            assert not source["sen2"][slice(2, 4)].any()
    said = f"{path}: sen2: never written: rows 2, 3; HDF5 reads them as one value\n"
    assert capsys.readouterr().err == said
    with pytest.raises(StageError, match=r"a.h5: label: never written: rows 2, 3$"):
        patches.read(path, "label")


def test_refuses_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="expected an HDF5 file, found a folder"):
        patches.read(tmp_path, "sen2")
    with pytest.raises(StageError, match="no such file"):
        patches.read(tmp_path / "none.h5", "sen2")


def test_class_names_must_agree(prepared: Path) -> None:
    with patches.read(prepared) as source:
        source.expect_classes(lcz.CLASSES)
        with pytest.raises(StageError, match="expected 2 classes a, b"):
            source.expect_classes(("a", "b"))


def test_written_files_are_equal_byte_by_byte(tmp_path: Path) -> None:
    one = write_patches(tmp_path / "one.h5", pixels(20))
    two = write_patches(tmp_path / "two.h5", pixels(20))
    assert one.read_bytes() == two.read_bytes()


def test_members_whose_names_are_not_utf8_are_left_alone(prepared: Path) -> None:
    with h5py.File(prepared, "r+") as file:
        file[b"pr\xe9view"] = h5py.SoftLink("/gone")
        file[b"\xe9"] = h5py.ExternalLink("gone.h5", "/x")
        file.create_dataset(b"r\xe9sum\xe9", data=np.zeros(3))
    with patches.read(prepared, "sen2", "label") as source:
        assert len(source["sen2"][slice(0, 4)]) == 4
        with pytest.raises(StageError, match="expected dataset 'sen9', found") as refused:
            _ = source["sen9"]
    assert hostile.is_calm(escape(str(refused.value)))


# --- attributes, each of them from both sides -----------------------------------------------------
@pytest.fixture
def owner(tmp_path: Path) -> Iterator[hdf5.File]:
    """A file with attributes of many kinds."""
    given = {
        "text": "sen2", "bytes": np.bytes_(b"sen2  "), "one": ["sen2"], "two": ["a", "b"],
        "same": ["a", "a"], "blank": ["a", " "], "odd": ["a\nb"], "latin": np.array([b"\xe9"]),
        "number": 2, "list": [2.5], "numbers": [1.0, 2.0], "nan": np.nan, "true": True,
        "half": 0.5, "ones": [1], "several": [1, 0], "square": [["a"]], "none": np.zeros(0, "S1"),
        "infinite": [1.0, np.inf],
    }  # fmt: skip
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, value in given.items():
            file.attrs[name] = value
    with hdf5.File(tmp_path / "a.h5") as file:
        yield file


def outcome(read: Callable[..., Any], owner: hdf5.File, name: str, *more: int) -> Any:
    """What is read, or what was found instead."""
    try:
        return read(owner, name, *more)
    except StageError as error:
        return str(error).partition(f"attribute {name!r}: ")[2]


def test_attributes_that_are_texts(owner: hdf5.File) -> None:
    for name in ("text", "bytes", "one"):
        assert outcome(attributes.read_text, owner, name) == "sen2"
    for name, found in (("two", "texts of shape (2,)"), ("number", "2"), ("latin", None)):
        found = found or "texts of shape (1,)"
        assert outcome(attributes.read_text, owner, name) == f"expected a text, found {found}"
    assert outcome(attributes.read_text, owner, "x") == "expected a value, found no such attribute"


def test_attributes_that_are_names(owner: hdf5.File) -> None:
    assert outcome(attributes.read_texts, owner, "two") == ("a", "b")
    assert outcome(attributes.read_texts, owner, "two", 2) == ("a", "b")
    names = "expected different names"
    for name, found in (
        ("text", f"{names}, found 'sen2'"), ("square", f"{names}, found texts of shape (1, 1)"),
        ("none", f"{names}, found texts of shape (0,)"), ("same", f"{names}, found 'a' twice"),
        ("numbers", f"{names}, found float64 numbers of shape (2,)"),
        ("blank", f"{names} of printable letters, found ''"),
        ("odd", f"{names} of printable letters, found 'a\\nb'"),
        ("latin", f"{names}, found one that is not UTF-8 text"),
    ):  # fmt: skip
        assert outcome(attributes.read_texts, owner, name) == found, name
    for count in (1, 3):
        said = outcome(attributes.read_texts, owner, "two", count)
        assert said == f"expected {count} different names, found 2"


def test_attributes_that_are_numbers(owner: hdf5.File) -> None:
    assert outcome(attributes.read_number, owner, "number") == 2
    assert outcome(attributes.read_number, owner, "list") == 2.5
    for name in ("numbers", "nan", "true", "text"):
        assert outcome(attributes.read_number, owner, name).startswith("expected one number, found")
    np.testing.assert_array_equal(outcome(attributes.read_numbers, owner, "numbers", 2), [1, 2])
    for name, count in (("numbers", 1), ("numbers", 3), ("infinite", 2), ("two", 2), ("number", 1)):
        said = outcome(attributes.read_numbers, owner, name, count)
        assert str(said).startswith(f"expected {count} finite numbers, found ")


def test_attributes_that_are_truth_values(owner: hdf5.File) -> None:
    assert outcome(attributes.read_flag, owner, "true") is True
    assert outcome(attributes.read_flag, owner, "ones") is True
    for name in ("number", "half", "several", "text"):
        assert str(outcome(attributes.read_flag, owner, name)).startswith("expected true or false")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"low": 1.0, "high": 1.0},
            "attribute 'low': expected a number below attribute 'high', fo",
        ),
        ({"low": 2.8}, "attribute 'low': expected a number below .*, found 2.8 and 2.8"),
        ({"per_unit": 0}, "attribute 'per_unit': expected a number above 0, found 0"),
    ],
)
def test_ranges_that_are_none(tmp_path: Path, given: dict[str, float], message: str) -> None:
    path = write_raw(tmp_path / "a.h5", {"sen2": np.ones((2, 3, 4, 10))})
    with h5py.File(path, "r+") as file:
        file["sen2"].attrs.update(given)
    with pytest.raises(StageError, match=f"a.h5: sen2: {message}"):
        patches.read(path, "sen2")


def test_a_range_of_its_own_is_read(tmp_path: Path) -> None:
    path = write_raw(tmp_path / "a.h5", {"sen2": np.full((2, 3, 4, 2), 6.0)})
    with h5py.File(path, "r+") as file:
        file["sen2"][0, 0, 0, 0] = 7
        file["sen2"].attrs.update({"bands": ["B2", "B8"], "low": -1, "high": 4, "per_unit": 2})
    with patches.read(path, "sen2") as source:
        layout = source["sen2"].layout
        assert layout == lcz.Layout(("B2", "B8"), -1.0, 4.0, per_unit=2.0, clip=lcz.SEN2.clip)
        np.testing.assert_array_equal(source["sen2"][0:1].ravel()[:2], [3.5, 3])


def test_row_numbers_in_messages() -> None:
    assert patches.list_rows(np.arange(8)) == "rows 0, 1, 2, 3, 4, 5, 6, 7"
    assert patches.list_rows(np.arange(9)) == "rows 0, 1, 2, 3, 4, 5, 6, 7, … (9 rows)"


def test_arrays_of_matlab_are_turned_by_their_bands_and_classes(tmp_path: Path) -> None:
    """Ten rows of ten bands, seventeen of seventeen classes: which axis is the last one."""
    path = tmp_path / "a.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, values in (("sen2", np.ones((17, 4, 3, 10))), ("label", np.eye(17))):
            values[0, 0] *= 0.5 if name == "sen2" else 1
            file[name] = values.T
            file[name].attrs["MATLAB_class"] = np.bytes_("double")
    with patches.read(path, "sen2", "label") as source:
        assert source["sen2"].shape == (17, 4, 3, 10)
        assert source["label"].shape == (17, 17)
        assert source.labels().tolist() == list(range(17))
    with h5py.File(path, "r+") as file:
        del file["label"], file["sen2"]
        file.attrs["classes"] = ["a", "b"]
        for name, values in (("rgb", np.ones((2, 5, 4, 3))), ("label", np.eye(2)[[0, 1]])):
            values[0, 0] *= 0.5 if name == "rgb" else 1
            file[name] = values.T
            file[name].attrs["MATLAB_class"] = np.bytes_("double")
    with patches.read(path, "rgb", "label") as source:
        assert source["rgb"].shape == (2, 5, 4, 3)
        assert source.labels().tolist() == [0, 1]


@pytest.mark.parametrize("values", [np.int64(3), np.zeros((4, 1), np.int64), np.zeros(4)])
def test_row_numbers_of_ours_are_a_list_of_whole_numbers(tmp_path: Path, values: Any) -> None:
    path = broken(tmp_path / "a.h5", row=values)
    with h5py.File(path, "r+") as file:
        file.attrs["complete_header"] = True
    with pytest.raises(StageError, match=r"a.h5: row: expected \(N,\) whole numbers, found"):
        patches.read(path, "sen2")
