"""The benchmark of ranges: its command lines and its table, from figures by hand."""

import json
from pathlib import Path

import pytest

from shared.cli import arguments
from stages.distill import main as distill
from stages.export import main as export
from stages.voyager import main as voyager
from tests.bench import range_students
from tests.bench.range_students import Plan


def test_command_lines(tmp_path: Path) -> None:
    plan = Plan(tmp_path / "data", tmp_path / "teacher", tmp_path / "out", ("--epochs", "6"))
    trained, exported, packed = range_students.build_commands(plan, "fitted", 7)
    out = tmp_path / "out" / "fitted-7"
    assert trained[1:3] == ["-m", "stages.distill.main"]
    assert {"--range=fitted", "--seed=7", f"--train={tmp_path}/data/prepare/training.h5"} < {
        *trained
    }
    assert trained[-2:] == ["--epochs", "6"]
    assert f"--dst={out}/distill" in trained
    assert f"--src={out}/distill" in exported
    assert {f"--src={out}/export", "--per_class_val=0"} < {*packed}
    # Flags and values that the stages have today.
    assert arguments.collect(distill.run, trained[3:])
    assert arguments.collect(export.run, exported[3:])
    assert arguments.collect(voyager.run, packed[3:])


def test_table(tmp_path: Path) -> None:
    files = {
        "distill/metrics.json": {"overall_accuracy": 0.5},
        "export/report.json": {"models": {"int8": {"overall_accuracy": 0.25}}},
        "voyager/readback.json": {"accuracy": {"png": {"overall_accuracy": 0.75}}},
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(json.dumps(content))
    one = range_students.read_accuracies(tmp_path)
    assert one == {"student": 0.5, "int8": 0.25, "png": 0.75}
    better = {way: value + 0.1 for way, value in one.items()}
    text = range_students.page({"published": [one, one], "fitted": [better, better]})
    assert "over 2\nseeds" in text
    line = next(line for line in text.splitlines() if line.startswith("| INT8"))
    assert line.split("|")[2].strip().startswith("25.00 ±")
    assert line.split("|")[3].strip().startswith("35.00 ±")
    assert "+10.00" in line


@pytest.mark.parametrize("seeds", [1, 3])
def test_the_table_says_over_how_many_seeds(seeds: int) -> None:
    one = dict.fromkeys(range_students.WAYS, 0.5)
    text = range_students.page({"published": [one] * seeds, "fitted": [one] * seeds})
    assert f"over {seeds}\nseeds" in text
