"""distill: the loss by hand, students, teachers as ONNX, their views, fake INT8, the refusals."""

import csv
import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.functional import cross_entropy, kl_div, mse_loss

from shared import cli, int8, lcz, models, patches
from shared.cli import arguments
from shared.errors import StageError
from shared.models import label_audits, scores
from shared.onnx_graphs import matlab_export
from shared.runs import record
from shared.training import Machine, Validation, ensemble, networks
from shared.training.data import draw_views, split
from shared.training.data.views.view import View
from shared.training.data.views.warping import warp_images
from shared.training.loop import Recipe, engine
from stages.distill import (
    batch_norms,
    cached_logits,
    checkpoint,
    fake_quantise,
    loss,
    onnx_teachers,
    presets,
    qat_training,
    soft_terms,
    teacher_targets,
)
from stages.distill import main as stage
from stages.distill.settings import Descent, FineTuning, Settings, Student
from stages.distill.teaching import Matching, Teacher
from tests import event_files, foreign, weight_forms
from tests import training_wiring as wiring
from tests.conftest import pixels, write_raw

QUICK = {
    "architecture": "test_resnet", "size": "32", "epochs": "2", "batch": "16", "device": "cpu",
}  # fmt: skip


@pytest.fixture
def teacher(tmp_path: Path) -> Path:
    """A score folder that is right nine times in ten, of the rows of the other fixtures."""
    folder, rng = tmp_path / "teacher", np.random.default_rng(0)
    folder.mkdir()
    for name, rows in (("train", 34), ("test", 17)):
        labels = np.arange(rows) % 17
        logits = (8 * np.eye(17)[labels] + rng.standard_normal((rows, 17))).astype(np.float32)
        logits[::10] = np.roll(logits[::10], 1, 1)
        np.save(folder / f"{name}_logits.npy", logits)
        np.save(folder / f"{name}_labels.npy", labels)
    scores.write(folder, labels, scores.softmax(logits), lcz.CLASSES)
    return folder


def command(prepared: Path, teacher: Path | None, dst: Path, *flags: str) -> Path:
    """Run the stage as its container does, with the test split beside the training split."""
    given = {flag[2:].partition("=")[0] for flag in flags}
    quick = [f"--{name}={value}" for name, value in QUICK.items() if name not in given]
    files = [f"--train={prepared}", f"--test={prepared.with_name('testing.h5')}"]
    said = [f"--teacher={teacher}"] if teacher else []
    cli.main(stage.run, [*files, *said, f"--dst={dst}", *quick, *flags])
    return dst


def content(folder: Path) -> dict[str, bytes]:
    files = record.files_of(folder)
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
    value = loss.hard_and_soft(0.7, 3.0)(STUDENT, ROWS).item()
    assert value == pytest.approx(0.7 * hard + 0.3 * soft, rel=1e-12)
    alone = {"label": ROWS["label"]}  # the hard term needs no teacher
    assert loss.hard_and_soft(1.0, 3.0)(STUDENT, alone).item() == pytest.approx(hard, rel=1e-12)


def test_the_alpha_that_stands_for_a_loss_without_temperature_squared() -> None:
    """0.7 KL + 0.3 CE at T 3 is ours at alpha 27/34, but for the factor 45/17, gradients too."""
    student = STUDENT.clone().requires_grad_()
    softened = (student / 3).log_softmax(1), (TEACHER / 3).softmax(1)
    theirs = 0.7 * kl_div(*softened, reduction="batchmean")
    theirs = theirs + 0.3 * cross_entropy(student, ROWS["label"])
    ours = loss.hard_and_soft(27 / 34, 3.0)(student, ROWS)
    assert ours.item() == pytest.approx(45 / 17 * theirs.item(), rel=1e-12)
    slopes = [torch.autograd.grad(of, student)[0] for of in (ours, theirs)]
    torch.testing.assert_close(slopes[0], 45 / 17 * slopes[1])
    assert ours.item() != pytest.approx(theirs.item(), rel=0.5)


def test_gradient_of_the_soft_term() -> None:
    student = STUDENT.clone().requires_grad_()
    ((1 - 0.7) * soft_terms.hinton(student, TEACHER, ROWS["label"], 3.0)).backward()
    expected = 0.3 * 3.0 * ((student / 3).softmax(1) - (TEACHER / 3).softmax(1)) / 2
    torch.testing.assert_close(student.grad, expected.detach())
    assert soft_terms.hinton(TEACHER, TEACHER + 5, ROWS["label"], 2.0).item() == pytest.approx(
        0, abs=1e-12
    )


def test_alpha_weighs_the_labels_and_the_teacher_may_be_asked() -> None:
    soft = soft_terms.hinton(STUDENT, TEACHER, ROWS["label"], 2.0).item()
    asked = loss.hard_and_soft(0.0, 2.0, lambda rows: rows["label"][:, None] * 0 + TEACHER)
    assert asked(STUDENT, {"label": ROWS["label"]}).item() == pytest.approx(soft, rel=1e-12)

    def unasked(_: object) -> torch.Tensor:
        raise AssertionError("alpha 1 needs no teacher")

    assert loss.hard_and_soft(1.0, 2.0, unasked)(STUDENT, ROWS).item() > 0


def test_temperature_squared_keeps_the_soft_term_in_size() -> None:
    """For large T, T² KL is half the mean square of the centred logit differences."""
    apart = (STUDENT - TEACHER) - (STUDENT - TEACHER).mean(1, keepdim=True)
    limit = (apart**2).mean(1).mean().item() / 2
    assert soft_terms.hinton(STUDENT, TEACHER, ROWS["label"], 1e4).item() == pytest.approx(
        limit, rel=1e-3
    )


def test_probabilities_given_as_logits_are_recognised() -> None:
    probabilities = scores.softmax(TEACHER.numpy())
    again = scores.softmax(cached_logits.to_logits(probabilities))
    np.testing.assert_allclose(again, probabilities, atol=1e-6)
    np.testing.assert_array_equal(cached_logits.to_logits(TEACHER.numpy()), TEACHER.numpy())
    assert np.isfinite(cached_logits.to_logits(np.eye(3))).all()
    centred = np.array([[-0.5, 0.5, 1.0], [1.0, -1.0, 1.0]])  # they sum to 1 and are logits
    np.testing.assert_array_equal(cached_logits.to_logits(centred), centred)


# --- students -------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "parameters", "settings"),
    [
        ("resnet18", 11_185_233, (224, 2e-4, 1e-4, "cosine", 512, 30, 3.0)),
        ("mobilenetv3_small_100", 1_535_281, (32, 1e-3, 0.0, "constant", 64, 20, 2.0)),
        ("mobilenet_v3_small", 1_535_281, (32, 1e-3, 0.0, "constant", 64, 20, 2.0)),
        ("mobilenetv4_conv_medium", 8_456_289, (224, 3e-4, 1e-4, "constant", 128, 30, 2.0)),
        ("efficientnet_b0", 4_029_325, (224, 3e-4, 1e-4, "constant", 128, 30, 2.0)),
        ("simple-net", 2_233_329, (64, 2e-3, 0.0, "plateau", 64, 20, 3.0, "adam")),
        ("student-resnet", 169_649, (64, 2e-3, 0.0, "plateau", 64, 20, 3.0, "adam")),
        ("student-separable", 152_140, (64, 2e-3, 0.0, "plateau", 64, 20, 3.0, "adam")),
        ("student-depthwise-skip", 154_188, (64, 2e-3, 0.0, "plateau", 64, 20, 3.0, "adam")),
        ("student-light", 8_394_865, (64, 2e-3, 0.0, "plateau", 64, 20, 3.0, "adam")),
    ],
)
def test_published_students(name: str, parameters: int, settings: tuple) -> None:  # type: ignore[type-arg]
    network = networks.build(name, 3, 17)
    assert sum(weights.numel() for weights in network.parameters()) == parameters
    assert presets.preset_of(name) == presets.Preset(*settings)


def test_a_flag_wins_over_the_published_value() -> None:
    preset = presets.preset_of("efficientnet_b0", lr=0.5, weight_decay=0.0, size=None)
    assert (preset.lr, preset.weight_decay, preset.size) == (0.5, 0.0, 224)
    assert presets.preset_of("any_other") == presets.preset_of("resnet18")


def test_students_for_eurosat() -> None:
    names = (
        "simple-net", "student-resnet", "student-separable", "student-depthwise-skip",
        "student-light",
    )  # fmt: skip
    for name in names:
        preset = presets.preset_of(name)
        assert (preset.size, preset.batch, preset.epochs, preset.temperature) == (64, 64, 20, 3.0)
        assert (preset.optimiser, preset.lr, preset.weight_decay) == ("adam", 0.002, 0.0)
        assert preset.schedule == "plateau"
        assert presets.preset_of(name, batch=32).lr == 0.001
        assert presets.preset_of(name, batch=32, lr=0.5).lr == 0.5
    assert presets.preset_of("resnet18", batch=32).lr == 2e-4


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ([], (0, "accuracy", 0.0)),
        (["--architecture=student-light"], (4, "loss", 1e-4)),
        (["--architecture=student-light", "--patience=0"], (0, "loss", 1e-4)),
        (["--architecture=student-light", "--monitor=accuracy"], (4, "accuracy", 1e-4)),
        (["--architecture=student-light", "--validation=0"], (0, "accuracy", 0.0)),
        (["--architecture=student-light", "--checkpoint=x.pth"], (0, "accuracy", 0.0)),
    ],
)
def test_students_for_eurosat_stop_by_the_validation_loss(
    flags: list[str], expected: tuple[object, ...]
) -> None:
    found = arguments.collect(stage.run, ["--train=a", "--test=b", "--dst=c", *flags])
    assert (found["patience"], found["monitor"], found["min_improvement"]) == expected


def test_products_of_before_are_up_to_date(prepared: Path, teacher: Path) -> None:
    given = [f"--train={prepared}", f"--test={prepared}", f"--teacher={teacher}", "--dst=x"]
    gained = {"optimiser", "monitor", "min_improvement", "mixup"}
    for flags in ([], ["--schedule=constant", "--patience=2"]):
        assert wiring.plan_is_that_of_before(stage.run, [*given, *flags], gained)
    published = [*given, "--range=published"]
    assert wiring.plan_is_that_of_before(stage.run, published, {"range"})
    assert not wiring.plan_is_that_of_before(stage.run, given, {"range"})


def test_product(prepared: Path, prepared_test: Path, teacher: Path, tmp_path: Path) -> None:
    dst = command(prepared, teacher, tmp_path / "distill", "--validation=0.5")
    (card,) = models.load(dst)
    assert (card.file, card.bands) == ("student.onnx", ("B4", "B3", "B2"))
    assert content(dst).keys() >= {"student.onnx", "baseline/student.onnx", "baseline/model.json"}
    assert not list(dst.rglob("work*"))
    with patches.read(prepared_test) as source:
        images = models.preprocess(models.read_scaled(source, card.bands, slice(0, 17)), card)
    session = networks.onnxruntime.InferenceSession(dst / card.file)
    said = session.run(["logits"], {"input": images})[0]
    np.testing.assert_allclose(said, np.load(dst / "test_logits.npy"), atol=1e-4)
    metrics = json.loads((dst / "metrics.json").read_text())
    twin = json.loads((dst / "baseline" / "metrics.json").read_text())
    assert metrics["teacher_accuracy"] == pytest.approx(15 / 17)
    assert metrics["retention"] == pytest.approx(metrics["overall_accuracy"] / (15 / 17))
    assert metrics["baseline_accuracy"] == twin["overall_accuracy"]
    assert (dst / "student.onnx").read_bytes() != (dst / "baseline/student.onnx").read_bytes()
    assert "validation accuracy" in (dst / "curves.csv").read_text()
    resolved = [
        metrics[key] for key in ("size", "epochs", "batch", "lr", "temperature", "schedule")
    ]
    assert resolved == [32, 2, 16, 2e-4, 3.0, "cosine"]
    network = checkpoint.read(dst / "student.safetensors", "test_resnet", 3, 17).eval()
    with torch.no_grad():
        np.testing.assert_allclose(network(torch.from_numpy(images)), said, atol=1e-4)


@pytest.mark.parametrize(("name", "side"), [("student-depthwise-skip", 22), ("simple-net", 16)])
def test_a_student_of_our_own_is_trained_tuned_and_scored_again(
    prepared: Path, prepared_test: Path, teacher: Path, tmp_path: Path, name: str, side: int
) -> None:
    """Every network of the run is built for pictures of this size, which is not the usual one."""
    assert prepared_test.exists()
    flags = (f"--architecture={name}", f"--size={side}", "--bands=B4,B3,B2,B8")
    dst = command(prepared, teacher, tmp_path / "distill", *flags, "--qat=1", "--validation=0.5")
    (card,) = models.load(dst)
    assert (card.architecture, card.size, len(card.bands)) == (name, side, 4)
    assert json.loads((dst / "metrics.json").read_text())["lr"] == 0.0005  # for 16 rows
    assert (dst / "baseline" / "student.onnx").exists()
    trained = f"--checkpoint={dst / 'student.safetensors'}"
    again = command(prepared, None, tmp_path / "again", *flags, trained)
    np.testing.assert_array_equal(
        np.load(again / "test_logits.npy"), np.load(dst / "test_logits.npy")
    )


def test_logs_for_tensorboard_lie_in_the_product(
    prepared: Path, prepared_test: Path, teacher: Path, tmp_path: Path
) -> None:
    """Of the student, its twin and the epochs of fake INT8; they say what the curves say."""
    pytest.importorskip("tensorboardX")
    assert prepared_test.exists()
    dst = command(prepared, teacher, tmp_path / "distill", "--qat=3", "--validation=0.5")
    places = {path.name: path for path in (dst / "tensorboard").iterdir()}
    epochs = {"student": 2, "baseline": 2, "int8-after": 3}
    assert places.keys() == epochs.keys()
    for name, count in epochs.items():
        values = event_files.read_values(places[name])
        for quantity in ("train loss", "validation accuracy", "learning rate", "rows per second"):
            steps = [step for step, _ in values[f"epoch/{quantity}"]]
            assert steps == [*range(1, count + 1)], (name, quantity)
    with (dst / "float" / "curves.csv").open(newline="") as file:
        curve = [float(line["train loss"]) for line in csv.DictReader(file)]
    said = event_files.read_values(places["student"])["epoch/train loss"]
    np.testing.assert_allclose([value for _, value in said], curve, rtol=1e-6)


def test_goes_on_after_a_stop(
    prepared: Path, prepared_test: Path, teacher: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    assert prepared_test.exists()
    whole, fit, done = command(prepared, teacher, tmp_path / "whole"), engine.fit, []

    def crashes(*given, **more):  # type: ignore[no-untyped-def]
        done.append([learner.name for learner in given[0]])
        fitted = fit(*given, **more)
        if len(done) == 1:  # all epochs are done, nothing is exported yet
            raise KeyboardInterrupt
        return fitted

    monkeypatch.setattr(engine, "fit", crashes)
    with pytest.raises(SystemExit, match="130"):
        command(prepared, teacher, tmp_path / "cut")
    assert content(command(prepared, teacher, tmp_path / "cut")) == content(whole)
    assert done == [["student", "baseline"]] * 2  # one pass over the rows for both


def test_a_network_that_was_damaged_before_fine_tuning_ended_is_made_again(
    prepared: Path, prepared_test: Path, teacher: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    assert prepared_test.exists()
    whole = content(command(prepared, teacher, tmp_path / "whole", "--qat=1"))
    fit, trained = engine.fit, []
    stopped = tmp_path / "stopped"
    stopped.mkdir()

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    def watch(*given: Any, **more: Any) -> Any:
        trained.append([learner.name for learner in given[0]])
        return fit(*given, **more)

    with monkeypatch.context() as patch:
        patch.setattr(qat_training, "fine_tune", stop)
        with pytest.raises(SystemExit, match="130"):
            command(prepared, teacher, stopped / "cut", "--qat=1")
    monkeypatch.setattr(engine, "fit", watch)
    for name, again in (
        ("float/student.onnx", "student"),
        ("float/student.safetensors", "student"),
        ("baseline/student.onnx", "baseline"),
    ):
        folder = shutil.copytree(stopped, tmp_path / name.replace("/", "-"))
        network = folder / "cut.partial" / name
        held = bytearray(network.read_bytes())
        held[len(held) // 2] ^= 1
        network.write_bytes(held)
        trained.clear()
        assert content(command(prepared, teacher, folder / "cut", "--qat=1")) == whole
        assert trained[0] == [again]


# --- what the stage hands on to the training ------------------------------------------------------
def handed_on(
    prepared: Path, teacher: Path, dst: Path, *flags: str
) -> tuple[list[ensemble.Member], Recipe]:
    """Members and recipe, where the training would begin; it does not."""
    given = []

    def stop(_: Path, members: list[ensemble.Member], recipe: Recipe) -> None:
        given.append((members, recipe))
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ensemble, "train_members", stop)
        with pytest.raises(SystemExit, match="130"):
            command(prepared, teacher, dst, *flags)
    return given[0]


UNUSUAL = (
    "--epochs=7", "--batch=9", "--lr=0.125", "--weight_decay=0.25", "--schedule=constant",
    "--optimiser=sgd", "--monitor=loss", "--min_improvement=0.125",
    "--noaugment", "--balance", "--mixup=0.3", "--validation=0.5", "--patience=3", "--seed=11",
    "--precision=bfloat16", "--alpha=0.4", "--temperature=1.5", "--size=48",
    "--interpolation=nearest", "--noeight_bit",
)  # fmt: skip


def test_every_flag_reaches_the_training(
    prepared: Path, prepared_test: Path, teacher: Path, tmp_path: Path
) -> None:
    assert prepared_test.exists()
    members, recipe = handed_on(prepared, teacher, tmp_path / "distill", *UNUSUAL)
    assert recipe == Recipe(
        epochs=7, batch=9, lr=0.125, seed=11, optimiser="sgd", weight_decay=0.25,
        schedule="constant", augment="none", device="cpu", precision="bfloat16", keep_best=True,
        patience=3, balance=True, mixup=0.3, monitor="loss", min_improvement=0.125,
    )  # fmt: skip
    assert [member.name for member in members] == ["student", "baseline"]
    for member in members:
        assert member.seed == 11
        assert (member.card.size, member.card.interpolation) == (48, "nearest")
        assert not member.card.eight_bit
        assert member.held_out is not None
        assert member.held_out.tolist() == list(range(17, 34))  # the second row of each class
        assert len(member.train) == 34
        assert member.test.extra["label"].tolist() == list(range(17))
    _, usual = handed_on(prepared, teacher, tmp_path / "distill")
    assert (usual.epochs, usual.lr, usual.schedule, usual.augment) == (2, 2e-4, "cosine", "sharp")
    assert (usual.optimiser, usual.monitor, usual.min_improvement) == ("adamw", "accuracy", 0)


def test_a_student_of_fitted_levels(
    prepared: Path, prepared_test: Path, teacher: Path, tmp_path: Path
) -> None:
    """Its card holds the limits, its views are numpy's, and fine-tuning keeps them."""
    dst = command(prepared, teacher, tmp_path / "distill", "--qat=1")
    (card,), (plain,) = models.load(dst), models.load(dst / "float")
    assert card.low
    assert plain == card
    with patches.read(prepared, "label") as source:
        assert models.fit_range(card_of(source, card), source) == card
    with patches.read(prepared_test) as source:
        images = models.preprocess(models.read_scaled(source, card.bands, slice(0, 17)), card)
    levels = 255 * (images * np.array(card.std)[:, None, None] + np.array(card.mean)[:, None, None])
    np.testing.assert_allclose(levels, levels.round(), atol=1e-3)
    assert len(np.unique(levels.round())) > 100  # of pictures that use ten levels of the scale
    session = networks.onnxruntime.InferenceSession(dst / card.file)
    said = session.run(["logits"], {"input": images})[0]
    np.testing.assert_allclose(said, np.load(dst / "test_logits.npy"), atol=1e-4)


def card_of(source: patches.Source, card: models.Card) -> models.Card:
    """The same network before its range was fitted."""
    mean, std = models.band_statistics(source, card.bands)
    return dataclasses.replace(card, mean=mean, std=std, low=(), high=())


def test_rows_that_the_file_marks_are_never_trained_on(
    prepared: Path, prepared_test: Path, teacher: Path, tmp_path: Path
) -> None:
    assert prepared_test.exists()
    wiring.mark(prepared, 5, 33)
    for share in (0, 0.1):
        flag = f"--validation={share}"
        members, recipe = handed_on(prepared, teacher, tmp_path / "distill", flag)
        held_out = [list(member.held_out) for member in members if member.held_out is not None]
        assert held_out == [[5, 33]] * 2
        assert recipe.keep_best == (share > 0)  # 0 measures them, and keeps the last epoch


def write_audit(folder: Path, worst: dict[int, float], labels: np.ndarray | None = None) -> Path:
    """An audit of the training rows: these are suspects, with these scores; the others fit."""
    given = np.arange(34) % 17 if labels is None else labels
    score = np.ones(34)
    score[list(worst)] = list(worst.values())
    audit = label_audits.Audit(lcz.CLASSES, given, (given + 1) % 17, score, score < 1)
    folder.mkdir()
    label_audits.save(folder, audit)
    return folder


def test_suspects_are_not_trained_on(
    prepared: Path, prepared_test: Path, teacher: Path, tmp_path: Path
) -> None:
    """A tenth of 34 rows are the worst three; of these row 5 is held out and stays so."""
    assert prepared_test.exists()
    wiring.mark(prepared, 5, 33)
    audit = write_audit(tmp_path / "audit", {20: 0.3, 5: 0.1, 7: 0.2, 8: 0.4})
    flags = (f"--audit={audit}", "--drop_suspects=0.1")
    members, _ = handed_on(prepared, teacher, tmp_path / "distill", *flags)
    assert len(members) == 2
    for member in members:
        assert member.dropped is not None
        assert member.dropped.tolist() == [7, 20]
        assert member.held_out is not None
        assert member.held_out.tolist() == [5, 33]


def test_a_student_without_suspects_is_another_one(
    prepared: Path, prepared_test: Path, teacher: Path, tmp_path: Path
) -> None:
    assert prepared_test.exists()
    audit = write_audit(tmp_path / "audit", {3: 0.2, 4: 0.1})
    flags = ("--nobaseline", "--epochs=1", "--validation=0")
    plain = command(prepared, teacher, tmp_path / "plain", *flags)
    dropping = (f"--audit={audit}", "--drop_suspects=0.06")
    dst = command(prepared, teacher, tmp_path / "dropped", *flags, *dropping)
    said = [json.loads((folder / "metrics.json").read_text()) for folder in (plain, dst)]
    assert "dropped" not in said[0]
    assert said[1]["dropped"] == 2
    assert np.load(dst / "train_logits.npy").shape == (34, 17)
    assert (plain / "student.onnx").read_bytes() != (dst / "student.onnx").read_bytes()
    plan = json.loads((tmp_path / "dropped.run.json").read_text())["plan"]
    assert plan["parameters"]["drop_suspects"] == 0.06
    assert plan["inputs"]["audit"] is not None


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--drop_suspects=0.1"], "--drop_suspects: expected --audit, which says"),
        (["--audit=AUDIT"], "--audit: expected --drop_suspects above 0, found 0"),
        (["--audit=AUDIT", "--drop_suspects=0.6"], "--drop_suspects: expected 0 to 0.5, found 0.6"),
        (["--audit=OTHER", "--drop_suspects=0.1"], "other: made from other training rows"),
        (["--audit=TEACHER", "--drop_suspects=0.1"], "teacher: expected a product of audit, found"),
        (["--audit=AUDIT", "--drop_suspects=0.2", "--validation=0"],
         f"expected rows of each class to train on, found none of {lcz.CLASSES[3]} below 0.2"),
    ],
)  # fmt: skip
def test_refuses_suspects(prepared, prepared_test, teacher, capfd, flags, message) -> None:  # type: ignore[no-untyped-def]
    assert prepared_test.exists()
    place = teacher.parent
    paths = {"TEACHER": teacher, "AUDIT": write_audit(place / "audit", {3: 0.2, 20: 0.1})}
    paths["OTHER"] = write_audit(place / "other", {3: 0.2}, np.arange(34)[::-1] % 17)
    for name, path in paths.items():
        flags = [flag.replace(name, str(path)) for flag in flags]
    assert message in refused(prepared, teacher, capfd, *flags, folder=place)


def test_the_student_learns_from_both_and_its_twin_from_the_labels_alone(
    prepared: Path, prepared_test: Path, teacher: Path, tmp_path: Path
) -> None:
    assert prepared_test.exists()
    (student, twin), _ = handed_on(prepared, teacher, tmp_path / "distill", *UNUSUAL)
    batch, logits = student.train[np.array([3, 19])], torch.randn(2, 17, dtype=torch.float64)
    ours, truth = logits.numpy(), [3, 2]
    theirs = np.load(teacher / "train_logits.npy")[[3, 19]].astype(np.float64)
    hard = -np.log(scores.softmax(ours))[[0, 1], truth].mean()
    p, q = scores.softmax(theirs / 1.5), scores.softmax(ours / 1.5)
    soft = 1.5**2 * (p * np.log(p / q)).sum(1).mean()
    assert soft > 0.1
    assert student.loss(logits, batch).item() == pytest.approx(0.4 * hard + 0.6 * soft, rel=1e-5)
    assert twin.loss(logits, batch).item() == pytest.approx(hard, rel=1e-6)


def test_fine_tuning_has_its_own_epochs_and_rate(
    prepared: Path, prepared_test: Path, teacher: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    assert prepared_test.exists()
    torch.manual_seed(0)
    save_file(networks.build("test_resnet", 3, 17).state_dict(), tmp_path / "s.safetensors")
    given: list[Any] = []

    def stop(*arguments: Any) -> None:
        given.append(arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(qat_training, "fine_tune", stop)
    flags = (
        "--qat=5", "--qat_lr=0.0625", "--qat_scheme=per_tensor_min_max", "--epochs=3", "--lr=0.5",
    )  # fmt: skip
    with pytest.raises(SystemExit, match="130"):
        command(
            prepared, teacher, tmp_path / "distill", f"--checkpoint={tmp_path / 's.safetensors'}",
            *flags,
        )  # fmt: skip
    *_, truth, recipe, scheme = given[0]
    assert (recipe.epochs, recipe.lr, scheme) == (5, 0.0625, "per_tensor_min_max")
    assert truth.tolist() == list(range(17))


# --- teachers as ONNX -----------------------------------------------------------------------------
def network(
    path: Path, matrix: np.ndarray, *, soft: bool = False, batch: int | str = "N",
    size: int = 32, last: bool = False, kind: int = onnx.TensorProto.FLOAT,
) -> Path:  # fmt: skip
    """Mean of each channel times a matrix (C, K), as logits or through a softmax."""
    axes, channels = ([1, 2], matrix.shape[0]) if last else ([2, 3], matrix.shape[0])
    shape = [batch, size, size, channels] if last else [batch, channels, size, size]
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["means"], axes=axes, keepdims=0),
        helper.make_node("MatMul", ["means", "matrix"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["scores"], axis=1),
    ][: 3 if soft else 2]
    ends = [("image", kind, shape), (nodes[-1].output[0], kind, [batch, matrix.shape[1]])]
    values = [helper.make_tensor_value_info(*end) for end in ends]
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    constants = [numpy_helper.from_array(matrix.astype(dtype), "matrix")]
    graph = helper.make_graph(nodes, "teacher", values[:1], values[1:], constants)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.parent.mkdir(exist_ok=True)
    onnx.save(made, path)
    return path


def matrix(channels: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((channels, 17)).astype(np.float32)


def card(file: str = "a.onnx", bands: tuple[str, ...] = ("B8", "B2", "VH"), **more) -> models.Card:  # type: ignore[no-untyped-def]
    mean, std = (0.05, 0.02, 0.4)[: len(bands)], (0.03, 0.05, 0.2)[: len(bands)]
    return models.Card(file, "any", bands, mean, std, 32, "bilinear", lcz.CLASSES, **more)


def saved(folder: Path, *cards: models.Card) -> Path:
    models.save(folder, list(cards))
    return folder


def expected(prepared: Path, member: models.Card, by: np.ndarray) -> np.ndarray:
    """Logits of a `network` for all rows, without onnxruntime and without torch."""
    with patches.read(prepared) as source:
        values = models.read_scaled(source, member.bands, slice(0, 34))
    return models.preprocess(values, member).mean((2, 3)) @ by


FORMS = {
    "logits": {}, "probabilities": {"soft": True}, "one picture at once": {"batch": 1},
    "four at once": {"batch": 4}, "channels last": {"last": True},
}  # fmt: skip


NOBODY = np.array([], np.intp)  # held out


def taught_by(folders: tuple[Path, ...]) -> Settings:
    """Settings of a small student of ONNX teachers."""
    return Settings(
        Teacher(onnx=folders), Matching(), Student("test_resnet"), Descent(), FineTuning(),
        Validation(), Machine(resident=1.0), 42,
    )  # fmt: skip


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_onnx_teachers_say_what_they_say_alone(prepared: Path, tmp_path: Path, form) -> None:  # type: ignore[no-untyped-def]
    network(tmp_path / "t" / "a.onnx", matrix(), **form)
    (teacher,) = onnx_teachers.read((saved(tmp_path / "t", card()),), lcz.CLASSES, prepared)
    with patches.read(prepared) as source:
        images = models.preprocess(models.read_scaled(source, card().bands, slice(0, 34)), card())
    truth, said = expected(prepared, card(), matrix()), teacher.logits(images)
    np.testing.assert_allclose(scores.softmax(said), scores.softmax(truth), atol=1e-5)


def test_several_teachers_are_averaged_each_fed_its_own_bands(
    prepared: Path, prepared_test: Path, tmp_path: Path
) -> None:
    ours, theirs = card(), card("b.onnx", ("B11",))
    network(tmp_path / "t" / "a.onnx", matrix())
    network(tmp_path / "u" / "b.onnx", matrix(1, seed=1))
    folders = (saved(tmp_path / "t", ours), saved(tmp_path / "u", theirs))
    settings = taught_by(folders)
    labels = split.read_label_pair(prepared, prepared_test, lcz.CLASSES)
    targets = teacher_targets.prepare(
        (prepared, prepared_test), labels, lcz.CLASSES, settings, tmp_path / "w", NOBODY
    )
    mean = expected(prepared, ours, matrix()) + expected(prepared, theirs, matrix(1, seed=1))
    np.testing.assert_allclose(targets.extra["teacher"], mean / 2, atol=1e-5)
    assert targets.bands == ()  # said already: a batch need not hold them


def test_consistent_teachers_see_the_view_of_the_student(prepared: Path, tmp_path: Path) -> None:
    """Not the plain one: each channel of its own bands, warped as the batch says."""
    network(tmp_path / "t" / "a.onnx", matrix())
    teachers = onnx_teachers.read((saved(tmp_path / "t", card()),), lcz.CLASSES, prepared)
    rows = split.Split(split.read_bands(prepared, card().bands), {"label": torch.arange(34) % 17})
    ask = teacher_targets.Targets(teachers=tuple(teachers)).logits_of(rows, 32)
    batch, views = rows[np.arange(34)], draw_views("lcz", 34, 32, 1)
    plain = View(card(), rows.layouts, 32)(batch)
    turned = warp_images(plain, views["theta"], views["holes"])
    np.testing.assert_allclose(ask(batch), plain.mean((2, 3)).numpy() @ matrix(), atol=1e-4)
    said = ask(batch | views)
    np.testing.assert_allclose(said, turned.mean((2, 3)).numpy() @ matrix(), atol=1e-4)
    assert (said - ask(batch)).abs().max() > 0.1


SURE, UNSURE = np.zeros((2, 1, 17), np.float32)
SURE[0, 0], UNSURE[0, :2] = 6, (-15, 2)  # of class 0; rather of class 1, and never of class 0


def unequal(folder: Path) -> tuple[Path, Path]:
    """Two teachers that disagree, on bands whose means are above 0."""
    pair = [
        dataclasses.replace(card(f"{band}.onnx", (band,)), mean=(0.0,)) for band in ("B8", "B11")
    ]
    network(folder / "t" / "B8.onnx", SURE)
    network(folder / "u" / "B11.onnx", UNSURE)
    return saved(folder / "t", pair[0]), saved(folder / "u", pair[1])


def test_two_consistent_teachers_are_averaged(prepared: Path, tmp_path: Path) -> None:
    teachers = onnx_teachers.read(unequal(tmp_path), lcz.CLASSES, prepared)
    rows = split.Split(split.read_bands(prepared, ("B8", "B11")), {"label": torch.arange(34) % 17})
    ask = teacher_targets.Targets(teachers=tuple(teachers)).logits_of(rows, 32)
    batch = rows[np.arange(34)]
    batch |= draw_views("overhead", 34, 32, 1, [*batch])
    said = []
    for teacher, by in zip(teachers, (SURE, UNSURE), strict=True):
        said.append(View(teacher.card, rows.layouts, 32)(batch).mean((2, 3)).numpy() @ by)
    np.testing.assert_allclose(ask(batch), (said[0] + said[1]) / 2, atol=1e-4)


def test_the_accuracy_of_teachers_is_that_of_their_mean_probabilities(
    prepared: Path, prepared_test: Path, tmp_path: Path
) -> None:
    """All say class 0 by their mean probabilities, and class 1 by their mean logits."""
    folders = unequal(tmp_path)
    teachers = onnx_teachers.read(folders, lcz.CLASSES, prepared)
    pairs = zip((teacher.card for teacher in teachers), (SURE, UNSURE), strict=True)
    logits = [expected(prepared_test, *pair) for pair in pairs]
    assert (np.mean(logits, 0).argmax(1) == 1).all()
    assert (np.mean([scores.softmax(one) for one in logits], 0).argmax(1) == 0).all()
    with h5py.File(prepared_test, "r+") as file:
        file["label"][...] = np.eye(17, dtype=np.uint8)[[0] * 9 + [1] * 8]
    settings = taught_by(folders)
    pair = split.read_label_pair(prepared, prepared_test, lcz.CLASSES)
    targets = teacher_targets.prepare(
        (prepared, prepared_test), pair, lcz.CLASSES, settings, tmp_path / "w", NOBODY
    )
    assert targets.accuracy == pytest.approx(9 / 17)


def matlab(folder: Path, **changes) -> Path:  # type: ignore[no-untyped-def]
    """The JSON as the thesis' exporter writes it, and the bands, which it does not."""
    content = {
        "input": {"layout": "NCHW", "dtype": "float32", "shape": [1, 3, 32, 32]},
        "scaling": {"optical": {"src_range": [0, 2.8], "dst_range": [0, 255]}},
        "zscore": {"enabled": True, "mu": list(range(10)), "sigma": list(range(1, 11))},
        "labels": list(lcz.CLASSES), "bands": {"net.onnx": [4, "B2", 8]}, **changes,
    }  # fmt: skip
    network(folder / "net.onnx", matrix(), soft=True)
    kept = {key: value for key, value in content.items() if value is not None}
    (folder / matlab_export.NAME).write_text(json.dumps(kept))
    return folder


def test_the_form_that_matlab_exports(tmp_path: Path) -> None:
    """1-based bands, statistics per band in units of 0 … 255."""
    folder = matlab(tmp_path / "m")
    for path in list(folder.glob("*.onnx")):
        path.with_name(f"._{path.name}").write_bytes(b"what macOS leaves")
    (member,) = matlab_export.read(folder, lcz.CLASSES)
    assert (member.file, member.bands) == ("net.onnx", ("B5", "B2", "B8A"))
    assert member.mean == pytest.approx((3 / 255, 0, 7 / 255))
    assert member.std == pytest.approx((4 / 255, 1 / 255, 8 / 255))
    assert (member.size, member.interpolation, member.classes) == (32, "nearest", lcz.CLASSES)
    changes = {"zscore": {"enabled": False}, "bands": [17, 11, 3], "input": None, "size": [64, 64]}
    (member,) = matlab_export.read(matlab(tmp_path / "m", **changes), lcz.CLASSES)
    assert (member.bands, member.mean, member.std, member.size) == (
        ("COV_real", "VH_real", "B4"), (0, 0, 0), (1, 1, 1), 64,
    )  # fmt: skip


def test_outputs_in_another_order_are_put_right(prepared: Path, tmp_path: Path) -> None:
    """MATLAB sorts class names that are numbers as text: 1, 10, 11, …, 17, 2, …"""
    numbers = sorted(map(str, range(1, 18)))
    (teacher,) = onnx_teachers.read(
        (matlab(tmp_path / "m", labels=numbers),), lcz.CLASSES, prepared
    )
    image = np.random.default_rng(0).standard_normal((2, 3, 32, 32)).astype(np.float32)
    said = image.mean((2, 3)) @ matrix()
    right = said[:, [numbers.index(str(k)) for k in range(1, 18)]]
    np.testing.assert_allclose(
        scores.softmax(teacher.logits(image)), scores.softmax(right), atol=1e-5
    )


UNFIT = {
    "no bands": ({"bands": None}, "bands of net.onnx: expected names or numbers 1 to 18, found"),
    "band": ({"bands": [0, 1, 2]}, "bands of net.onnx: expected B2, B3"),
    "labels": ({"labels": ["sea"]}, "labels: expected the 17 classes of the data"),
    "mean": ({"mean": [1, 2], "std": [1, 2], "zscore": {}}, "mean: expected 3 values, or one for"),
    "range": ({"scaling": {"optical": {"dst_range": [1, 1]}}}, "range: expected two ascending"),
    "size": ({"input": {"shape": [1, 3, 48, 48]}}, "(N, 48, 48, 3), found (N, 3, 32, 32)"),
    "form": ({"zscore": 3}, "not the description of a network"),
}


@pytest.mark.parametrize(("changes", "message"), UNFIT.values(), ids=UNFIT)
def test_refuses_a_matlab_folder(prepared: Path, tmp_path: Path, changes, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(StageError) as caught:
        onnx_teachers.read((matlab(tmp_path / "m", **changes),), lcz.CLASSES, prepared)
    assert message in str(caught.value)


def test_refuses_onnx_teachers(prepared: Path, tmp_path: Path) -> None:
    def said(member: models.Card, **form) -> str:  # type: ignore[no-untyped-def]
        network(tmp_path / "t" / "a.onnx", matrix(), **form)
        with pytest.raises(StageError) as caught:
            onnx_teachers.read((saved(tmp_path / "t", member),), lcz.CLASSES, prepared)
        return str(caught.value)

    assert "give the folder that fusion made as --teacher" in said(card(features=8))
    assert "(N, 32, 32, 3), found (N, 3, 48, 48)" in said(card(), size=48)
    assert "found image tensor(int32)" in said(card(), kind=onnx.TensorProto.INT32)
    other = dataclasses.replace(card(), classes=tuple("abc"))
    assert "expected 17 classes 01_CompactHighRise" in said(other)
    with pytest.raises(StageError, match=r"expected a model folder with model\.json"):
        onnx_teachers.read((tmp_path,), lcz.CLASSES, prepared)


# --- other inputs, other starts -------------------------------------------------------------------
def test_multimodal_student_of_consistent_teachers(
    prepared: Path, prepared_test: Path, tmp_path: Path
) -> None:
    """Optical and SAR bands, weights spread over them, ONNX teachers on bands of their own."""
    network(tmp_path / "t" / "a.onnx", matrix())
    weights = tmp_path / "three.safetensors"
    torch.manual_seed(0)
    three = networks.build("test_resnet", 3, 17)
    save_file(three.state_dict(), weights)
    bands = ("B4", "B3", "B2", "B8", "VH")
    flags = [
        f"--onnx={saved(tmp_path / 't', card())}", "--targets=consistent", f"--weights={weights}",
        f"--bands={','.join(bands)}", "--adapt", "--nobaseline", "--epochs=1", "--lr=1e-9",
        "--decimals=6", "--range=published",
    ]  # fmt: skip
    dst = command(prepared, None, tmp_path / "distill", *flags)
    (student,) = models.load(dst)
    assert (student.bands, student.decimals) == (bands, 6)
    with patches.read(prepared) as source:
        assert student.mean == models.band_statistics(source, bands, 6)[0]
        assert student.mean != models.band_statistics(source, bands)[0]
    first = load_file(dst / "student.safetensors")["conv1.0.weight"]
    old = three.state_dict()["conv1.0.weight"]
    spread = torch.cat([old, old[:, :2]], 1) * 3 / 5  # as timm does; the rate changes nothing
    torch.testing.assert_close(first, spread, atol=1e-5, rtol=0)
    said = json.loads((dst / "metrics.json").read_text())
    assert (said["targets"], said["alpha"], said["size"]) == ("consistent", 0.7, 32)
    with patches.read(prepared_test) as source:
        values = models.read_scaled(source, card().bands, slice(0, 17))
    right = (models.preprocess(values, card()).mean((2, 3)) @ matrix()).argmax(1) == np.arange(17)
    assert said["teacher_accuracy"] == pytest.approx(right.mean())


def test_a_checkpoint_is_scored_and_not_trained(
    prepared: Path, prepared_test: Path, tmp_path: Path
) -> None:
    assert prepared_test.exists()
    torch.manual_seed(3)
    trained, file = networks.build("test_resnet", 3, 17), tmp_path / "student_last.pth"
    wrapped = {f"module.{name}": of for name, of in trained.state_dict().items()}
    torch.save({"state_dict": wrapped}, file)
    dst = command(prepared, None, tmp_path / "distill", f"--checkpoint={file}")
    (student,) = models.load(dst)
    with patches.read(prepared_test) as source:
        images = models.preprocess(models.read_scaled(source, student.bands, slice(0, 17)), student)
    with torch.no_grad():
        said = trained.eval()(torch.from_numpy(images))
    np.testing.assert_allclose(np.load(dst / "test_logits.npy"), said, atol=1e-4)
    assert not (dst / "baseline").exists()
    assert not (dst / "curves.csv").exists()
    assert "retention" not in json.loads((dst / "metrics.json").read_text())


# --- fake INT8 ------------------------------------------------------------------------------------
def test_rounding_of_weights_by_hand() -> None:
    """A largest magnitude of 127 makes steps of 1; each row has its own; gradients pass."""
    rows = torch.tensor([[1.0, 0.26], [100.0, 26.0], [0.0, 0.0]])
    rounded = fake_quantise.round_weight(rows)
    expected = np.array([[1, 33 / 127], [100, 3300 / 127], [0.0, 0.0]])
    np.testing.assert_allclose(rounded, expected, rtol=1e-5)
    np.testing.assert_allclose(rounded, int8.round_weight(rows.numpy()), rtol=1e-5)
    values = torch.tensor([[-127.0, -0.4, 0.6, 2.5, 126.9]], requires_grad=True)
    (fake_quantise.round_weight(values) * torch.arange(5)).sum().backward()
    assert fake_quantise.round_weight(values).tolist() == [[-127, 0, 1, 2, 127]]
    assert values.grad is not None
    assert values.grad.tolist() == [[0, 1, 2, 3, 4]]


def test_rounding_of_activations_by_hand() -> None:
    """-5.5 to 20 makes steps of 0.1, zero is the 55th level; outside, gradients stop."""
    rounds = fake_quantise.Activation(int8.MIN_MAX, 0)
    seen = torch.tensor([[-5.5, 20.0]])
    assert rounds(seen) is seen
    rounds.settle()
    values = torch.tensor([[-9.0, -5.5, 0.04, 0.06, 19.97, 25.0]], requires_grad=True)
    rounded = rounds(values)
    np.testing.assert_allclose(rounded.detach(), [[-5.5, -5.5, 0, 0.1, 20, 20]], atol=1e-5)
    rounded.sum().backward()
    assert values.grad is not None
    assert values.grad.tolist() == [[0, 1, 1, 1, 1, 0]]
    assert int(rounds.zero) == 55


def test_channels_of_a_depthwise_input_have_their_own_levels_in_the_hybrid_scheme() -> None:
    pictures = torch.tensor([[0.0, 2.55], [0.0, 255.0]]).view(1, 2, 1, 2)
    made = {}
    for scheme in int8.SCHEMES:
        network = nn.Sequential(nn.Conv2d(2, 2, 1, groups=2, bias=False), nn.Flatten())
        network[0].weight.data.fill_(1)
        fake = fake_quantise.FakeQuantised(network, pictures, scheme).calibrate([pictures])
        made[scheme] = fake(pictures / 5).detach().flatten().tolist()
    np.testing.assert_allclose(made[int8.MIN_MAX], [0, 1, 0, 51], atol=1e-4)
    np.testing.assert_allclose(made[int8.HYBRID], [0, 0.51, 0, 51], atol=1e-4)


class Toy(nn.Module):
    """Convolution, batch norm, ReLU, mean; the weights of one band, always 0, are large.

    They take the range of their channels, so that few steps are left to the other weights.
    """

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.norm = nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8)
        with torch.no_grad():
            self.norm.running_mean.normal_()
            self.norm.running_var.uniform_(0.5, 2)
            self.norm.bias.normal_()
            self.conv.weight[:, 0] = 30

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.norm(self.conv(images)).relu().mean((2, 3))


PICTURES = torch.randn(32, 3, 8, 8, generator=torch.Generator().manual_seed(1))
PICTURES[:, 0] = 0


@torch.no_grad()
def error(network: nn.Module, truth: torch.Tensor) -> float:
    """Mean square, of a network quantised after training, whatever it went through before."""
    fake = fake_quantise.FakeQuantised(network, PICTURES).calibrate([PICTURES])
    return float(((fake(PICTURES) - truth) ** 2).mean())


def test_folding_changes_nothing_but_where_the_scales_are() -> None:
    toy = Toy().eval()
    with torch.no_grad():
        before = toy(PICTURES)
        weight = (
            toy.conv.weight
            * (toy.norm.weight / (toy.norm.running_var + 1e-5).sqrt())[:, None, None, None]
        )
        folded = batch_norms.fold(toy, PICTURES)
        torch.testing.assert_close(folded(PICTURES), before, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(folded.conv.weight, weight)
    assert not folded.norm.weight.requires_grad
    assert folded.state_dict().keys() == Toy().state_dict().keys()


def test_ranges_are_those_of_calibration_and_stay() -> None:
    """Of the float network, as export sees it; training moves the weights alone."""
    pieces = PICTURES[:16], 3 * PICTURES[16:]
    fake = fake_quantise.FakeQuantised(Toy(), PICTURES, int8.MIN_MAX).calibrate(pieces)
    values = torch.cat(pieces)
    scale = float((values.max() - values.min()) / 255)
    assert float(fake.ranges[0].scale) == pytest.approx(scale)
    fake.train()(9 * PICTURES)
    assert float(fake.ranges[0].scale) == pytest.approx(scale)
    assert not fake.network.norm.training
    seen = int8.TensorObserver(depthwise=False)
    for piece in pieces:
        seen.observe(piece.numpy())
    fake = fake_quantise.FakeQuantised(Toy(), PICTURES).calibrate(pieces)
    expected = seen.choose(int8.HISTOGRAM).grid()
    assert float(fake.ranges[0].scale) == pytest.approx(float(expected[0]))
    assert int(fake.ranges[0].zero) == int(expected[1])


def test_fine_tuned_weights_survive_quantisation(tmp_path: Path) -> None:
    toy = Toy().eval()
    with torch.no_grad():
        truth = toy(PICTURES)
    fake = fake_quantise.FakeQuantised(toy, PICTURES).calibrate([PICTURES]).train()
    optimiser = torch.optim.Adam(fake.parameters(), 3e-3)
    slower = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 100)
    for _ in range(100):
        optimiser.zero_grad()
        mse_loss(fake(PICTURES), truth).backward()
        optimiser.step()
        slower.step()
    plain = fake.plain()
    assert error(plain, truth) < 0.6 * error(toy, truth)
    steps = plain.conv.weight / plain.conv.weight.abs().amax((1, 2, 3), True) * 127
    torch.testing.assert_close(steps, steps.round(), atol=1e-3, rtol=0)
    assert networks.to_onnx(plain, {"input": PICTURES}, tmp_path / "plain.onnx") < 1e-4
    kinds = {node.op_type for node in onnx.load(tmp_path / "plain.onnx").graph.node}
    assert kinds == {"Conv", "Relu", "ReduceMean"}


def test_the_same_epochs_in_float_go_on_from_the_whole_network(
    prepared: Path, prepared_test: Path, teacher: Path, tmp_path: Path
) -> None:
    """With a rate of nothing, what learns stays: the classification layer, too, and no rounding."""
    assert prepared_test.exists()
    file = tmp_path / "student.safetensors"
    torch.manual_seed(0)
    network = networks.build("test_resnet", 3, 17)
    save_file(network.state_dict(), file)
    flags = (f"--checkpoint={file}", "--qat=2", "--qat_lr=1e-12", "--noqat_rounding")
    dst = command(prepared, teacher, tmp_path / "distill", *flags)
    given, made = load_file(file), load_file(dst / file.name)
    learned = [name for name, _ in network.named_parameters()]
    assert "fc.weight" in learned
    for name in learned:
        torch.testing.assert_close(made[name], given[name], atol=1e-7, rtol=0)
    said = json.loads((dst / "metrics.json").read_text())["qat"]
    assert said["scheme"] is None
    assert said["float_after"] == json.loads((dst / "metrics.json").read_text())["overall_accuracy"]
    assert not said.keys() & {"int8_before", "int8_after"}


def test_qat_goes_on_from_a_checkpoint(
    prepared: Path, prepared_test: Path, teacher: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The plain student that it leaves, the one that it had, and what INT8 does to both.

    Stopped when all epochs are done and nothing of them is written, it goes on from there.
    """
    assert prepared_test.exists()
    file = tmp_path / "student.safetensors"
    torch.manual_seed(0)
    save_file(networks.build("test_resnet", 3, 17).state_dict(), file)
    flags = (f"--checkpoint={file}", "--qat=2", "--qat_lr=1e-3")

    def stop(_: object) -> nn.Module:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(fake_quantise.FakeQuantised, "plain", stop)
        with pytest.raises(SystemExit, match="130"):
            command(prepared, teacher, tmp_path / "distill", *flags)
    dst = command(prepared, teacher, tmp_path / "distill", *flags)
    said = json.loads((dst / "metrics.json").read_text())
    before = json.loads((dst / "float" / "metrics.json").read_text())
    assert said["qat"].keys() >= {"int8_before", "int8_after"}
    assert said["qat"]["float_before"] == before["overall_accuracy"]
    assert said["qat"]["float_after"] == said["overall_accuracy"]
    assert (said["qat"]["epochs"], said["qat"]["scheme"]) == (2, "per_tensor_histogram")
    old, new = load_file(dst / "float" / file.name), load_file(dst / file.name)
    assert old.keys() == new.keys()
    torch.testing.assert_close(old["fc.weight"], load_file(file)["fc.weight"])
    steps = new["fc.weight"] / new["fc.weight"].abs().amax(1, True) * 127
    torch.testing.assert_close(steps, steps.round(), atol=1e-3, rtol=0)
    for folder in (dst, dst / "float"):
        kinds = {node.op_type for node in onnx.load(folder / "student.onnx").graph.node}
        assert not {kind for kind in kinds if "Quantize" in kind}
    assert not list(dst.rglob("work*"))


# --- refusals -------------------------------------------------------------------------------------
def refused(prepared, teacher, capfd, *flags: str, folder: Path | None = None) -> str:  # type: ignore[no-untyped-def]
    place = folder or teacher.parent
    before = sorted(place.rglob("*"))
    capfd.readouterr()
    with pytest.raises(SystemExit, match="2"):
        command(prepared, teacher, place / "out" / "distill", *flags)
    assert sorted(place.rglob("*")) == before  # nothing left behind
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
        ("--schedule=step", "--schedule: expected constant, cosine or plateau, found 'step'"),
        ("--bands=B4,B4", "--bands: expected different bands, found B4, B4"),
        ("--bands=B4,B99", "expected band 'B99', found ['VH_real'"),
        ("--targets=fresh", "--targets: expected cached, consistent or views, found 'fresh'"),
        ("--targets=consistent", "expected networks, found no model.json; their logits alone"),
        ("--onnx=TEACHER", "--onnx: --teacher has cached logits already; give one of the two"),
        ("--teacher=None", "--teacher: expected the folder of a teacher, fusion or sumrule, or"),
        ("--adapt", "--adapt: nothing to adapt without --weights"),
        ("--qat=-1", "--qat: expected at least 0, found -1"),
        ("--qat_lr=0", "--qat_lr: expected above 0, found 0.0"),
        ("--mixup=-0.1", "--mixup: expected 0 to 100, found -0.1"),
        ("--mixup=nan", "--mixup: expected 0 to 100, found 'nan'"),
        ("--qat_scheme=odd", "--qat_scheme: expected per_tensor_histogram, per_tensor_min_max or "),
    ],
)
def test_refuses(prepared, prepared_test, teacher, capfd, flag, message) -> None:  # type: ignore[no-untyped-def]
    assert prepared_test.exists()
    given = None if flag == "--teacher=None" else teacher
    flags = [flag.replace("TEACHER", str(teacher))] if given else []
    assert message in refused(prepared, given, capfd, *flags, folder=teacher.parent)


def test_refuses_a_plateau_without_rows_held_out(prepared, prepared_test, teacher, capfd) -> None:  # type: ignore[no-untyped-def]
    assert prepared_test.exists()
    flags = ("--validation=0", "--schedule=plateau")
    heard = refused(prepared, teacher, capfd, *flags, folder=teacher.parent)
    assert "--schedule=plateau: needs rows held out by --validation; any share above 0" in heard


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
    assert "sen2: expected attributes mean and std" in refused(lcz42, teacher, capfd)
    with h5py.File(prepared_test, "a") as file:
        file.attrs["classes"] = [f"class {i}" for i in range(17)]
    assert "testing.h5: expected 17 classes" in refused(prepared, teacher, capfd)
    assert (tmp_path / "teacher").exists()


def test_refuses_weights_of_other_bands_and_checkpoints(
    prepared: Path, prepared_test: Path, teacher: Path, tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert prepared_test.exists()
    three, half = tmp_path / "three.safetensors", tmp_path / "half.safetensors"
    tensors = networks.build("test_resnet", 3, 17).state_dict()
    save_file(tensors, three)
    save_file({name: of for name, of in tensors.items() if not name.startswith("fc")}, half)
    four = "--bands=B4,B3,B2,B8"
    heard = refused(prepared, teacher, capfd, f"--weights={three}", four)
    assert "does not fit: other shape: conv1.0.weight (" in heard
    heard = refused(prepared, teacher, capfd, f"--checkpoint={three}", four)
    assert "not test_resnet (4 bands, 17 classes) weights: other shape" in heard
    heard = refused(prepared, teacher, capfd, f"--checkpoint={half}")
    assert "missing: " in heard
    heard = refused(prepared, teacher, capfd, f"--checkpoint={three}", f"--weights={three}")
    assert "--weights: --checkpoint has weights of its own" in heard


@pytest.mark.parametrize("form", weight_forms.FORMS)
def test_a_checkpoint_is_read_in_every_form(tmp_path: Path, form: str) -> None:
    torch.manual_seed(3)
    source = networks.build("test_resnet", 4, 17).state_dict()
    path, expected = weight_forms.write(form, source, tmp_path)
    loaded = checkpoint.read(path, "test_resnet", 4, 17).state_dict()
    assert loaded.keys() == expected.keys()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in expected.items())


@pytest.mark.parametrize("fault", ["one missing", "other classes", "whole numbers"])
def test_a_checkpoint_that_would_silently_be_wrong_is_refused(tmp_path: Path, fault: str) -> None:
    source = networks.build("test_resnet", 4, 17).state_dict()
    given, message = {
        "one missing": ({n: t for n, t in source.items() if n != "bn1.running_var"},
                        "missing: bn1.running_var; "),
        "other classes": (networks.build("test_resnet", 4, 10).state_dict(),
                          "other shape: fc.weight (10, 96) instead of (17, 96)"),
        "whole numbers": (source | {"fc.weight": (source["fc.weight"] * 99).char()},
                          "other type: fc.weight int8 instead of float32"),
    }[fault]  # fmt: skip
    torch.save(
        {"ema": weight_forms.prefixed(given, "module."), "model": source}, tmp_path / "a.pth"
    )
    with pytest.raises(StageError) as told:
        checkpoint.read(tmp_path / "a.pth", "test_resnet", 4, 17)
    assert message in str(told.value)
    assert "keys fit after taking 'ema' rather than model and dropping 'module.'" in str(told.value)


# --- networks as other people's exporters write them ----------------------------------------------
@pytest.mark.parametrize("name", foreign.STYLES)
def test_styles_of_other_exporters(prepared: Path, tmp_path: Path, name: str) -> None:
    style = foreign.STYLES[name]
    folder = foreign.folder(tmp_path / "given", style)
    (teacher,) = onnx_teachers.read((folder,), lcz.CLASSES, prepared)
    with patches.read(prepared, "label") as source:
        values = models.read_scaled(source, teacher.card.bands, slice(0, 34))
    images = models.preprocess(values, teacher.card)
    style.check(teacher.logits(images), images)


@pytest.mark.parametrize("name", foreign.REFUSED)
def test_networks_that_no_stage_takes(prepared: Path, tmp_path: Path, name: str) -> None:
    build, message = foreign.REFUSED[name]
    folder = foreign.folder(tmp_path / "given", foreign.Style(build))
    with pytest.raises(StageError) as caught:
        onnx_teachers.read((folder,), lcz.CLASSES, prepared)
    assert f"{folder}/a.onnx: " in str(caught.value)
    assert message in str(caught.value)
