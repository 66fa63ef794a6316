"""Splits: every row once an epoch, the same order from the same seed, stored numbers kept."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from shared import lcz, patches
from shared.errors import StageError
from shared.learn.split import Batches, label_pair, labels, load
from tests.conftest import pixels, write_patches, write_raw


def order(seed: int | None, epoch: int, rows: int = 20, batch: int = 6) -> list[list[int]]:
    batches = Batches(np.arange(rows) + 100, batch, seed)
    batches.set_epoch(epoch)
    found = list(batches)
    assert len(found) == len(batches)
    return found


def test_every_row_once_an_epoch() -> None:
    found = order(1, 0)
    assert [len(batch) for batch in found] == [6, 6, 6, 2]
    assert sorted(row for batch in found for row in batch) == list(range(100, 120))


def test_order_depends_on_seed_and_epoch_alone() -> None:
    assert order(1, 4) == order(1, 4)
    assert order(1, 4) != order(1, 5)
    assert order(1, 4) != order(2, 4)
    assert [row for batch in order(None, 4) for row in batch] == list(range(100, 120))


def test_last_batch_of_one_row_is_dropped_in_training_only() -> None:
    assert [len(batch) for batch in order(1, 0, rows=13)] == [6, 6]
    assert [len(batch) for batch in order(None, 0, rows=13)] == [6, 6, 1]


def test_bands_come_in_the_order_asked_for(prepared: Path) -> None:
    parts = load(prepared, ("VV", "B8A", "B2"), first=2)
    by_channel = {c: p.stored[..., i] for p in parts for i, c in enumerate(p.channels)}
    assert sorted(by_channel) == [2, 3, 4]
    with h5py.File(prepared) as file:
        np.testing.assert_array_equal(by_channel[2], file["sen1"][..., 5])
        np.testing.assert_array_equal(by_channel[3], file["sen2"][..., 7])
        np.testing.assert_array_equal(by_channel[4], file["sen2"][..., 0])
    assert {part.stored.dtype for part in parts} == {torch.float16, torch.int16}


def test_bright_patches_fit(tmp_path: Path) -> None:
    arrays = pixels(17)
    arrays["sen2"][3, 0, 0, 0] = 5.0  # 50,000 as stored, beyond int16
    parts = load(write_patches(tmp_path / "a.h5", arrays), ("B2", "B3", "B4"))
    assert parts[0].stored.dtype == torch.int32
    assert parts[0].stored[3, 0, 0, 0] == 50_000


def test_floats_are_scaled_once(tmp_path: Path) -> None:
    """A floating-point file with per_unit is decoded by the view alone."""
    path = write_raw(tmp_path / "a.h5", pixels(17))
    with h5py.File(path, "a") as file:
        file["sen2"].attrs["per_unit"] = 2.0
    part = load(path, ("B2", "B3", "B4"))[0]
    assert part.layout.per_unit == 2.0
    with patches.read(path) as source:
        decoded = source["sen2"][slice(0, 17)][..., :3]
    np.testing.assert_allclose(part.stored.numpy() / 2.0, decoded, rtol=1e-6)


def test_not_a_number_is_refused_by_row(tmp_path: Path) -> None:
    arrays = pixels(17)
    arrays["sen2"][[2, 9], 0, 0, 1] = np.nan
    path = write_raw(tmp_path / "a.h5", arrays)
    with pytest.raises(StageError, match="sen2: NaN or infinite values in rows 2, 9"):
        load(path, ("B3",))


def test_patches_that_are_not_square_are_refused(tmp_path: Path) -> None:
    arrays = pixels(5)
    path = write_raw(tmp_path / "a.h5", {**arrays, "sen2": arrays["sen2"][:, :20]})
    with pytest.raises(StageError, match="sen2: expected square patches, found 20 × 32"):
        load(path, ("B3",))


def test_missing_band_is_refused(prepared: Path) -> None:
    with pytest.raises(StageError, match="no band 'B9', found"):
        load(prepared, ("B9",))


def test_labels_and_their_refusals(tmp_path: Path, prepared: Path) -> None:
    assert labels(prepared, lcz.CLASSES).tolist() == [i % 17 for i in range(34)]
    with pytest.raises(StageError, match=r"expected 2 classes a, b …, found 17 classes"):
        labels(prepared, ("a", "b"))
    arrays = pixels(5)
    arrays["label"][:] = np.eye(17)[4]
    one = write_raw(tmp_path / "one.h5", arrays)
    with pytest.raises(StageError, match="one class only; expected at least two"):
        label_pair(one, prepared, lcz.CLASSES)
