"""pairs: three published layouts by hand, splits, truth, stops, shards, refusals."""

import csv
import os
import re
import shutil
import warnings
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from shared import cli, lcz, patches, sisr
from stages.merge import main as merge
from stages.pairs import main as stage
from stages.pairs import rasters
from tests.conftest import pixels, write_patches
from tests.torch_files import strides, tensor
from tests.torch_files import write as write_torch

SITES = ("ALSACE", "ES-LTERA", "FR-BIL", "SO1")
SIDE = 16  # pixels of 10 m; published patches have 128
GROUPS = {"b2b3b4b8": 4, "b5b6b7b8a": 4, "b11b12": 2}
COLUMNS = ("b2b3b4b8_10m", "b2b3b4b8_05m", "b5b6b7b8a_20m", "b5b6b7b8a_05m", "b11b12_20m")
DATES = {"ALSACE": ("2018-02-14", "2019-05-01")}


def patch(site: str, number: int, column: str) -> np.ndarray:
    """(H, W, C) int16 numbers that say which patch they are of."""
    group, _, size = column.rpartition("_")
    side = SIDE * 10 // int(size.removesuffix("m"))
    rng = np.random.default_rng((SITES.index(site), number, COLUMNS.index(column)))
    return rng.integers(-50, 9000, (side, side, GROUPS[group]), np.int16)


def tiff(
    path: Path, pixels: np.ndarray, west: float | None = 4e5, metres: float = 10.0, kind: str = ""
) -> bytes:
    """(H, W, C) as a GeoTIFF of a kind of GDAL, with a place unless `west` is None; its bytes."""
    rasterio = pytest.importorskip("rasterio")
    place = {"crs": "EPSG:32631", "transform": (metres, 0, west, 0, -metres, 5e6)}
    high, wide, count = pixels.shape
    with rasterio.open(
        path, "w", driver="GTiff", height=high, width=wide, count=count,
        dtype=kind or pixels.dtype, **(place if west is not None else {}),
    ) as file:  # fmt: skip
        file.write(pixels.transpose(2, 0, 1))
    return path.read_bytes()


def site_of_version_2(folder: Path, scratch: Path) -> None:
    """A site as it is unpacked: index.csv and a zip per date and column."""
    folder.mkdir(parents=True)
    rows: list[list[str]] = []
    for day, date in enumerate(DATES.get(folder.name, ("2020-06-15",))):
        start = f"{folder.name}_{date}_32ULU"
        row_of = {number: [str(len(rows) + number)] for number in range(2)}
        for column in COLUMNS:
            metres = float(column[-3:-1])
            with zipfile.ZipFile(folder / f"{start}_{column}.zip", "w") as archive:
                for number, row in row_of.items():
                    name = f"{start}/{folder.name}_{number}_{date}_32ULU_{column}.tif"
                    pixels = patch(folder.name, 2 * day + number, column)
                    west = 4e5 + 160 * number
                    archive.writestr(name, tiff(scratch, pixels, west, metres))
                    row.append(f"{start}_{column}.zip/{name}")
        rows += list(row_of.values())
    with (folder / "index.csv").open("w", newline="") as file:
        csv.writer(file, delimiter="\t").writerows([["", *COLUMNS], *rows])


@pytest.fixture(scope="module")
def version_2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four sites, ten pairs; never written to by a test."""
    pytest.importorskip("rasterio")
    folder = tmp_path_factory.mktemp("v2") / "sen2venus"
    for site in SITES:
        site_of_version_2(folder / site, folder.parent / "scratch.tif")
    (folder / "LICENCE").write_text("Etalab")
    return folder


@pytest.fixture
def src(version_2: Path, tmp_path: Path) -> Path:
    """A copy that a test may break."""
    return Path(shutil.copytree(version_2, tmp_path / "in"))


def command(src: Path, dst: Path, *flags: str) -> Path:
    cli.main(stage.run, [f"--src={src}", f"--dst={dst}", *flags])
    return dst


def content(path: Path) -> dict[str, np.ndarray]:
    with h5py.File(path) as file:
        return {name: dataset[()] for name, dataset in file.items()}


# --- Sen2Venµs version 2 --------------------------------------------------------------------------
def test_pairs_are_those_of_the_tables(version_2: Path, tmp_path: Path) -> None:
    made = content(command(version_2, tmp_path / "a.h5"))
    keys = [("ALSACE", k) for k in range(4)] + [(s, k) for s in SITES[1:] for k in range(2)]
    for row, (site, number) in enumerate(keys):
        np.testing.assert_array_equal(made["low"][row], patch(site, number, "b2b3b4b8_10m"))
        np.testing.assert_array_equal(made["high"][row], patch(site, number, "b2b3b4b8_05m"))
        expected = sisr.correlate(made["low"][row], made["high"][row], 2)
        assert made["correlation"][row] == np.float32(expected)
        np.testing.assert_allclose(made["high_moments"][row], sisr.sum_values(made["high"][row]))
    assert made["site"].tolist() == [SITES.index(site) for site, _ in keys]
    assert made["date"].tolist() == [20180214] * 2 + [20190501] * 2 + [20200615] * 6
    with sisr.Pairs(tmp_path / "a.h5") as pairs:
        assert pairs.sites == SITES
        assert pairs.form.bands["high"] == sisr.Bands(("B2", "B3", "B4", "B8"), 5.0)
        assert (pairs.form.factor, pairs.form.simulated) == (2, False)


def test_whole_sites_are_held_out(version_2: Path, tmp_path: Path) -> None:
    """No site is in two splits, whatever decides; with names, exactly these."""
    by_share = content(command(version_2, tmp_path / "share.h5"))
    pairs = set(zip(by_share["site"].tolist(), by_share["split"].tolist(), strict=True))
    assert len(pairs) == len(SITES)
    assert sorted(split for _, split in pairs) == [0, 0, 1, 2]
    other = content(command(version_2, tmp_path / "other.h5", "--split_seed=1"))
    assert other["split"].tolist() != by_share["split"].tolist()
    flags = ("--test_sites=SO1,ALSACE", "--validation_sites=FR-BIL")
    named = content(command(version_2, tmp_path / "named.h5", *flags))
    assert named["split"].tolist() == [2] * 4 + [0] * 2 + [1] * 2 + [2] * 2


def test_twenty_metre_bands_and_all_together(version_2: Path, tmp_path: Path) -> None:
    coarse = content(command(version_2, tmp_path / "20m.h5", "--bands=20m"))
    np.testing.assert_array_equal(coarse["low"][4], patch("ES-LTERA", 0, "b5b6b7b8a_20m"))
    np.testing.assert_array_equal(coarse["high"][4], patch("ES-LTERA", 0, "b5b6b7b8a_05m"))
    assert coarse["factor"].tolist() == [4]
    every = content(command(version_2, tmp_path / "all.h5", "--bands=all"))
    parts = [patch("SO1", 1, c) for c in ("b5b6b7b8a_20m", "b11b12_20m")]
    np.testing.assert_array_equal(every["coarse"][9], np.concatenate(parts, -1))
    parts = [patch("SO1", 1, c) for c in ("b2b3b4b8_05m", "b5b6b7b8a_05m")]
    np.testing.assert_array_equal(every["high"][9], np.concatenate(parts, -1))
    assert every["coarse_bands"].tolist() == [20.0] * 6
    expected = sisr.correlate(every["low"][9], every["high"][9][..., :4], 2)
    assert every["correlation"][9] == np.float32(expected)


def test_empty_lines_are_none_and_folders_may_have_any_name(
    version_2: Path, tmp_path: Path
) -> None:
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/in \xff"))
    shutil.copytree(version_2, odd)
    edit(odd / "SO1/index.csv", lambda t: t.replace("\n", "\r\n\r\n"))
    made, whole = command(odd, tmp_path / "a.h5"), command(version_2, tmp_path / "b.h5")
    assert made.read_bytes() == whole.read_bytes()


def test_goes_on_after_a_crash(version_2: Path, tmp_path: Path, monkeypatch: Any) -> None:
    whole = command(version_2, tmp_path / "whole.h5")
    read, done = stage.read_row, []

    def crash_once(layout: Any, row: Any, nodata: str) -> Any:
        done.append(row.site)
        if len(done) == 6:
            raise KeyboardInterrupt
        return read(layout, row, nodata)

    monkeypatch.setattr(stage, "read_row", crash_once)
    with pytest.raises(SystemExit, match="130"):
        command(version_2, tmp_path / "out.h5")
    command(version_2, tmp_path / "out.h5")
    assert len(done) == 6 + 6  # the first four were kept
    assert (tmp_path / "out.h5").read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("n", [2, 3])
def test_shards_joined_are_the_whole(version_2: Path, tmp_path: Path, n: int) -> None:
    whole = command(version_2, tmp_path / "whole.h5", "--bands=all")
    parts = [
        command(version_2, tmp_path / f"{i}.h5", "--bands=all", f"--shard={i}/{n}")
        for i in range(1, n + 1)
    ]
    joined = tmp_path / "joined.h5"
    cli.main(merge.run, [f"--src={','.join(map(str, parts))}", f"--dst={joined}"])
    assert joined.read_bytes() == whole.read_bytes()


def spoil(src: Path, value: int = sisr.NODATA) -> None:
    """Two pixels of the first high patch of SO1 are missing."""
    archive = next((src / "SO1").glob("*b2b3b4b8_05m.zip"))
    pixels = patch("SO1", 0, "b2b3b4b8_05m")
    pixels[3, 4:6, 1] = value
    with zipfile.ZipFile(archive) as file:
        kept = {name: file.read(name) for name in file.namelist()}
    first = next(iter(kept))
    kept[first] = tiff(src.parent / "spoilt.tif", pixels, 4e5, 5.0)
    (src.parent / "spoilt.tif").unlink()
    with zipfile.ZipFile(archive, "w") as file:
        for name, raw in kept.items():
            file.writestr(name, raw)


def test_missing_pixels_are_refused_or_left_out(src: Path, tmp_path: Path, capsys: Any) -> None:
    spoil(src)
    with pytest.raises(SystemExit, match="2"):
        command(src, tmp_path / "no.h5")
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert "SO1_0_2020-06-15_32ULU_b2b3b4b8_10m.tif: expected no pixel" in said
    assert "found 2; --nodata leave" in said
    made = content(command(src, tmp_path / "yes.h5", "--nodata=leave"))
    assert made["split"][8] == sisr.LEFT_OUT
    assert (made["split"][[*range(8), 9]] < sisr.LEFT_OUT).all()
    assert "left out, as pixels were not seen: pairs: 1" in capsys.readouterr().err


# --- how version 2 is broken ----------------------------------------------------------------------
def edit(path: Path, change: Callable[[str], str]) -> None:
    path.write_text(change(path.read_text()))


def remove(paths: Iterable[Path]) -> None:
    for path in list(paths):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def pipe(path: Path) -> None:
    """A pipe in the place of a file: who opens it as a file waits for ever."""
    path.unlink()
    os.mkfifo(path)


def archive_of(src: Path, column: str) -> Path:
    return next((src / "SO1").glob(f"*{column}.zip"))


def swap(src: Path, column: str, replace: Callable[[bytes], bytes]) -> None:
    """The members of an archive with other bytes."""
    archive = archive_of(src, column)
    with zipfile.ZipFile(archive) as file:
        kept = {name: file.read(name) for name in file.namelist()}
    with zipfile.ZipFile(archive, "w") as file:
        for name, raw in kept.items():
            file.writestr(name, replace(raw))


def with_pixels(
    src: Path, column: str, pixels: np.ndarray, west: float = 4e5, kind: str = ""
) -> None:
    raw = tiff(src.parent / "t.tif", pixels, west, float(column[-3:-1]), kind)
    (src.parent / "t.tif").unlink()
    swap(src, column, lambda _: raw)


def mix_up(src: Path) -> None:
    """The first line has the fine image of the second patch."""
    edit(
        src / "SO1/index.csv",
        lambda t: t.replace(
            "SO1_0_2020-06-15_32ULU_b2b3b4b8_05m.tif", "SO1_1_2020-06-15_32ULU_b2b3b4b8_05m.tif", 1
        ),
    )


INDEX = "SO1/index.csv"
COMPLEX = np.ones((32, 32, 4), np.complex64)
BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "no index": (lambda s: (s / INDEX).unlink(), "SO1: expected folders of sites with index.csv"),
    "no archive": (lambda s: archive_of(s, "b2b3b4b8_05m").unlink(), "05m.zip: no such archive"),
    "cut archive": (lambda s: cut(archive_of(s, "b2b3b4b8_10m")),
                    "b2b3b4b8_10m.zip: not a complete zip archive"),
    "cut member": (lambda s: swap(s, "b2b3b4b8_05m", lambda raw: raw[:700]),
                   "b2b3b4b8_05m.tif: not a complete GeoTIFF"),
    "no tiff": (lambda s: swap(s, "b2b3b4b8_05m", lambda _: b"text"),
                "b2b3b4b8_05m.tif: not a complete GeoTIFF"),
    "no member": (lambda s: edit(s / INDEX, lambda t: t.replace("SO1_1_", "SO1_7_")),
                  "found no such member"),
    "commas": (lambda s: edit(s / INDEX, lambda t: t.replace("\t", ",")),
               "index.csv: expected a column b2b3b4b8_10m"),
    "cut line": (lambda s: edit(s / INDEX, lambda t: t.rpartition("\t")[0]),
                 "index.csv: line 3: expected 6 fields as in the first line, found 5; is it cut?"),
    "empty": (lambda s: edit(s / INDEX, lambda t: t.splitlines()[0] + "\n"),
              "expected a line for each patch, found none"),
    "bytes": (lambda s: (s / INDEX).write_bytes(b"\xff\xfe"), "expected a table with tabs"),
    "outside": (lambda s: edit(s / INDEX, lambda t: t.replace("SO1_2020-06-15_32ULU_b2b3b4b8_10m.z",
                                                              "../x.z", 1)),
                "expected ARCHIVE.zip/MEMBER.tif in the folder of the site"),
    "twice": (lambda s: edit(s / INDEX, lambda t: t + t.splitlines()[1] + "\n"),
              "is in line 2, too; take one out"),
    "mixed up": (mix_up, "expected one patch in a line, found b2b3b4b8_10m of SO1_0_2020-06-15_32"),
    "other land": (lambda s: with_pixels(s, "b2b3b4b8_05m", patch("SO1", 0, "b2b3b4b8_05m"), 5e5),
                   "b2b3b4b8_05m.tif: expected the ground of"),
    "size": (lambda s: with_pixels(s, "b2b3b4b8_05m", np.ones((30, 32, 4), np.int16)),
             "expected whole numbers of shape (32, 32, 4), found int16 of shape (30, 32, 4)"),
    "bomb": (lambda s: with_pixels(s, "b2b3b4b8_05m", np.ones((32, 32, 4), np.int16)),
             "b2b3b4b8_05m.tif: expected an image of a pair, found 4 bands of 32x32"),
    "bands": (lambda s: with_pixels(s, "b2b3b4b8_05m", np.ones((32, 32, 3), np.int16)),
              "found int16 of shape (32, 32, 3)"),
    "fractions": (lambda s: with_pixels(s, "b2b3b4b8_05m", np.ones((32, 32, 4), np.float32)),
                  "expected whole numbers of shape (32, 32, 4), found float32"),
    "complex": (lambda s: with_pixels(s, "b2b3b4b8_05m", COMPLEX), "real numbers, found complex64"),
    "complex integers": (lambda s: with_pixels(s, "b2b3b4b8_05m", COMPLEX, kind="complex_int16"),
                         "b2b3b4b8_05m.tif: expected real numbers, found complex_int16"),
    "bright": (lambda s: with_pixels(s, "b2b3b4b8_05m", np.full((32, 32, 4), 40_000, np.uint16)),
               "expected reflectance * 10,000 of -32,768 … 32,767, found 40,000 … 40,000"),
    "pipe": (lambda s: pipe(archive_of(s, "b2b3b4b8_05m")), "05m.zip: not a complete zip archive"),
    "no sites": (lambda s: remove(s.iterdir()), "found neither"),
    "name": (lambda s: (s / "SO1").rename(os.fsdecode(os.fsencode(s) + b"/SO\xff")),
             "expected names of printable characters in UTF-8, found 'SO\\xff'"),
    "both versions": (lambda s: (s / "SO1/a_10m_b2b3b4b8.pt").write_bytes(b""),
                      "ALSACE: expected tensors (.pt) as in SO1, found none; keep versions"),
}  # fmt: skip


def refused(run: Callable[[], object], capfd: Any) -> str:
    """The one line of a refused run."""
    with pytest.raises(SystemExit, match="2"):
        run()
    lines = re.split(r"[\r\n]+", capfd.readouterr().err)
    lines = [line for line in lines if line.strip() and "%|" not in line]
    assert len(lines) == 1, lines
    return lines[0]


@pytest.mark.parametrize("what", BROKEN)
def test_refuses(src: Path, tmp_path: Path, what: str, capfd: Any, monkeypatch: Any) -> None:
    breaks, message = BROKEN[what]
    breaks(src)
    if what == "bomb":  # as an image beyond the limit of 256 MiB
        monkeypatch.setattr(rasters, "LARGEST", 32 * 32 * 4 * 2 - 1)
    line = refused(lambda: command(src, tmp_path / "out.h5"), capfd)
    assert message in line
    assert list(tmp_path.iterdir()) == [src]  # nothing left behind


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--scale=4",), "--scale: expected 2 for --bands 10m of Sen2Venµs, found 4"),
        (("--test_sites=PARIS",), "--test_sites: expected of ALSACE, ES-LTERA, FR-BIL, SO1; found"),
        (("--test_sites=SO1", "--validation_sites=SO1"), "SO1 is among --test_sites, too"),
        (("--test_share=0.8",), "--test_share: expected more than 4 sites, found 4"),
        (("--test_sites=ALSACE,ES-LTERA,FR-BIL,SO1",), "expected some for training, found all"),
        (("--shard=3/2",), "--shard: expected 1 to n before the slash"),
        (("--bands=60m",), "--bands: expected 10m, 20m or all"),
    ],
)
def test_refuses_flags(
    version_2: Path, tmp_path: Path, flags: tuple[str, ...], message: str, capfd: Any
) -> None:
    assert message in refused(lambda: command(version_2, tmp_path / "out.h5", *flags), capfd)
    assert not (tmp_path / "out.h5").exists()


# --- Sen2Venµs version 1 --------------------------------------------------------------------------
SUFFIXES = {
    "b2b3b4b8_10m": "10m_b2b3b4b8", "b2b3b4b8_05m": "05m_b2b3b4b8",
    "b5b6b7b8a_20m": "20m_b4b5b6b8a", "b5b6b7b8a_05m": "05m_b4b5b6b8a",
}  # fmt: skip


def save_tensor(path: Path, array: np.ndarray, kind: str = "ShortStorage") -> None:
    """What torch.save(tensor) writes."""
    made = tensor("0", array.size, array.shape, strides(array), kind=kind)
    write_torch(path, made, {"0": array}, legacy=False)


@pytest.fixture
def version_1(tmp_path: Path) -> Path:
    """Three sites as they are unpacked: four tensors per date, of three patches."""
    folder = tmp_path / "v1"
    for site in SITES[:3]:
        (folder / site).mkdir(parents=True)
        (folder / site / "index.csv").write_text("venus_product_id\n")
        (folder / site / "LICENCE").write_text("Etalab")
        start = f"{site}_C_32ULU_2018-02-14"
        (folder / site / f"{start}_patches.gpkg").write_bytes(b"")
        for column, suffix in SUFFIXES.items():
            patches = np.stack([patch(site, k, column) for k in range(3)]).transpose(0, 3, 1, 2)
            save_tensor(folder / site / f"{start}_{suffix}.pt", np.ascontiguousarray(patches))
    return folder


def test_tensors_of_version_1(version_1: Path, tmp_path: Path) -> None:
    made = content(command(version_1, tmp_path / "a.h5", "--bands=all"))
    for row, (site, number) in enumerate((s, k) for s in SITES[:3] for k in range(3)):
        np.testing.assert_array_equal(made["low"][row], patch(site, number, "b2b3b4b8_10m"))
        np.testing.assert_array_equal(made["coarse"][row], patch(site, number, "b5b6b7b8a_20m"))
        fine = [patch(site, number, c) for c in ("b2b3b4b8_05m", "b5b6b7b8a_05m")]
        np.testing.assert_array_equal(made["high"][row], np.concatenate(fine, -1))
    assert made["date"].tolist() == [20180214] * 9
    assert sorted(set(made["split"].tolist())) == [0, 1, 2]
    with sisr.Pairs(tmp_path / "a.h5") as pairs:  # which b4b5b6b8a of the names are
        assert pairs.form.bands["coarse"].names == ("B5", "B6", "B7", "B8A")
    part = content(command(version_1, tmp_path / "b.h5", "--bands=all", "--shard=2/4"))
    np.testing.assert_array_equal(part["high"], made["high"][2:4])


def _tensor_of(folder: Path, suffix: str) -> Path:
    return next((folder / "FR-BIL").glob(f"*{suffix}.pt"))


def _flip(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


OLD: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda s: _tensor_of(s, "05m_b2b3b4b8").unlink(),
                "05m_b2b3b4b8.pt: expected this tensor beside"),
    "cut": (lambda s: cut(_tensor_of(s, "05m_b2b3b4b8")),
            "05m_b2b3b4b8.pt: expected one tensor of torch.save, found none"),
    "changed": (lambda s: _flip(_tensor_of(s, "05m_b2b3b4b8")), "a wrong checksum of archive/data"),
    "patches": (lambda s: save_tensor(_tensor_of(s, "05m_b2b3b4b8"), np.ones((2, 4, 32, 32), "i2")),
                "expected (3, 4, 32, 32) as"),
    "axes": (lambda s: save_tensor(_tensor_of(s, "10m_b2b3b4b8"), np.ones((3, 16, 16), "i2")),
             "expected numbers of shape (patches, 4, H, W), found I16 of shape (3, 16, 16)"),
    "kind": (lambda s: save_tensor(_tensor_of(s, "10m_b2b3b4b8"), np.ones((3, 4, 16, 16), "?"),
                                   "BoolStorage"), "found BOOL"),
    "name": (lambda s: _tensor_of(s, "05m_b2b3b4b8").rename(s / "FR-BIL" / "a.pt"),
             "a.pt: expected one of NAME_10m_b2b3b4b8.pt"),
    "pickle": (lambda s: _tensor_of(s, "05m_b2b3b4b8").write_bytes(b"\x80\x02cos\nsystem\n."),
               "found none"),
    "none": (lambda s: remove((s / "FR-BIL").glob("*.pt")),
             "FR-BIL: expected tensors (.pt) as in ALSACE, found none"),
}  # fmt: skip


@pytest.mark.parametrize("what", OLD)
def test_refuses_tensors(version_1: Path, tmp_path: Path, what: str, capfd: Any) -> None:
    breaks, message = OLD[what]
    breaks(version_1)
    line = refused(lambda: command(version_1, tmp_path / "out.h5"), capfd)
    assert message in line
    assert list(tmp_path.iterdir()) == [version_1]


# --- WorldStrat -----------------------------------------------------------------------------------
TILES = {"Amnesty POI-1-1-1": "train", "ASMSpotter-1-1-1": "val", "Landcover-763586": "test"}
DELTAS = {1: -9, 2: 4, 3: -3, 4: 3}  # days from SPOT's date, by number of the image


def scene_of(tile: str) -> tuple[np.ndarray, np.ndarray]:
    """(12, 158, 158) reflectance of Sentinel-2 and (1054, 1054, 4) of SPOT: R, G, B, NIR."""
    rng = np.random.default_rng(list(TILES).index(tile))
    blocks = rng.integers(300, 4000, (20, 20, 4))
    high = blocks.repeat(53, 0).repeat(53, 1)[:1054, :1054].astype(np.uint16)
    low = np.zeros((158, 158, 12), np.float32)
    small = sisr.downscale(high / 1e4, 10 / 1.5, 0.3)
    low[..., [3, 2, 1, 7]] = small
    low[..., 0] = 0.5
    return low, high


@pytest.fixture(scope="module")
def worldstrat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three tiles of four dates, one tile too far in time, one of which there is nothing."""
    pytest.importorskip("rasterio")
    src = tmp_path_factory.mktemp("w") / "worldstrat"
    far, absent = "Landcover-1", "Landcover-2"
    table = {**TILES, far: "train", absent: "train"}
    for tile in (*TILES, far):
        coarse, fine = src / "lr_dataset_l2a" / tile / "L2A", src / "hr_dataset" / tile
        coarse.mkdir(parents=True)
        fine.mkdir(parents=True)
        low, high = scene_of(tile if tile in TILES else "Landcover-763586")
        tiff(fine / f"{tile}_ps.tiff", high, None)
        for number, days in DELTAS.items():
            shift = 0.01 * number  # only the image of the nearest date is as it should be
            name = coarse / f"{tile}-{number}-L2A_data.tiff"
            tiff(name, low + np.float32(0 if number == 3 else shift), None)
            told = days + 20 if tile == far else days
            (coarse / f"{tile}-{number}.metadata").write_text(f"cloud: 0.1\ndelta: {told}\n")
    with (src / "stratified_train_val_test_split.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["tile", "split"], *table.items()])
    return src


@pytest.mark.parametrize(("scale", "side"), [(4, 512), (2, 256)])
def test_tiles_of_worldstrat(
    worldstrat: Path, tmp_path: Path, scale: int, side: int, capsys: Any
) -> None:
    made = content(command(worldstrat, tmp_path / "a.h5", f"--scale={scale}"))
    with sisr.Pairs(tmp_path / "a.h5") as pairs:
        assert pairs.sites == tuple(sorted(TILES))
        assert pairs.form.bands["high"] == sisr.Bands(("B2", "B3", "B4", "B8"), 10.0 / scale)
        assert pairs.split.tolist() == [1, 0, 2]  # in order of names, by the table
    for row, tile in enumerate(sorted(TILES)):
        low, high = scene_of(tile)
        cropped = low[10:138, 10:138][..., [1, 2, 3, 7]]
        np.testing.assert_array_equal(made["low"][row], np.rint(cropped.astype(float) * 1e4))
        whole = sisr.downscale(high[..., [2, 1, 0, 3]], 10 / scale / 1.5, 0.1)
        first = 10 * scale
        expected = whole[first : first + side, first : first + side]
        np.testing.assert_allclose(made["high"][row], expected, atol=0.51)
    assert (made["correlation"] > 0.98).all()
    said = capsys.readouterr().err
    assert "tiles whose dates are 5 days or more apart (1), tiles of stratified_" in said


def test_dates_of_the_other_edition_stand_in_a_table(worldstrat: Path, tmp_path: Path) -> None:
    src = Path(shutil.copytree(worldstrat, tmp_path / "in"))
    (src / "lr_dataset_l2a").rename(src / "lr_dataset")
    for path in src.rglob("*.metadata"):
        path.unlink()
    days = {1: "2020-06-01", 2: "2020-06-14", 3: "2020-06-11 10:20:30", 4: "2020-06-16"}
    rows = [[tile, n, day, "2020-06-10"] for tile in TILES for n, day in days.items()]
    with (src / "metadata.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["tile", "n", "lowres_date", "highres_date"], *rows])
    made = content(command(src, tmp_path / "a.h5"))
    assert made["date"].tolist() == [20200611] * 3
    low, _ = scene_of("ASMSpotter-1-1-1")
    cropped = np.rint(low[10:138, 10:138][..., [1, 2, 3, 7]].astype(float) * 1e4)
    np.testing.assert_array_equal(made["low"][0], cropped)
    none = content(command(src, tmp_path / "b.h5", "--max_delta=2"))
    assert none["date"].tolist() == [20200611] * 3  # fewer days than max_delta: 1 is, 2 is not


def test_zeros_of_spot_are_missing(worldstrat: Path, tmp_path: Path, capfd: Any) -> None:
    src = Path(shutil.copytree(worldstrat, tmp_path / "in"))
    tile = "ASMSpotter-1-1-1"
    _, high = scene_of(tile)
    high[:, :80] = 0
    tiff(src / "hr_dataset" / tile / f"{tile}_ps.tiff", high, None)
    line = refused(lambda: command(src, tmp_path / "no.h5"), capfd)
    assert f"{tile}-3-L2A_data.tiff: expected no pixel that was not seen, found" in line
    made = content(command(src, tmp_path / "a.h5", "--nodata=leave"))
    assert made["split"].tolist() == [3, 0, 2]
    hidden = made["high"][0] == sisr.NODATA
    first = int(np.ceil((80 * 1.5 - 100) / 2.5))  # column whose centre the last zero lies before
    assert hidden[:, :first].all()
    assert not hidden[:, first + 3 :].any()


def test_a_signalling_nan_is_a_missing_pixel(worldstrat: Path, tmp_path: Path) -> None:
    """Without a warning on stderr, where a refusal is one line."""
    src = Path(shutil.copytree(worldstrat, tmp_path / "in"))
    low, _ = scene_of("ASMSpotter-1-1-1")
    low.view(np.uint32)[20, 30] = 0x7FA00000
    _scene(src, low=low)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        made = content(command(src, tmp_path / "a.h5", "--nodata=leave"))
    assert (made["low"][0][10, 20] == sisr.NODATA).all()
    assert made["split"].tolist() == [3, 0, 2]


def _scene(src: Path, low: Any = None, high: Any = None) -> None:
    tile = "ASMSpotter-1-1-1"
    if low is not None:
        tiff(src / "lr_dataset_l2a" / tile / "L2A" / f"{tile}-3-L2A_data.tiff", low, None)
    if high is not None:
        tiff(src / "hr_dataset" / tile / f"{tile}_ps.tiff", high, None)


LOW, HIGH = (158, 158, 12), (1054, 1054, 4)
SPLIT_TABLE = "stratified_train_val_test_split.csv"
METADATA = "lr_dataset_l2a/ASMSpotter-1-1-1/L2A/ASMSpotter-1-1-1-3.metadata"
WORLD: dict[str, tuple[Callable[[Path], object], str]] = {
    "no table": (lambda s: (s / SPLIT_TABLE).unlink(), f"{SPLIT_TABLE}: expected a table with"),
    "columns": (lambda s: (s / SPLIT_TABLE).write_text("a,b\n1,2\n"), "expected a column tile"),
    "cut table": (lambda s: (s / SPLIT_TABLE).write_text("tile,split\nX\n"), "line 2: expected as"),
    "split": (lambda s: (s / SPLIT_TABLE).write_text("tile,split\nX,dev\n"), "found 'dev'"),
    "elsewhere": (lambda s: (s / SPLIT_TABLE).write_text("tile,split\n../X,val\n"),
                  "expected names of folders, found '../X'"),
    "no spot": (lambda s: (s / "hr_dataset/ASMSpotter-1-1-1/ASMSpotter-1-1-1_ps.tiff").unlink(),
                "ASMSpotter-1-1-1_ps.tiff: expected the image of 1.5 m"),
    "yaml": (lambda s: (s / METADATA).write_text("delta: [1\n"), "expected YAML with a number"),
    "two splits": (lambda s: (s / SPLIT_TABLE).write_text("tile,split\nX,train\nX,test\n"),
                   "X: expected one split for each tile, found two"),
    "infinite": (lambda s: (s / METADATA).write_text("delta: .inf\n"), "YAML with a number delta"),
    "no number": (lambda s: (s / METADATA).write_text("delta: soon\n"), "YAML with a number delta"),
    "cut": (lambda s: cut(s / "hr_dataset/ASMSpotter-1-1-1/ASMSpotter-1-1-1_ps.tiff"),
            "_ps.tiff: not a complete GeoTIFF"),
    "numbers": (lambda s: _scene(s, low=np.full(LOW, 900, np.uint16)), "900: digital numbers"),
    "bands": (lambda s: _scene(s, low=np.ones((158, 158, 13), np.float32)),
              "expected 12 bands of 138x138 pixels or more, found shape (158, 158, 13)"),
    "small": (lambda s: _scene(s, high=np.ones((600, 1054, 4), np.uint16)),
              "expected 4 bands of 920x920 pixels or more, found shape (600, 1054, 4)"),
    "other land": (lambda s: _scene(s, high=np.ones((1054, 1254, 4), np.uint16)),
                   "expected the land of ASMSpotter-1-1-1-3-L2A_data.tiff, 1580 m along a side"),
    "pipe": (lambda s: pipe(s / SPLIT_TABLE), "table with commas (expected a regular file, found"),
    "pipe of an image": (lambda s: pipe(s / METADATA.replace(".metadata", "-L2A_data.tiff")),
                         "not a complete GeoTIFF (expected a regular file, found a pipe"),
    "too far": (lambda s: [p.write_text("delta: 9\n") for p in s.rglob("*.metadata")],
                "expected tiles with a date within --max_delta, found 4 whose dates are further"),
}  # fmt: skip


@pytest.mark.parametrize("what", WORLD)
def test_refuses_tiles(worldstrat: Path, tmp_path: Path, what: str, capfd: Any) -> None:
    src = Path(shutil.copytree(worldstrat, tmp_path / "in"))
    breaks, message = WORLD[what]
    breaks(src)
    line = refused(lambda: command(src, tmp_path / "out.h5"), capfd)
    assert message in line
    assert list(tmp_path.iterdir()) == [src]


def test_worldstrat_has_bands_of_ten_metres(worldstrat: Path, tmp_path: Path, capfd: Any) -> None:
    line = refused(lambda: command(worldstrat, tmp_path / "a.h5", "--bands=20m"), capfd)
    assert "--bands: expected 10m for WorldStrat, found 20m" in line


# --- what two-sensors draws -----------------------------------------------------------------------
def test_the_truth_is_kept_in_units_of_the_pairs(tmp_path: Path) -> None:
    from stages.two_sensors import main as drawn

    src = tmp_path / "drawn"
    cli.main(drawn.run, [f"--dst={src}", "--sites=3", "--patches=1", "--size=32"])
    ten = content(command(src, tmp_path / "10m.h5"))
    twenty = content(command(src, tmp_path / "20m.h5", "--bands=20m"))
    every = content(command(src, tmp_path / "all.h5", "--bands=all"))
    assert ten["flow"].shape == (3, 32, 32, 2)
    assert twenty["flow"].shape == (3, 16, 16, 2)
    around = ten["flow"].reshape(3, 16, 2, 16, 2, 2).mean((2, 4))
    np.testing.assert_allclose(twenty["flow"] * 2, around, atol=2e-3)  # pixels are twice as large
    np.testing.assert_array_equal(every["gain"][..., :4], ten["gain"])
    np.testing.assert_array_equal(every["truth"][..., :4], ten["truth"])
    np.testing.assert_array_equal(every["truth"][..., 4:8], twenty["truth"])
    assert every["truth"].shape == (3, 64, 64, 10)
    with sisr.Pairs(tmp_path / "all.h5") as pairs:
        assert pairs.form.simulated
        assert pairs.form.bands["truth"].names[8:] == ("B11", "B12")


# --- Wald's protocol ------------------------------------------------------------------------------
def write_cities(path: Path, arrays: dict[str, np.ndarray], cities: list[int]) -> Path:
    """A patch file whose rows are of cities with names."""
    sen2 = patches.Field(arrays["sen2"].shape[1:], "uint16", lcz.SEN2)
    city = patches.Field((), "int32", names=("Rome", "Bonn", "Oslo"))
    with patches.Writer(path, len(cities), "1/1", sen2=sen2, city=city) as sink:
        for block in sink.todo(len(cities)):
            sink.put(block, sen2=arrays["sen2"][block], city=np.array(cities, np.int32)[block])
    return path


@pytest.mark.parametrize("scale", [2, 4])
def test_patches_are_pairs_by_the_protocol_of_wald(tmp_path: Path, scale: int) -> None:
    """The coarser image by its definition, pixel by pixel; whole cities are held out."""
    arrays = pixels(6)
    arrays["sen2"] = np.round(np.random.default_rng(3).random((6, 30, 30, 10)), 4)
    src = write_cities(tmp_path / "a.h5", arrays, [2, 0, 1, 1, 0, 2])
    flags = ("--test_sites=Rome", "--validation_sites=Bonn")
    dst = command(src, tmp_path / "pairs.h5", f"--scale={scale}", *flags)
    side, places = 30 // scale, [0, 1, 2, 6]  # of B2, B3, B4 and B8 in So2Sat's order
    made, whole = content(dst), scale * side
    high = np.rint(arrays["sen2"][..., places] * 10_000)[:, :whole, :whole]
    np.testing.assert_array_equal(made["high"], high)
    assert made["split"].tolist() == [0, 2, 1, 1, 2, 0]
    sigma = scale / np.pi * np.sqrt(-2 * np.log([0.304, 0.276, 0.233, 0.222]))
    row, column = side // 2, side // 2 - 1  # far enough from the edges
    y, x = ((place + 0.5) * scale - 0.5 for place in (row, column))
    down, across = np.mgrid[:whole, :whole]
    for band in range(4):
        weight = np.exp(-((down - y) ** 2 + (across - x) ** 2) / (2 * sigma[band] ** 2))
        expected = (high[..., band] * weight).sum((1, 2)) / weight.sum()
        np.testing.assert_allclose(made["low"][:, row, column, band], expected, atol=3)
    with sisr.Pairs(dst) as pairs:
        assert pairs.form.factor == scale
        assert pairs.form.bands["low"] == sisr.Bands(("B2", "B3", "B4", "B8"), 10.0 * scale)
        assert [pairs.sites[n] for n in made["site"]] == ["Oslo", "Rome", "Bonn", "Bonn", "Rome",
                                                          "Oslo"]  # fmt: skip


def test_patches_without_cities_are_sites_of_their_own(tmp_path: Path) -> None:
    src = write_patches(tmp_path / "a.h5", pixels(8))
    with sisr.Pairs(command(src, tmp_path / "pairs.h5")) as pairs:
        assert pairs.sites == tuple(f"patch {number}" for number in range(8))
        assert pairs.form.factor == 2
        assert len(pairs.rows("testing")) == len(pairs.rows("validation")) == 1


@pytest.mark.parametrize(
    ("sen2", "flag", "message"),
    [
        ((4, 32, 32, 10), "--bands=20m", "--bands: expected 10m for a patch file, found 20m"),
        ((4, 32, 30, 10), "--scale=2", "sen2: expected squares of 4 pixels or more, found 32 x 30"),
        ((4, 7, 7, 10), "--scale=4", "sen2: expected squares of 8 pixels or more, found 7 x 7"),
    ],
)
def test_refuses_patches(
    tmp_path: Path, capfd: Any, sen2: tuple[int, ...], flag: str, message: str
) -> None:
    arrays = pixels(4) | {"sen2": np.random.default_rng(1).random(sen2)}
    arrays["sen1"] = arrays["sen1"][:, :1, :1]
    src = write_patches(tmp_path / "a.h5", arrays)
    assert message in refused(lambda: command(src, tmp_path / "b.h5", flag), capfd)
    assert list(tmp_path.iterdir()) == [src]
