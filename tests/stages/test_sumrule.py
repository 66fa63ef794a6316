"""sumrule: the average, its independence of order, going on after a stop, the refusals."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared import cli
from shared.models import scores
from stages.sumrule import main as stage
from tests import hostile

CLASSES = ("road", "roof", "tree")


def ensemble(folder: Path, seed: int, rows: int = 30, logits: bool = True) -> Path:
    """A score folder whose scores are right more often than not."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for split in ("train", "test"):
        labels = np.arange(rows) % 3
        values = rng.standard_normal((rows, 3)) + 1.5 * np.eye(3)[labels]
        if logits:
            np.save(folder / f"{split}_logits.npy", values.astype(np.float32))
            np.save(folder / f"{split}_labels.npy", labels)
    scores.write(folder, labels, scores.softmax(values), CLASSES)
    return folder


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    return ensemble(tmp_path / "teacher" / "a", 1), ensemble(tmp_path / "teacher" / "b", 2)


def shard(folder: Path, numbers: list[int], **more: int) -> Path:
    """The product of members `numbers` of one ensemble, as a trainer writes it."""
    folder.mkdir(parents=True)
    labels = np.arange(30) % 3
    for split in ("train", "test"):
        each = [3 * np.random.default_rng(n).standard_normal((30, 3)) for n in numbers]
        np.save(folder / f"{split}_logits.npy", np.mean(each, 0).astype(np.float32))
        np.save(folder / f"{split}_labels.npy", labels)
    said = np.mean([scores.softmax(logits) for logits in each], 0)
    scores.write(folder, labels, said, CLASSES, **{"networks": len(numbers)} | more)
    return folder


def command(dst: Path, *src: Path, flags: tuple[str, ...] = ()) -> Path:
    cli.main(stage.run, [f"--src={','.join(map(str, src))}", f"--dst={dst}", *flags])
    return dst


def metrics(folder: Path) -> dict[str, Any]:
    figures: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
    return figures


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_mean_by_hand_whatever_the_order() -> None:
    a, b, c = (np.array([[x, 1 - x]], np.float32) for x in (0.2, 0.4, 0.9))
    np.testing.assert_allclose(scores.mean([a, b, c]), [[0.5, 0.5]], atol=1e-7)
    np.testing.assert_array_equal(scores.mean([a, b, c]), scores.mean([c, a, b]))


def test_mean_by_counts_by_hand() -> None:
    a, b = np.array([[0.2, 0.8]], np.float32), np.array([[0.8, 0.2]], np.float32)
    np.testing.assert_allclose(scores.mean([a, b], [1, 2]), [[0.6, 0.4]], atol=1e-7)
    np.testing.assert_array_equal(scores.mean([a, b], [1, 2]), scores.mean([b, a], [2, 1]))
    np.testing.assert_array_equal(scores.mean([a], [10]), a)


def test_unequal_shards_joined_are_the_whole_ensemble(tmp_path: Path) -> None:
    parts = shard(tmp_path / "1", [1]), shard(tmp_path / "2", [2, 3])
    whole = shard(tmp_path / "whole", [1, 2, 3])
    by_members = command(tmp_path / "members", *parts, flags=("--weigh=members",))
    by_folders = command(tmp_path / "folders", *parts)
    expected = np.load(whole / "test_scores.npy")
    np.testing.assert_allclose(np.load(by_members / "test_scores.npy"), expected, rtol=0, atol=1e-7)
    assert abs(np.load(by_folders / "test_scores.npy") - expected).max() > 0.01
    for name in ("test_logits.npy", "train_logits.npy"):
        joined, theirs = np.load(by_members / name), np.load(whole / name)
        np.testing.assert_allclose(joined, theirs, rtol=0, atol=1e-6)
    assert metrics(by_members)["networks"] == 3
    assert [part["networks"] for part in metrics(by_members)["members"]] == [1, 2]
    assert "networks" not in metrics(by_folders)  # no plain mean of networks


def test_modes_made_of_shards_can_be_joined_again(tmp_path: Path) -> None:
    parts = shard(tmp_path / "1", [1]), shard(tmp_path / "2", [2, 3])
    mode = command(tmp_path / "rand", *parts, flags=("--weigh=members",))
    both = command(tmp_path / "all", mode, shard(tmp_path / "sar", [4, 5, 6]))
    expected = np.load(shard(tmp_path / "whole", [1, 2, 3, 4, 5, 6]) / "test_scores.npy")
    np.testing.assert_allclose(np.load(both / "test_scores.npy"), expected, rtol=0, atol=2e-7)
    assert metrics(both)["networks"] == 6


def test_sums_are_summed_each_counting_once(tmp_path: Path) -> None:
    modes = {name: [shard(tmp_path / f"{name}-{n}", [seed + n]) for n in range(3)]
             for name, seed in (("narrow", 1), ("wide", 11))}  # fmt: skip
    both = [command(tmp_path / name, *parts) for name, parts in modes.items()]
    whole = command(tmp_path / "sumrule", *both)
    each = [np.load(part / "test_scores.npy") for parts in modes.values() for part in parts]
    np.testing.assert_allclose(np.load(whole / "test_scores.npy"), np.mean(each, 0), atol=2e-7)
    assert metrics(whole)["networks"] == 6
    # An architecture with one mode fewer still counts as much as the other, which is no plain mean.
    fewer = command(tmp_path / "fewer", *modes["narrow"][:2])
    uneven = command(tmp_path / "uneven", fewer, both[1])
    expected = (np.mean(each[:2], 0) + np.mean(each[3:], 0)) / 2
    np.testing.assert_allclose(np.load(uneven / "test_scores.npy"), expected, atol=2e-7)
    assert "networks" not in metrics(uneven)


def test_refuses_to_weigh_what_is_not_counted(two, tmp_path, capsys) -> None:  # type: ignore[no-untyped-def]
    none = shard(tmp_path / "teacher" / "none", [1], networks=0)
    for src, flag, message in [
        (two, "--weigh=rows", "--weigh: expected folders or members, found 'rows'"),
        (two, "--weigh=members", "expected 'networks' in teacher/a/metrics.json, found none"),
        ((none,), "--weigh=members", "metrics.json: networks: expected 1 or more, found 0"),
    ]:
        with pytest.raises(SystemExit, match="2"):
            command(tmp_path / "sumrule", *src, flags=(flag,))
        assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["teacher"]  # nothing left behind


def test_product_is_the_mean_and_measures_itself(two: tuple[Path, Path], tmp_path: Path) -> None:
    dst = command(tmp_path / "sumrule", *two)
    for name in ("test_scores", "test_logits", "train_logits"):
        expected = np.mean([np.load(path / f"{name}.npy") for path in two], 0)
        np.testing.assert_allclose(np.load(dst / f"{name}.npy"), expected, atol=1e-6)
    labels = np.load(dst / "test_labels.npy")
    measured = json.loads((dst / "metrics.json").read_text())
    hits = (np.load(dst / "test_scores.npy").argmax(1) == labels).mean()
    assert measured["overall_accuracy"] == hits > 1 / 3
    assert [member["name"] for member in measured["members"]] == ["teacher/a", "teacher/b"]
    assert (dst / "confusion.png").read_bytes().startswith(b"\x89PNG")
    np.testing.assert_array_equal(np.load(dst / "train_labels.npy"), np.arange(30) % 3)


def test_order_of_folders_changes_no_number(two: tuple[Path, Path], tmp_path: Path) -> None:
    one, other = command(tmp_path / "1", *two), command(tmp_path / "2", *two[::-1])
    for name in ("test_scores.npy", "test_logits.npy", "confusion.csv"):
        assert (one / name).read_bytes() == (other / name).read_bytes()


def test_logits_only_when_all_have_them(two: tuple[Path, Path], tmp_path: Path) -> None:
    bare = ensemble(tmp_path / "teacher" / "bare", 3, logits=False)
    dst = command(tmp_path / "sumrule", *two, bare)
    assert not list(dst.glob("*logits.npy")) + list(dst.glob("train*"))


def test_each_split_has_logits_only_when_all_have_them(
    two: tuple[Path, Path], tmp_path: Path
) -> None:
    for name in ("train_logits.npy", "train_labels.npy"):
        (two[1] / name).unlink()
    dst = command(tmp_path / "sumrule", *two)
    assert (dst / "test_logits.npy").exists()
    assert not list(dst.glob("train*"))


def test_goes_on_after_kill(two: tuple[Path, Path], tmp_path: Path) -> None:
    whole = command(tmp_path / "whole", *two)
    line = [sys.executable, "-m", "stages.sumrule.main"]
    line += [f"--src={two[0]},{two[1]}", f"--dst={tmp_path / 'killed'}"]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    partial = tmp_path / "killed.partial"
    deadline = time.monotonic() + 30
    while not partial.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert content(command(tmp_path / "killed", *two)) == content(whole)
    assert not partial.exists()


def spoil_shape(folder: Path) -> str:
    np.save(folder / "test_scores.npy", np.full((30, 4), 0.25))
    return "test_scores.npy: expected (30, 3) for its labels, found (30, 4)"


def spoil_sum(folder: Path) -> str:
    probabilities = np.load(folder / "test_scores.npy")
    probabilities[7] *= 1.1
    np.save(folder / "test_scores.npy", probabilities)
    return "row 7 is no probability distribution (1 such rows)"


def spoil_sign(folder: Path) -> str:
    probabilities = np.load(folder / "test_scores.npy")
    probabilities[7] = (-0.25, 0.75, 0.5)  # they sum to 1
    np.save(folder / "test_scores.npy", probabilities)
    return "row 7 is no probability distribution (1 such rows)"


def spoil_nan(folder: Path) -> str:
    np.save(folder / "test_scores.npy", np.full((30, 3), np.nan))
    return "test_scores.npy: NaN or infinite values"


def spoil_labels(folder: Path) -> str:
    labels = np.load(folder / "test_labels.npy")
    labels[4] = 0
    np.save(folder / "test_labels.npy", labels)
    return "teacher/b: test: row 4 has another label than in teacher/a"


def spoil_train(folder: Path) -> str:
    np.save(folder / "train_labels.npy", np.zeros(29, int))
    np.save(folder / "train_logits.npy", np.zeros((29, 3)))
    return "teacher/b: train: expected 30 rows as in teacher/a, found 29"


def spoil_classes(folder: Path) -> str:
    (folder / "metrics.json").write_text('{"classes": ["sea", "sky", "sun"]}')
    return "teacher/b: expected the 3 classes of teacher/a, found 3 others: sea, sky, sun"


def spoil_class_count(folder: Path) -> str:
    (folder / "metrics.json").write_text('{"classes": ["road", "roof"]}')
    return "test_labels.npy: expected class numbers 0 to 1"


def spoil_rows(folder: Path) -> str:
    for name in ("test_labels", "test_scores", "test_logits"):
        np.save(folder / f"{name}.npy", np.load(folder / f"{name}.npy")[1:])
    return "teacher/b: test: expected 30 rows as in teacher/a, found 29"


def spoil_metrics(folder: Path) -> str:
    (folder / "metrics.json").unlink()
    return "metrics.json: expected a score folder with metrics.json, found none"


def spoil_file(folder: Path) -> str:
    whole = (folder / "test_logits.npy").read_bytes()
    (folder / "test_logits.npy").write_bytes(whole[: len(whole) // 2])
    return "test_logits.npy: not a complete NPY file"


SPOILS = [
    spoil_shape, spoil_sum, spoil_sign, spoil_nan, spoil_labels, spoil_train, spoil_classes,
    spoil_class_count, spoil_rows, spoil_metrics, spoil_file,
]  # fmt: skip


@pytest.mark.parametrize("spoil", SPOILS, ids=lambda spoil: spoil.__name__)
def test_refuses(two, tmp_path, capsys, spoil) -> None:  # type: ignore[no-untyped-def]
    message = spoil(two[1])
    with pytest.raises(SystemExit, match="2"):
        command(tmp_path / "out" / "sumrule", *two)
    heard = capsys.readouterr().err
    assert message in heard
    assert heard.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["teacher"]  # nothing left behind


def test_one_folder_is_itself(two: tuple[Path, Path], tmp_path: Path) -> None:
    dst = command(tmp_path / "sumrule", two[0])
    for name in ("test_scores.npy", "train_logits.npy", "confusion.csv"):
        assert (dst / name).read_bytes() == (two[0] / name).read_bytes()


def test_refuses_none_and_one_twice(two, tmp_path, capsys) -> None:  # type: ignore[no-untyped-def]
    for src in ((), (two[0], two[0])):
        with pytest.raises(SystemExit, match="2"):
            command(tmp_path / "sumrule", *src)
        assert capsys.readouterr().err.startswith("error: --src: ")


# Names of classes and folders as people have them.


def renamed(folder: Path, names: tuple[str, ...]) -> None:
    """Other class names for a score folder."""
    whole = json.loads((folder / "metrics.json").read_text())
    whole["classes"] = names
    (folder / "metrics.json").write_text(json.dumps(whole))


@pytest.mark.parametrize("name", hostile.ODD.values(), ids=hostile.ODD)
def test_odd_class_names_are_kept_and_drawn(
    two: tuple[Path, Path], tmp_path: Path, name: str
) -> None:
    names = ("road", name, "tree")
    for folder in two:
        renamed(folder, names)
    out = command(tmp_path / "out", *two)
    with (out / "confusion.csv").open(newline="", encoding="utf-8") as file:
        table = list(csv.reader(file))
    assert [row[0] for row in table[1:]] == table[0][1:] == list(names)
    assert tuple(metrics(out)["per_class"]) == names
    assert (out / "confusion.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", hostile.NAMES.values(), ids=hostile.NAMES)
def test_hostile_class_names_are_refused_in_one_line(
    two: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    for folder in two:
        renamed(folder, ("road", name, "tree"))
    with pytest.raises(SystemExit, match="2"):
        command(tmp_path / "out", *two)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {two[0]}/metrics.json: classes: expected names of printable")
    assert hostile.is_calm(line)
    assert not list(tmp_path.glob("out*"))
