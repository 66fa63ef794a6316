"""What is held out: whole cities near the share, no class lost, else the last of each class."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from shared.errors import StageError
from shared.training.data.holdout import choose_rows, hold_out, read_cities
from tests.conftest import pixels, write_raw


def test_without_cities_the_last_of_each_class() -> None:
    labels = np.array([0] * 10 + [1] * 10 + [0] * 4)
    assert choose_rows(labels, None, 0.1).tolist() == [19, 23]
    assert choose_rows(labels, None, 0.5).tolist() == [7, 8, 9, *range(15, 24)]
    assert choose_rows(labels, None, 0.0).tolist() == []
    assert choose_rows(labels, np.repeat([1, 2, 3], 8), 0.0).tolist() == []


def test_shares_are_rounded_to_the_nearest_number_of_rows() -> None:
    labels = np.repeat([0, 1, 2], [7, 5, 3])  # a quarter of them: 1.75, 1.25 and 0.75 rows
    assert choose_rows(labels, None, 0.25).tolist() == [5, 6, 11, 14]


def test_a_class_is_never_held_out_whole() -> None:
    labels = np.array([0, 0, 0, 0, 1])
    assert choose_rows(labels, None, 0.9).tolist() == [1, 2, 3]
    # The last city alone has class 1 and just the share; the first has all that is left to give.
    assert choose_rows(labels, np.array([0, 0, 1, 1, 2]), 0.2).tolist() == [0, 1]


@pytest.mark.parametrize("share", [0.1, 0.2, 0.3])
def test_whole_cities_about_the_share(share: float) -> None:
    rng = np.random.default_rng(0)
    city = rng.permutation(np.repeat(np.arange(30) * 7, rng.integers(20, 200, 30)))
    labels = rng.integers(0, 17, len(city))
    rows = choose_rows(labels, city, share)
    assert sorted(set(rows)) == rows.tolist()
    kept = np.setdiff1d(np.arange(len(city)), rows)
    assert not set(city[rows]) & set(city[kept])
    assert set(labels[kept]) == set(labels[rows]) == set(range(17))
    assert len(rows) / len(city) == pytest.approx(share, abs=0.01)
    np.testing.assert_array_equal(choose_rows(labels, city, share), rows)


def test_the_order_of_rows_does_not_matter() -> None:
    city = np.repeat([5, 1, 9, 3], [4, 4, 1, 1])
    labels = np.array([0, 1] * 5)
    assert choose_rows(labels, city, 0.2).tolist() == [8, 9]  # the two small ones: both classes
    assert choose_rows(labels[::-1], city[::-1], 0.2).tolist() == [0, 1]


def test_prefers_a_city_that_has_every_class() -> None:
    city = np.repeat([0, 1, 2, 3], 4)
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1, 0, 1, 0, 1, 1, 1, 0, 0])
    assert choose_rows(labels, city, 0.25).tolist() == [8, 9, 10, 11]


@pytest.mark.parametrize(("city", "share"), [([0] * 10, 0.1), ([0] * 5 + [1] * 5, 0.1)])
def test_falls_back_to_runs_where_cities_are_too_few(
    city: list[int], share: float, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = np.zeros(10, int)
    assert choose_rows(labels, np.array(city), share).tolist() == [9]
    assert "no whole cities" in capsys.readouterr().err


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_refuses_shares(share: float) -> None:
    with pytest.raises(ValueError, match="expected 0 to below 1"):
        choose_rows(np.zeros(4, int), None, share)


def test_reads_the_cities_of_a_file(tmp_path: Path) -> None:
    path = write_raw(tmp_path / "a.h5", pixels(17))
    assert read_cities(path) is None
    for values, kind in ((np.zeros((17, 2), int), "int64 .17, 2"), (np.zeros(17), "float64")):
        with h5py.File(path, "r+") as file:
            file.pop("city", None)
            file["city"] = values
        with pytest.raises(
            StageError, match=f"city: expected one whole number a row, found {kind}"
        ):
            read_cities(path)
    with h5py.File(path, "r+") as file:
        del file["city"]
        file["city"] = np.arange(17, dtype=np.int32) // 3
    cities = read_cities(path)
    assert cities is not None
    assert cities.tolist() == [row // 3 for row in range(17)]


def mark(path: Path, *rows: int, dtype: str = "u1") -> Path:
    """Two rows of each class, in a file that marks these as validation."""
    marks = np.zeros(34, dtype)
    marks[list(rows)] = 1
    return write_raw(path, pixels(34) | {"city": np.arange(34) // 4, "validation": marks})


LABELS = np.arange(34) % 17


@pytest.mark.parametrize("share", [0, 0.1, 0.5])
@pytest.mark.parametrize("dtype", ["u1", "i8", "?"])
def test_rows_that_the_file_marks_are_held_out_whatever_the_share(
    tmp_path: Path, share: float, dtype: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = mark(tmp_path / "a.h5", 33, 2, 5, dtype=dtype)
    assert hold_out([path], LABELS, share).tolist() == [2, 5, 33]
    said = f"{path}: 3 rows are marked as validation and never trained on"
    assert said in capsys.readouterr().err


def test_without_marked_rows_the_share_decides(tmp_path: Path) -> None:
    for path in (mark(tmp_path / "a.h5"), write_raw(tmp_path / "b.h5", pixels(34))):
        assert hold_out([path], LABELS, 0).tolist() == []
        cities = read_cities(path)
        expected = choose_rows(LABELS, cities, 0.5).tolist()
        assert hold_out([path], LABELS, 0.5).tolist() == expected != []


def test_refuses_marks_that_leave_too_little(tmp_path: Path) -> None:
    path = mark(tmp_path / "a.h5", *range(34))
    with pytest.raises(StageError, match=r"a.h5: validation: expected rows to train on, found all"):
        hold_out([path], LABELS, 0)
    path = mark(tmp_path / "b.h5", 0, 17, 4, 21, 5)  # both rows of two classes, one of a third
    match = "found none of 01_CompactHighRise, 05_OpenMidRise: every one is marked 1"
    with pytest.raises(StageError, match=match):
        hold_out([path], LABELS, 0)
    paths = [mark(tmp_path / "c.h5", 3), mark(tmp_path / "d.h5", 4)]
    match = r"d.h5: validation: expected the same rows as in .*c.h5"
    with pytest.raises(StageError, match=match):
        hold_out(paths, LABELS, 0)
    assert hold_out([paths[0], paths[0]], LABELS, 0).tolist() == [3]


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (np.arange(34) % 3, "expected 0 or 1, found 2 in rows 2, 5, 8, 11, 14, 17, 20, 23, …"),
        (np.zeros(34), "expected 0 or 1 for each row, found float64 (34,)"),
        (np.zeros((34, 2), "u1"), "expected 0 or 1 for each row, found uint8 (34, 2)"),
        (np.array([b"yes"] * 34), "expected 0 or 1 for each row, found |S3 (34,)"),
    ],
)
def test_refuses_marks_that_are_none(tmp_path: Path, values: np.ndarray, found: str) -> None:
    path = write_raw(tmp_path / "a.h5", pixels(34) | {"validation": values})
    with pytest.raises(StageError) as refusal:
        hold_out([path], LABELS, 0.1)
    assert str(refusal.value).startswith(f"{path}: validation: {found}")
