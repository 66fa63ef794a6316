"""make bench-qat: its commands and statistics by hand, with runs that are not trained."""

import csv
import json
from pathlib import Path

import pytest

pytest.importorskip("scipy")

from shared.cli import arguments
from stages.distill import main as distill
from stages.export import main as export
from tests.bench import qat, qat_table
from tests.bench.distill import names_of
from tests.bench.qat_table import Run

FP32 = {"base": 0.5, "twin": 0.6, "qat": 0.55}
INT8 = {"base": 0.4, "twin": 0.45, "qat": 0.55}


def plan_of(out: Path) -> qat.Plan:
    return qat.Plan(
        out, ("--train", "t.h5", "--test", "u.h5"), "teacher", ("--epochs", "6", "--lr", "0.1"),
        {"a": 6, "b": 9}, (1, 2), 3, 0.01, "per_tensor_histogram",
    )  # fmt: skip


def make(command: list[str]) -> None:
    """As the stages: a folder, and for exports what they say."""
    given = names_of(command[3:])
    dst = Path(given["dst"])
    dst.mkdir(parents=True)
    if "src" in given:
        part, seed = Path(given["src"]).name, int(given["seed"])
        more = 0.02 if part == "qat" and seed == 2 else 0.0
        said = {
            "fp32": {"overall_accuracy": FP32[part]},
            "int8": {"overall_accuracy": INT8[part] + more, "agreement": 0.9},
        }
        (dst / "report.json").write_text(json.dumps({"models": said}))


def test_all_parts_have_the_same_epochs_and_start(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    base, twin, tuned = (names_of(qat.training(plan, "b", 2, p)[3:]) for p in qat_table.PARTS)
    assert (base["epochs"], base["lr"], base["seed"]) == ("9", "0.1", "2")
    # --weights would leave the classification layer of the student out.
    assert "weights" not in base.keys() | twin.keys() | tuned.keys()
    assert twin["checkpoint"] == tuned["checkpoint"] == f"{base['dst']}/student.safetensors"
    assert (twin["qat"], twin["qat_lr"]) == (tuned["qat"], tuned["qat_lr"]) == ("3", "0.01")
    assert (twin.keys() ^ tuned.keys()) == {"noqat_rounding", "qat_scheme"}
    assert len({base["dst"], twin["dst"], tuned["dst"]}) == 3
    given = names_of(qat.exporting(plan, "b", 2, "twin")[3:])
    assert (given["src"], given["scheme"]) == (twin["dst"], tuned["qat_scheme"])


@pytest.mark.parametrize("part", qat_table.PARTS)
def test_the_stages_take_the_commands(tmp_path: Path, part: str) -> None:
    plan = plan_of(tmp_path)
    assert arguments.collect(distill.run, qat.training(plan, "b", 2, part)[3:])
    assert arguments.collect(export.run, qat.exporting(plan, "b", 2, part)[3:])


def test_tables_of_a_whole_run(tmp_path: Path) -> None:
    runs = qat.measure(plan_of(tmp_path), make)
    assert len(runs) == 2 * 2 * 3
    accuracy, lost = qat_table.compare(runs, "a", "qat", "twin") or pytest.fail("no pairs")
    assert accuracy.mean == pytest.approx(0.11)  # 0.10 and 0.12; t of one degree is 12.7062
    assert accuracy.low == pytest.approx(0.11 - 12.7062 * 0.01, rel=1e-4)
    assert lost.mean == pytest.approx(-0.16)  # -0.15 and -0.17
    text = (tmp_path / "qat.md").read_text()
    line = "| a | float epochs | 2 | 60.00 ± 0.00 | 45.00 ± 0.00 | 15.00 ± 0.00 | 90.00 ± 0.00 |"
    assert line in text
    assert "| b | fake INT8 epochs less float epochs | +11.00 [-1.71, +23.71] |" in text
    with (tmp_path / "qat.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert (len(lines), lines[0]["part"], float(lines[0]["int8"])) == (12, "base", 0.4)


def test_one_seed_has_no_interval_and_none_no_line() -> None:
    runs = [Run("a", 1, part, 0.5, 0.25, 1.0) for part in ("base", "qat")]
    text = qat_table.page(
        runs, ["a"], prepared="", teacher="", common="", epochs="", lr="", scheme=""
    )
    assert "| a | fake INT8 epochs less as trained | +0.00 | +0.00 |" in text
    assert "float epochs |" not in text


@pytest.mark.parametrize("text", ["resnet18", "resnet18:", ":3", "resnet18:0", "a:b"])
def test_refuses(text: str) -> None:
    with pytest.raises(ValueError, match="expected NAME:EPOCHS, found"):
        qat.read_student(text)
