"""rerun: the recorded command, the comparison of every kind of content, the verdict."""

import json
import shlex
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from shared import cli
from shared.errors import StageError
from shared.runs import record
from shared.tools import comparison, rerun

STAGE = """
import sys
from pathlib import Path
from shared import cli


def run(*, src: tuple[Path, ...], dst: Path, table: Path | None = None, by: int = 1,
        loud: bool = False, share: float = 0.5, names: tuple[str, ...] = ()) -> None:
    "Join texts."
    text = "".join(path.read_text() for path in src) + "x" * by + ",".join(names)
    dst.write_text(text.upper() if loud else text)


if __name__ == "__main__":
    cli.main(run)
"""
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def product(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """data/out.txt, made by a stage of its own from two texts, as its record says."""
    stage = tmp_path / "sta_ge" / "main.py"
    stage.parent.mkdir()
    stage.write_text(STAGE)
    data = tmp_path / "data"
    data.mkdir()
    for name in "ab":
        (data / f"{name}.txt").write_text(name)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    space: dict[str, object] = {"__name__": "made", "__file__": str(stage)}
    exec(compile(STAGE, str(stage), "exec"), space)
    line = [f"--src={data}/b.txt,{data}/a.txt", f"--dst={data}/out.txt", "--loud=true"]
    cli.main(space["run"], [*line, "--by=3", "--names=p,q"])  # type: ignore[arg-type]
    return data / "out.txt"


def command(product: Path) -> list[str]:
    stage = shlex.join([sys.executable, str(product.parents[1])]) + "/{stage_}/main.py"
    return [f"--product={product}", f"--command={stage}"]


def test_made_again_identical_and_removed(product: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    assert product.read_text() == "BAXXXP,Q"
    assert rerun.main(command(product)) == 0
    assert f"{product}: identical" in capsys.readouterr().out
    assert not list(product.parent.glob("*.rerun*"))


def test_differs_and_is_kept(product: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    written = record.load(product)
    product.write_text("BAXXXP,R")
    record.save(product, written)  # type: ignore[arg-type]
    assert rerun.main(command(product)) == 1
    assert "8 and 8 bytes, different from byte 7" in capsys.readouterr().out
    assert product.with_name("out.txt.rerun").read_text() == "BAXXXP,Q"


def test_input_gone(product: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    (product.parent / "a.txt").unlink()
    assert rerun.main(command(product)) == 2
    assert "expected the input --src" in capsys.readouterr().err


def test_refuses_what_it_cannot_do(tmp_path: Path, product: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    assert rerun.main([f"--product={tmp_path}/none", "--command=x"]) == 2
    assert rerun.main([f"--product={product.parent}/a.txt", "--command=x"]) == 2
    assert "expected a record a.txt.run.json" in capsys.readouterr().err
    failing = shlex.join([sys.executable, "-c", "raise SystemExit(3)"])
    assert rerun.main([f"--product={product}", f"--command={failing}"]) == 2
    assert "ended with exit code 3" in capsys.readouterr().err
    assert rerun.main([f"--product={product}", f"--command={tmp_path}/no/such {{stage}}"]) == 2
    heard = capsys.readouterr().err.splitlines()[-1]
    assert heard == f"error: {tmp_path}/no/such: cannot be run (No such file or directory)"


def test_flags_are_what_was_given() -> None:
    parameters = {"scale": 2, "name": None, "fast": False, "modes": ["a", "b"], "empty": []}
    plan = {"stage": "s", "parameters": parameters, "inputs": {"src": "1" * 64, "table": None}}
    flags = rerun.build_arguments(plan, {"1" * 64: Path("x.h5")})
    assert flags == ["--scale=2", "--fast=false", "--modes=a,b", "--empty=()", "--src=x.h5"]
    with pytest.raises(StageError, match="expected the input --src"):
        rerun.build_arguments(plan, {})


def pair(tmp_path: Path, name: str) -> list[Path]:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir(exist_ok=True)
    return [folder / name for folder in folders]


def said(tmp_path: Path) -> list[tuple[str, str, float]]:
    differences = comparison.compare_products(tmp_path / "one", tmp_path / "two")
    return [(d.where, d.what, d.size) for d in differences]


def test_hdf5_by_dataset_attribute_and_row(tmp_path: Path) -> None:
    for number, path in enumerate(pair(tmp_path, "a.h5")):
        with h5py.File(path, "w") as file:
            values = np.zeros((6, 4), np.float32)
            values[4, 2] = 0.25 * number
            file["features"] = values
            file["label"] = np.eye(3)
            file["label"].attrs["unit"] = "m" if number else "s"
            file["label"].attrs[f"only{number}"] = 1
            if number:
                file["city"] = [1]
    assert said(tmp_path) == [
        ("a.h5: city", "only in one of the two", np.inf),
        ("a.h5: label: attribute only0", "only in one of the two", np.inf),
        ("a.h5: label: attribute only1", "only in one of the two", np.inf),
        ("a.h5: label: attribute unit", "different values", np.inf),
        ("a.h5: features from row 0", "1 of 24 values, largest at [4, 2]", 0.25),
    ]


def test_npy_json_csv_and_bytes(tmp_path: Path) -> None:
    for number, path in enumerate(pair(tmp_path, "s.npy")):
        np.save(path, np.array([1.0, np.nan, 2 + number / 8]))
        metrics = {"accuracy": 0.5 + number / 4, "classes": ["a"], "same": 1, f"k{number}": 0}
        path.with_name("m.json").write_text(json.dumps(metrics))
        path.with_name("c.csv").write_text(f"name,value\nx,{number}\n")
        path.with_name("model.onnx").write_bytes(bytes([8, number]))
        path.with_name("latency.json").write_text(str(number))
    assert said(tmp_path) == [
        ("m.json: k0", "only in one of the two", np.inf),
        ("m.json: k1", "only in one of the two", np.inf),
        ("model.onnx", "2 and 2 bytes, different from byte 1", np.inf),
        ("c.csv: row[1][1]", "0.0 and 1.0", 1.0),
        ("m.json: accuracy", "0.5 and 0.75", 0.25),
        ("s.npy", "1 of 3 values, largest at [2]", 0.125),
    ]


def test_shapes_and_broken_files(tmp_path: Path) -> None:
    for number, path in enumerate(pair(tmp_path, "s.npy")):
        np.save(path, np.zeros(2 + number))
        path.with_name("a.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes([number]) * 50)
    differences = said(tmp_path)
    assert ("s.npy", "(2,) float64 and (3,) float64", np.inf) in differences
    assert any(
        where == "a.h5" and what.startswith("cannot be read") for where, what, _ in differences
    )


def test_tolerance_decides(tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    one, two = pair(tmp_path, "s.npy")
    np.save(one, np.zeros(3))
    np.save(two, np.full(3, 1e-4))
    line = [f"--product={one}", f"--against={two}"]
    assert rerun.main(line) == 1
    assert rerun.main([*line, "--tolerance=0.001"]) == 0
    assert "largest difference 0.0001, within 0.001" in capsys.readouterr().out
    assert two.exists()  # a comparison removes nothing


def test_arrays_differ_by_shape_type_or_values() -> None:
    """Whichever of the two is the larger one."""
    plain = np.zeros((2, 3))
    others = [np.zeros((3, 3)), np.zeros((1, 3)), np.zeros((2, 3, 1)), plain.astype("f4")]
    for other in others:
        for pair in ((plain, other), (other, plain)):
            (one,) = comparison.compare_arrays("x", *pair)
            assert one.size == np.inf
            assert one.what == " and ".join(f"{a.shape} {a.dtype}" for a in pair)
    texts = np.array(["a", "b"])
    assert not list(comparison.compare_arrays("x", texts, texts.copy()))
    (one,) = comparison.compare_arrays("x", texts, texts[::-1])
    assert (one.what, one.size) == ("different values", np.inf)
    assert not list(comparison.compare_arrays("x", np.zeros((0, 3)), np.zeros((0, 3))))
    for a, b, size in ((1.0, np.nan, np.inf), (np.nan, np.nan, None), (3, 1, 2), (1, 3, 2)):
        found = list(comparison.compare_arrays("x", np.array([0, a]), np.array([0, b])))
        assert [(d.what, d.size) for d in found] == (
            [] if size is None else [("1 of 2 values, largest at [1]", size)]
        )


def test_datasets_are_compared_in_blocks_of_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row of the block stands before the place in it."""
    monkeypatch.setattr(comparison, "BLOCK", 8)
    for number, path in enumerate(pair(tmp_path, "a.h5")):
        with h5py.File(path, "w") as file:
            values = np.zeros((5, 4), np.float32)
            values[3, 1] = values[4, 2] = number
            file["x"], file["one"] = values, np.float64(number)
            file["few"] = np.full(2 + number, 1)
    assert sorted(said(tmp_path)) == [
        ("a.h5: few", "(2,) int64 and (3,) int64", np.inf),
        ("a.h5: one", "1 of 1 values, largest at []", 1.0),
        ("a.h5: x from row 2", "1 of 8 values, largest at [1, 1]", 1.0),
        ("a.h5: x from row 4", "1 of 4 values, largest at [0, 2]", 1.0),
    ]


def test_folders_of_other_files(tmp_path: Path) -> None:
    """What only one of them has, on either side, and what both have."""
    one, two = pair(tmp_path, "x")
    for folder, names in ((one.parent, "ab"), (two.parent, "bc")):
        for name in names:
            (folder / name).write_text(name if name != "b" else str(folder))
    found = said(tmp_path)
    assert found[:2] == [
        ("a", "only in one of the two", np.inf), ("c", "only in one of the two", np.inf),
    ]  # fmt: skip
    assert [where for where, _, _ in found[2:]] == ["b"]


@pytest.mark.parametrize(("one", "other"), [([1], [1, 2]), ([1, 2], [1]), ([1], {"a": 1})])
def test_lists_of_json_that_differ_in_length(tmp_path: Path, one: object, other: object) -> None:
    for path, value in zip(pair(tmp_path, "m.json"), (one, other), strict=True):
        path.write_text(json.dumps({"list": value}))
    ((where, what, size),) = said(tmp_path)
    assert (where, size) == ("m.json: list", np.inf)
    assert what == f"{one} and {other}"
