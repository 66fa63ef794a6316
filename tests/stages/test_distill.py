"""distill: the loss by hand, the student and its twin, held-out rows, going on, the refusals."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from shared import cli, lcz, model, patches, scores
from shared.learn import engine, networks
from stages.distill import cached, loss
from stages.distill import main as stage
from stages.distill.student import held_out
from tests.conftest import pixels, write_raw

QUICK = {
    "architecture": "test_resnet", "size": "32", "epochs": "2", "batch": "16", "device": "cpu",
}  # fmt: skip


@pytest.fixture
def teacher(tmp_path: Path) -> Path:
    """A score folder that is right nine times in ten, of the rows of the other fixtures."""
    folder, rng = tmp_path / "teacher", np.random.default_rng(0)
    folder.mkdir()
    for split, rows in (("train", 34), ("test", 17)):
        labels = np.arange(rows) % 17
        logits = (8 * np.eye(17)[labels] + rng.standard_normal((rows, 17))).astype(np.float32)
        logits[::10] = np.roll(logits[::10], 1, 1)
        np.save(folder / f"{split}_logits.npy", logits)
        np.save(folder / f"{split}_labels.npy", labels)
    scores.write(folder, labels, scores.softmax(logits), lcz.CLASSES)
    return folder


def command(prepared: Path, teacher: Path, dst: Path, *flags: str) -> Path:
    """Run the stage as its container does, with the test split beside the training split."""
    given = {flag[2:].partition("=")[0] for flag in flags}
    quick = [f"--{name}={value}" for name, value in QUICK.items() if name not in given]
    files = [f"--train={prepared}", f"--test={prepared.with_name('testing.h5')}"]
    cli.main(stage.run, [*files, f"--teacher={teacher}", f"--dst={dst}", *quick, *flags])
    return dst


def content(folder: Path) -> dict[str, bytes]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


STUDENT = torch.tensor([[1.0, 0.0, -1.0], [0.5, 0.5, 0.0]], dtype=torch.float64)
TEACHER = torch.tensor([[2.0, 1.0, 0.0], [-1.0, 3.0, 0.0]], dtype=torch.float64)
ROWS = {"label": torch.tensor([0, 2]), "teacher": TEACHER}


def test_loss_by_hand() -> None:
    """0.7 of the cross-entropy and 0.3 of 9 KL at temperature 3, mean over two rows."""

    def softmax(row: list[float]) -> np.ndarray:
        return np.exp(row) / np.exp(row).sum()

    hard = soft = 0.0
    for student, teacher, label in zip(STUDENT.tolist(), TEACHER.tolist(), (0, 2), strict=True):
        hard -= np.log(softmax(student)[label]) / 2
        p, q = softmax(np.divide(teacher, 3).tolist()), softmax(np.divide(student, 3).tolist())
        soft += 9 * (p * np.log(p / q)).sum() / 2
    found = loss.hard_and_soft(0.7, 3.0)(STUDENT, ROWS).item()
    assert found == pytest.approx(0.7 * hard + 0.3 * soft, rel=1e-12)
    alone = {"label": ROWS["label"]}  # the hard term needs no teacher
    assert loss.hard_and_soft(1.0, 3.0)(STUDENT, alone).item() == pytest.approx(hard, rel=1e-12)


def test_gradient_of_the_soft_term() -> None:
    student = STUDENT.clone().requires_grad_()
    ((1 - 0.7) * loss.soft(student, TEACHER, 3.0)).backward()
    expected = 0.3 * 3.0 * ((student / 3).softmax(1) - (TEACHER / 3).softmax(1)) / 2
    torch.testing.assert_close(student.grad, expected.detach())
    assert loss.soft(TEACHER, TEACHER + 5, 2.0).item() == pytest.approx(0, abs=1e-12)


def test_probabilities_given_as_logits_are_recognised() -> None:
    probabilities = scores.softmax(TEACHER.numpy())
    again = scores.softmax(cached.as_logits(probabilities))
    np.testing.assert_allclose(again, probabilities, atol=1e-6)
    np.testing.assert_array_equal(cached.as_logits(TEACHER.numpy()), TEACHER.numpy())
    assert np.isfinite(cached.as_logits(np.eye(3))).all()


def test_held_out_rows_are_the_last_of_each_class() -> None:
    labels = np.array([0] * 10 + [1] * 4 + [0] * 10 + [2])
    assert held_out(labels, 0.1).tolist() == [22, 23]
    assert held_out(labels, 0.5).tolist() == [12, 13, *range(14, 24)]
    assert held_out(labels, 0.0).tolist() == []


def test_product(prepared: Path, prepared_test: Path, teacher: Path, tmp_path: Path) -> None:
    dst = command(prepared, teacher, tmp_path / "distill", "--validation=0.5")
    (card,) = model.load(dst)
    assert (card.file, card.bands) == ("student.onnx", ("B4", "B3", "B2"))
    assert content(dst).keys() >= {"student.onnx", "baseline/student.onnx", "baseline/model.json"}
    assert not list(dst.rglob("work"))
    with patches.read(prepared_test) as source:
        images = model.prepare(model.scaled(source, card.bands, slice(0, 17)), card)
    session = networks.onnxruntime.InferenceSession(dst / card.file)
    said = session.run(["logits"], {"input": images})[0]
    np.testing.assert_allclose(said, np.load(dst / "test_logits.npy"), atol=1e-4)
    found = json.loads((dst / "metrics.json").read_text())
    twin = json.loads((dst / "baseline" / "metrics.json").read_text())
    assert found["teacher_accuracy"] == pytest.approx(15 / 17)
    assert found["retention"] == pytest.approx(found["overall_accuracy"] / (15 / 17))
    assert found["baseline_accuracy"] == twin["overall_accuracy"]
    assert (dst / "student.onnx").read_bytes() != (dst / "baseline/student.onnx").read_bytes()
    assert "validation accuracy" in (dst / "curves.csv").read_text()


def test_goes_on_between_twin_and_student(
    prepared: Path, prepared_test: Path, teacher: Path, tmp_path: Path, monkeypatch
) -> None:  # type: ignore[no-untyped-def]
    assert prepared_test.exists()
    whole, fit, done = command(prepared, teacher, tmp_path / "whole"), engine.fit, []

    def student_crashes_once(*given):  # type: ignore[no-untyped-def]
        done.append(given[6])
        if done == ["baseline", "student"]:
            raise KeyboardInterrupt
        return fit(*given)

    monkeypatch.setattr(engine, "fit", student_crashes_once)
    with pytest.raises(SystemExit, match="130"):
        command(prepared, teacher, tmp_path / "cut")
    assert content(command(prepared, teacher, tmp_path / "cut")) == content(whole)
    assert done == ["baseline", "student", "student"]


def refused(prepared: Path, teacher: Path, capfd, *flags: str) -> str:  # type: ignore[no-untyped-def]
    before = sorted(teacher.parent.rglob("*"))
    capfd.readouterr()
    with pytest.raises(SystemExit, match="2"):
        command(prepared, teacher, teacher.parent / "out" / "distill", *flags)
    assert sorted(teacher.parent.rglob("*")) == before  # nothing left behind
    heard = capfd.readouterr().err
    assert heard.count("\n") == 1
    return heard


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--alpha=1.5", "--alpha: expected 0 to 1, found 1.5"),
        ("--temperature=0.0", "--temperature: expected above 0, found 0.0"),
        ("--validation=0.9", "--validation: expected 0 to 0.5, found 0.9"),
        ("--architecture=mobilenetv9", "expected a timm or torchvision name, found 'mobilenetv9'"),
        ("--batch=1", "--batch: expected at least 2, found 1"),
    ],
)
def test_refuses(prepared, prepared_test, teacher, capfd, flag, message) -> None:  # type: ignore[no-untyped-def]
    assert prepared_test.exists()
    assert message in refused(prepared, teacher, capfd, flag)


def spoil_rows(folder: Path) -> str:
    np.save(folder / "train_logits.npy", np.zeros((33, 17)))
    return "train_logits: expected (34, 17), found (33, 17)"


def spoil_labels(folder: Path) -> str:
    np.save(folder / "train_labels.npy", np.arange(34)[::-1] % 17)
    return "made from other train rows: the labels differ"


def spoil_test(folder: Path) -> str:
    np.save(folder / "test_labels.npy", np.arange(17)[::-1])
    return "made from other test rows: the labels differ"


def spoil_classes(folder: Path) -> str:
    (folder / "metrics.json").write_text('{"classes": ["sea", "sky"]}')
    return "expected 17 classes 01_CompactHighRise, 02_CompactMidRise, 03_CompactLowRise …, found 2"


def spoil_folder(folder: Path) -> str:
    (folder / "train_logits.npy").unlink()
    return "train_logits.npy: no such file"


SPOILS = [spoil_rows, spoil_labels, spoil_test, spoil_classes, spoil_folder]


@pytest.mark.parametrize("spoil", SPOILS, ids=lambda spoil: spoil.__name__)
def test_refuses_a_teacher_of_other_rows(prepared, prepared_test, teacher, capfd, spoil) -> None:  # type: ignore[no-untyped-def]
    assert prepared_test.exists()
    message = spoil(teacher)
    assert message in refused(prepared, teacher, capfd)


def test_refuses_files(prepared, prepared_test, teacher, lcz42, tmp_path, capfd) -> None:  # type: ignore[no-untyped-def]
    write_raw(lcz42.with_name("testing.h5"), pixels(17))
    assert "sen2: no mean and std inside" in refused(lcz42, teacher, capfd)
    with h5py.File(prepared_test, "a") as file:
        file.attrs["classes"] = [f"class {i}" for i in range(17)]
    assert "testing.h5: expected 17 classes" in refused(prepared, teacher, capfd)
    assert (tmp_path / "teacher").exists()
