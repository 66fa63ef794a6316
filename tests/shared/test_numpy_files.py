"""Files of numpy whose headers claim what is not there, or unpack to far more than they are."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from shared.reading import numpy_files
from tests.torture.built import arrays

GOOD = np.arange(12, dtype=np.float32).reshape(3, 4)


def header(shape: str, kind: str = "'<f8'") -> bytes:
    """The start of a file of this shape, with 16 bytes of values."""
    text = f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}}}"
    return arrays.write((1, 0), text, None, bytes(16))


@pytest.mark.parametrize("array", [GOOD, GOOD.T, np.zeros((0, 17)), np.float64(3)])
def test_maps_what_numpy_saved(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", array)
    np.testing.assert_array_equal(numpy_files.map_array(tmp_path / "a.npy"), array)


@pytest.mark.parametrize(
    "content",
    [
        header("(10**12,)"), header("(1000000000000, 17)"), header("(-1,)"), header("(2**70,)"),
        header("(2,)", "'|O'"), header("(2,)", "'<U1000000000'"), header("(2,"), header("(" * 9000),
        b"", b"\x93NUMPY", b"\x80\x04N.", b"text",
    ],
)  # fmt: skip
def test_refuses_headers_without_the_values(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises((ValueError, OSError)):
        numpy_files.map_array(tmp_path / "a.npy")


def archive(path: Path, **members: bytes) -> Path:
    """A packed .npz of these contents."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return path


def saved(array: np.ndarray) -> bytes:
    """The bytes of a .npy."""
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def test_reads_arrays_by_name(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.npz", x=saved(GOOD), y=saved(GOOD.T))
    loaded = numpy_files.read_arrays(path)
    assert list(loaded) == ["x", "y"]
    np.testing.assert_array_equal(loaded["y"], GOOD.T)


def test_refuses_what_unpacks_to_far_more_than_it_is(tmp_path: Path) -> None:
    packed = archive(tmp_path / "a.npz", x=saved(np.zeros(10_000, np.uint8)))
    numpy_files.read_arrays(packed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numpy_files, "UNPACKED", 1000)
        patch.setattr(numpy_files, "TIMES", 2)
        with pytest.raises(ValueError, match="unpacked"):
            numpy_files.read_arrays(packed)


@pytest.mark.parametrize(
    "content", [header("(10**12,)"), header("(1000000000000,)"), header("(2,)", "'|O'"), b"x"]
)
def test_refuses_members_without_the_values(tmp_path: Path, content: bytes) -> None:
    with pytest.raises((ValueError, OSError)):
        numpy_files.read_arrays(archive(tmp_path / "a.npz", x=content))
