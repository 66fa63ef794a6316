"""audit: injected noise is found, its files, several folders, pictures, refusals."""

import csv
import json
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest

from shared import cli, lcz
from shared.models import label_audits, scores
from stages.audit import doubts
from stages.audit import main as stage
from tests.conftest import write_patches

ROWS, NOISE = 1020, 0.15


def make_noise(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The labels, with exactly this share of them another class."""
    noisy, wrong = labels.copy(), rng.choice(len(labels), round(NOISE * len(labels)), replace=False)
    noisy[wrong] = (noisy[wrong] + rng.integers(1, 17, len(wrong))) % 17
    return noisy


def score_by_nearest_mean(points: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(N, 17) probabilities, each row's by the means of the other half of the rows."""
    said = np.zeros((len(points), 17))
    for half in (0, 1):
        own = np.arange(len(points)) % 2 == half
        means = [points[~own & (labels == k)].mean(0) for k in range(17)]
        far = ((points[own, None] - np.stack(means)) ** 2).sum(2)
        said[own] = scores.softmax(-far / 2)
    return said


def draw(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, noisy labels, and what a simple classifier says that learned from the noisy ones."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(ROWS) % 17)
    centres = 2.5 * rng.standard_normal((17, 6))
    points = centres[labels] + rng.standard_normal((ROWS, 6))
    noisy = make_noise(labels, rng)
    return labels, noisy, score_by_nearest_mean(points, noisy)


def folder(place: Path, labels: np.ndarray, said: np.ndarray) -> Path:
    """What audit reads of a teacher with --folds."""
    place.mkdir(parents=True)
    (place / "metrics.json").write_text(json.dumps({"classes": lcz.CLASSES}))
    np.save(place / "train_labels.npy", labels)
    np.save(place / "out_of_fold_scores.npy", said.astype(np.float32))
    return place


def split(place: Path, labels: np.ndarray) -> Path:
    """Patches of these classes; row i is nearly flat, and as bright as i says."""
    bright = np.arange(len(labels))[:, None, None, None] / len(labels)
    bright = bright + np.linspace(0, 4e-4, 4)[:, None, None]
    arrays = {
        "sen1": np.zeros((len(labels), 4, 4, 8)),
        "sen2": np.broadcast_to(bright, (len(labels), 4, 4, 10)),
        "label": np.eye(17)[labels],
    }
    place.mkdir(exist_ok=True)
    return write_patches(place / "training.h5", arrays)


def command(src: Path | str, train: Path, dst: Path, *flags: str) -> dict[str, Any]:
    """Run the stage as its container does; its audit.json."""
    cli.main(stage.run, [f"--src={src}", f"--train={train}", f"--dst={dst}", *flags])
    content: dict[str, Any] = json.loads((dst / "audit.json").read_text())
    return content


@pytest.mark.parametrize("seed", range(5))
def test_noise_is_found(seed: int) -> None:
    labels, noisy, said = draw(seed)
    suggested, quality, suspect = doubts.find(noisy, said, "both")
    wrong = labels != noisy
    found = wrong & suspect
    assert found.sum() / suspect.sum() > 0.8  # precision
    assert found.sum() / wrong.sum() > 0.85  # recall
    assert (suggested[found] == labels[found]).mean() > 0.9
    assert quality[wrong].mean() < 0.2 < 0.5 < quality[~wrong].mean()


def test_more_of_the_rows_that_fit_worst_are_wrong() -> None:
    labels, noisy, said = draw(9)
    audit = label_audits.Audit(lcz.CLASSES, noisy, *doubts.find(noisy, said, "both"))
    hits = (labels != noisy)[audit.worst()]
    assert hits[:50].mean() > 0.9 > 0.05 > hits[-500:].mean()


def test_sure_scores_that_agree_have_no_suspects() -> None:
    labels = np.arange(34) % 17
    said = 0.9 * np.eye(17)[labels] + 0.1 / 17
    suggested, quality, suspect = doubts.find(labels, said, "prune_by_noise_rate")
    assert not suspect.any()
    np.testing.assert_array_equal(suggested, labels)
    np.testing.assert_allclose(quality, 0.9 + 0.1 / 17)


def test_classes_that_do_not_occur_are_not_suggested() -> None:
    """Two of three classes occur; a row that is surely of the third says nothing of the two."""
    labels = np.array([0, 2] * 20)
    said = 0.8 * np.eye(3)[labels] + 0.2 / 3
    said[4] = [0.01, 0.29, 0.7]  # surely class 2 rather than 0, of those that occur
    said[6] = [0.0, 1.0, 0.0]
    suggested, quality, suspect = doubts.find(labels, said, "prune_by_noise_rate")
    assert set(suggested) == {0, 2}
    assert suggested[4] == 2
    np.testing.assert_allclose(quality[[4, 6]], [0.01 / 0.71, 0.5])
    assert suspect[[4, 1]].tolist() == [True, False]


def test_product_says_all_of_every_row(tmp_path: Path) -> None:
    _, noisy, said = draw(0)
    src, train = folder(tmp_path / "net", noisy, said), split(tmp_path / "prepare", noisy)
    content = command(src, train, tmp_path / "audit")
    assert sorted(path.name for path in (tmp_path / "audit").iterdir()) == [
        "audit.json", "labels.csv", "worst.png",
    ]  # fmt: skip
    suggested, quality, suspect = doubts.find(noisy, said.astype(np.float32), "both")
    with (tmp_path / "audit" / "labels.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert sorted(int(line["row"]) for line in lines) == list(range(ROWS))
    order = [float(line["score"]) for line in lines]
    assert order == sorted(order)
    for line in lines:
        row = int(line["row"])
        assert line["given"] == lcz.CLASSES[noisy[row]]
        assert line["suggested"] == lcz.CLASSES[suggested[row]]
        assert float(line["score"]) == pytest.approx(quality[row], abs=1e-6)
        assert line["suspect"] == str(int(suspect[row]))
    assert (content["rows"], content["suspects"]) == (ROWS, suspect.sum())
    for number, one in enumerate(content["per_class"]):
        own = noisy == number
        assert (one["class"], one["rows"]) == (lcz.CLASSES[number], own.sum())
        assert one["suspects"] == (own & suspect).sum() == round(one["share"] * one["rows"])
    audit = label_audits.load(tmp_path / "audit")
    np.testing.assert_array_equal(audit.given, noisy)
    np.testing.assert_array_equal(audit.suspect, suspect)
    assert audit.worst().tolist() == [int(line["row"]) for line in lines]


def test_a_class_says_what_its_suspects_look_like() -> None:
    given, suggested = np.array([0, 0, 0, 0, 1]), np.array([2, 2, 1, 2, 1])
    suspect = np.array([True, False, True, True, False])
    audit = label_audits.Audit(("a", "b", "c"), given, suggested, np.zeros(5), suspect)
    assert stage.describe_classes(audit) == [
        {"class": "a", "rows": 4, "suspects": 3, "share": 0.75, "most_like": "c"},
        {"class": "b", "rows": 1, "suspects": 0, "share": 0.0, "most_like": ""},
    ]


def test_the_mean_of_several_folders_counts(tmp_path: Path) -> None:
    _, noisy, said = draw(1)
    train, rng = split(tmp_path / "prepare", noisy), np.random.default_rng(0)
    parts = rng.dirichlet(np.ones(17), ROWS).astype(np.float32), said.astype(np.float32)
    first, second = (folder(tmp_path / f"net-{n}", noisy, part) for n, part in enumerate(parts))
    command(f"{first},{second}", train, tmp_path / "both")
    audit = label_audits.load(tmp_path / "both")
    mean = (parts[0].astype(float) + parts[1]) / 2
    np.testing.assert_allclose(audit.score, mean[np.arange(ROWS), noisy], atol=1e-5)


def test_two_runs_are_equal_to_the_byte(tmp_path: Path) -> None:
    _, noisy, said = draw(2)
    src, train = folder(tmp_path / "net", noisy, said), split(tmp_path / "prepare", noisy)
    for name in ("one", "two"):
        command(src, train, tmp_path / name)
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()


@pytest.mark.parametrize("shown", [1, 7])
def test_the_worst_rows_are_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shown: int
) -> None:
    """Row i is as bright as i says: the pictures' order of brightness is that of the rows."""
    _, noisy, said = draw(3)
    src, train = folder(tmp_path / "net", noisy, said), split(tmp_path / "prepare", noisy)
    drawn, titles = [], []
    axes = plt.Axes
    monkeypatch.setattr(axes, "imshow", lambda _, picture, **__: drawn.append(picture))
    monkeypatch.setattr(axes, "set_title", lambda _, text, **__: titles.append(text))
    command(src, train, tmp_path / "audit", f"--shown={shown}")
    worst = label_audits.load(tmp_path / "audit").worst()[:shown]
    assert [title.split(":")[0] for title in titles] == [f"row {row}" for row in worst]
    assert titles[0].endswith(
        lcz.CLASSES[label_audits.load(tmp_path / "audit").suggested[worst[0]]]
    )
    bright = np.array([picture.mean() for picture in drawn])
    ends = (bright > bright.min()) & (bright < bright.max())  # cut at 1 and 99 %
    np.testing.assert_array_equal(np.argsort(bright[ends]), np.argsort(worst[ends]))


@pytest.mark.parametrize(
    ("change", "flag", "message"),
    [
        ("no scores", "", "net: expected out_of_fold_scores.npy, found none; teacher --folds"),
        ("sums", "", "out_of_fold_scores.npy: row 0 is no probability distribution"),
        ("labels", "", "training.h5: labels differ from"),
        ("other", "", "other: expected the classes and training labels of"),
        ("", "--method=magic", "--method: expected prune_by_noise_rate, prune_by_class, both or"),
        ("", "--shown=0", "--shown: expected 1 to 100, found 0"),
    ],
)
def test_refuses(  # type: ignore[no-untyped-def]
    tmp_path, capfd, change, flag, message
) -> None:
    _, noisy, said = draw(0)
    src = folder(tmp_path / "net", noisy, said * (2 if change == "sums" else 1))
    if change == "no scores":
        (src / "out_of_fold_scores.npy").unlink()
    changed = np.roll(noisy, 1) if change in ("labels", "other") else noisy
    train = split(tmp_path / "prepare", changed if change == "labels" else noisy)
    both = str(src)
    if change == "other":
        both += f",{folder(tmp_path / 'other', changed, said)}"
    there = sorted(tmp_path.rglob("*"))
    capfd.readouterr()  # how the patch file was written
    with pytest.raises(SystemExit, match="2"):
        command(both, train, tmp_path / "audit", *([flag] if flag else []))
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line]
    assert message in line
    assert sorted(tmp_path.rglob("*")) == there


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("rows", "lines", 1), "audit.json"),
        (lambda _: "[" * 9, "audit.json"),
    ],
)
def test_a_broken_summary_is_told(tmp_path: Path, change: Any, message: str) -> None:
    audit = label_audits.Audit(("a", "b"), np.array([0, 1]), np.array([0, 0]),
                               np.array([0.5, 0.25]), np.array([False, True]))  # fmt: skip
    label_audits.save(tmp_path, audit)
    path = tmp_path / "audit.json"
    path.write_text(change(path.read_text()))
    with pytest.raises(Exception, match=message):
        label_audits.load(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("1,b,a,0.25", "0,b,a,0.25", "expected each of 2 rows once, found 2 lines"),
        ("1,b,a,0.25", "1,b,c,0.25", "expected the table that audit has made"),
        ("1,b,a,0.25", "1,b,a,7.25", "score: expected 0 to 1"),
        ("1,b,a,0.25", "1,b,a,nan,#", "expected the table that audit has made"),
    ],
)
def test_a_broken_table_is_told(tmp_path: Path, old: str, new: str, message: str) -> None:
    audit = label_audits.Audit(("a", "b"), np.array([0, 1]), np.array([0, 0]),
                               np.array([0.5, 0.25]), np.array([False, True]))  # fmt: skip
    label_audits.save(tmp_path, audit)
    path = tmp_path / "labels.csv"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(Exception, match=message):
        label_audits.load(tmp_path)
