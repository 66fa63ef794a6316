"""prepare: values, statistics, row selection, cities, speckle, shards, kills, refusals."""

import os
import random
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from shared import cli, lcz, patches, scratch
from shared.runs import record
from stages.merge import main as merge
from stages.prepare import checks, cities, layout, speckle
from stages.prepare import main as stage
from tests import hostile
from tests.conftest import ROWS, pixels, write_raw

ROOT = Path(__file__).resolve().parents[2]
LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]),) * 2)
from shared import cli
from stages.prepare import main
main.BATCH = int(sys.argv[2])
cli.main(main.run, sys.argv[3:])
"""


def command(src: Path, dst: Path, *flags: str) -> dict[str, np.ndarray]:
    """Run the stage as its container does; what it wrote."""
    cli.main(stage.run, [f"--src={src}", f"--dst={dst}", *flags])
    return content(dst)


def content(path: Path) -> dict[str, np.ndarray]:
    with h5py.File(path) as file:
        arrays = {name: file[name][:] for name in file}
        for name in lcz.PRESETS.keys() & file.keys():
            arrays |= {f"{name} {key}": np.asarray(v) for key, v in file[name].attrs.items()}
        return arrays


def assert_same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def limited(memory: int, batch: int, src: Path, dst: Path) -> subprocess.Popen[bytes]:
    """The stage in a process of its own that may map so many bytes."""
    line = [sys.executable, "-c", LIMITED, str(memory), str(batch), f"--src={src}", f"--dst={dst}"]
    quiet = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    return subprocess.Popen(line, cwd=ROOT, env=quiet, stderr=subprocess.PIPE)


def edit(path: Path, change: Callable[[h5py.File], Any]) -> None:
    with h5py.File(path, "r+") as file:
        change(file)


def test_every_reflectance_in_range_survives_sixteen_bits() -> None:
    every = (np.arange(28001) / 1e4).reshape(1, 1, -1, 1)
    assert checks.is_lossless(every).all()
    assert checks.is_lossless(
        every.astype(np.float32).astype(np.float64)
    ).all()  # stored via float32
    assert not checks.is_lossless(every + 3e-5).any()


def test_values_and_statistics_are_those_of_the_source(lcz42: Path, tmp_path: Path) -> None:
    product, raw = command(lcz42, tmp_path / "out.h5"), pixels(ROWS)
    assert {name: product[name].dtype.name for name in ("sen1", "sen2", "label")} == {
        "sen1": "float16", "sen2": "uint16", "label": "uint8"
    }  # fmt: skip
    np.testing.assert_array_equal(product["sen2"], np.rint(raw["sen2"] * 1e4))
    np.testing.assert_allclose(product["sen1"], raw["sen1"], rtol=1e-3, atol=1e-6)
    np.testing.assert_array_equal(product["label"], raw["label"])
    np.testing.assert_array_equal(product["row"], np.arange(ROWS))
    scaled = {"sen2": raw["sen2"] * 255 / 2.8, "sen1": (raw["sen1"].clip(-0.5, 0.5) + 0.5) * 255}
    for name, values in scaled.items():
        np.testing.assert_allclose(product[f"{name} mean"], values.mean((0, 1, 2)), rtol=1e-12)
        np.testing.assert_allclose(product[f"{name} std"], values.std((0, 1, 2)), rtol=1e-9)


def test_keeps_what_sixteen_bits_would_lose(lcz42: Path, tmp_path: Path) -> None:
    edit(lcz42, lambda file: file["sen2"].__setitem__((5, 0, 0, 0), 0.12345))
    product = command(lcz42, tmp_path / "out.h5")
    assert product["sen2"].dtype == np.float32
    assert product["sen2"][5, 0, 0, 0] == np.float32(0.12345)
    assert command(lcz42, tmp_path / "wide.h5", "--dtype=float32")["sen1"].dtype == np.float32


def test_storage_is_chosen_by_rows_of_the_whole_file(tmp_path: Path) -> None:
    """Not by the first of them: the later half of 600 rows is no multiple of 1e-4."""
    arrays = {name: pixels(600)[name][:, :2, :2] for name in ("sen2",)}
    arrays["sen2"][300:] += 3e-5
    src = write_raw(tmp_path / "late.h5", arrays | {"label": pixels(600)["label"]})
    product = command(src, tmp_path / "out.h5")
    assert product["sen2"].dtype == np.float32
    np.testing.assert_array_equal(product["sen2"], arrays["sen2"].astype(np.float32))


def test_reflectance_at_the_very_ends_is_taken(lcz42: Path, tmp_path: Path) -> None:
    edit(lcz42, lambda file: file["sen2"].__setitem__((5, 0, 0, slice(0, 2)), (2.8, 0.0)))
    product = command(lcz42, tmp_path / "out.h5")
    assert product["sen2"].dtype == np.uint16
    assert product["sen2"][5, 0, 0, :2].tolist() == [28_000, 0]


def test_a_file_of_sen2_only(lcz42: Path, tmp_path: Path) -> None:
    edit(lcz42, lambda file: file.__delitem__("sen1"))
    assert "sen1" not in command(lcz42, tmp_path / "out.h5")


def matlab(path: Path, index: np.ndarray, label: np.ndarray) -> list[str]:
    """A MATLAB file with two tables; the flags that choose the second."""
    matio, pandas = pytest.importorskip("matio"), pytest.importorskip("pandas")
    table = pandas.DataFrame(
        {"Path": "a.h5", "Label": label * 1.0, "Index": index * 1.0, "Modality": "MS"}
    )
    matio.save_to_mat(str(path), {"train_MS": table[:1], "test_MS": table})
    return [f"--table={path}", "--table_name=test_MS"]


def text(path: Path, index: np.ndarray, label: np.ndarray) -> list[str]:
    lines = [f"a.h5,{c},{i},MS" for i, c in zip(index, label, strict=True)]
    path.write_text("\n".join(["Path,Label,Index,Modality", *lines]))
    return [f"--table={path}"]


@pytest.mark.parametrize("write", [matlab, text])
def test_a_table_selects_rows_in_its_order(
    lcz42: Path, tmp_path: Path, write: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "BATCH", 4)
    index = np.array([34, 3, 4, 5, 1, 20, 3])  # one twice
    flags = write(tmp_path / f"table.{write.__name__[:3]}", index, (index - 1) % 17 + 1)
    product = command(lcz42, tmp_path / "out.h5", *flags)
    np.testing.assert_array_equal(product["row"], index - 1)
    np.testing.assert_array_equal(product["sen2"], np.rint(pixels(ROWS)["sen2"][index - 1] * 1e4))


def nonlocal_means(image: np.ndarray) -> np.ndarray:
    """(H, W) levels smoothed as the definition says, in floating point."""
    tiles = sliding_window_view(np.pad(image.astype(float), 13, mode="reflect"), (7, 7))
    height, width = image.shape
    own, total, weights = tiles[10:-10, 10:-10], 0.0, 0.0
    for y, x in np.ndindex(21, 21):
        other = tiles[y : y + height, x : x + width]
        weight = np.exp(-((own - other) ** 2).mean((2, 3)) / 12**2)
        weight[weight < 0.001] = 0  # as OpenCV does
        total, weights = total + weight * other[..., 3, 3], weights + weight
    return np.asarray(total / weights)


def radar(rows: int) -> np.ndarray:
    """(rows, 32, 32, 8) sen1 of an edge under speckle, stronger from channel to channel."""
    edge = np.where(np.arange(32) < 16, -0.2, 0.2)[:, None, None]
    noise = np.random.default_rng(3).standard_normal((rows, 32, 32, 8))
    return np.asarray(edge + 0.02 * (1 + np.arange(8) % 4) * noise)


def test_despeckling_is_non_local_means() -> None:
    level = speckle.levels(radar(1) * 2)[0]  # some of it clipped
    smoothed = speckle.smooth(level)
    for channel in range(8):  # OpenCV counts in integers, in bins of distances 64 / 49 wide
        expected = nonlocal_means(level[..., channel])
        assert np.abs(smoothed[..., channel] - expected).max() < 0.6
        assert (smoothed[..., channel] == np.rint(expected)).mean() > 0.97


@pytest.mark.parametrize("side", [8, 32, 45])  # from smaller than the window to larger
def test_a_strip_of_channels_is_each_by_itself(side: int) -> None:
    cv2 = pytest.importorskip("cv2")
    level = np.random.default_rng(0).integers(90, 130, (side, side, 8)).astype(np.uint8)
    each = [cv2.fastNlMeansDenoising(level[..., i].copy(), None, 12, 7, 21) for i in range(8)]
    np.testing.assert_array_equal(speckle.smooth(level), np.stack(each, -1))


def test_levels_are_those_of_the_scaling() -> None:
    sen1 = np.array([-9, -0.5, 0.0, 1 / 510, 0.5, 9]).reshape(1, 1, 1, -1)
    assert speckle.levels(sen1).ravel().tolist() == [0, 0, 128, 128, 255, 255]
    every = np.arange(256, dtype=np.uint8).reshape(1, 1, 1, -1)
    assert speckle.values(every).min() == -0.5
    assert speckle.values(every).max() == 0.5
    for kind in ("f8", "f4", "f2"):
        np.testing.assert_array_equal(speckle.levels(speckle.values(every).astype(kind)), every)


def test_speckle_goes_and_edges_stay() -> None:
    flat = np.full((32, 32, 8), 77, np.uint8)
    np.testing.assert_array_equal(speckle.smooth(flat), flat)
    seen = radar(1)[0, ..., :1]
    clean = speckle.values(speckle.smooth(speckle.levels(seen)))
    for side in (slice(0, 16), slice(16, 32)):
        assert clean[side].std() < 0.5 * seen[side].std()
    np.testing.assert_allclose(clean[:16].mean(), -0.2, atol=0.01)
    np.testing.assert_allclose(clean[16:].mean(), 0.2, atol=0.01)
    assert np.diff(clean[14:18].mean(1), axis=0)[1] > 0.9 * 0.4  # in one step


def test_despeckled_file(lcz42: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sen1 = radar(ROWS)
    sen1[4, 3, 3, 4] = 1e6  # clipped, so storable
    edit(lcz42, lambda file: file["sen1"].__setitem__(slice(None), sen1))
    plain = command(lcz42, tmp_path / "plain.h5", "--dtype=float32")
    whole = command(lcz42, tmp_path / "whole.h5", "--despeckle", "--jobs=1")
    expected = np.stack([speckle.smooth(one) for one in speckle.levels(sen1)])
    np.testing.assert_array_equal(speckle.levels(whole["sen1"]), expected)
    np.testing.assert_allclose(whole["sen1 mean"], expected.mean((0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(whole["sen1 std"], expected.std((0, 1, 2)), rtol=1e-9)
    np.testing.assert_allclose(plain["sen2"], whole["sen2"] / np.float32(1e4), rtol=1e-6)
    monkeypatch.setattr(stage, "BATCH", 5)
    parts = [
        command(lcz42, tmp_path / f"{i}.h5", "--despeckle", "--jobs=3", f"--shard={i}/2")
        for i in (1, 2)
    ]
    for name in ("sen1", "sen2", "label", "row", "sen1_moments"):
        np.testing.assert_array_equal(np.concatenate([p[name] for p in parts]), whole[name])


def test_despeckling_goes_on_after_a_crash(
    lcz42: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "BATCH", 4)
    whole = command(lcz42, tmp_path / "whole.h5", "--despeckle")
    done, smooth = [], speckle.smooth

    def crash_once(level: np.ndarray) -> np.ndarray:
        done.append(1)
        if len(done) == 19:
            raise KeyboardInterrupt
        return smooth(level)

    monkeypatch.setattr(speckle, "smooth", crash_once)
    with pytest.raises(SystemExit, match="130"):
        command(lcz42, tmp_path / "out.h5", "--despeckle", "--jobs=1")
    before = len(done)
    assert_same(command(lcz42, tmp_path / "out.h5", "--despeckle"), whole)
    assert ROWS - 19 <= len(done) - before <= ROWS - 8  # what was written is not made again


CITY = np.arange(ROWS) * 5 % 7


def stored(path: Path) -> tuple[list[int], list[str]]:
    """City of each row; names of the cities."""
    with h5py.File(path) as file:
        return file["city"][:].tolist(), list(file["city"].attrs.get("names", ()))


def test_no_city_where_nobody_says(lcz42: Path, tmp_path: Path) -> None:
    assert "city" not in command(lcz42, tmp_path / "out.h5")


@pytest.mark.parametrize("kind", ["i4", "i8", "f8"])
def test_the_cities_of_the_source_itself(lcz42: Path, tmp_path: Path, kind: str) -> None:
    edit(lcz42, lambda file: file.create_dataset("city", data=CITY.astype(kind)))
    assert command(lcz42, tmp_path / "out.h5")["city"].dtype == np.int32
    assert stored(tmp_path / "out.h5") == (CITY.tolist(), [])


@pytest.mark.parametrize("kind", ["?", "u1", "i8"])
def test_marks_of_validation_go_with_their_rows(lcz42: Path, tmp_path: Path, kind: str) -> None:
    marks = np.arange(ROWS) % 5 == 3  # 3, 8, 13, 18, 23, 28, 33
    edit(lcz42, lambda file: file.create_dataset("validation", data=marks.astype(kind)))
    assert command(lcz42, tmp_path / "out.h5")["validation"].tolist() == marks.tolist()
    index = np.array([34, 3, 4, 5, 1, 9, 34])
    flags = text(tmp_path / "table.csv", index, (index - 1) % 17 + 1)
    parts = [tmp_path / f"{i}.h5" for i in (1, 2)]
    for i, part in enumerate(parts, 1):
        made = command(lcz42, part, *flags, f"--shard={i}/2")["validation"]
        assert made.dtype == np.uint8
    cli.main(merge.run, [f"--src={parts[0]},{parts[1]}", f"--dst={tmp_path}/joined.h5"])
    assert content(tmp_path / "joined.h5")["validation"].tolist() == [1, 0, 1, 0, 0, 1, 1]


def test_refuses_other_marks_of_validation(lcz42: Path, capsys: Any) -> None:
    edit(lcz42, lambda file: file.create_dataset("validation", data=np.arange(ROWS) // 32))
    edit(lcz42, lambda file: file["validation"].__setitem__(33, -1))
    refused(lcz42, [], "validation: expected 0 or 1, found -1 in rows 33", capsys)


NUMBERS = np.arange(ROWS) % 17
SHARES = np.eye(17)[NUMBERS] * 0.5 + 0.5 / 17
FORMS = [
    ("index0", NUMBERS),
    ("index0", NUMBERS[:, None].astype("f4")),
    ("index1", NUMBERS + 1),
    ("index1", (NUMBERS[:, None] + 1).astype("u1")),
    ("largest", SHARES),
    ("largest", np.eye(17, dtype=bool)[NUMBERS]),
]


def write_label(path: Path, label: np.ndarray) -> None:
    edit(path, lambda file: file.pop("label") and file.create_dataset("label", data=label))


@pytest.mark.parametrize(("form", "label"), FORMS)
def test_labels_in_every_form_make_the_same_file(
    lcz42: Path, tmp_path: Path, form: str, label: np.ndarray
) -> None:
    index = np.array([34, 3, 4, 5, 1, 20, 3])
    flags = text(tmp_path / "table.csv", index, (index - 1) % 17 + 1)
    whole = command(lcz42, tmp_path / "whole.h5", *flags)
    write_label(lcz42, label)
    assert_same(command(lcz42, tmp_path / "out.h5", *flags, f"--labels={form}"), whole)


@pytest.mark.parametrize(
    ("flags", "label", "message"),
    [
        ([], NUMBERS, "found (34,); class numbers become one-hot with `prepare --labels index0`"),
        ([], NUMBERS[:, None] + 1, "found (34, 1); class numbers become one-hot with"),
        ([], SHARES, "not one-hot in rows 0, 1, 2, 3, 4, 5, 6, 7, … (34 rows); `prepare --labels"),
        (["--labels=index0"], NUMBERS + 1, "whole numbers 0 to 16 of 17 classes, found 17"),
        (["--labels=index1"], NUMBERS, "whole numbers 1 to 17 of 17 classes, found 0"),
        (["--labels=index0"], NUMBERS + 0.5, "whole numbers 0 to 16"),
        (["--labels=index0"], np.full(ROWS, np.nan), "whole numbers 0 to 16"),
        (["--labels=index0"], SHARES, "expected (N,) or (N, 1) class numbers"),
        (["--labels=largest"], NUMBERS, "expected (N, 17), a column for each class"),
        (["--labels=largest"], np.ones((ROWS, 17)), "expected one largest share, found none in"),
        (["--labels=largest"], SHARES * np.nan, "expected one largest share, found none in"),
        (["--labels=first"], NUMBERS, "--labels: expected onehot, index0, index1 or largest"),
    ],
)
def test_refuses_wrong_labels(
    lcz42: Path, flags: list[str], label: np.ndarray, message: str, capsys: Any
) -> None:
    write_label(lcz42, label)
    refused(lcz42, flags, message, capsys)


NAMES = ["Berlin", "Cairo", "Köln", "Lima", "Nairobi", "Oslo", "Perth"]


@pytest.mark.parametrize("column", [False, True])
def test_cities_by_name_through_a_table_shards_and_merge(
    lcz42: Path, tmp_path: Path, column: bool
) -> None:
    named = np.array([NAMES[::-1][c].encode() for c in CITY], object)
    kind = h5py.string_dtype()
    geo = tmp_path / "training_geo.h5"
    with h5py.File(geo, "w") as file:
        file.create_dataset("city", data=named[:, None] if column else named, dtype=kind)
    index = np.array([34, 3, 4, 5, 1, 20, 3])
    flags = [f"--geo={geo}", *text(tmp_path / "table.csv", index, (index - 1) % 17 + 1)]
    command(lcz42, tmp_path / "whole.h5", *flags)
    expected = [NAMES[::-1][CITY[i - 1]] for i in index]
    numbers, names = stored(tmp_path / "whole.h5")
    assert [names[number] for number in numbers] == expected
    assert names == NAMES
    parts = [tmp_path / f"{i}.h5" for i in (1, 2)]
    for i, part in enumerate(parts, 1):
        command(lcz42, part, *flags, f"--shard={i}/2")
    cli.main(merge.run, [f"--src={parts[0]},{parts[1]}", f"--dst={tmp_path}/joined.h5"])
    assert stored(tmp_path / "joined.h5") == (numbers, NAMES)


def write_geo(path: Path, epsg: np.ndarray, corner: np.ndarray) -> Path:
    """In the manner of So2Sat's own: corner (N, 2) in metres."""
    tfw = np.insert(corner, [1, 1, 2, 2], [10.0, 0.0, 0.0, 10.0], axis=1)
    return write_raw(path, {"epsg": epsg[:, None].astype(np.int32), "tfw": tfw, "coord": tfw})


def test_patches_that_lie_together_are_of_one_city(lcz42: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    middle = np.array([[680e3, 5336e3], [350e3, 5650e3], [370e3, 5690e3], [680e3, 5336e3]])
    epsg = np.array([32632, 32632, 32632, 32756])
    of = np.arange(ROWS) % 4  # Munich, Cologne, its north, and somewhere in the south
    corner = middle[of] + rng.uniform(-5e3, 5e3, (ROWS, 2))
    geo = write_geo(tmp_path / "training_geo.h5", epsg[of], corner)
    command(lcz42, tmp_path / "out.h5", f"--geo={geo}")
    numbers, names = stored(tmp_path / "out.h5")
    assert numbers == [(1, 0, 0, 2)[place] for place in of]
    assert names[1].startswith("EPSG:32632, 68")
    assert names[2].startswith("EPSG:32756, 68")


def test_places_in_whole_metres_are_places(lcz42: Path, tmp_path: Path) -> None:
    place = np.tile([10, 0, 680_000, 0, -10, 5_336_000], (ROWS, 1))
    for kind in ("i4", "f8"):
        write_raw(
            tmp_path / f"{kind}.h5", {"epsg": np.full(ROWS, 32632), "tfw": place.astype(kind)}
        )
        command(lcz42, tmp_path / f"out-{kind}.h5", f"--geo={tmp_path / kind}.h5")
    assert stored(tmp_path / "out-i4.h5") == stored(tmp_path / "out-f8.h5")


@pytest.mark.parametrize("name", ["city", "epsg", "tfw"])
def test_refuses_null_data_spaces_beside_the_source(lcz42: Path, name: str, capsys: Any) -> None:
    geo = write_raw(lcz42.parents[1] / "geo.h5", {"epsg": CITY, "tfw": np.zeros((ROWS, 6))})

    def empty(file: h5py.File) -> None:
        file.pop(name, None)
        file[name] = h5py.Empty("f8")

    edit(geo, empty)
    message = f"{name}: expected values, found none (a null data space)"
    refused(lcz42, [f"--geo={geo}"], message, capsys)
    if name == "city":
        edit(lcz42, empty)
        refused(lcz42, [], message, capsys)


def test_refuses_city_names_that_are_too_few(lcz42: Path, capsys: Any) -> None:
    def name(file: h5py.File) -> None:
        file["city"] = CITY
        file["city"].attrs["names"] = ["Berlin", "Cairo"]

    edit(lcz42, name)
    message = "city: attribute 'names': expected names of 7 cities or more, found 2"
    refused(lcz42, [], message, capsys)


def test_places_of_so2sat_make_its_ten_cities(real: Path) -> None:
    with h5py.File(real / "so2sat" / "validation_geo.h5") as file:
        epsg, tfw = file["epsg"][:, 0], file["tfw"][:]
    groups = cities.group_by_place(epsg, tfw[:, [0, 3]])
    assert len(groups.names) == 10  # each in a zone of its own
    np.testing.assert_array_equal(np.unique(epsg)[groups.numbers], epsg)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"city": CITY[:9]}, "city: expected 34 rows as in the patches, found shape (9,)"),
        ({"city": np.zeros((ROWS, 2))}, "city: expected one column, found shape (34, 2)"),
        ({"city": CITY + 0.5}, "city: expected names or whole numbers"),
        ({"city": np.full(ROWS, np.nan)}, "city: expected names or whole numbers"),
        ({"epsg": CITY}, "expected dataset 'city', or 'epsg' and 'tfw', found ['epsg']"),
        ({"epsg": CITY, "tfw": np.zeros((9, 6))}, "tfw: expected 34 rows"),
        ({"epsg": CITY, "tfw": np.zeros((ROWS, 2))}, "tfw: expected (N, 6) numbers in metres"),
        ({"epsg": CITY, "tfw": np.full((ROWS, 6), np.nan)}, "tfw: expected (N, 6) numbers"),
        ({"epsg": CITY + 0.5, "tfw": np.zeros((ROWS, 6))}, "epsg: expected whole numbers"),
    ],
)
def test_refuses_wrong_cities(
    lcz42: Path, arrays: dict[str, np.ndarray], message: str, capsys: Any
) -> None:
    geo = write_raw(lcz42.parents[1] / "geo.h5", arrays)
    refused(lcz42, [f"--geo={geo}"], message, capsys)


@pytest.mark.parametrize("n", [2, 3, 40])  # 40 shards of 34 rows: six are empty
def test_shards_joined_are_the_whole(lcz42: Path, tmp_path: Path, n: int) -> None:
    whole = command(lcz42, tmp_path / "whole.h5")
    parts = [command(lcz42, tmp_path / f"{i}.h5", f"--shard={i}/{n}") for i in range(1, n + 1)]
    for name in ("sen1", "sen2", "label", "row", "sen2_moments"):
        np.testing.assert_array_equal(np.concatenate([p[name] for p in parts]), whole[name])


def test_ten_kills_at_random_moments(tmp_path: Path) -> None:
    src, whole = write_raw(tmp_path / "in.h5", pixels(102)), tmp_path / "whole.h5"
    start = time.monotonic()
    assert limited(2**40, 1, src, whole).wait() == 0
    seconds, moment = time.monotonic() - start, random.Random(7)
    dst, killed = tmp_path / "out.h5", 0
    while killed < 10:
        running = limited(2**40, 1, src, dst)
        time.sleep(seconds * moment.uniform(0.4, 0.9))
        running.kill()
        running.communicate()
        killed += running.returncode == -signal.SIGKILL
        if dst.exists():
            assert_same(content(dst), content(whole))
            dst.unlink()
    assert limited(2**40, 1, src, dst).wait() == 0
    assert_same(content(dst), content(whole))
    assert not list(tmp_path.glob("*.partial*"))


@pytest.mark.parametrize("flags", [["--dtype=float32"], ["--dtype=float32", "--despeckle"]])
def test_refuses_values_that_no_float32_holds(
    lcz42: Path, flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    edit(lcz42, lambda file: file["sen1"].__setitem__((9, 0, 0, 5), -6e71))
    refused(lcz42, flags, "sen1: too large for float32 in rows 9", capsys)


def test_flat_patches_are_counted_and_named(
    lcz42: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def flatten(file: h5py.File) -> None:
        file["sen2"][3], file["sen2"][20:33], file["sen1"][5] = 0.0, 0.3, -0.1
        file["sen1"][6, :, :, 3] = 0.0  # a band of a patch is no patch

    edit(lcz42, flatten)
    monkeypatch.setattr(stage, "BATCH", 7)
    made = command(lcz42, tmp_path / "out.h5")
    assert made["sen2"][20].max() == 3000
    lines = [line for line in capsys.readouterr().err.splitlines() if "one value" in line]
    rows = "rows 3, 20, 21, 22, 23, 24, 25, 26, … (14 rows)"
    assert lines == [
        f"{lcz42}: sen1: one value only in 1 of 34 patches: rows 5",
        f"{lcz42}: sen2: one value only in 14 of 34 patches: {rows}",
    ]


@pytest.mark.parametrize("name", ["sen1", "sen2"])
def test_refuses_patches_that_are_all_flat(lcz42: Path, name: str, capsys: Any) -> None:
    edit(lcz42, lambda file: file[name].__setitem__(slice(None), 0.25))
    refused(lcz42, [], f"{name}: expected pictures, found one value only in each of 34", capsys)


def test_refuses_chosen_patches_that_are_all_flat(lcz42: Path, capsys: Any) -> None:
    edit(lcz42, lambda file: file["sen2"].__setitem__(slice(2, 4), 0.25))
    table = lcz42.parents[1] / "table.csv"
    table.write_text("Index,Label\n3,3\n4,4\n")
    refused(lcz42, [f"--table={table}"], "sen2: expected pictures, found one value only", capsys)


def test_memory_is_that_of_blocks(tmp_path: Path) -> None:
    rows, src = 5000, tmp_path / "in.h5"  # 737 MB, most of them a hole in the file, read as zeros
    with h5py.File(src, "w") as file:
        for name, first in pixels(1).items():
            if name != "label":
                file.create_dataset(name, (rows, *first.shape[1:]), "f8")[:1] = first
        file["label"] = np.eye(17)[np.arange(rows) % 17]
    done = limited(500 * 2**20, stage.BATCH, src, tmp_path / "out.h5")
    assert done.communicate()[1].decode().count("error") == 0
    assert done.returncode == 0
    with patches.read(tmp_path / "out.h5", "sen2") as source:
        assert source.total == rows


def rewrite(path: Path, file: dict[str, Any], turn: bool = False, **flags: Any) -> Path:
    """The same datasets in another layout; a function makes the chunks of a shape."""
    other = path.with_name(f"other{path.suffix}")
    with h5py.File(path) as old, h5py.File(other, "w", **file) as new:
        for name, data in old.items():
            values = np.ascontiguousarray(data[()].T) if turn else data[()]
            given = dict(flags)
            if "chunks" in given:
                given["chunks"] = given["chunks"](values.shape)
            stored = new.create_dataset(name, data=values, **given)
            if turn:
                stored.attrs["MATLAB_class"] = np.bytes_("double")
    return other.rename(path)


def whole(shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape


def cut(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(max(1, length // 3) for length in shape)


LAYOUTS: dict[str, dict[str, Any]] = {
    "gzip": {"compression": "gzip"},
    "gzip, cut": {"compression": "gzip", "chunks": cut},
    "gzip, one chunk": {"compression": "gzip", "chunks": whole},
    "gzip, shuffle, one chunk": {"compression": "gzip", "shuffle": True, "chunks": whole},
    "lzf": {"compression": "lzf", "chunks": cut},
    "big-endian": {"dtype": ">f8"},
    "userblock": {"file": {"userblock_size": 512}},
    "latest": {"file": {"libver": "latest"}, "compression": "gzip", "chunks": cut},
    "MATLAB": {"file": {"userblock_size": 512}, "turn": True},
    "MATLAB, gzip": {
        "file": {"userblock_size": 512}, "turn": True, "compression": "gzip", "chunks": cut
    },
}  # fmt: skip


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_of_a_source_gives_the_same_file(
    lcz42: Path, tmp_path: Path, name: str, large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(lcz42, lambda file: file.create_dataset("city", data=CITY[:, None].astype("f8")))
    monkeypatch.setattr(stage, "BATCH", 5)
    index = np.array([34, 3, 4, 5, 1, 20, 3])
    table = text(tmp_path / "table.csv", index, (index - 1) % 17 + 1)
    ways = {"whole": [], "part": ["--shard=2/3"], "table": [*table, "--dtype=float32"]}
    for way, flags in ways.items():
        command(lcz42, tmp_path / f"{way}.h5", *flags)
    rewrite(lcz42, **{"file": {}, **LAYOUTS[name]})
    if large:  # for memory
        for module in ("stored", "pieces", "layers"):
            monkeypatch.setattr(f"shared.patches.layers.{module}.LAYER_BYTES", 10 * 81920)
        monkeypatch.setattr("shared.patches.layers.pieces.PIECE_BYTES", 3 * 81920)
    for way, flags in ways.items():
        command(lcz42, tmp_path / f"{way} again.h5", *flags)
        again = (tmp_path / f"{way} again.h5").read_bytes()
        assert again == (tmp_path / f"{way}.h5").read_bytes()


def bytes_read() -> int:
    """What this process has read from files so far, from the page cache too."""
    path = Path("/proc/self/io")
    if not path.exists():
        pytest.skip("the system does not count what a process reads")
    return int(path.read_text().split("rchar:")[1].split()[0])


@pytest.mark.parametrize(
    ("name", "disorder"),
    [
        *(("gzip", True), ("gzip, one chunk", False), ("lzf", False), ("lzf", True)),
        ("MATLAB, gzip", False),
    ],
)
def test_a_source_is_read_two_or_three_times(
    tmp_path: Path, name: str, disorder: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "BATCH", 10)
    rows, row = 170, 32 * 32 * 8  # more than the cache of HDF5 holds
    src = write_raw(tmp_path / "in.h5", pixels(rows))
    index = np.random.default_rng(0).permutation(rows) + 1
    flags = text(tmp_path / "table.csv", index, (index - 1) % 17 + 1) if disorder else []
    command(src, tmp_path / "first.h5", *flags)  # imports are files, too
    before = bytes_read()
    command(src, tmp_path / "plain.h5", *flags)
    # What is read besides: the product. Of the source, all twice, and sen2 once more for its type.
    besides = bytes_read() - before - 2 * src.stat().st_size - rows * row * 10
    rewrite(src, **{"file": {}, **LAYOUTS[name]})
    copied, original = [0], scratch.Scratch.read

    def count(file: scratch.Scratch, view: memoryview, place: int) -> None:
        copied[0] += view.nbytes
        original(file, view, place)

    monkeypatch.setattr(scratch.Scratch, "read", count)
    before = bytes_read()
    command(src, tmp_path / "out.h5", *flags)
    times = 3.1 if disorder else 2.1  # for its digest, and once or twice for its values
    assert bytes_read() - before - copied[0] < besides + times * src.stat().st_size


def test_memory_is_that_of_blocks_when_one_chunk_holds_all_rows(tmp_path: Path) -> None:
    rows, src = 3400, tmp_path / "in.h5"  # 278 MB a chunk
    with h5py.File(src, "w") as file:
        shape = (rows, 32, 32, 10)
        stored = file.create_dataset("sen2", shape, "f8", chunks=shape, compression="gzip")
        packer, first = zlib.compressobj(1), pixels(1)["sen2"].tobytes()
        parts = [first, *[bytes(81920)] * (rows - 1)]
        packed = b"".join(map(packer.compress, parts)) + packer.flush()
        stored.id.write_direct_chunk((0, 0, 0, 0), packed)
        file["label"] = np.eye(17)[np.arange(rows) % 17]
    done = limited(500 * 2**20, stage.BATCH, src, tmp_path / "out.h5")
    said = done.communicate()[1].decode()
    assert "error" not in said
    assert "unpacking sen2" in said  # what takes long is seen
    assert done.returncode == 0
    with patches.read(tmp_path / "out.h5", "sen2") as source:
        assert source.total == rows


def test_the_type_is_chosen_by_rows_from_beginning_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "RUN", 3)
    assert [rows.tolist() for rows in layout.sample_rows(np.arange(100)[::-1])] == [
        [97, 98, 99], [64, 65, 66], [32, 33, 34], [0, 1, 2]
    ]  # fmt: skip
    for count in range(1, 13):  # all of a few
        assert set(np.concatenate(layout.sample_rows(np.arange(count)))) == set(range(count))
    src = write_raw(tmp_path / "in.h5", pixels(102))
    edit(src, lambda file: file["sen2"].__setitem__((101, 0, 0, 0), 0.12345))
    assert command(src, tmp_path / "out.h5")["sen2"].dtype == np.float32


def test_digital_numbers_by_scale_make_the_same_file(lcz42: Path, tmp_path: Path) -> None:
    whole = command(lcz42, tmp_path / "whole.h5")
    sen2 = np.rint(pixels(ROWS)["sen2"] * 1e4)
    for kind in ("u2", "i4", "f4", "f8"):
        write_sen2(lcz42, sen2.astype(kind))
        assert_same(command(lcz42, tmp_path / f"{kind}.h5", "--scale=1e-4"), whole)


def test_the_offset_of_a_processing_baseline(lcz42: Path, tmp_path: Path) -> None:
    """Every number from 0 to 28,000 in units of 1e-4, stored as 1,000 more."""
    sen2 = np.resize(np.arange(28001), (ROWS, 32, 32, 10))
    write_sen2(lcz42, sen2 + 1000)
    made = command(lcz42, tmp_path / "out.h5", "--scale=1e-4", "--offset=-0.1", "--dtype=uint16")
    np.testing.assert_array_equal(made["sen2"], sen2)
    wide = command(lcz42, tmp_path / "wide.h5", "--scale=1e-4", "--offset=-0.1", "--dtype=float32")
    np.testing.assert_array_equal(wide["sen2"], (sen2 / 1e4).astype(np.float32))


def test_other_scales_keep_what_is_no_multiple(lcz42: Path, tmp_path: Path) -> None:
    percent = pixels(ROWS)["sen2"] * 100 + 0.001
    write_sen2(lcz42, percent)
    made = command(lcz42, tmp_path / "out.h5", "--scale=0.01")
    np.testing.assert_array_equal(made["sen2"], (percent * 0.01).astype(np.float32))


def test_the_defaults_of_the_units_leave_products_up_to_date(
    lcz42: Path, tmp_path: Path, capsys: Any
) -> None:
    dst = tmp_path / "out.h5"
    command(lcz42, dst)
    made = record.load(dst)
    assert made
    for name in ("labels", "scale", "offset"):  # as an earlier version left it
        del made["plan"]["parameters"][name]
    record.save(dst, made)
    before = dst.stat().st_mtime_ns
    command(lcz42, dst)
    assert "up to date" in capsys.readouterr().err
    assert dst.stat().st_mtime_ns == before


def write_sen2(path: Path, sen2: np.ndarray) -> None:
    edit(path, lambda file: file.pop("sen2") and file.create_dataset("sen2", data=sen2))


def leave(_: h5py.File) -> None:
    """As it is."""


def in_decibels(file: h5py.File) -> None:
    file["sen1"][:, :, :, 4:6] = 10 * np.log10(file["sen1"][:, :, :, 4:6] ** 2 + 1e-3)


@pytest.mark.parametrize(
    ("change", "flags", "message"),
    [
        (
            lambda f: f["sen2"].write_direct(np.rint(f["sen2"][:] * 1e4)),
            [],
            "divide by 10,000, or `prepare --scale 1e-4`",
        ),
        (
            lambda f: f["sen2"].write_direct(np.rint(f["sen2"][:] * 1e4)),
            ["--dtype=float32", "--shard=3/3"],
            "sen2 looks like digital numbers (values up to ",
        ),
        (
            lambda f: f["sen2"].__setitem__(slice(None), -9999.0),
            [],
            "found -9,999 to -9,999: marks of missing data",
        ),
        (lambda f: f["sen2"].__setitem__(slice(None), np.nan), [], "sen2: NaN or infinite values"),
        (leave, ["--scale=1e4"], "looks like digital numbers"),
        (leave, ["--offset=-0.2"], "sen2: values outside 0 … 2.8 in rows 0, 1"),
        (lambda f: f.__delitem__("sen2"), ["--scale=1e-4"], "--scale, --offset: expected dataset"),
        (leave, ["--scale=0"], "--scale: expected above 0"),
        (in_decibels, [], "sen1: VH looks like decibels (-30 to "),
        (in_decibels, ["--despeckle"], "sen1: VH looks like decibels (-30 to "),
    ],
)
def test_refuses_wrong_units(
    lcz42: Path,
    change: Callable[[h5py.File], Any],
    flags: list[str],
    message: str,
    capsys: Any,
) -> None:
    edit(lcz42, change)
    refused(lcz42, flags, message, capsys)


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_odd_but_right_values_pass(lcz42: Path, tmp_path: Path, dtype: str) -> None:
    def brighten(file: h5py.File) -> None:
        file["sen2"][:17] = 2.8  # clouds, as bright as So2Sat has them
        file["sen2"][17:20] = 0.0
        file["sen1"][:, 3, 3, 5] = 6e4  # a corner reflector

    edit(lcz42, brighten)
    made = command(lcz42, tmp_path / "out.h5", f"--dtype={dtype}")["sen2"]
    assert made[0].min() == np.array(28000 if dtype == "uint16" else 2.8, made.dtype)


def test_says_how_many_levels_each_band_spans(lcz42: Path, tmp_path: Path, capsys: Any) -> None:
    def darken(file: h5py.File) -> None:
        file["sen2"][..., 0] = 0.1
        file["sen2"][..., 1] *= 0.1

    command(lcz42, tmp_path / "plain.h5")
    stated = "sen2: levels of 256 (0 … 2.8) that the middle 98% of each band spans: B2 "
    assert stated in capsys.readouterr().err
    edit(lcz42, darken)
    command(lcz42, tmp_path / "dark.h5", "--shard=2/40")
    said = capsys.readouterr().err
    assert "warning: sen2: no variation in B2" in said
    assert "warning: sen2: fewer than 16 levels in B3" in said
    assert ": B2 1, B3 " in said
    assert "sen1: levels of 256 (-0.5 … 0.5)" in said
    command(lcz42, tmp_path / "empty.h5", "--shard=1/40")
    assert "levels of 256" not in capsys.readouterr().err


REFUSALS: list[tuple[Callable[[h5py.File], Any], str]] = [
    (lambda f: f["sen2"].__setitem__((3, 0, 0, 0), np.nan), "sen2: NaN or infinite values in row"),
    (lambda f: f["sen1"].__setitem__((slice(2, 4), 0, 0, 0), np.inf), "sen1: NaN or infinite"),
    (lambda f: f["sen2"].__setitem__((33, 0, 0, 0), 2.9), "sen2: values outside 0 … 2.8 in row"),
    (lambda f: f["sen2"].__setitem__((33, 0, 0, 0), -0.1), "sen2: values outside 0 … 2.8 in row"),
    (lambda f: f["sen1"].__setitem__((9, 0, 0, 5), 7e4), "too large for float16 (use --dtype"),
    (lambda f: f["label"].__setitem__((8, 1), 1), "label: not one-hot in row"),
    (lambda f: f["label"].__setitem__((8, slice(None)), 0.5), "label: not one-hot in row"),
    (lambda f: f.move("sen2", "S2") or f.move("sen1", "S1"), "expected dataset 'sen1' or 'sen2'"),
    (lambda f: f.move("label", "labels"), "expected dataset 'label', found"),
    (
        lambda f: f.__delitem__("sen1") or f.create_dataset("sen1", data=np.ones((34, 32, 32, 4))),
        "(N, H, W, 8)",
    ),
    (
        lambda f: f.__delitem__("sen1") or f.create_dataset("sen1", data=np.ones((9, 32, 32, 8))),
        "expected the same number of rows",
    ),
]


@pytest.mark.parametrize(("change", "message"), REFUSALS)
def test_refuses_wrong_files(
    lcz42: Path, change: Callable[[h5py.File], Any], message: str, capsys: Any
) -> None:
    edit(lcz42, change)
    refused(lcz42, [], message, capsys)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("Label,Index\n1,1\n9,2", "Label is not the file's in table row"),
        ("Label,Index\n1,35", "Index: expected 1 to 34"),
        ("Label,Index\none,1", "Label: expected whole numbers"),
        ("Label,Path\n1,1", "expected a column 'Index', found ['label', 'path']"),
        ("Label,Index\n1", "line 2: expected 2 cells"),
        ("", "expected a column 'Index'"),
        ("Label,Index", "no rows"),
    ],
)
def test_refuses_wrong_tables(lcz42: Path, table: str, message: str, capsys: Any) -> None:
    path = lcz42.parents[1] / "table.csv"
    path.write_text(table)
    refused(lcz42, [f"--table={path}"], message, capsys)


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--dtype=int8", "--dtype: expected auto, uint16 or float32, found 'int8'"),
        ("--shard=3/2", "--shard: expected 1 to n"),
        ("--shrad=1/2", "did you mean --shard?"),
        ("--table=none.csv", "--table: no such file"),
        ("--geo=none.h5", "--geo: no such file"),
        ("--jobs=-1", "--jobs: expected at least 0"),
    ],
)
def test_refuses_wrong_flags(lcz42: Path, flag: str, message: str, capsys: Any) -> None:
    refused(lcz42, [flag], message, capsys)


def test_refuses_to_despeckle_without_radar(lcz42: Path, capsys: Any) -> None:
    edit(lcz42, lambda file: file.__delitem__("sen1"))
    refused(lcz42, ["--despeckle"], "--despeckle: expected dataset 'sen1', found ['sen2']", capsys)


@pytest.mark.parametrize("more", [[], ["--despeckle"]])
def test_says_all_that_is_wrong_at_once(
    lcz42: Path, more: list[str], monkeypatch: Any, capsys: Any
) -> None:
    def spoil(file: h5py.File) -> None:
        file["sen2"][4, 0, 0, 0] = np.nan
        file["sen2"][30, 0, 0, 0] = 3.0
        file["sen2"][31, 0, 0, 0] = np.inf

    edit(lcz42, spoil)
    monkeypatch.setattr(stage, "BATCH", 10)
    refused(
        lcz42,
        ["--dtype=uint16", *more],
        "infinite values in rows 4, 31; sen2: values outside 0 … 2.8 in rows 30",
        capsys,
    )


def test_refuses_a_matlab_file_that_is_none(lcz42: Path, capsys: Any) -> None:
    path = lcz42.parents[1] / "table.mat"
    path.write_bytes(b"no matlab")
    refused(lcz42, [f"--table={path}"], "not a readable MATLAB file", capsys)
    flags = matlab(path, np.array([1]), np.array([1]))
    refused(lcz42, flags[:1], "--table_name to be one of ['test_MS', 'train_MS']", capsys)


def test_refuses_a_file_cut_in_half(lcz42: Path, capsys: Any) -> None:
    lcz42.write_bytes(lcz42.read_bytes()[: lcz42.stat().st_size // 2])
    refused(lcz42, [], "not a complete HDF5 file", capsys)


def refused(src: Path, flags: list[str], message: str, capsys: Any) -> None:
    with pytest.raises(SystemExit, match="2"):
        command(src, src.with_name("out.h5"), *flags)
    assert message in capsys.readouterr().err
    assert [src] == list(src.parent.iterdir())  # nothing left behind


def test_city_names_that_are_not_utf8_stay_apart(lcz42: Path, tmp_path: Path) -> None:
    """Written escaped, so that every later stage can read them."""
    texts = [b"K\xf6ln", b"K\xe4ln", "Köln".encode(), b"two\nlines", b"\x1b[31m", b"", b"Oslo "]
    names = ["K\\xf6ln", "K\\xe4ln", "Köln", "two\\nlines", "\\x1b[31m", "no name", "Oslo"]
    geo = tmp_path / "geo.h5"
    with h5py.File(geo, "w") as file:
        values = np.array([texts[c] for c in CITY], object)
        file.create_dataset("city", data=values, dtype=h5py.string_dtype())
    command(lcz42, tmp_path / "out.h5", f"--geo={geo}")
    numbers, known = stored(tmp_path / "out.h5")
    assert [known[number] for number in numbers] == [names[c] for c in CITY]
    again = command(tmp_path / "out.h5", tmp_path / "again.h5")
    assert again["city"].tolist() == numbers


def test_a_table_below_a_folder_that_is_not_utf8(
    lcz42: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = hostile.deeper(tmp_path)
    flags = text(place / "table.csv", np.array([1, 2]), np.array([1, 2]))
    assert len(command(lcz42, tmp_path / "out.h5", *flags)["row"]) == 2
    (place / "table.mat").write_bytes(b"MATLAB 5.0 MAT-file" + bytes(200))
    with pytest.raises(SystemExit, match="2"):
        command(lcz42, tmp_path / "other.h5", f"--table={place / 'table.mat'}")
    *_, line = capsys.readouterr().err.splitlines()
    assert line.endswith("expected a path in UTF-8, as the reader of MATLAB files needs it; "
                         "move the file")  # fmt: skip
    assert hostile.is_calm(line)
