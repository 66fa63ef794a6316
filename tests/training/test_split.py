"""Splits: stored numbers are kept, bands are found, what is broken is named."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from shared import lcz, patches
from shared.errors import StageError
from shared.training.data.split import (
    Input,
    Split,
    locate_inputs,
    read_bands,
    read_inputs,
    read_label_pair,
    read_labels,
)
from tests.conftest import pixels, write_patches, write_raw


def test_bands_are_named_as_asked_for(prepared: Path) -> None:
    bands = read_bands(prepared, ("VV", "B8A", "B2"), prefix="0/")
    assert bands.keys() == {"0/VV", "0/B8A", "0/B2"}
    with h5py.File(prepared) as file:
        for name, of, channel in (("VV", "sen1", 5), ("B8A", "sen2", 7), ("B2", "sen2", 0)):
            np.testing.assert_array_equal(bands[f"0/{name}"].stored, file[of][..., channel])
    assert {band.stored.dtype for band in bands.values()} == {torch.float16, torch.int16}
    assert bands["0/VV"].layout == lcz.SEN1


def test_a_batch_holds_the_rows_asked_for(prepared: Path) -> None:
    rows = Split(read_bands(prepared, ("B2",)), {"label": read_labels(prepared, lcz.CLASSES)})
    batch = rows[np.array([5, 0, 5])]
    assert batch["label"].tolist() == [5, 0, 5]
    with h5py.File(prepared) as file:
        np.testing.assert_array_equal(batch["B2"], file["sen2"][..., 0][[5, 0, 5]])
    assert rows.nbytes == 34 * (32 * 32 * 2 + 8)


def test_a_dataset_is_read_once_for_all_who_want_it(
    prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, raw = list[str](), patches.Rows.raw

    def noted(self: patches.Rows, rows: slice) -> np.ndarray:
        seen.append(self.name)
        return raw(self, rows)

    monkeypatch.setattr(patches.Rows, "raw", noted)
    bands = read_inputs(
        [*locate_inputs(prepared, ("B2", "B3")), *locate_inputs(prepared, ("B3", "B4"))]
    )
    assert sorted(bands) == ["B2", "B3", "B4"]
    assert seen == ["sen2"]


def test_whole_rows_and_runs_of_rows(prepared: Path) -> None:
    runs = [slice(3, 5), slice(30, 34)]
    labels = read_inputs([Input(prepared, "label", {"hot": None})], runs)["hot"]
    assert labels.layout is None
    assert labels.stored.argmax(1).tolist() == [i % 17 for i in (3, 4, 30, 31, 32, 33)]


def test_bright_patches_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.patches.rows.READ_BYTES", 1)  # one row a block
    arrays = pixels(17)
    arrays["sen2"][3, 0, 0, 0] = 5.0  # 50,000 as stored, beyond int16
    path = write_patches(tmp_path / "a.h5", arrays)
    bands = read_bands(path, ("B2", "B3"))
    assert bands["B2"].stored.dtype == torch.int32
    assert bands["B3"].stored.dtype == torch.int16
    with h5py.File(path) as file:
        np.testing.assert_array_equal(bands["B2"].stored, file["sen2"][..., 0])


def test_floats_are_scaled_once(tmp_path: Path) -> None:
    """A floating-point file with per_unit is decoded by the view alone."""
    path = write_raw(tmp_path / "a.h5", pixels(17))
    with h5py.File(path, "a") as file:
        file["sen2"].attrs["per_unit"] = 2.0
    band = read_bands(path, ("B3",))["B3"]
    assert band.layout is not None
    assert band.layout.per_unit == 2.0
    assert band.stored.dtype == torch.float32
    with patches.read(path) as source:
        decoded = source["sen2"][slice(0, 17)][..., 1]
    np.testing.assert_allclose(band.stored.numpy() / 2.0, decoded, rtol=1e-6)


def test_not_a_number_is_refused_by_row(tmp_path: Path) -> None:
    arrays = pixels(17)
    arrays["sen2"][[2, 9], 0, 0, 1] = np.nan
    path = write_raw(tmp_path / "a.h5", arrays)
    with pytest.raises(StageError, match="sen2: NaN or infinite values in rows 2, 9"):
        read_bands(path, ("B3",))


@pytest.mark.parametrize("band", ["B2", "VV_real"])
@pytest.mark.parametrize(
    ("name", "message"),
    [("sen2", "sen2 looks like digital numbers"), ("sen1", "sen1: VH looks like decibels")],
)
def test_other_units_are_refused_whichever_bands_are_read(
    tmp_path: Path, band: str, name: str, message: str
) -> None:
    """Members see some bands of a dataset; it is refused as a whole where it is read."""
    arrays = pixels(12)
    arrays["sen2"] = np.round(arrays["sen2"] * 1e4)
    arrays["sen1"] = 10 * np.log10(arrays["sen1"] ** 2 + 1e-3)
    right = {"sen2", "sen1"} - {name}
    path = write_raw(tmp_path / "a.h5", arrays | {n: pixels(12)[n] for n in right})
    if (band == "B2") == (name == "sen2"):
        with pytest.raises(StageError, match=f"a.h5: {message}"):
            read_bands(path, (band,))
    else:  # a dataset that nobody reads says nothing
        assert read_bands(path, (band,)).keys() == {band}


def test_patches_that_are_not_square_are_refused(tmp_path: Path) -> None:
    arrays = pixels(5)
    path = write_raw(tmp_path / "a.h5", {**arrays, "sen2": arrays["sen2"][:, :20]})
    with pytest.raises(StageError, match="sen2: expected square patches, found 20 × 32"):
        read_bands(path, ("B3",))


def test_missing_band_is_refused(prepared: Path) -> None:
    with pytest.raises(StageError, match="expected band 'B9', found"):
        read_bands(prepared, ("B9",))


def test_labels_and_their_refusals(tmp_path: Path, prepared: Path) -> None:
    assert read_labels(prepared, lcz.CLASSES).tolist() == [i % 17 for i in range(34)]
    with pytest.raises(StageError, match=r"expected 2 classes a, b …, found 17 classes"):
        read_labels(prepared, ("a", "b"))
    arrays = pixels(5)
    arrays["label"][:] = np.eye(17)[4]
    one = write_raw(tmp_path / "one.h5", arrays)
    with pytest.raises(StageError, match="one class only; expected at least two"):
        read_label_pair(one, prepared, lcz.CLASSES)
