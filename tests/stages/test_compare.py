"""compare: repetitions by name, measures and intervals by hand, tables, charts, times, refusals."""

import base64
import csv
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from shared import cli, models
from shared.errors import StageError
from shared.models import scores
from shared.runs import record
from stages.compare import main as stage
from stages.compare import products, summary, tables

CLASSES = ("road", "roof", "tree")
# GlobalAveragePool and Flatten: input (batch, 3, 16, 16) to logits (batch, 3), opset 17.
MEAN_OF_PIXELS = (
    "CAg6gwEKIAoFaW5wdXQSBG1lYW4iEUdsb2JhbEF2ZXJhZ2VQb29sChcKBG1lYW4SBmxvZ2l0cyIHRmxhdHRlbhIBZ1ok"
    "CgVpbnB1dBIbChkIARIVCgcSBWJhdGNoCgIIAwoCCBAKAggQYh0KBmxvZ2l0cxITChEIARINCgcSBWJhdGNoCgIIA0IE"
    "CgAQEQ=="
)
LABELS = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2, 2])


def score_folder(folder: Path, right: int, sure: float = 0.8, labels: Any = LABELS) -> Path:
    """A product that is right on its first rows and takes the next class for the others."""
    folder.mkdir(parents=True)
    said = np.where(np.arange(len(labels)) < right, labels, (labels + 1) % 3)
    rows = np.full((len(labels), 3), (1 - sure) / 2)
    rows[np.arange(len(labels)), said] = sure
    scores.write(folder, labels, rows, CLASSES)
    return folder


def student(folder: Path, right: int, twin: int, seed: int | None = None, **setting: Any) -> Path:
    """A student with its twin, its size and, with a seed, its record."""
    score_folder(folder, right)
    score_folder(folder / "baseline", twin)
    lines = "file,parameters,macs\nstudent.onnx,2000000,5\n"
    (folder / "models.csv").write_text(lines)
    if seed is not None:
        plan = {"stage": "distill", "parameters": {"seed": seed, **setting}}
        record.save(folder, {"plan": plan, "output": record.fingerprint(folder)})
    return folder


def command(dst: Path, *src: Path, flags: tuple[str, ...] = ()) -> Path:
    cli.main(stage.run, [f"--src={','.join(map(str, src))}", f"--dst={dst}", *flags])
    return dst


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def four(tmp_path: Path) -> list[Path]:
    """Three repetitions of a small student and one larger network."""
    folder = tmp_path / "distill"
    rights = ((42, 6, 5), (43, 8, 5), (44, 7, 7))
    small = [student(folder / f"small-{s}", r, t, s, alpha=0.3) for s, r, t in rights]
    return [*small, student(folder / "large", 9, 9, 7, alpha=0.7)]


@pytest.mark.parametrize(
    ("name", "seed", "expected"),
    [
        ("small-42", 42, ("small", 42)),
        ("small-42", None, ("small", 42)),  # a folder without a record
        ("resnet-18", 42, ("resnet-18", None)),  # 18 is no seed
        ("efficientnet_b0", 42, ("efficientnet_b0", None)),
        ("a-b-7", 7, ("a-b", 7)),
        ("-7", 7, ("-7", None)),
    ],
)
def test_names_without_their_seed(
    name: str, seed: int | None, expected: tuple[str, int | None]
) -> None:
    assert products.split_name(name, seed) == expected


def test_means_deviations_and_gains_by_hand(four: list[Path], tmp_path: Path) -> None:
    lines = read(command(tmp_path / "out", *four) / "compare.csv")
    assert [line["name"] for line in lines] == ["large", "small"]  # by accuracy
    small = lines[1]
    number = {name: float(value) for name, value in small.items() if name != "name" and value}
    assert number["repetitions"] == 3
    assert number["accuracy"] == pytest.approx(0.7)
    assert number["accuracy_std"] == pytest.approx(0.1)  # of 0.6, 0.7, 0.8 with n - 1
    assert number["twin_accuracy"] == pytest.approx(17 / 30)
    assert number["gain_accuracy"] == pytest.approx(4 / 30)  # of 0.1, 0.3, 0
    # The deviation of 0.1, 0.3, 0 is 0.15275; t of 2 degrees at 97.5 % is 4.302653.
    reach = 4.302653 * 0.1527525 / 3**0.5
    assert number["gain_accuracy_low"] == pytest.approx(4 / 30 - reach, abs=1e-6)
    assert number["gain_accuracy_high"] == pytest.approx(4 / 30 + reach, abs=1e-6)
    # Seven right rows with 0.8 and three wrong ones with 0.1 for the true class, on average.
    assert number["loss"] == pytest.approx(-0.7 * np.log(0.8) - 0.3 * np.log(0.1), abs=1e-6)
    assert number["parameters"] == 2_000_000
    assert number["percent_per_million_parameters"] == pytest.approx(35)
    assert (small["alpha"], lines[0]["alpha"]) == ("0.3", "0.7")


def test_a_single_product_has_no_deviation(four: list[Path], tmp_path: Path) -> None:
    (line,) = read(command(tmp_path / "out", four[3]) / "compare.csv")
    assert line["accuracy"] == "0.9"
    assert line["accuracy_std"] == line["gain_accuracy_low"] == ""
    assert "alpha" not in line  # nothing differs


def test_each_product_has_its_line(four: list[Path], tmp_path: Path) -> None:
    lines = read(command(tmp_path / "out", *four) / "runs.csv")
    assert [line["product"] for line in lines] == ["small-42", "small-43", "small-44", "large"]
    assert [line["seed"] for line in lines] == ["42", "43", "44", ""]
    assert [line["accuracy"] for line in lines] == ["0.6", "0.8", "0.7", "0.9"]
    assert [line["twin_accuracy"] for line in lines] == ["0.5", "0.5", "0.7", "0.9"]
    # Four of four roads are right, of seven so called; two of three roofs, of two; no tree is.
    assert float(lines[0]["macro_f1"]) == pytest.approx((8 / 11 + 4 / 5 + 0) / 3)


def test_groups_without_twins_have_no_gain(four: list[Path], tmp_path: Path) -> None:
    teacher = score_folder(tmp_path / "teacher" / "resnet18-rand", 10)
    lines = read(command(tmp_path / "out", teacher, *four) / "compare.csv")
    assert lines[0]["name"] == "resnet18-rand"
    assert lines[0]["gain_accuracy"] == lines[0]["parameters"] == ""
    assert lines[2]["gain_accuracy"] != ""
    alone = command(tmp_path / "alone", teacher)
    assert {path.name for path in alone.iterdir()} == {
        "compare.csv", "runs.csv", "table.tex", "quality.png"
    }  # fmt: skip


def test_the_cross_entropy_of_impossible_rows_is_finite() -> None:
    sure = np.array([[1.0, 0.0], [0.5, 0.5]])
    assert products.cross_entropy(np.array([1, 0]), sure) == pytest.approx(
        (7 * np.log(10) + np.log(2)) / 2
    )


def test_the_interval_is_student_s() -> None:
    of = summary.difference([3.0, 5.0], [1.0, 1.0])  # 2 and 4: t of 1 degree is 12.7062
    assert of.mean == 3
    assert of.low == pytest.approx(3 - 12.7062, abs=1e-4)
    assert of.high == pytest.approx(3 + 12.7062, abs=1e-4)


def test_the_table_for_papers(four: list[Path], tmp_path: Path) -> None:
    text = (command(tmp_path / "out", *four) / "table.tex").read_text()
    lines = text.splitlines()
    assert lines[0] == r"\begin{tabular}{lrrrrrr}"
    assert lines[5].startswith(r"small & 70.00 $\pm$ 10.00 & ")
    assert lines[5].endswith(r"& 2,000,000 & 56.67 $\pm$ 11.55 & +13.33 [-24.61, +51.28] \\")
    assert lines[4].startswith("large & 90.00 & ")
    assert tables.escape("a_b & 5 %") == r"a\_b \& 5 \%"


def with_network(folder: Path) -> Path:
    """The product with a model.json and an ONNX file."""
    (folder / "student.onnx").write_bytes(base64.b64decode(MEAN_OF_PIXELS))
    bands, ones = ("B4", "B3", "B2"), (1.0,) * 3
    card = models.Card("student.onnx", "x", bands, ones, ones, 16, "bilinear", CLASSES)
    models.save(folder, [card])
    return folder


def seal(folder: Path) -> None:
    """The record of a product says what is in it now."""
    made = record.load(folder)
    assert made is not None
    record.save(folder, made | {"output": record.fingerprint(folder)})


def test_networks_are_timed(four: list[Path], tmp_path: Path) -> None:
    for folder in (four[0], four[3]):
        seal(with_network(folder))
    out = command(tmp_path / "out", *four, flags=("--latency_runs=3",))
    lines = {line["name"]: line for line in read(out / "latency.csv")}
    assert lines.keys() == {"small", "large"}
    for name, percent in (("small", 70), ("large", 90)):
        time = float(lines[name]["ms"])
        assert time > 0
        assert float(lines[name]["percent_per_ms"]) == pytest.approx(percent / time)
    assert (out / "latency.png").is_file()
    untimed = command(tmp_path / "untimed", *four, flags=("--latency_runs=0",))
    assert not (untimed / "latency.csv").exists()
    digests = {record.fingerprint(folder)["sha256"] for folder in (out, untimed)}
    assert len(digests) == 1  # times are no part of a product's digest


class Broken:
    """A session of a network that asks for rows of a shape, and fails."""

    def __init__(self, shape: list[int | str]) -> None:
        self.shape = shape

    def get_inputs(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(name="input", shape=self.shape)]

    def run(self, *_: object) -> None:
        raise RuntimeError("Got invalid dimensions\nfor input")


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        (["batch", 3, 10**6, 10**6], "input: expected 1 to 100,000,000 numbers, found [1, 3, "),
        (["batch", 0], "input: expected 1 to 100,000,000 numbers, found [1, 0]"),
        (["batch", 3], "does not run (Got invalid dimensions)"),
    ],
)
def test_a_network_that_cannot_be_timed_is_refused(
    four: list[Path], monkeypatch: pytest.MonkeyPatch, shape: list[int | str], said: str
) -> None:
    from stages.compare import latency

    monkeypatch.setattr(latency, "_open", lambda *_: Broken(shape))
    with pytest.raises(StageError, match=re.escape(said)):
        latency.measure([with_network(four[0])], 1)


def test_a_broken_network_is_refused(
    four: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (with_network(four[0]) / "student.onnx").write_bytes(b"no network")
    seal(four[0])
    with pytest.raises(SystemExit, match="2"):
        command(tmp_path / "out", *four)
    assert "student.onnx: not a network that onnxruntime opens" in capsys.readouterr().err


def test_products_are_the_same_again_but_for_times(four: list[Path], tmp_path: Path) -> None:
    one, two = (command(tmp_path / name, *four) for name in ("one", "two"))
    assert record.fingerprint(one)["sha256"] == record.fingerprint(two)["sha256"]
    names = {path.name for path in one.iterdir()}
    pictures = {"quality.png", "gain.png", "efficiency.png"}
    assert names == {"compare.csv", "runs.csv", "table.tex", *pictures}


@pytest.mark.parametrize("change", ["rows", "classes", "twice", "nothing"])
def test_refuses(change: str, four: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    other = four[0].parents[1] / "other" / "small-45"
    message = {
        "rows": "small-45: test: expected 10 rows as in distill/small-42, found 6",
        "classes": "small-45: expected the 3 classes of distill/small-42",
        "twice": "--src: expected products of different names, found",
        "nothing": "metrics.json: expected a score folder",
    }[change]
    if change == "rows":
        score_folder(other, 3, labels=LABELS[:6])
    elif change == "classes":
        score_folder(other, 3)
        told = json.loads((other / "metrics.json").read_text())
        told["classes"] = ["a", "b", "c"]
        (other / "metrics.json").write_text(json.dumps(told))
    elif change == "twice":
        other = student(other.with_name("small-42"), 3, 3, 42)
    else:
        other.mkdir(parents=True)
    out = four[0].parents[1] / "out"
    with pytest.raises(SystemExit, match="2"):
        command(out, *four, other)
    assert message in capsys.readouterr().err
    assert not out.exists()
