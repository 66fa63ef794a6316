"""Patch files of other people: attributes, reserved names and labels in all their forms."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from shared import lcz, patches
from shared.errors import StageError
from tests.conftest import pixels, write_raw

Edit = Callable[[h5py.File], Any]
NAMES = [f"zone {k}" for k in range(17)]
BANDS = list(lcz.SEN2.bands)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_raw(tmp_path / "foreign.h5", pixels(34))


def edit(path: Path, change: Edit) -> None:
    with h5py.File(path, "r+") as file:
        change(file)


def use(path: Path) -> tuple[tuple[str, ...], lcz.Layout]:
    """What every stage asks of a file: its classes and labels, its layout and values."""
    with patches.read(path, "sen2", "label") as source:
        source.labels()
        source["sen2"][0:4]
        layout = source["sen2"].layout
        assert layout is not None
        return source.classes, layout


def test_a_file_without_attributes_is_so2sats(path: Path) -> None:
    assert use(path) == (lcz.CLASSES, lcz.Layout(lcz.SEN2.bands, 0.0, 2.8))


@pytest.mark.parametrize(
    "kind", [object, "S", h5py.string_dtype("ascii"), h5py.string_dtype("utf-8", 12)], ids=str
)
def test_names_are_text_however_they_are_stored(path: Path, kind: Any) -> None:
    def write(file: h5py.File) -> None:
        file.attrs["classes"] = np.array(NAMES, kind)
        file["sen2"].attrs["bands"] = np.array(BANDS, kind)

    edit(path, write)
    classes, layout = use(path)
    assert classes == tuple(NAMES)
    assert layout.bands == tuple(BANDS)


def test_numbers_may_stand_in_lists_of_one(path: Path) -> None:
    def write(file: h5py.File) -> None:
        file["sen2"].attrs.update(
            low=[-1], high=np.array([3], "f4"), per_unit=[2], clip=np.array([1], "u1")
        )

    edit(path, write)
    assert use(path)[1] == lcz.Layout(lcz.SEN2.bands, -1.0, 3.0, 2.0, clip=True)


WRONG_ATTRIBUTES: list[tuple[str, str, Any, str]] = [
    ("/", "classes", np.arange(17), "expected different names, found int64 numbers of shape"),
    ("/", "classes", "water", "expected different names, found 'water'"),
    ("/", "classes", NAMES[:16] + NAMES[:1], "expected different names, found 'zone 0' twice"),
    ("/", "classes", [*NAMES[:16], ""], "expected different names of printable letters, found ''"),
    ("/", "classes", [*NAMES[:16], "a\nb"], "printable letters, found 'a\\\\nb'"),
    ("/", "classes", np.array([*NAMES[:16], b"For\xeat"], "S"), "found one that is not UTF-8 text"),
    ("/", "classes", h5py.Empty("f4"), "expected a value, found none .a null data space"),
    ("sen2", "bands", np.arange(10), "expected 10 different names, found int64 numbers of shape"),
    ("sen2", "bands", BANDS[:9], "expected 10 different names, found 9"),
    ("sen2", "bands", ["B2"] * 10, "expected 10 different names, found 'B2' twice"),
    ("sen2", "bands", h5py.Empty("S2"), "expected a value, found none .a null data space"),
    ("sen2", "low", np.zeros(10), "expected one number, found float64 numbers of shape"),
    ("sen2", "high", "2.8", "expected one number, found '2.8'"),
    ("sen2", "high", np.nan, "expected one number, found nan"),
    ("sen2", "low", 2.8, "expected a number below attribute 'high', found 2.8 and 2.8"),
    ("sen2", "per_unit", 0, "expected a number above 0, found 0"),
    ("sen2", "per_unit", -1e4, "expected a number above 0, found -10000"),
    ("sen2", "clip", "no", "expected true or false, found 'no'"),
    ("sen2", "clip", 2, "expected true or false, found 2"),
]


@pytest.mark.parametrize(("owner", "name", "value", "message"), WRONG_ATTRIBUTES)
def test_refuses_attributes_by_name(
    path: Path, owner: str, name: str, value: Any, message: str
) -> None:
    edit(path, lambda file: file[owner].attrs.__setitem__(name, value))
    where = f"{path}{': sen2' if owner == 'sen2' else ''}: attribute '{name}': "
    with pytest.raises(StageError, match=message) as refusal:
        use(path)
    assert str(refusal.value).startswith(where)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("value", [np.zeros(9), np.full(10, np.nan), "none", np.full(10, -1.0)])
def test_refuses_statistics_that_are_none(path: Path, value: Any) -> None:
    edit(path, lambda file: file["sen2"].attrs.update(mean=np.ones(10), std=value))
    with (
        patches.read(path, "sen2") as source,
        pytest.raises(StageError, match="sen2: attribute 'std': expected"),
    ):
        source.statistics("sen2")


@pytest.mark.parametrize(
    "row", [np.array([b"a"] * 34), np.float64(3), np.full(34, -1), h5py.Empty("i8")]
)
def test_a_row_of_others_means_nothing(path: Path, row: Any) -> None:
    edit(path, lambda file: file.create_dataset("row", data=row))
    assert use(path)[0] == lcz.CLASSES


@pytest.mark.parametrize("name", ["sen1", "sen2", "label", "city", "features"])
def test_refuses_null_data_spaces(path: Path, name: str) -> None:
    def empty(file: h5py.File) -> None:
        file.pop(name, None)
        file[name] = h5py.Empty("f4")

    edit(path, empty)
    with pytest.raises(StageError, match=f"{name}: expected values, found none .a null"):
        patches.read(path, name)


def test_refuses_names_of_other_classes_than_the_labels_have(path: Path) -> None:
    edit(path, lambda file: file.attrs.__setitem__("classes", NAMES[:4]))
    message = r"label: expected \(N, 4\), a column for each class of attribute 'classes', found"
    with pytest.raises(StageError, match=message):
        use(path)


FORMS: list[tuple[Any, str]] = [
    (np.arange(34) % 17, r"found \(34,\); class numbers .*prepare --labels index0"),
    (np.arange(34)[:, None] % 17 + 1, r"found \(34, 1\); class numbers .*--labels index1"),
    (np.float64(3), "no rows"),
    (np.zeros((34, 2, 17)), r"found \(34, 2, 17\)$"),
    (np.full((34, 17), 1 / 17), "not one-hot in rows .*; `prepare --labels largest` takes"),
    (np.ones((34, 17)), r"not one-hot in rows [\d, …]+\(34 rows\)$"),
]


@pytest.mark.parametrize(("label", "message"), FORMS)
def test_refuses_labels_that_are_not_one_hot(path: Path, label: np.ndarray, message: str) -> None:
    edit(path, lambda file: file.pop("label") and file.create_dataset("label", data=label))
    with pytest.raises(StageError, match=message):
        use(path)
