"""make bench-distill: its statistics by hand, and the harness with runs that are not trained."""

import csv
import json
from pathlib import Path

import pytest

pytest.importorskip("scipy")

from shared.pipeline.reading import read_settings
from tests.bench import distill, distill_table
from tests.bench.distill_table import Run


def test_the_interval_of_paired_differences_by_hand() -> None:
    """0.10, 0.05, 0.10: mean 1/12, deviation 0.02887, t of two degrees 4.30265."""
    runs = [
        Run("kd", i, *pair, 0.8, 3) for i, pair in enumerate([(0.6, 0.5), (0.7, 0.65), (0.8, 0.7)])
    ]
    of = distill_table.summarise(runs).gain
    assert of.low is not None
    assert of.high is not None
    reach = 4.30265 * (0.05 / 3**0.5) / 3**0.5
    assert of.mean == pytest.approx(1 / 12)
    assert (of.mean - of.low, of.high - of.mean) == pytest.approx((reach, reach), rel=1e-5)
    of = distill_table.summarise([Run("kd", 1, 0.5, 0.75, 0.8, 3)]).gain
    assert of.mean == -0.25
    assert of.low is of.high is None


def test_a_setting_by_hand() -> None:
    runs = [Run("kd", 1, 0.6, 0.5, 0.8, 3), Run("kd", 2, 0.9, 0.7, 0.9, 3)]
    found = distill_table.summarise(runs)
    assert found.student.mean == pytest.approx(0.75)
    assert found.student.deviation == pytest.approx(0.3 / 2**0.5)
    assert found.twin.deviation == pytest.approx(0.2 / 2**0.5)
    assert found.gain.mean == pytest.approx(0.15)
    assert found.gain.low is not None
    assert found.gain.high is not None
    assert found.gain.high - found.gain.low == pytest.approx(2 * 12.7062 * 0.05, rel=1e-5)
    assert found.retention == pytest.approx((0.75 + 1) / 2)


ACCURACY = {"kd-1": 0.6, "kd-2": 0.7, "dist-1": 0.65, "dist-2": 0.75, "long-1": 0.9, "long-2": 0.8}


def plan_of(out: Path) -> distill.Plan:
    flags = {"kd": "", "dist": "--loss=dist --nostandardise", "long": "--epochs 9 --onnx a,b"}
    return distill.Plan(
        out, ("--train", "t.h5", "--test", "u.h5"), "teacher", ("--epochs", "3", "--lr", "0.1"),
        flags, (1, 2),
    )  # fmt: skip


def test_the_student_of_a_source_is_trained_as_the_pipeline_does() -> None:
    words = distill.student_flags(read_settings("demo"))
    assert words[:2] == ("--architecture", "student-separable")
    assert distill.names_of(words)["bands"] == "B12,B8,B4"
    assert distill.student_flags(read_settings("tiny"))[:2] == ("--architecture", "resnet18")


def train(command: list[str]) -> None:
    """As the stage: a product that is there is left as it is."""
    given = distill.names_of(command[3:])
    dst = Path(given["dst"])
    dst.mkdir(parents=True, exist_ok=True)
    said = {
        "overall_accuracy": ACCURACY[dst.name], "teacher_accuracy": 0.9,
        "epochs": int(given["epochs"]),
    }  # fmt: skip
    if "nobaseline" not in given:
        said["baseline_accuracy"] = 0.5 + 0.1 * (int(given["seed"]) - 1)
    (dst / "metrics.json").write_text(json.dumps(said))


def test_commands() -> None:
    plan = plan_of(Path("out"))
    assert distill.build_command(plan, "dist", 2)[2:] == [
        "stages.distill.main", "--train", "t.h5", "--test", "u.h5", "--teacher", "teacher", "--dst",
        "out/dist-2", "--seed", "2", "--epochs", "3", "--lr", "0.1", "--loss=dist",
        "--nostandardise", "--nobaseline",
    ]  # fmt: skip
    long = distill.build_command(plan, "long", 1)
    assert "--teacher" not in long
    assert "--nobaseline" not in long  # other epochs make another twin
    assert long.count("--epochs") == 1


def test_every_setting_beside_its_twin(tmp_path: Path) -> None:
    """dist is compared with the twin that kd trained; a run that was stopped goes on."""
    plan, started = plan_of(tmp_path), list[str]()

    def start(command: list[str]) -> None:
        started.append(command[command.index("--dst") + 1])
        if len(started) == 5:
            raise KeyboardInterrupt
        train(command)

    with pytest.raises(KeyboardInterrupt):
        distill.measure(plan, start)
    with (tmp_path / "distill.csv").open() as file:  # what the first seed said is there already
        assert [line["runs"] for line in csv.DictReader(file)] == ["1", "1", "1"]
    runs = distill.measure(plan, start)
    assert [(run.setting, run.seed) for run in runs] == [
        ("kd", 1), ("dist", 1), ("long", 1), ("kd", 2), ("dist", 2), ("long", 2),
    ]  # fmt: skip
    with (tmp_path / "distill.csv").open() as file:
        lines = {line["setting"]: line for line in csv.DictReader(file)}
    assert float(lines["dist"]["difference"]) == pytest.approx(0.15)
    assert float(lines["long"]["difference"]) == pytest.approx(0.3)
    assert float(lines["long"]["low"]) == pytest.approx(0.3 - 12.7062 * 0.1, rel=1e-5)
    text = (tmp_path / "distill.md").read_text()
    assert "| dist | `--loss=dist --nostandardise` | 2 | 3 | 70.00 ± 7.07 | 55.00 ± 7.07 |" in text
    assert "| +15.00 [+15.00, +15.00] | 77.8 % |" in text
    assert distill_table.UNEQUAL in text


def test_settings_are_read() -> None:
    assert distill.read_setting(" dist : --loss dist") == ("dist", "--loss dist")
    for text in ("dist", "a/b:--loss dist", "7:--loss dist"):
        with pytest.raises(ValueError, match="expected NAME:FLAGS"):
            distill.read_setting(text)


def test_the_usual_settings_share_one_twin() -> None:
    flags = dict(map(distill.read_setting, distill.SETTINGS))
    plan = distill.Plan(Path("out"), (), "", (), flags, (1,))
    assert {distill.twin_of(plan, name) for name in flags} == {"kd"}
