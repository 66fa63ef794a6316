"""Scene files: what goes in comes out, places on the ground, stops, refusals."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from shared import scenes
from shared.errors import StageError
from shared.unfinished import work

GRID = scenes.Grid.utm(32633, 399960.0, 5700000.0)
BANDS = ("B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12")
HEADER = scenes.Header(
    GRID, level="L2A", product="S2A_X", date="2022-07-01", source_offset=(-1000.0,) * 10,
    masked=True,
)  # fmt: skip


def write(path: Path, height: int = 300, width: int = 40, stop: int | None = None) -> np.ndarray:
    """A scene of random numbers; stops after so many blocks."""
    values = np.random.default_rng(0).integers(1, 9000, (height, width, 10)).astype(np.uint16)
    layers = {name: np.arange(height * width).reshape(height, width) % 5 for name in ("mask", "t")}
    mask, truth = layers["mask"].astype(np.uint8), layers["t"].astype(np.uint8)
    with scenes.create_scene(path, (height, width), HEADER, truth=True) as sink:
        for number, block in enumerate(sink.todo()):
            if number == stop:
                raise KeyboardInterrupt
            at = block.slices
            sink.put(block, values[at] / 1e4, mask=mask[at], truth=truth[at])
    return values


def test_what_goes_in_comes_out(tmp_path: Path) -> None:
    values = write(tmp_path / "a.h5")
    with scenes.open_scene(tmp_path / "a.h5") as scene:
        assert (scene.shape, scene.bands, scene.header, scene.has_truth) == (
            (300, 40), BANDS, HEADER, True,
        )  # fmt: skip
        np.testing.assert_array_equal(scene.raw(250, 3, 20, 30), values[250:270, 3:33])
        seen = scene.window(250, 3, 20, 30)
        assert seen.dtype == np.float32
        np.testing.assert_array_equal(seen, (values[250:270, 3:33] / 1e4).astype(np.float32))
        assert scene.mask(0, 0, 1, 6).tolist() == [[0, 1, 2, 3, 4, 0]]
        assert scene.truth(1, 0, 1, 3).tolist() == [[0, 1, 2]]
        assert scene.valid(0, 0, 1, 6).tolist() == [[True, False, False, True, False, True]]
        assert scene.valid(0, 0, 1, 6, ()).all()
        covered = [(w.top, w.height, w.width) for w in scene.blocks()]
        assert covered == [(0, 256, 40), (256, 44, 40)]
        with pytest.raises(ValueError, match="not inside"):
            scene.raw(290, 0, 20, 10)
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["reflectance"].chunks == (256, 40, 10)
        assert file["reflectance"].compression is None


def test_no_data_is_all_bands_and_dark_is_no_missing_pixel(tmp_path: Path) -> None:
    pixels = np.full((1, 4, 10), 0.5)
    pixels[0, 1, 3] = np.nan
    pixels[0, 2], pixels[0, 3] = -0.01, 9.0
    with scenes.create_scene(tmp_path / "a.h5", (1, 4), HEADER) as sink:
        for block in sink.todo():
            sink.put(block, pixels)
    with scenes.open_scene(tmp_path / "a.h5") as scene:
        assert scene.raw(0, 0, 1, 4)[0, :, 3].tolist() == [5000, 0, 1, 65535]
        assert scene.raw(0, 1, 1, 1).tolist() == [[[0] * 10]]
        assert scene.valid(0, 0, 1, 4).tolist() == [[True, False, True, True]]
        with pytest.raises(StageError, match="expected a scene with truth"):
            scene.truth(0, 0, 1, 1)


def test_goes_on_after_a_stop_to_the_same_bytes(tmp_path: Path) -> None:
    write(tmp_path / "whole.h5", 600)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "a.h5", 600, stop=1)
    with pytest.raises(StageError, match="unfinished: 2 of 3 blocks"):
        scenes.open_scene(tmp_path / "a.h5")
    with scenes.create_scene(tmp_path / "a.h5", (600, 40), HEADER, truth=True) as sink:
        left = [window.top for window in sink.todo()]
        sink.file["written"][:] = (1, 0, 0)
        assert left == [256, 512]
        values = np.random.default_rng(0).integers(1, 9000, (600, 40, 10)).astype(np.uint16)
        layer = (np.arange(24000).reshape(600, 40) % 5).astype(np.uint8)
        for block in sink.todo():
            at = block.slices
            sink.put(block, values[at], mask=layer[at], truth=layer[at])
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()


@pytest.mark.parametrize(
    ("name", "told"), [("mask", "block of row 0 is not what was written"), ("", "was damaged")]
)
def test_what_a_disk_changed_is_made_again(
    tmp_path: Path, name: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "whole.h5", 600)
    path = tmp_path / "a.h5"
    with work.begin(path), pytest.raises(KeyboardInterrupt):
        write(path, 600, stop=1)
    content = bytearray(path.read_bytes())
    with h5py.File(tmp_path / "whole.h5") as file:
        info = file["mask"].id.get_chunk_info(0)
    content[info.byte_offset if name else content.index(b"S2A_X")] ^= 1
    path.write_bytes(content)
    with work.begin(path):
        write(path, 600)
    assert path.read_bytes() == (tmp_path / "whole.h5").read_bytes()
    assert told in capsys.readouterr().err


def test_another_header_starts_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "a.h5")
    with scenes.create_scene(tmp_path / "a.h5", (300, 40), scenes.Header(GRID), truth=True) as sink:
        assert [window.top for window in sink.todo()] == [0, 256]
        sink.file["written"][:] = 1
    assert "has another header, or was damaged, discarded" in capsys.readouterr().err


def test_places_on_the_ground() -> None:
    assert GRID.place(0.5, 0.5) == (399965.0, 5699995.0)  # the centre of the first pixel
    assert GRID.index(*GRID.place(7.25, 3.5)) == (7.25, 3.5)
    assert GRID.moved(2, 1).transform == (10.0, 0.0, 399970.0, 0.0, -10.0, 5699980.0)
    cells = GRID.moved(11, 11).coarser(10)
    assert cells.place(0.5, 0.5) == GRID.place(16, 16)  # half-pixel right
    assert cells.pixel == (100.0, 100.0)
    turned = scenes.Grid((0.0, 10.0, 5.0, 20.0, 0.0, 7.0))
    assert turned.place(1, 2) == (15.0, 47.0)
    assert turned.index(15.0, 47.0) == (1.0, 2.0)
    assert turned.pixel == (20.0, 10.0)


def test_texts_of_utm_zones() -> None:
    assert '"WGS 84 / UTM zone 33N"' in scenes.utm_wkt(32633)
    assert 'central_meridian",15]' in scenes.utm_wkt(32633)
    assert 'false_northing",10000000]' in scenes.utm_wkt(32748)
    for wrong in (32600, 32661, 4326, 32761):
        with pytest.raises(StageError, match="expected a UTM zone"):
            scenes.utm_wkt(wrong)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("kind", "other", "expected a scene file"),
        ("bands", ["B2"], "attribute 'bands'"),
        ("level", "L3", "attribute 'level'"),
        ("transform", [0.0] * 6, "pixels of no size"),
        ("per_unit", 0, "attribute 'per_unit'"),
    ],
)
def test_refuses_what_cannot_be(tmp_path: Path, name: str, value: object, message: str) -> None:
    write(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        file.attrs[name] = value
    with pytest.raises(StageError, match=message):
        scenes.open_scene(tmp_path / "a.h5")


def test_marks_of_another_number_of_blocks_are_refused(tmp_path: Path) -> None:
    """No mark at all would count as every block written."""
    write(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        del file["written"]
        file["written"] = np.ones(0, np.uint8)
    with pytest.raises(StageError, match="written: expected a mark of every 256 rows"):
        scenes.open_scene(tmp_path / "a.h5")


def test_refuses_other_layers(tmp_path: Path) -> None:
    write(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        del file["mask"]
        file["mask"] = np.zeros((3, 3), np.uint8)
    with pytest.raises(StageError, match="mask: expected"):
        scenes.open_scene(tmp_path / "a.h5")
