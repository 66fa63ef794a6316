"""scene: both levels and baselines, zip, Theia, stacks, arrays; bands, masks, places, refusals."""

import re
import shutil
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from shared import cli, lcz, scenes
from stages.scene import main as stage
from tests import safe_products as make

TEN = lcz.SEN2.bands
FINE = ("B2", "B3", "B4", "B8")
KINDS = [("L1C", "02.04"), ("L1C", "04.00"), ("L2A", "02.14"), ("L2A", "05.09")]


def command(src: Path, dst: Path, *flags: str) -> Path:
    """Run the stage as its container does."""
    cli.main(stage.run, [f"--src={src}", f"--dst={dst}", *flags])
    return dst


def load(path: Path) -> tuple[scenes.Header, np.ndarray, np.ndarray]:
    with scenes.open_scene(path) as scene:
        window = (0, 0, *scene.shape)
        return scene.header, scene.raw(*window).astype(int), scene.mask(*window)


@pytest.fixture(scope="module")
def products(tmp_path_factory: pytest.TempPathFactory) -> dict[Any, Path]:
    folder = tmp_path_factory.mktemp("products")
    made: dict[Any, Path] = {kind: make.make_safe(folder / "".join(kind), *kind) for kind in KINDS}
    return made | {"theia": make.make_theia(folder)}


def test_folders_of_any_name(products: dict[Any, Path], tmp_path: Path) -> None:
    """GDAL wants UTF-8; people have folders whose names are older than that."""
    home = tmp_path / b"For\xeat".decode(errors="surrogateescape")
    home.mkdir()
    _, expected, _ = load(command(products[KINDS[3]], tmp_path / "a.h5"))
    safe = Path(shutil.copytree(products[KINDS[3]], home / products[KINDS[3]].name))
    _, pixels, _ = load(command(safe, home / "a.h5"))
    np.testing.assert_array_equal(pixels, expected)
    packed = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", safe.parent, safe.name))
    _, pixels, _ = load(command(packed.rename(home / "packed.zip"), home / "b.h5"))
    np.testing.assert_array_equal(pixels, expected)
    bands = next(safe.rglob("*B02_10m.jp2"))
    with rasterio.open(shutil.copy(bands, tmp_path / "B02.jp2")) as image:
        profile = {**image.profile, "driver": "GTiff", "count": 10}
        values = np.repeat(image.read(), 10, 0)
    with rasterio.open(tmp_path / "stack.tif", "w", **profile) as stack:
        stack.write(values)
    (tmp_path / "stack.tif").rename(home / "stack.tif")
    _, pixels, _ = load(command(home / "stack.tif", home / "c.h5", "--level=L2A"))
    np.testing.assert_array_equal(pixels[..., 0], values[0])


# --- products of ESA ------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", KINDS)
def test_safe(products: dict[Any, Path], tmp_path: Path, kind: tuple[str, str]) -> None:
    header, pixels, _ = load(command(products[kind], tmp_path / "a.h5"))
    assert (header.bands, header.level, header.masked) == (TEN, kind[0], True)
    assert header.date == "2022-07-01T10:15:59.024Z"
    assert header.product.startswith(f"S2A_MSI{kind[0]}_20220701")
    assert header.grid.transform == (10.0, 0.0, make.WEST, 0.0, -10.0, make.NORTH)
    assert header.grid.epsg == 32633
    late = kind[1] >= "04.00"
    for name, offset in zip(TEN, header.source_offset, strict=True):
        long = name if name == "B8A" else f"B{int(name[1:]):02}"
        assert offset == (-1000 - make.ORDER.index(long) if late else 0)  # each band its own
        stored = make.numbers(long, make.METRES[long])
        made = pixels[..., TEN.index(name)]
        assert not made[:6, :6].any()  # no data
        if make.METRES[long] == 10:
            np.testing.assert_array_equal(made[6:, 6:], stored[6:, 6:] + offset)
            continue
        for row, column in ((20, 21), (33, 40), (45, 20)):
            expected = make.cubic_by_hand(stored.astype(float), row, column) + offset
            assert abs(made[row, column] - max(expected, 1)) <= 0.51
    assert pixels[6:, 6:].min() >= 1


@pytest.mark.parametrize("kind", KINDS)
def test_masks_of_safe(products: dict[Any, Path], tmp_path: Path, kind: tuple[str, str]) -> None:
    _, _, mask = load(command(products[kind], tmp_path / "a.h5"))
    assert (mask[:6, :6] == 255).all()  # no data
    expected = np.zeros((60, 60), np.uint8)
    expected[:6, :6] = 255
    if kind[0] == "L2A":
        codes = np.array([255, 2, 0, 1, 1, 4, 3, 0], np.uint8)
        expected[20:22, :16] = np.repeat(codes, 2)
    elif kind[1] >= "04.00":
        expected[24:30, 24:30], expected[24:30, 30:36], expected[24:30, 36:42] = 1, 4, 3
    else:
        expected[24:36, 24:36] = 4
        expected[24:30, 24:30] = 1
    np.testing.assert_array_equal(mask, expected)


def test_zip_is_as_its_folder(products: dict[Any, Path], tmp_path: Path) -> None:
    for kind in (KINDS[1], KINDS[2]):
        folder = products[kind]
        packed = make.pack(folder)
        one = command(folder, tmp_path / f"{kind[0]}-folder.h5")
        two = command(packed, tmp_path / f"{kind[0]}-zip.h5")
        assert one.read_bytes() == two.read_bytes()


def test_blocks_and_regions_are_parts_of_the_whole(
    products: dict[Any, Path], tmp_path: Path
) -> None:
    """Odd offsets, too: the 20 m pixels under a window are those under the scene."""
    src = products["L1C", "02.04"]
    header, whole, mask = load(command(src, tmp_path / "whole.h5"))
    region = ("--region=7,15,44,51", "--region_in=pixels")
    part = command(src, tmp_path / "part.h5", *region)
    found, pixels, hidden = load(part)
    np.testing.assert_array_equal(pixels, whole[15:51, 7:44])
    np.testing.assert_array_equal(hidden, mask[15:51, 7:44])
    assert found.grid == header.grid.moved(15, 7)
    left, top = header.grid.place(15, 7)
    right, bottom = header.grid.place(51, 44)
    metres = command(src, tmp_path / "metres.h5", f"--region={left},{bottom},{right},{top}")
    assert metres.read_bytes() == part.read_bytes()
    from shared.products.sources import read
    from stages.scene.blocks import read_block

    product = read(src, TEN)
    bands = product.choose(TEN)
    low = [read_block(product, bands, slice(r, r + 7), slice(0, 60))[0] for r in range(0, 56, 7)]
    np.testing.assert_array_equal(np.concatenate(low), whole[:56])


def test_a_region_in_degrees(products: dict[Any, Path], tmp_path: Path) -> None:
    from rasterio.warp import transform

    src = products["L2A", "05.09"]
    x = [make.WEST + 100, make.WEST + 400]
    y = [make.NORTH - 400, make.NORTH - 100]
    degrees = transform("EPSG:32633", "EPSG:4326", x, y)
    (west, east), (south, north) = degrees[:2]
    made = command(
        src, tmp_path / "a.h5", f"--region={west},{south},{east},{north}", "--region_in=degrees"
    )
    header, pixels, _ = load(made)
    row, column = header.grid.index(make.WEST + 100, make.NORTH - 100)
    assert 0 <= min(row, column) <= max(row, column) <= 2  # degrees are turned against UTM
    assert 30 <= pixels.shape[0] <= 33


def test_bands_by_names_of_any_edition(products: dict[Any, Path], tmp_path: Path) -> None:
    src = products["L1C", "04.00"]
    made = command(src, tmp_path / "a.h5", "--bands=B04,b8a,nir")
    header, pixels, _ = load(made)
    assert header.bands == ("B4", "B8A", "B8")
    _, ten, _ = load(command(src, tmp_path / "ten.h5"))
    np.testing.assert_array_equal(pixels, ten[..., [2, 7, 6]])


def test_no_tile_is_decoded_twice(tmp_path: Path, monkeypatch: Any) -> None:
    """Tiles of 1024 rows are met by four blocks of 256: GDAL keeps them, in a cache of its size."""
    from rasterio._env import get_gdal_config

    from stages.scene import blocks

    sizes, read = [], blocks.read_block

    def look(*where: Any) -> Any:
        sizes.append(get_gdal_config("GDAL_CACHEMAX"))
        return read(*where)

    monkeypatch.setattr(blocks, "read_block", look)
    np.save(tmp_path / "l1c.npy", np.full((20, 20, 10), 900, np.uint16))
    command(tmp_path / "l1c.npy", tmp_path / "a.h5")
    assert sizes == [512 * 2**20]  # bytes


def test_goes_on_after_a_crash(tmp_path: Path, monkeypatch: Any) -> None:
    values = np.random.default_rng(0).integers(1, 9000, (600, 20, 10)).astype(np.uint16)
    np.save(tmp_path / "l1c.npy", values)
    from stages.scene import blocks

    read, done = blocks.read_block, []

    def crash_once(*where: Any) -> Any:
        done.append(where[2].start)
        if len(done) == 2:
            raise KeyboardInterrupt
        return read(*where)

    monkeypatch.setattr(blocks, "read_block", crash_once)
    dst = tmp_path / "a.h5"
    with pytest.raises(SystemExit, match="130"):
        command(tmp_path / "l1c.npy", dst)
    command(tmp_path / "l1c.npy", dst)
    assert done == [0, 256, 256, 512]
    np.testing.assert_array_equal(load(dst)[1], values)


def test_a_product_of_several_blocks_goes_on_to_the_same_bytes(
    tmp_path: Path, monkeypatch: Any
) -> None:
    """JPEG 2000, 20 m bands and polygons: what comes after a stop does not tell of it."""
    from stages.scene import blocks

    safe = make.make_safe(tmp_path, "L1C", "02.04", size=600)
    whole = command(safe, tmp_path / "whole.h5")
    read, done = blocks.read_block, []

    def crash_once(*where: Any) -> Any:
        done.append(where[2].start)
        if len(done) == 2:
            raise KeyboardInterrupt
        return read(*where)

    monkeypatch.setattr(blocks, "read_block", crash_once)
    with pytest.raises(SystemExit, match="130"):
        command(safe, tmp_path / "a.h5")
    command(safe, tmp_path / "a.h5")
    assert done == [0, 256, 256, 512]
    assert (tmp_path / "a.h5").read_bytes() == whole.read_bytes()


# --- other formats --------------------------------------------------------------------------------
def test_theia(products: dict[Any, Path], tmp_path: Path) -> None:
    src = products["theia"]
    header, pixels, mask = load(command(src, tmp_path / "a.h5"))
    assert (header.level, header.date, header.masked) == ("L2A", "2020-04-01", True)
    np.testing.assert_array_equal(pixels[6:, 6:, 0], make.numbers("B02", 10)[6:, 6:])  # FRE
    assert not pixels[:6, :6].any()
    expected = make.cubic_by_hand(make.numbers("B12", 20).astype(float), 31, 30)
    assert abs(pixels[31, 30, 9] - expected) <= 0.51
    assert mask[30, :6].tolist() == [2, 1, 4, 1, 3, 2]
    zipped = command(make.pack(src), tmp_path / "zip.h5")
    assert zipped.read_bytes() == (tmp_path / "a.h5").read_bytes()


@pytest.mark.parametrize("how", ["descriptions", "channels", "usual"])
def test_a_stack_whose_channels_are_named(tmp_path: Path, how: str) -> None:
    """In another order than So2Sat's: names decide, not places."""
    order: tuple[str, ...] = ("B12", "B8A", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B11")
    order = {"usual": tuple(f"B{int(n[1:]):02}" if n != "B8A" else n for n in TEN)}.get(how, order)
    values = np.stack([make.numbers(name, 10) for name in order])
    names: dict[str, Any] = {"names": order} if how == "descriptions" else {}
    src = make.write_image(tmp_path / "S2A_L1C_20200503.tif", values, nodata=0, **names)
    flags = [f"--channels={','.join(order)}"] if how == "channels" else []
    header, pixels, mask = load(command(src, tmp_path / "a.h5", *flags))
    assert (header.level, header.date, header.masked) == ("L1C", "2020-05-03", False)
    for index, name in enumerate(TEN):
        long = name if name == "B8A" else f"B{int(name[1:]):02}"
        np.testing.assert_array_equal(pixels[..., index], make.numbers(long, 10))
    assert not mask.any()


def test_single_files_of_floats(tmp_path: Path) -> None:
    folder = tmp_path / "L2A_2021-06-01"
    for band, metres in make.METRES.items():
        values = make.numbers(band, metres) / np.float32(10_000)
        make.write_image(folder / f"scene_{band}.tif", values.astype(np.float32), metres, nodata=0)
    header, pixels, _ = load(command(folder, tmp_path / "a.h5"))
    assert (header.level, header.date) == ("L2A", "2021-06-01")
    np.testing.assert_array_equal(pixels[..., 0], make.numbers("B02", 10))


def bands_of(folder: Path) -> Path:
    """A folder of single bands, each at its own resolution."""
    for band, metres in make.METRES.items():
        make.write_image(folder / f"x_{band}_{metres}m.tif", make.numbers(band, metres), metres)
    return folder


@pytest.mark.parametrize("name", ["x_SCL_20m.tif", "SCL.tif", "x_scl.tiff"])
def test_a_classification_beside_single_bands_is_the_mask(tmp_path: Path, name: str) -> None:
    folder = bands_of(tmp_path / "x_L2A")
    codes = np.full((30, 30), 4, np.float32 if name == "SCL.tif" else np.uint8)
    codes[10, :4] = 3, 8, 10, 11
    make.write_image(folder / name, codes, 20)
    header, _, mask = load(command(folder, tmp_path / "a.h5"))
    assert header.masked
    assert mask[21, :10].tolist() == [2, 2, 1, 1, 4, 4, 3, 3, 0, 0]


def test_a_classification_that_does_not_fit_is_refused(tmp_path: Path, capsys: Any) -> None:
    folder = bands_of(tmp_path / "x_L2A")
    codes = np.full((30, 30), 4, np.uint8)
    for wrong, other, message in (
        (codes + 0.5, {}, "SCL.tif: expected class numbers 0 to 255, found 4.5"),
        (codes.astype(np.uint16) + 300, {}, "SCL.tif: expected class numbers 0 to 255, found 304"),
        (codes, {"crs": "EPSG:32634"}, "SCL.tif: expected the corners"),
    ):
        kept = wrong.astype(np.float32) if wrong.dtype.kind == "f" else wrong
        make.write_image(folder / "SCL.tif", kept, 20, **other)
        assert message in refused(folder, tmp_path / "out.h5", capsys)


def test_a_band_of_a_part_of_the_scene_is_refused(tmp_path: Path, capsys: Any) -> None:
    """Half as many pixels of the same size are no band of 20 m."""
    folder = bands_of(tmp_path / "x_L2A")
    make.write_image(folder / "x_B03_10m.tif", make.numbers("B03", 10, 30), 10)
    assert "x_B03_10m.tif: expected the corners" in refused(folder, tmp_path / "out.h5", capsys)


def test_exports_of_eo_browser_come_to_utm(tmp_path: Path) -> None:
    """65,535 is reflectance 1; degrees become metres: a ramp to the east stays one."""
    folder, side = tmp_path / "browser", 80
    ramp = np.tile(np.linspace(6000, 30000, side), (side, 1)).astype(np.uint16)
    from rasterio.transform import Affine

    place = Affine(0.00014, 0, 15.1, 0, -0.00009, 52.3)
    for band in make.METRES:
        name = f"2021-06-01-00:00_2021-06-01-23:59_Sentinel-2_L2A_{band}_(Raw).tiff"
        make.write_image(folder / name, ramp, crs="EPSG:4326", transform=place)
    header, pixels, mask = load(command(folder, tmp_path / "a.h5"))
    assert (header.level, header.date, header.grid.epsg) == ("L2A", "2021-06-01", 32633)
    assert header.grid.pixel == (10.0, 10.0)
    assert header.grid.transform[2] % 10 == header.grid.transform[5] % 10 == 0
    middle = pixels[pixels.shape[0] // 2, :, 0]
    inside = middle[middle > 0]
    assert len(inside) > 70
    slopes = np.diff(inside[5:-5])
    step = (30000 - 6000) / (side - 1) / 65_535 * 10_000  # of a pixel of 0.00014 degrees, 9.55 m
    assert abs(slopes.mean() / (step * 10 / 9.55) - 1) < 0.01
    assert not mask.any()


@pytest.mark.parametrize(("epsg", "kept"), [(3857, False), (3035, True), (32632, True)])
def test_metres_of_web_maps_are_no_metres(tmp_path: Path, epsg: int, kept: bool) -> None:
    """At 52 degrees north ten of them are 6.2 on the ground; those of LAEA and of UTM are ten."""
    from rasterio.transform import Affine
    from rasterio.warp import transform

    (x,), (y,) = transform("EPSG:4326", f"EPSG:{epsg}", [11.0], [52.0])[:2]
    values = np.full((10, 60, 60), 900, np.uint16)
    place = Affine(10, 0, x, 0, -10, y)
    src = make.write_image(tmp_path / "x_L1C.tif", values, crs=f"EPSG:{epsg}", transform=place)
    header, pixels, _ = load(command(src, tmp_path / "a.h5"))
    assert header.grid.epsg == (epsg if kept else 32632)
    side = 60 if kept else 60 * np.cos(np.radians(52))  # and a little, as north is not north
    assert side <= min(pixels.shape[:2]) <= max(pixels.shape[:2]) <= side + 4


def test_an_image_with_south_up_is_turned(tmp_path: Path) -> None:
    from rasterio.transform import Affine

    values = np.tile(np.arange(100, 700, 10, dtype=np.uint16)[:, None], (10, 1, 60))
    place = Affine(10, 0, make.WEST, 0, 10, make.NORTH)
    src = make.write_image(tmp_path / "x_L1C.tif", values, transform=place)
    header, pixels, _ = load(command(src, tmp_path / "a.h5"))
    assert header.grid.transform == (10.0, 0.0, make.WEST, 0.0, -10.0, make.NORTH + 600)
    np.testing.assert_array_equal(pixels[..., 0], values[0, ::-1])


def test_arrays_of_numpy(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(1, 9000, (2, 20, 24, 13)).astype(np.uint16)
    np.save(tmp_path / "l1c.npy", values)
    header, pixels, _ = load(command(tmp_path / "l1c.npy", tmp_path / "a.h5", "--index=1"))
    assert (header.grid.crs, header.level) == ("", "L1C")
    np.testing.assert_array_equal(pixels, values[1][..., [1, 2, 3, 4, 5, 6, 7, 8, 11, 12]])
    fine, coarse = values[0, :, :, :4], values[0, :10, :12, :6]
    np.savez(tmp_path / "x_L1C.npz", b10m=fine, b20m=coarse, b60m=values[0, :3, :4, :2])
    with pytest.raises(SystemExit):  # 20 is no multiple of 3
        command(tmp_path / "x_L1C.npz", tmp_path / "b.h5")
    np.savez(tmp_path / "y_L1C.npz", b10m=fine, b20m=coarse)
    _, pixels, _ = load(command(tmp_path / "y_L1C.npz", tmp_path / "c.h5"))
    np.testing.assert_array_equal(pixels[..., [0, 1, 2, 6]], fine)
    assert (
        abs(pixels[9, 9, 9] - max(make.cubic_by_hand(coarse[..., 5].astype(float), 9, 9), 1)) < 0.51
    )


def test_an_array_whose_place_is_told(tmp_path: Path) -> None:
    """In metres it stays as it is; in degrees it comes to UTM, the middle where it was."""
    values = np.tile(np.arange(1, 41, dtype=np.uint16)[:, None, None] * 100, (1, 40, 10))
    np.save(tmp_path / "l2a.npy", values)
    metres = ("--epsg=32633", "--bounds=500000,5700000,500400,5700400")
    header, pixels, _ = load(command(tmp_path / "l2a.npy", tmp_path / "a.h5", *metres))
    assert header.grid.transform == (10.0, 0.0, 500000.0, 0.0, -10.0, 5700400.0)
    np.testing.assert_array_equal(pixels, values)
    degrees = ("--epsg=4326", "--bounds=14.998,51.4982,15.002,51.5018")  # about 277 m by 400 m
    header, pixels, _ = load(command(tmp_path / "l2a.npy", tmp_path / "b.h5", *degrees))
    assert header.grid.epsg == 32633
    column = header.grid.index(500_000.0, 5_705_000.0)[1]  # 15 E is x 500 km
    assert 0 < column < pixels.shape[1]
    seen = pixels[:, int(column), 0]
    slope = np.diff(seen[seen > 0])[3:-3]
    np.testing.assert_allclose(slope.mean(), 100.0, rtol=0.02)
    assert 40 <= (seen > 0).sum() <= 41


def test_an_offset_that_was_forgotten_is_told(tmp_path: Path, capsys: Any) -> None:
    values = np.random.default_rng(0).integers(1032, 5000, (40, 40, 10)).astype(np.uint16)
    np.save(tmp_path / "l2a.npy", values)
    command(tmp_path / "l2a.npy", tmp_path / "a.h5")
    told = capsys.readouterr().err
    assert "no band goes below 0.10" in told
    assert "--offset=-1000" in told
    _, pixels, _ = load(command(tmp_path / "l2a.npy", tmp_path / "b.h5", "--offset=-1000"))
    assert "warning" not in capsys.readouterr().err
    np.testing.assert_array_equal(pixels, values - 1000)
    command(tmp_path / "l2a.npy", tmp_path / "c.h5", "--offset=-2500")
    assert "of a band are 0 or less" in capsys.readouterr().err


# --- refusals -------------------------------------------------------------------------------------
def broken(products: dict[Any, Path], tmp_path: Path, kind: Any) -> Path:
    """A copy of a product, to be broken."""
    return Path(shutil.copytree(products[kind], tmp_path / "in" / products[kind].name))


def refused(src: Path, dst: Path, capsys: Any, *flags: str) -> str:
    with pytest.raises(SystemExit, match="2"):
        command(src, dst, *flags)
    lines = re.split(r"[\r\n]+", capsys.readouterr().err.strip())
    said = [line for line in lines if not re.search(r"\d+%\|", line)]
    assert len(said) == 1, said
    assert not list(dst.parent.glob("out*"))
    return str(said[0])


def image(folder: Path, ending: str) -> Path:
    return next(path for path in folder.rglob(f"*{ending}"))


def with_turned_bits(archive: Path, ending: str) -> bytes:
    """A zip file one of whose members cannot be unpacked, though its directory is whole."""
    with zipfile.ZipFile(archive) as file:
        member = next(info for info in file.infolist() if info.filename.endswith(ending))
    content = bytearray(archive.read_bytes())
    lengths = content[member.header_offset + 26 : member.header_offset + 30]
    start = member.header_offset + 30 + sum(struct.unpack("<HH", lengths))
    content[start] = 0xFF  # a block of the reserved kind
    return bytes(content)


def test_refuses_a_zip_file_of_a_later_version(
    products: dict[Any, Path], tmp_path: Path, capsys: Any
) -> None:
    packed = make.pack(shutil.copytree(products[KINDS[3]], tmp_path / "safe"))
    content = bytearray(packed.read_bytes())
    packed.unlink()
    place = content.rfind(b"PK\x01\x02")  # of the last entry of the directory
    content[place + 6] = 184
    (tmp_path / "later.zip").write_bytes(content)
    line = refused(tmp_path / "later.zip", tmp_path / "out.h5", capsys)
    assert "not a complete zip file (zip file version 18.4)" in line


def test_refuses_damaged_products(products: dict[Any, Path], tmp_path: Path, capsys: Any) -> None:
    def no_band(safe: Path) -> None:
        image(safe, "_B11.jp2").unlink()

    def cut(safe: Path) -> None:
        file = image(safe, "_B04.jp2")
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])

    def head_cut(safe: Path) -> None:
        file = safe / "MTD_MSIL1C.xml"
        file.write_text(file.read_text()[:200])

    def entities(safe: Path) -> None:
        file = safe / "MTD_MSIL1C.xml"
        bomb = '<!DOCTYPE x [<!ENTITY a "aaaa">]>'
        file.write_text(file.read_text().replace("?>\n", f"?>{bomb}", 1))

    def other_size(safe: Path) -> None:
        file = image(safe, "_B05.jp2")
        make.write_image(file, np.ones((31, 30), np.uint16), 20)

    def other_tile(safe: Path) -> None:
        file = image(safe, "_B03.jp2")
        file.rename(file.with_name(file.name.replace("T33UUB", "T33UVB")))

    def move(safe: Path, east: float, south: float) -> None:
        from rasterio.transform import Affine

        place = Affine(10, 0, make.WEST + east, 0, -10, make.NORTH - south)
        make.write_image(image(safe, "_B08.jp2"), make.numbers("B08", 10), transform=place)

    def other_place(safe: Path) -> None:
        move(safe, 1000, 0)

    def half_a_pixel(safe: Path) -> None:
        move(safe, 0, 5)

    def bad_offset(safe: Path) -> None:
        file = safe / "MTD_MSIL1C.xml"
        file.write_text(file.read_text().replace(">-1001<", ">many<"))

    def one_without_offset(safe: Path) -> None:
        file = safe / "MTD_MSIL1C.xml"
        file.write_text(re.sub('<RADIO_ADD_OFFSET band_id="3">.*?>', "", file.read_text()))

    def a_quarter(safe: Path) -> None:
        make.write_image(image(safe, "_B03.jp2"), make.numbers("B03", 10, 30), 10)

    def unneeded(safe: Path) -> None:
        image(safe, "_B10.jp2").write_bytes(b"cut")

    def two_products(safe: Path) -> None:
        shutil.copytree(safe, safe.parent / "other.SAFE")

    cases = {
        no_band: "expected band B11", cut: "_B04.jp2", head_cut: "not a complete XML file",
        entities: "XML without entities", other_size: r"60 × 60 or a whole part",
        other_tile: "bands of one tile, found those of 33UUB, 33UVB",
        one_without_offset: "an ADD_OFFSET of every band, found none of B4",
        a_quarter: "bands of different tiles or places",
        half_a_pixel: "bands of different tiles or places",
        other_place: "bands of different tiles", bad_offset: "ADD_OFFSET 1: expected a number",
    }  # fmt: skip
    for damage, message in cases.items():
        folder = tmp_path / damage.__name__
        safe = broken(products, folder, ("L1C", "04.00"))
        damage(safe)
        assert message in refused(safe, tmp_path / "out.h5", capsys), damage.__name__
    safe = broken(products, tmp_path / "unneeded", ("L1C", "04.00"))
    unneeded(safe)
    command(safe, tmp_path / "made.h5")  # nobody asked for B10
    capsys.readouterr()
    safe = broken(products, tmp_path / "two", ("L1C", "04.00"))
    two_products(safe)
    assert "expected one product" in refused(safe.parent, tmp_path / "out.h5", capsys)
    packed = make.pack(products["L1C", "04.00"])
    cut_zip = tmp_path / "cut.zip"
    cut_zip.write_bytes(packed.read_bytes()[:5000])
    assert "not a complete zip file" in refused(cut_zip, tmp_path / "out.h5", capsys)
    np.savez_compressed(tmp_path / "l1c.npz", np.arange(400, dtype=np.uint16).reshape(5, 8, 10))
    for name, member in ((packed, "MTD_MSIL1C.xml"), (tmp_path / "l1c.npz", "arr_0.npy")):
        turned = tmp_path / f"turned{name.suffix}"
        turned.write_bytes(with_turned_bits(name, member))
        assert "decompress" in refused(turned, tmp_path / "out.h5", capsys)


def test_refuses_what_does_not_fit(products: dict[Any, Path], tmp_path: Path, capsys: Any) -> None:
    src, dst = products["L1C", "04.00"], tmp_path / "out.h5"
    np.save(tmp_path / "what.npy", np.ones((4, 4, 10), np.uint16))
    np.save(tmp_path / "l1c_seven.npy", np.ones((4, 4, 7), np.uint16))
    np.save(tmp_path / "l1c_objects.npy", np.array([None, {}]), allow_pickle=True)
    picture = make.write_image(tmp_path / "L1C_8bit.tif", np.ones((10, 4, 4), np.uint8))
    waves = make.write_image(tmp_path / "L1C_waves.tif", np.ones((10, 4, 4), np.complex64))
    vrt = tmp_path / "x_L1C.tif"
    vrt.write_text("<VRTDataset rasterXSize='1' rasterYSize='1'/>")
    (tmp_path / "empty").mkdir()
    for where, flags, message in (
        (src, ["--bands=B02,B99"], "--bands: expected bands such as B02"),
        (src, ["--bands=B02,B2"], "found B2 twice"),
        (src, ["--offset=-1000"], "as the metadata of the product say it"),
        (src, ["--channels=B02"], "--channels: expected none"),
        (src, ["--level=L2A"], "--level: expected L1C"),
        (src, ["--region=1,2,3"], "--region: expected four numbers"),
        (src, ["--region=0,0,10,10"], "expected a part of the scene"),
        (src, ["--region=5,0,1,10", "--region_in=pixels"], "expected left,top,right,bottom, the"),
        (src, ["--region=15,51,14,52", "--region_in=degrees"], "expected left,bottom,right,top"),
        (src, ["--region=200,100,201,101", "--region_in=degrees"], "degrees of a place near the"),
        (tmp_path / "what.npy", ["--epsg=4978", "--bounds=5e5,57e5,6e5,58e5"], "brought to UTM"),
        (src, ["--index=0"], "--index: expected none"),
        (tmp_path / "what.npy", [], "expected --level L1C or L2A"),
        (tmp_path / "what.npy", ["--epsg=4326"], "--bounds: expected four numbers"),
        (tmp_path / "what.npy", ["--epsg=4326", "--bounds=1,2,0,3"], "expected left,bottom"),
        (tmp_path / "what.npy", ["--epsg=1", "--bounds=0,0,1,1"], "--epsg: expected a reference"),
        (src, ["--epsg=4326", "--bounds=0,0,1,1"], "which has a place of its own"),
        (tmp_path / "l1c_seven.npy", [], "names of 7 bands"),
        (tmp_path / "l1c_objects.npy", [], "not a complete file of numpy"),
        (picture, [], "a picture of 8 bits"),
        (waves, [], "L1C_waves.tif: expected real numbers, found complex64"),
        (vrt, [], "not a complete image"),
        (tmp_path / "empty", [], "expected a SAFE or Theia product"),
    ):
        assert message in refused(where, dst, capsys, *flags), message


# --- pure functions -------------------------------------------------------------------------------
def test_names_of_bands() -> None:
    from shared.products.names import find_name, read_name

    told = {"B02": "B2", "b2": "B2", "02": "B2", "B8A": "B8A", "B08A": "B8A", "band 11": "B11",
            "nir": "B8", "swir22": "B12", "B13": None, "QA60": None, "": None}  # fmt: skip
    assert {text: read_name(text) for text in told} == told
    assert find_name("T33UUB_20220701T101559_B02_10m.jp2") == "B2"
    assert find_name("SENTINEL2A_20200401_L2A_T33UUB_C_V2-2_FRE_B8A.tif") == "B8A"
    assert find_name("2021_Sentinel-2_L2A_B11_(Raw).tiff") == "B11"
    assert find_name("B1234.tif") is None


def test_names_in_products_of_every_age() -> None:
    from shared.products.safe import HEAD, IMAGE, TILE

    old = "S2A_OPER_PRD_MSIL1C_PDMC_20160929T185902_R065_V20160929T102022_20160929T102344.SAFE"
    tile = "S2A_OPER_MSI_L1C_TL_SGS__20160929T154211_A006640_T32TPP"
    for folder, head, image in (
        (old, "S2A_OPER_MTD_SAFL1C_PDMC_20160929T185902_R065_V20160929T102022_20160929T102344.xml",
         f"GRANULE/{tile}_N02.04/IMG_DATA/{tile}_B8A.jp2"),
        ("S2C_MSIL2A_20250101T103431_N0511_R108_T32TPP_20250101T124512.SAFE", "MTD_MSIL2A.xml",
         "GRANULE/L2A_T32TPP_A001_20250101T103431/IMG_DATA/R20m/T32TPP_20250101T103431_B8A_20m.jp2"),
        ("x", "MTD_MSIL1C.xml",
         "GRANULE/L1C_T32TPP_A001_20170101T103431/IMG_DATA/T32TPP_20170101T103431_B8A.jp2"),
    ):  # fmt: skip
        assert HEAD.fullmatch(f"{folder}/{head}")
        assert HEAD.fullmatch(head)
        match = IMAGE.fullmatch(f"{folder}/{image}")
        assert match
        assert match[2] == "B8A"
        found = TILE.search("_" + image.rpartition("/")[2])
        assert found
        assert found[1] == "32TPP"
    assert not IMAGE.fullmatch("GRANULE/L1C_x/IMG_DATA/T32TPP_20170101T103431_TCI.jp2")
    assert not HEAD.fullmatch("GRANULE/L1C_x/MTD_TL.xml")


def test_utm_zones() -> None:
    from shared.errors import StageError
    from shared.products.contents.grids import utm_zone

    assert utm_zone(13.4, 52.5) == 32633
    assert utm_zone(-56.36, -1.47) == 32721
    assert utm_zone(180.0, 10.0) == 32660
    with pytest.raises(StageError, match="UTM zone"):
        utm_zone(0, 88)


def test_enlarging_keeps_ramps_and_the_nearest_beside_gaps() -> None:
    from shared.products.contents.layers import Array, read_fine

    ramp = np.add.outer(np.arange(20.0), 10 * np.arange(20.0))
    fine = read_fine(Array("x", ramp), 2, slice(8, 32), slice(9, 31), None)
    rows, columns = (np.arange(8, 32) + 0.5) / 2 - 0.5, (np.arange(9, 31) + 0.5) / 2 - 0.5
    np.testing.assert_allclose(fine, np.add.outer(rows, 10 * columns), atol=1e-4)
    ramp[10, 10] = -1
    fine = read_fine(Array("x", ramp), 2, slice(0, 40), slice(0, 40), -1)
    assert np.isnan(fine[20:22, 20:22]).all()
    assert np.isnan(fine).sum() == 4
    assert fine[19, 19] == ramp[9, 9]  # the nearest, as a neighbour is missing
    np.testing.assert_array_equal(
        read_fine(Array("x", ramp), 6, slice(6, 12), slice(6, 12), None).shape, (6, 6)
    )
