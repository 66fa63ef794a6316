"""Tiles of a file: the same order from memory and from disk, shared among processes, refusals."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from shared import tiles
from shared.errors import StageError
from shared.segmentation import Views, data
from tests import tile_files

CPU = torch.device("cpu")
VIEWS = Views(crop=32)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tile_files.write(tmp_path_factory.mktemp("tiles") / "a.h5", tile_files.noise())


@pytest.mark.parametrize("resident", [32.0, 1e-9])
def test_rows_in_any_order_are_those_of_the_file(path: Path, resident: float) -> None:
    stream = data.TileStream(path, resident)
    image, mask = tile_files.noise()
    read = stream[[8, 0, 1, 3, 0]]
    assert (len(stream), stream.side, stream.classes) == (9, 32, tiles.CLASSES)
    np.testing.assert_array_equal(read.image, image[[8, 0, 1, 3, 0]])
    np.testing.assert_array_equal(read.mask, mask[[8, 0, 1, 3, 0]])
    assert read.rows.tolist() == [8, 0, 1, 3, 0]


def test_an_epoch_is_the_same_from_memory_and_from_disk(path: Path) -> None:
    held, read = data.TileStream(path), data.TileStream(path, 1e-9)
    plan = data.Pass(seed=3, epoch=1, batch=4)
    pairs = list(zip(held.train(plan, VIEWS, CPU), read.train(plan, VIEWS, CPU), strict=True))
    for one, other in pairs:
        assert one.drawn is not None
        assert other.drawn is not None
        assert torch.equal(one.image, other.image)
        assert torch.equal(one.drawn.angles, other.drawn.angles)
    assert [len(one.rows) for one, _ in pairs] == [4, 4]  # the ninth alone is left out
    other_epoch = next(held.train(data.Pass(3, 2, 4), VIEWS, CPU))
    assert other_epoch.rows.tolist() != pairs[0][0].rows.tolist()


def test_processes_share_a_batch_and_its_views(path: Path) -> None:
    stream = data.TileStream(path)
    whole = next(stream.train(data.Pass(3, 0, 5), VIEWS, CPU))
    parts = [next(stream.train(data.Pass(3, 0, 5, rank, 2), VIEWS, CPU)) for rank in (0, 1)]
    assert [len(part.rows) for part in parts] == [2, 3]
    assert [part.together for part in parts] == [5, 5]
    assert np.concatenate([part.rows for part in parts]).tolist() == whole.rows.tolist()
    assert whole.drawn is not None
    angles = [part.drawn.angles for part in parts if part.drawn]
    assert torch.equal(torch.cat(angles), whole.drawn.angles)


def test_what_is_read_from_disk_is_only_the_batch(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream, asked = data.TileStream(path, 1e-9), list[int]()
    read = stream._read

    def spy(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        asked.append(len(rows))
        return read(rows)

    monkeypatch.setattr(stream, "_read", spy)
    list(stream.train(data.Pass(0, 0, 2), VIEWS, CPU))
    assert asked == [2, 2, 2, 2]


def test_whole_tiles_have_no_drawn_view(path: Path) -> None:
    stream = data.TileStream(path)
    assert next(stream.train(data.Pass(0, 0, 4), Views(augment="none"), CPU)).drawn is None
    order = [np.arange(4), np.arange(4, 9)]
    assert [one.rows.tolist() for one in stream.read(order, CPU)] == [[0, 1, 2, 3], [4, 5, 6, 7, 8]]


def test_a_mask_with_a_number_that_is_no_class_is_refused(tmp_path: Path) -> None:
    image, mask = tile_files.noise()
    mask[4, 1, 2] = 9
    broken = tile_files.write(tmp_path / "a.h5", (image, mask))
    with pytest.raises(StageError, match=r"class numbers below 5 or 255 .* in rows 4"):
        data.TileStream(broken)
    with pytest.raises(StageError, match="in rows 4"):
        data.TileStream(broken, 1e-9)[[7, 4]]


@pytest.mark.parametrize(
    ("name", "stored", "named"),
    [
        ("mask", np.zeros((9, 32, 16), np.uint8), "expected image"),
        ("image", np.zeros((9, 32, 32, 4), np.uint8), "expected image"),
        ("image", np.zeros((9, 32, 32, 3), np.float32), "expected uint8"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, name: str, stored: np.ndarray, named: str) -> None:
    broken = tile_files.write(tmp_path / "a.h5", tile_files.noise())
    with h5py.File(broken, "a") as file:
        del file[name]
        file[name] = stored
    with pytest.raises(StageError, match=named):
        data.TileStream(broken)


def test_tiles_that_do_not_fit_into_memory_are_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sysconf", lambda name: 4096 if "SIZE" in name else 5)
    with pytest.raises(StageError, match="a lower --resident reads them in pieces"):
        data.TileStream(path)
    assert len(data.TileStream(path, 1e-9)) == 9
