"""Splits that are read in pieces: the same batches as from memory, and only two pieces there."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from shared import lcz
from shared.errors import StageError
from shared.patches.layers import Stored
from shared.training.data import order, stream
from shared.training.data.split import Batch, Input, Split, locate_inputs, read_labels
from shared.training.data.stream import Streamed, bytes_per_row, load_split
from tests.conftest import pixels, write_patches

ROW = 32 * 32 * 2  # bytes of one band


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_patches(tmp_path_factory.mktemp("stream") / "a.h5", pixels(170))


def split(path: Path, resident: float, batch: int = 8) -> Split:
    extra = {"label": read_labels(path, lcz.CLASSES)}
    return load_split(locate_inputs(path, ("B2", "VV")), extra, resident, batch)


def test_pieces_hold_whole_batches_and_take_half_each(path: Path) -> None:
    pieces = split(path, 100 * 2 * ROW / 1e9)
    assert isinstance(pieces, Streamed)
    assert pieces.at_once == 48
    assert not isinstance(split(path, 170 * 2 * ROW / 1e9), Streamed)


@pytest.mark.parametrize("rows", [np.arange(170), np.array([169, 3, 3, 0])])
def test_batches_are_those_from_memory(path: Path, rows: np.ndarray) -> None:
    whole, pieces = split(path, 1.0), split(path, 40 * 2 * ROW / 1e9)
    np.testing.assert_array_equal(pieces[rows]["VV"], whole[rows]["VV"])
    wanted_order = order.cut_batches(order.shuffle_rows(np.unique(rows), 1, 0, pieces.at_once), 8)
    batches = list(pieces.batches(wanted_order))
    assert len(batches) == len(wanted_order)
    for ours, theirs in zip(batches, whole.batches(wanted_order), strict=True):
        assert ours.keys() == theirs.keys() == {"B2", "VV", "label"}
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert pieces.layouts == whole.layouts


def test_no_more_than_a_piece_is_read_at_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes, fill = [], stream.read_inputs

    def spy(inputs, runs, opened):  # type: ignore[no-untyped-def]
        filled = fill(inputs, runs, opened)
        sizes.append(len(filled["B2"].stored))
        return filled

    monkeypatch.setattr(stream, "read_inputs", spy)
    pieces = split(path, 40 * 2 * ROW / 1e9)
    list(
        pieces.batches(
            order.cut_batches(order.shuffle_rows(np.arange(170), 1, 0, pieces.at_once), 8)
        )
    )
    assert sum(sizes) == 170
    assert pieces.at_once == 16
    assert max(sizes) <= 16


def test_chunks_that_pieces_share_are_read_once_in_all_epochs(
    tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "a.h5"
    with h5py.File(path) as old, h5py.File(other, "w") as new:
        for name, data in old.items():
            new.create_dataset(name, data=data, chunks=data.shape, compression="gzip")
            new[name].attrs.update(data.attrs)
    look, asked = Stored.look, []

    def count(stored: Stored, box: tuple[slice, ...]) -> np.ndarray:
        asked.append(stored.dataset.name)
        return look(stored, box)

    monkeypatch.setattr(Stored, "look", count)
    pieces, whole = split(other, 40 * 2 * ROW / 1e9), split(path, 1.0)
    asked.clear()
    for epoch in range(3):
        wanted = order.cut_batches(order.shuffle_rows(np.arange(170), 1, epoch, 16), 8)
        for ours, theirs in zip(pieces.batches(wanted), whole.batches(wanted), strict=True):
            assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert sorted(asked) == ["sen1", "sen2"]


def test_another_pass_may_decide_about_the_order(path: Path) -> None:
    """What fits into memory lies there, in the order that the pass with more bands has."""
    inputs, extra = locate_inputs(path, ("B2",)), {"label": read_labels(path, lcz.CLASSES)}
    resident = 200 * ROW / 1e9
    pieces = load_split(
        inputs, extra, resident, 8, bytes_per_row(locate_inputs(path, ("B2", "VV")))
    )
    assert not isinstance(pieces, Streamed)
    assert pieces.at_once == pieces.to(torch.device("cpu")).at_once == split(path, resident).at_once
    assert pieces.at_once == 48
    assert load_split(inputs, extra, resident, 8).at_once is None


def test_features_come_whole(path: Path) -> None:
    inputs = [Input(path, "label", {"tda": None})]
    loaded = load_split(inputs, {"label": read_labels(path, lcz.CLASSES)}, 1.0, 8)
    assert loaded[np.array([4])]["tda"].argmax().item() == 4


def test_more_than_the_machine_has_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream.os, "sysconf", lambda _: 100)
    with pytest.raises(StageError, match="lower --resident reads them in pieces"):
        split(path, 1.0)


def test_two_pieces_have_to_fit(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One is read while the other is learned from."""
    pieces, resident = 2 * 48 * 2 * ROW, 100 * 2 * ROW / 1e9

    def give_room(share: float) -> None:
        page = int((share * pieces / 0.9) ** 0.5)  # bytes of a page, and number of pages
        monkeypatch.setattr(stream.os, "sysconf", lambda _: page)

    give_room(1.05)
    assert isinstance(split(path, resident), Streamed)
    give_room(0.95)
    with pytest.raises(StageError, match="a lower --batch or --resident reads them in pieces"):
        split(path, resident)


def test_neighbouring_rows_are_read_in_one_run(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[slice]] = []

    def note(inputs: object, runs: list[slice], opened: object) -> Batch:
        del inputs, opened
        asked.append(runs)
        return {}

    monkeypatch.setattr(stream, "read_inputs", note)
    whole = stream.Streamed([Input(path, "sen2", {"B2": 0})], {"label": torch.arange(34)}, 8)
    picked = whole[[7, 3, 2, 4, 7]]
    assert asked == [[slice(2, 5), slice(7, 8)]]
    assert picked["label"].tolist() == [7, 3, 2, 4, 7]


def test_groups_are_filled_as_far_as_whole_batches_go() -> None:
    batches = [np.arange(n) for n in (4, 4, 4, 2, 9, 1)]
    for at_once, sizes in ((8, [[4, 4], [4, 2], [9], [1]]), (12, [[4, 4, 4], [2, 9, 1]]),
                           (1, [[4], [4], [4], [2], [9], [1]])):  # fmt: skip
        groups = list(stream._grouped(batches, at_once))
        assert [[len(batch) for batch in group] for group in groups] == sizes
    assert not list(stream._grouped([], 8))


def test_bytes_of_a_row_by_hand(path: Path) -> None:
    """Two bands of 32 x 32 and two bytes each, also where a dataset comes whole."""
    some = [Input(path, "sen2", {"B2": 0, "B3": 1})]
    assert bytes_per_row(some) == 2 * ROW
    assert bytes_per_row([*some, Input(path, "sen1", {"VV": 5})]) == 3 * ROW
    assert bytes_per_row([Input(path, "sen2", {"all": None})]) == 10 * ROW
