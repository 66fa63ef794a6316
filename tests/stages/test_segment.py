"""segment: the product, its measures, teachers, stops and refusals, as its container runs it."""

import gzip
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from shared import cli, models, tiles
from shared.errors import StageError
from shared.runs import record
from shared.segmentation import onnx_file
from shared.training.loop import checkpoints
from stages.segment import main as stage
from tests import event_files, tile_files

QUICK = {
    "architecture": "pyramid-tiny", "crop": "32", "batch": "4", "lr": "0.005", "epochs": "2",
    "device": "cpu",
}  # fmt: skip


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with training.h5, validation.h5 and testing.h5 of 48 pixels, 6 and 4 tiles."""
    folder = tmp_path_factory.mktemp("splits")
    for seed, (name, rows) in enumerate((("training", 6), ("validation", 4), ("testing", 4))):
        images, masks = tile_files.draw(rows, 48, seed)
        masks[0, :9] = tiles.IGNORE
        tile_files.write(folder / f"{name}.h5", (images, masks))
    return folder


def command(splits: Path, dst: Path, **more: str) -> list[str]:
    files = {"train": "training", "validation": "validation", "test": "testing"}
    flags = {flag: str(splits / f"{name}.h5") for flag, name in files.items()} | QUICK | more
    return [*(f"--{name}={value}" for name, value in flags.items()), f"--dst={dst}"]


def make(splits: Path, dst: Path, **more: str) -> Path:
    """Run the stage as its container does."""
    cli.main(stage.run, command(splits, dst, **more))
    return dst


@pytest.fixture(scope="module")
def product(splits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(splits, tmp_path_factory.mktemp("made") / "product")


def metrics(product: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((product / "metrics.json").read_text())
    return told


def test_measures_are_those_of_the_network_that_is_handed_on(product: Path) -> None:
    """The ONNX file on whole tiles, normalised by the card, counted directly."""
    (card,) = models.load(product, task="segmentation")
    assert (card.file, card.size, card.classes) == ("network.onnx", 32, tiles.CLASSES)
    assert card.colours == tiles.COLOURS
    told = metrics(product)
    for name, split in (("validation", "validation"), ("test", "testing")):
        images, masks = tile_files.draw(4, 48, ("training", "validation", "testing").index(split))
        masks[0, :9] = tiles.IGNORE
        given = (images / 255 - np.array(card.mean)) / np.array(card.std)
        said = onnx_file.run_onnx(
            product / card.file, given.transpose(0, 3, 1, 2).astype(np.float32)
        )
        matrix = tiles.count_confusion(masks, said.argmax(1).astype(np.uint8), 5)
        expected = tiles.measure(matrix, tiles.CLASSES)
        assert told[name]["pixels"] == 4 * 48 * 48 - 9 * 48
        assert told[name]["mean_iou"] == pytest.approx(expected["mean_iou"], abs=0.002)
        assert told[name]["pixel_accuracy"] == pytest.approx(expected["pixel_accuracy"], abs=0.002)
    table = (product / "confusion.csv").read_text().splitlines()
    counts = np.array([[int(of) for of in line.split(",")[1:]] for line in table[1:]])
    assert counts.sum() == told[told["confusion_of"]]["pixels"]
    assert np.diag(counts).sum() / counts.sum() == pytest.approx(told["test"]["pixel_accuracy"])


def test_mean_and_deviation_are_those_of_the_training_split(product: Path) -> None:
    images, masks = tile_files.draw(6, 48, 0)
    masks[0, :9] = tiles.IGNORE
    known = images[masks != tiles.IGNORE] / 255
    (card,) = models.load(product, task="segmentation")
    np.testing.assert_allclose(card.mean, known.mean(0), atol=1e-6)
    np.testing.assert_allclose(card.std, known.std(0), atol=1e-6)


def test_files_for_people(product: Path) -> None:
    assert len(list((product / "examples").glob("tile-*.png"))) == 4
    for name in ("confusion.png", "curves.png"):
        assert (product / name).read_bytes().startswith(b"\x89PNG")
    header, *lines = (product / "curves.csv").read_text().splitlines()
    named = ("loss", "IoU", "accuracy", "precision", "recall", "F1")
    wanted = [f"{split} {name}" for split in ("train", "validation") for name in named]
    assert header.split(",") == ["network", "epoch", *wanted]
    assert len(lines) == 2
    best = max(float(line.split(",")[header.split(",").index("validation IoU")]) for line in lines)
    assert metrics(product)["validation"]["mean_iou"] == pytest.approx(best, abs=1e-9)
    shown = event_files.read_values(product / "tensorboard" / "network")
    assert {f"epoch/{name}" for name in wanted} <= shown.keys()
    assert not (product / "work").exists()


def test_a_profile_changes_nothing_that_is_compared(
    product: Path, splits: Path, tmp_path: Path
) -> None:
    made = make(splits, tmp_path / "made", profile="true")
    trace = gzip.decompress((made / "profile" / "profile-trace.json.gz").read_bytes())
    steps = {one["name"] for one in json.loads(trace)["traceEvents"] if "name" in one}
    assert {"ProfilerStep#2", "ProfilerStep#3"} <= steps
    assert "aten::convolution_backward" in (made / "profile" / "profile-table.txt").read_text()
    assert record.digest(made) == record.digest(product)
    assert (record.load(made) or {})["plan"] == (record.load(product) or {})["plan"]


def test_a_stopped_run_goes_on_and_gives_the_same_bytes(
    product: Path, splits: Path, tmp_path: Path
) -> None:
    """Stopped after each of its two epochs; every start goes on from the last one."""
    save, dst, epochs = checkpoints.save, tmp_path / "again", list[int]()

    def stop(fabric, learner, folder):  # type: ignore[no-untyped-def]
        save(fabric, learner, folder)
        epochs.append(learner.epoch)
        raise MemoryError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints, "save", stop)
        for _ in range(2):
            with pytest.raises(SystemExit, match="1"):
                cli.main(stage.run, command(splits, dst))
            assert (tmp_path / "again.partial" / "work" / "network.ckpt").exists()
    assert epochs == [1, 2]
    make(splits, dst)
    assert record.fingerprint(dst)["sha256"] == record.fingerprint(product)["sha256"]


def test_two_processes_share_each_step_and_end_with_what_one_makes(
    splits: Path, tmp_path: Path
) -> None:
    """Steps of six tiles in two passes each, of two tiles and of one."""
    more = {"batch": "3", "accumulate": "2", "epochs": "2"}
    alone = make(splits, tmp_path / "alone", **more)
    both = tmp_path / "both"
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    words = [*launch, "-m", "stages.segment.main"]
    done = subprocess.run(
        [*words, *command(splits, both, **more)], capture_output=True, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert {path.name for path in both.iterdir()} == {path.name for path in alone.iterdir()}
    ours, theirs = (
        np.array(
            [[float(of) for of in line.split(",")[1:]]
             for line in (made / "curves.csv").read_text().splitlines()[1:]]
        )
        for made in (both, alone)
    )  # fmt: skip
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3)


def test_a_student_learns_from_a_teacher_in_torch_as_from_its_onnx_file(
    product: Path, splits: Path, tmp_path: Path
) -> None:
    alone = tmp_path / "alone"
    shutil.copytree(product, alone)
    (alone / "network.safetensors").unlink()
    of_torch, of_onnx = (
        make(splits, tmp_path / name, epochs="1", teacher=str(teacher), alpha="0.1")
        for name, teacher in (("torch", product), ("onnx", alone))
    )
    losses = [  # of the first epoch; the product itself was trained likewise, but without a teacher
        float((made / "curves.csv").read_text().splitlines()[1].split(",")[2])
        for made in (of_torch, of_onnx, product)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert losses[0] != pytest.approx(losses[2], rel=1e-2)
    assert metrics(of_torch)["alpha"] == 0.1


def refusal(splits: Path, dst: Path, capsys: pytest.CaptureFixture[str], **more: str) -> str:
    with pytest.raises(SystemExit, match="2"):
        cli.main(stage.run, command(splits, dst, **more))
    assert not list(dst.parent.glob(f"{dst.name}*"))
    lines = capsys.readouterr().err.strip().splitlines()
    return lines[-1]


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"smoothing": "0.2", "loss": "dice"}, "--smoothing: concerns --loss=ce"),
        ({"gamma": "1"}, "--gamma: concerns --loss=focal"),
        ({"alpha": "0.1"}, "--alpha: concerns --teacher"),
        ({"freeze": "6"}, "--freeze: expected at most the 5 groups"),
        ({"crop": "64"}, "--crop: expected at most the 48 pixels"),
        ({"level": "coarsest", "architecture": "unet-resnet18"}, "--level: concerns"),
        ({"architecture": "unet-nothing"}, "--architecture: expected"),
    ],
)
def test_flags_that_do_not_go_together_are_refused(
    splits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: dict[str, str],
    named: str,
) -> None:  # fmt: skip
    assert named in refusal(splits, tmp_path / "out", capsys, **more)


def test_other_classes_are_refused(
    splits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], product: Path
) -> None:
    images, masks = tile_files.draw(3, 48)
    names = ("a", "b", "c", "d", "e")
    other = str(tile_files.write(tmp_path / "other.h5", (images, masks), names))
    dst = tmp_path / "out"
    assert "expected the classes background, " in refusal(splits, dst, capsys, validation=other)
    all_other = {"train": other, "validation": other, "test": other}
    said = refusal(splits, dst, capsys, **all_other)
    assert "--class_weights=published" in said
    assert "inverse-frequency" in said
    taught = all_other | {"class_weights": "none", "teacher": str(product)}
    assert "expected the classes a, b, c, d, e, found background" in refusal(
        splits, dst, capsys, **taught
    )


def test_a_training_split_without_classes_is_refused(
    splits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images, masks = tile_files.draw(3, 48)
    file = tile_files.write(tmp_path / "none.h5", (images, np.full_like(masks, tiles.IGNORE)))
    said = refusal(splits, tmp_path / "out", capsys, train=str(file))
    assert "expected pixels with a class, found none" in said


def test_a_teacher_that_is_none_is_refused(product: Path, splits: Path, tmp_path: Path) -> None:
    from stages.segment import teachers

    (card,) = models.load(product, task="segmentation")
    with pytest.raises(StageError, match=r"expected a model folder with model\.json"):
        teachers.read(splits, card)
    other = tmp_path / "other"
    shutil.copytree(product, other)
    described = json.loads((other / "model.json").read_text())
    described["network"]["level"] = "coarsest"
    (other / "model.json").write_text(json.dumps(described))
    with pytest.raises(StageError, match="weights"):
        teachers.read(other, card)
    (other / "network.safetensors").unlink()
    images = torch.zeros(1, 3, 32, 32)
    teachers.read(other, card)(images)
    model = onnx.load(other / card.file)
    model.graph.input[0].name = "picture"
    for node in model.graph.node:
        node.input[:] = ["picture" if name == "image" else name for name in node.input]
    onnx.save(model, other / card.file)
    with pytest.raises(StageError, match=r"network\.onnx: does not run on pictures \("):
        teachers.read(other, card)(images)
    (other / card.file).write_bytes(b"?")
    with pytest.raises(StageError, match=r"network\.onnx: not a usable ONNX file \("):
        teachers.read(other, card)
