"""prepare: values and statistics, row selection, shards, kills at random moments, refusals."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from shared import cli, lcz, patches
from stages.prepare import checks
from stages.prepare import main as stage
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
    assert checks.lossless(every).all()
    assert checks.lossless(every.astype(np.float32).astype(np.float64)).all()  # stored via float32
    assert not checks.lossless(every + 3e-5).any()


def test_values_and_statistics_are_those_of_the_source(lcz42: Path, tmp_path: Path) -> None:
    found, raw = command(lcz42, tmp_path / "out.h5"), pixels(ROWS)
    assert {name: found[name].dtype.name for name in ("sen1", "sen2", "label")} == {
        "sen1": "float16", "sen2": "uint16", "label": "uint8"
    }  # fmt: skip
    np.testing.assert_array_equal(found["sen2"], np.rint(raw["sen2"] * 1e4))
    np.testing.assert_allclose(found["sen1"], raw["sen1"], rtol=1e-3, atol=1e-6)
    np.testing.assert_array_equal(found["label"], raw["label"])
    np.testing.assert_array_equal(found["row"], np.arange(ROWS))
    scaled = {"sen2": raw["sen2"] * 255 / 2.8, "sen1": (raw["sen1"].clip(-0.5, 0.5) + 0.5) * 255}
    for name, values in scaled.items():
        np.testing.assert_allclose(found[f"{name} mean"], values.mean((0, 1, 2)), rtol=1e-12)
        np.testing.assert_allclose(found[f"{name} std"], values.std((0, 1, 2)), rtol=1e-9)


def test_keeps_what_sixteen_bits_would_lose(lcz42: Path, tmp_path: Path) -> None:
    edit(lcz42, lambda file: file["sen2"].__setitem__((5, 0, 0, 0), 0.12345))
    found = command(lcz42, tmp_path / "out.h5")
    assert found["sen2"].dtype == np.float32
    assert found["sen2"][5, 0, 0, 0] == np.float32(0.12345)
    assert command(lcz42, tmp_path / "wide.h5", "--dtype=float32")["sen1"].dtype == np.float32


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
    found = command(lcz42, tmp_path / "out.h5", *flags)
    np.testing.assert_array_equal(found["row"], index - 1)
    np.testing.assert_array_equal(found["sen2"], np.rint(pixels(ROWS)["sen2"][index - 1] * 1e4))


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


def test_memory_is_that_of_blocks(tmp_path: Path) -> None:
    rows, src = 5000, tmp_path / "in.h5"  # 737 MB that are not on the disk: never written, so zeros
    with h5py.File(src, "w") as file:
        file.create_dataset("sen1", (rows, 32, 32, 8), "f8")
        file.create_dataset("sen2", (rows, 32, 32, 10), "f8")
        file["label"] = np.eye(17)[np.arange(rows) % 17]
    done = limited(500 * 2**20, stage.BATCH, src, tmp_path / "out.h5")
    assert done.communicate()[1].decode().count("error") == 0
    assert done.returncode == 0
    with patches.read(tmp_path / "out.h5", "sen2") as source:
        assert source.total == rows


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
        lambda f: f.__delitem__("sen1") or f.create_dataset("sen1", (34, 32, 32, 4), "f8"),
        "(N, H, W, 8)",
    ),
    (
        lambda f: f.__delitem__("sen1") or f.create_dataset("sen1", (9, 32, 32, 8), "f8"),
        "row counts differ",
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
        ("--dtype=int8", "--dtype: expected one of"),
        ("--shard=3/2", "--shard: expected 1 to n"),
        ("--shrad=1/2", "did you mean --shard?"),
        ("--table=none.csv", "--table: no such file"),
    ],
)
def test_refuses_wrong_flags(lcz42: Path, flag: str, message: str, capsys: Any) -> None:
    refused(lcz42, [flag], message, capsys)


def test_says_all_that_is_wrong_at_once(lcz42: Path, monkeypatch: Any, capsys: Any) -> None:
    def spoil(file: h5py.File) -> None:
        file["sen2"][4, 0, 0, 0] = np.nan
        file["sen2"][30, 0, 0, 0] = 3.0
        file["sen2"][31, 0, 0, 0] = np.inf

    edit(lcz42, spoil)
    monkeypatch.setattr(stage, "BATCH", 3)
    refused(
        lcz42,
        ["--dtype=uint16"],
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
