"""From file to file: rows in order, clipped, read ahead, written behind, stopped and gone on."""

import errno
import threading
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from shared import cli, patches
from shared.sr import stream


def nearest(sen2: NDArray[np.float32]) -> NDArray[np.float32]:
    return sen2.repeat(2, 1).repeat(2, 2)


def too_bright(sen2: NDArray[np.float32]) -> NDArray[np.float32]:
    """Values far below and above the range of the bands."""
    return (nearest(sen2) * 1e3 - 100).astype(np.float32)


def enlarge_file(
    src: Path, dst: Path, enlarge: stream.Enlarge = nearest, batch: int = 4
) -> np.ndarray:
    """The stored sen2 of one run."""

    def run(*, src: Path, dst: Path, batch: int) -> None:
        """Enlarge.

        Args:
            src: patches.
            dst: product.
            batch: rows.
        """
        stream.enlarge_file(src, dst, lambda: enlarge, scale=2, batch=batch, shard="1/1")

    cli.main(run, [f"--src={src}", f"--dst={dst}", f"--batch={batch}"])
    with h5py.File(dst) as file:
        return np.asarray(file["sen2"])


@pytest.mark.parametrize("batch", [1, 4, 34, 100])
def test_rows_keep_their_order_and_values(prepared: Path, tmp_path: Path, batch: int) -> None:
    with h5py.File(prepared) as file:
        expected = np.asarray(file["sen2"]).repeat(2, 1).repeat(2, 2)
    np.testing.assert_array_equal(enlarge_file(prepared, tmp_path / "x.h5", batch=batch), expected)


def test_values_are_clipped_to_the_range_of_the_bands(prepared: Path, tmp_path: Path) -> None:
    made = enlarge_file(prepared, tmp_path / "x.h5", too_bright)
    assert (made.min(), made.max()) == (0, 28_000)


def test_a_range_that_is_not_so2sats_is_kept(prepared: Path, tmp_path: Path) -> None:
    with h5py.File(prepared, "a") as file:
        file["sen2"].attrs["low"], file["sen2"].attrs["high"] = -1.0, 10.0
    made = enlarge_file(prepared, tmp_path / "x.h5", too_bright)
    assert made.dtype == np.float32
    assert (made.min(), made.max()) == (-1, 10)


def test_a_network_that_overflows_is_refused(
    prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def overflow(sen2: np.ndarray) -> np.ndarray:
        return np.where(nearest(sen2) == sen2.max(), np.inf, nearest(sen2))

    with pytest.raises(SystemExit, match="2"):
        enlarge_file(prepared, tmp_path / "out" / "x.h5", overflow, batch=34)
    assert "sen2: the network makes NaN or infinity of rows 0 to 33" in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("*"))


def test_the_next_block_is_read_while_one_is_computed() -> None:
    second = threading.Event()

    def read(item: int) -> int:
        if item == 1:
            second.set()
        return item * item

    for item, square in stream.prefetch((i for i in range(3)), read):
        assert second.wait(10), "block 1 is not read before block 0 is used"
        assert square == item * item


def test_computing_and_writing_share_no_thread(prepared: Path, tmp_path: Path) -> None:
    threads = []

    def enlarge(sen2: np.ndarray) -> np.ndarray:
        threads.append(threading.current_thread())
        return nearest(sen2)

    enlarge_file(prepared, tmp_path / "x.h5", enlarge)
    assert set(threads) == {threading.main_thread()}


def test_goes_on_after_a_crash_with_what_is_on_disk(prepared: Path, tmp_path: Path) -> None:
    whole, done = enlarge_file(prepared, tmp_path / "whole.h5"), []

    def crash_once(sen2: np.ndarray) -> np.ndarray:
        done.append(len(sen2))
        if len(done) == 4:
            raise OSError("the machine is gone")
        return nearest(sen2)

    with pytest.raises(SystemExit, match="1"):
        enlarge_file(prepared, tmp_path / "x.h5", crash_once, batch=10)
    again = enlarge_file(prepared, tmp_path / "x.h5", crash_once, batch=10)
    np.testing.assert_array_equal(again, whole)
    assert done == [10, 10, 10, 4, 4]  # 30 rows were computed once


@pytest.mark.parametrize("block", [1, 4])  # of four: the last one is waited for in another place
def test_an_error_of_a_write_is_told_and_the_run_goes_on_from_there(
    prepared: Path, tmp_path: Path, block: int, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    whole = enlarge_file(prepared, tmp_path / "whole.h5")
    put, blocks = patches.Writer.put, []

    def full(self: patches.Writer, rows: slice, **values: Any) -> None:
        blocks.append(rows)
        if len(blocks) == block:
            raise OSError(errno.ENOSPC, "No space left on device")
        put(self, rows, **values)

    monkeypatch.setattr(patches.Writer, "put", full)
    with pytest.raises(SystemExit, match="2"):
        enlarge_file(prepared, tmp_path / "x.h5", batch=10)
    assert "no space left" in capsys.readouterr().err.lower()
    assert not (tmp_path / "x.h5").exists()
    np.testing.assert_array_equal(enlarge_file(prepared, tmp_path / "x.h5", batch=10), whole)


def test_a_fault_in_reading_ends_the_run_and_leaves_nothing(
    prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with h5py.File(prepared, "a") as file:
        file["row"][33] = -1
    with pytest.raises(SystemExit, match="2"):
        enlarge_file(prepared, tmp_path / "out" / "x.h5")
    assert str(prepared) in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("*"))
