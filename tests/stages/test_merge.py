"""merge: equal to the undivided product, going on after a crash, what does not belong together."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from shared import cli, lcz, patches
from shared.runs import record
from stages.merge import main as stage
from tests.conftest import pixels

GRID = np.arange(7.0)  # as many as there are rows: told apart by its attribute, not by its length


def write(path: Path, shard: str, rows: int = 7, **other: Any) -> Path:
    """A patch file with features, a grid, and a record, as a row-wise stage makes it."""
    arrays = pixels(rows)
    arrays["features"] = np.arange(rows * 3.0).reshape(rows, 3)
    fields = {
        "sen1": patches.Field((32, 32, 8), "float16", lcz.SEN1),
        "sen2": patches.Field((32, 32, 10), "uint16", lcz.SEN2),
        "label": patches.Field((17,), "uint8"),
        "features": patches.Field((3,), other.get("dtype", "float32")),
    }
    constants = {"grid": patches.Constant(other.get("grid", GRID), {"unit": "m"})}
    with patches.Writer(
        path, rows, shard, classes=lcz.CLASSES, like=None, constants=constants, **fields
    ) as sink:
        sink.file["features"].attrs["about"] = other.get("about", "counts")
        for block in sink.todo(2):
            numbers = 100 + np.arange(block.start, block.stop)
            sink.put(block, source_rows=numbers, **{n: arrays[n][block] for n in fields})
    parameters = {"shard": shard, "bins": other.get("bins", 30)}
    plan = {"stage": "tda", "parameters": parameters, "inputs": {"src": other.get("src", "a")}}
    if other.get("record", True):
        made = {"plan": plan, "output": record.fingerprint(path)}
        record.record_path(path).write_text(json.dumps(made))
    return path


def shards(folder: Path, n: int) -> list[Path]:
    folder.mkdir()
    return [write(folder / f"{i}.h5", f"{i}/{n}") for i in range(1, n + 1)]


def command(src: list[Path], dst: Path) -> Path:
    cli.main(stage.run, [f"--src={','.join(map(str, src))}", f"--dst={dst}"])
    return dst


def content(path: Path) -> dict[str, Any]:
    """Every dataset and every attribute."""
    with h5py.File(path) as file:
        entries: dict[str, Any] = {f"/{key}": value for key, value in file.attrs.items()}
        for name, data in file.items():
            entries[name] = data[()]
            entries |= {f"{name}/{key}": value for key, value in data.attrs.items()}
        return entries


def assert_same(path: Path, whole: Path) -> None:
    actual, expected = content(path), content(whole)
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(actual[name], value, err_msg=name)
        assert np.asarray(actual[name]).dtype == np.asarray(value).dtype, name


@pytest.mark.parametrize("n", [1, 2, 3, 9])  # 9 shards of 7 rows: two are empty
def test_joined_are_the_whole(tmp_path: Path, n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "BLOCK_BYTES", 150_000)  # 4 rows: blocks end inside shards
    parts, read, counts = shards(tmp_path / "parts", n), stage.read, set()

    def count(files: Any, name: str, rows: slice) -> Any:
        counts.add(rows.stop - rows.start)
        return read(files, name, rows)

    monkeypatch.setattr(stage, "read", count)
    assert_same(
        command(parts[::-1], tmp_path / "out.h5"), write(tmp_path / "whole.h5", "1/1", record=False)
    )
    assert counts == {4, 3}  # no more in memory than that


def test_the_order_is_that_of_the_rows_and_not_of_the_names(tmp_path: Path) -> None:
    parts = [write(tmp_path / f"{name}.h5", f"{i}/3") for i, name in enumerate("zma", 1)]
    whole = write(tmp_path / "whole.h5", "1/1", record=False)
    for given in (parts, sorted(parts), parts[1:] + parts[:1]):
        dst = tmp_path / f"{given[0].stem}-first.h5"
        assert_same(command(given, dst), whole)


def test_goes_on_after_a_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts, whole = shards(tmp_path / "parts", 2), write(tmp_path / "whole.h5", "1/1")
    monkeypatch.setattr(stage, "BLOCK_BYTES", 1)
    done, read = [], stage.read

    def crash_once(files: Any, name: str, rows: slice) -> Any:
        done.append((name, rows.start))
        if len(done) == 13:
            raise KeyboardInterrupt
        return read(files, name, rows)

    monkeypatch.setattr(stage, "read", crash_once)
    with pytest.raises(SystemExit, match="130"):
        command(parts, tmp_path / "out.h5")
    assert_same(command(parts, tmp_path / "out.h5"), whole)
    assert sum(name == "row" for name, _ in done) == 7  # every row once


def test_works_without_records(tmp_path: Path) -> None:
    parts = [write(tmp_path / f"{i}.h5", f"{i}/2", record=False) for i in (1, 2)]
    assert_same(command(parts, tmp_path / "out.h5"), write(tmp_path / "whole.h5", "1/1"))


def test_a_shard_made_before_a_parameter_was_there_had_its_default(
    tmp_path: Path, capsys: Any
) -> None:
    parts = shards(tmp_path / "parts", 2)
    beside = parts[1].with_name("2.h5.run.json")
    later = json.loads(beside.read_text())
    later["plan"]["parameters"]["sigma"] = 0.5
    beside.write_text(json.dumps(later))
    refused(parts, tmp_path / "out.h5", "(sigma None, now 0.5)", capsys)
    later["defaults"] = {"parameters": {"sigma": 0.5, "bins": 20}, "inputs": {}}
    beside.write_text(json.dumps(later))
    command(parts, tmp_path / "out.h5")
    later["plan"]["parameters"]["sigma"] = 0.7
    beside.write_text(json.dumps(later))
    refused(parts, tmp_path / "again.h5", "(sigma 0.5, now 0.7)", capsys)


def record_as_made(path: Path) -> None:
    """Let the record say that the file was made as it is now."""
    made = json.loads(record.record_path(path).read_text())
    content = path.read_bytes()
    made["output"] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    record.record_path(path).write_text(json.dumps(made))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def unfinish(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file["row"][0] = -1
    record_as_made(path)


def cut_when_made(path: Path) -> None:
    cut(path)
    record_as_made(path)


def again(path: Path, shard: str = "2/3", **other: Any) -> None:
    path.unlink()
    write(path, shard, **other)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda p: again(p, "1/3"), "2.h5: rows twice: 0 to 1 of 7"),
        (lambda p: again(p, "3/3"), "rows missing: 2 to 3 of 7"),
        (lambda p: again(p, rows=8), "rows of the whole: expected 7 as in"),
        (lambda p: again(p, dtype="float64"), "features: expected ((3,), 'float32')"),
        (lambda p: again(p, about="sums"), "attribute 'about' of features: expected counts"),
        (lambda p: again(p, grid=GRID + 1), "2.h5: grid: not the same as in"),
        (lambda p: again(p, bins=20), "was made with other settings than"),
        (lambda p: again(p, src="b"), "(src: other content)"),
        (lambda p: again(p, "2/4"), "rows twice: 1 to 1 of 7"),
        (cut, "2.h5: was changed or damaged after it was made; remove it and make it again"),
        (cut_when_made, "2.h5: not a complete HDF5 file"),
        (lambda p: record.record_path(p).unlink(), "2.h5: has no record (2.h5.run.json) as"),
        (unfinish, "2.h5: unfinished: 1 of 2 rows are not written"),
    ],
)
def test_refuses(tmp_path: Path, spoil: Callable[[Path], None], message: str, capsys: Any) -> None:
    parts = shards(tmp_path / "parts", 3)
    spoil(parts[1])
    refused(parts, tmp_path / "out.h5", message, capsys)


def test_marks_of_validation_are_joined_and_checked(tmp_path: Path, capsys: Any) -> None:
    parts = shards(tmp_path / "parts", 2)
    for part, marks in zip(parts, ([0, 1, 1], [1, 0, 0, 1]), strict=True):
        with h5py.File(part, "r+") as file:
            file["validation"] = np.array(marks, np.uint8)
        record_as_made(part)
    assert content(command(parts, tmp_path / "out.h5"))["validation"].tolist() == [
        0, 1, 1, 1, 0, 0, 1,
    ]  # fmt: skip
    with h5py.File(parts[1], "r+") as file:
        file["validation"][2] = 2
    record_as_made(parts[1])
    refused(parts, tmp_path / "bad.h5", "2.h5: validation: neither 0 nor 1 in rows 2", capsys)


def test_refuses_what_is_no_shard_or_not_all(tmp_path: Path, lcz42: Path, capsys: Any) -> None:
    refused([lcz42], tmp_path / "out.h5", "training.h5: expected one shard of", capsys)
    parts = shards(tmp_path / "parts", 3)
    refused(parts[:2], tmp_path / "out.h5", "rows 4 to 6 of 7 are in none", capsys)
    refused(parts[1:], tmp_path / "out.h5", "rows missing: 0 to 1 of 7", capsys)


def refused(src: list[Path], dst: Path, message: str, capsys: Any) -> None:
    before = sorted(dst.parent.iterdir())
    with pytest.raises(SystemExit, match="2"):
        command(src, dst)
    assert message in capsys.readouterr().err
    assert before == sorted(dst.parent.iterdir())  # nothing left behind
