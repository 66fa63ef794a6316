"""Targets of distill beyond cached logits: networks asked about random views, and their lead."""

import dataclasses
import json
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from shared import lcz, models, patches
from shared.errors import StageError
from shared.models import scores
from shared.training import Machine, networks
from shared.training.data import draw_views, split
from shared.training.data.views.view import View
from shared.training.data.views.warping import see_images
from stages.distill import lead, onnx_teachers, teacher_logits, teacher_targets
from stages.distill import train as training
from stages.distill.teaching import Teacher
from tests.stages.test_distill import (
    NOBODY,
    card,
    command,
    expected,
    matrix,
    network,
    saved,
    taught_by,
)
from tests.training import tiny


def trained_folder(folder: Path, *, bands: tuple[str, ...] = ("B8", "B2", "VH")) -> Path:
    """One network of ours in a model folder, with batch norms as after training."""
    torch.manual_seed(5)
    ours = networks.build("test_resnet", len(bands), 17)
    with torch.no_grad():
        for name, values in ours.state_dict().items():
            if name.endswith("running_var"):
                values.uniform_(0.5, 1.5)
    folder.mkdir()
    networks.to_onnx(ours, {"image": torch.zeros(2, len(bands), 32, 32)}, folder / "a.onnx")
    return saved(folder, dataclasses.replace(card(bands=bands), architecture="test_resnet"))


def score_folder(folder: Path, prepared: Path, classes: tuple[str, ...] = lcz.CLASSES) -> Path:
    """Scores of the rows of the fixtures beside what the folder holds: right on all but four."""
    for name, rows in (("train", 34), ("test", 17)):
        labels = np.arange(rows) % 17
        logits = (8 * np.eye(17)[labels]).astype(np.float32)
        logits[:4] = np.roll(logits[:4], 1, 1)
        np.save(folder / f"{name}_logits.npy", logits)
        np.save(folder / f"{name}_labels.npy", labels)
    assert prepared.exists()
    scores.write(folder, labels, scores.softmax(logits), classes)
    return folder


def rows_of(prepared: Path, bands: tuple[str, ...]) -> split.Split:
    return split.Split(split.read_bands(prepared, bands), {"label": torch.arange(34) % 17})


def prepared_targets(prepared: Path, work: Path, held_out=NOBODY, **teacher):  # type: ignore[no-untyped-def]
    settings = dataclasses.replace(taught_by(()), teacher=Teacher(**teacher))
    files = (prepared, prepared.with_name("testing.h5"))
    labels = split.read_label_pair(*files, lcz.CLASSES)
    return teacher_targets.prepare(files, labels, lcz.CLASSES, settings, work, held_out)


def test_a_network_of_ours_runs_in_torch_and_says_what_its_file_says(
    prepared: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Classes of the card in another order: both forms put them right alike."""
    folder = trained_folder(tmp_path / "t")
    (own,) = models.load(folder)
    saved(folder, dataclasses.replace(own, classes=own.classes[::-1]))
    (teacher,) = onnx_teachers.read((folder,), lcz.CLASSES, prepared, in_torch=True)
    assert teacher.network is not None
    images = np.random.default_rng(1).standard_normal((5, 3, 32, 32)).astype(np.float32)
    said = teacher.answer(torch.from_numpy(images))
    assert said.std() > 0.01
    np.testing.assert_allclose(said, teacher.logits(images), atol=1e-4)
    straight = networks.run_onnx(folder / "a.onnx", {"image": torch.from_numpy(images)})
    np.testing.assert_allclose(said, straight[:, ::-1], atol=1e-4)
    assert "onnxruntime" not in capfd.readouterr().err


def test_other_networks_run_in_onnxruntime_and_one_line_says_so(
    prepared: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    network(tmp_path / "u" / "a.onnx", matrix())
    network(tmp_path / "v" / "a.onnx", matrix(seed=1))
    liar = dataclasses.replace(card(), architecture="test_resnet")  # its name is not what it is
    folders = (
        trained_folder(tmp_path / "t"), saved(tmp_path / "u", card()), saved(tmp_path / "v", liar),
    )  # fmt: skip
    teachers = onnx_teachers.read(folders, lcz.CLASSES, prepared, in_torch=True)
    assert [teacher.network is None for teacher in teachers] == [False, True, True]
    heard = capfd.readouterr().err
    assert heard.count("\n") == 1
    assert f"2 of 3 teachers run in onnxruntime on the CPU: {tmp_path / 'u' / 'a.onnx'}: " in heard
    images = np.ones((2, 3, 32, 32), np.float32)
    np.testing.assert_allclose(
        teachers[1].answer(torch.from_numpy(images)), images.mean((2, 3)) @ matrix(), atol=1e-4
    )
    assert all(t.network is None for t in onnx_teachers.read(folders, lcz.CLASSES, prepared))


@pytest.mark.parametrize("in_torch", [False, True])
def test_consistent_networks_of_a_score_folder_see_the_view_of_the_student(
    prepared: Path, prepared_test: Path, tmp_path: Path, in_torch: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    assert prepared_test.exists()
    read = partial(onnx_teachers.read, in_torch=in_torch)
    monkeypatch.setattr(teacher_targets, "read", lambda *given, **_: read(*given))
    folder = score_folder(trained_folder(tmp_path / "t"), prepared)
    targets = prepared_targets(prepared, tmp_path / "w", teacher=folder, targets="consistent")
    assert (targets.accuracy, targets.extra, targets.bands) == (13 / 17, {}, ("B8", "B2", "VH"))
    assert (targets.teachers[0].network is not None) == in_torch
    rows, (own,) = rows_of(prepared, targets.bands), models.load(folder)
    batch = rows[np.arange(34)] | draw_views("sharp", 34, 32, 1)
    said = targets.logits_of(rows, 32)(batch)
    right = networks.run_onnx(folder / "a.onnx", {"image": View(own, rows.layouts, 32)(batch)})
    np.testing.assert_allclose(said, right, atol=1e-4)
    assert not said.requires_grad


def test_views_are_averaged_and_a_killed_run_goes_on(
    prepared: Path, prepared_test: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By hand, of linear networks: warped pictures, their means, a matrix, the mean over three."""
    assert prepared_test.exists()
    network(tmp_path / "t" / "a.onnx", matrix())
    given = {"onnx": (saved(tmp_path / "t", card()),), "targets": "views", "teacher_views": 3}
    asked, usual = [], teacher_logits.stack_logits

    def counted(*arguments):  # type: ignore[no-untyped-def]
        asked.append("theta" in arguments[2])
        if len(asked) == 3:  # one call for the test rows, one for the first view
            raise KeyboardInterrupt
        return usual(*arguments)

    monkeypatch.setattr(teacher_logits, "stack_logits", counted)
    with pytest.raises(KeyboardInterrupt):
        prepared_targets(prepared, tmp_path / "w", **given)
    targets = prepared_targets(prepared, tmp_path / "w", **given)
    assert asked == [False, True, True, True, True]
    plain = torch.from_numpy(pictures(prepared))
    total = np.zeros((34, 17))
    for number in range(3):
        drawn = draw_views("sharp", 34, 32, hash((42, number)) % 2**63)
        seen = see_images(plain, drawn, 32, 32, "bilinear")
        total += seen.mean((2, 3)).numpy() @ matrix()
    np.testing.assert_allclose(targets.extra["teacher"], total / 3, atol=1e-4)
    apart = targets.extra["teacher"].numpy() - expected(prepared, card(), matrix())
    assert np.abs(apart).max() > 0.1
    assert not targets.teachers


def pictures(prepared: Path) -> np.ndarray:
    with patches.read(prepared) as source:
        return models.preprocess(models.read_scaled(source, card().bands, slice(0, 34)), card())


@pytest.mark.parametrize("targets", ["cached", "consistent", "views"])
def test_the_accuracy_on_rows_held_out_is_that_of_plain_views(
    prepared: Path, prepared_test: Path, tmp_path: Path, targets: str
) -> None:
    assert prepared_test.exists()
    network(tmp_path / "t" / "a.onnx", matrix())
    held_out = np.array([3, 20, 21, 33])
    right = expected(prepared, card(), matrix()).argmax(1)[held_out] == held_out % 17
    onnx = (saved(tmp_path / "t", card()),)
    said = prepared_targets(
        prepared, tmp_path / "w", held_out, onnx=onnx, targets=targets, teacher_views=1
    )
    assert said.validation == right.mean()
    folder = score_folder(trained_folder(tmp_path / "u"), prepared)
    said = prepared_targets(
        prepared, tmp_path / "x", held_out, teacher=folder, targets=targets, teacher_views=1
    )
    assert said.validation == 3 / 4  # row 3 is one of the four that it has wrong
    assert prepared_targets(prepared, tmp_path / "x", teacher=folder).validation is None


def test_a_mean_of_teachers_names_the_folders_that_hold_networks(
    prepared: Path, prepared_test: Path, tmp_path: Path
) -> None:
    assert prepared_test.exists()
    (tmp_path / "sum").mkdir()
    folder = score_folder(tmp_path / "sum", prepared)
    said = json.loads((folder / "metrics.json").read_text())
    said["members"] = [{"name": "resnet18-rand"}, {"name": "resnet18-sar"}]
    (folder / "metrics.json").write_text(json.dumps(said))
    with pytest.raises(StageError) as caught:
        prepared_targets(prepared, tmp_path / "w", teacher=folder, targets="consistent")
    assert "give the folders of resnet18-rand, resnet18-sar as --onnx" in str(caught.value)


@pytest.mark.parametrize("targets", ["consistent", "views"])
def test_a_student_of_networks_of_a_score_folder(
    prepared: Path, prepared_test: Path, tmp_path: Path, targets: str
) -> None:
    """By the command line."""
    assert prepared_test.exists()
    folder = score_folder(trained_folder(tmp_path / "t"), prepared)
    flags = (f"--targets={targets}", "--teacher_views=2", "--epochs=1", "--nobaseline")
    dst = command(prepared, folder, tmp_path / "distill", *flags)
    said = json.loads((dst / "metrics.json").read_text())
    assert (said["targets"], said["teacher_accuracy"]) == (targets, 13 / 17)
    assert not list(dst.rglob("work*"))


@pytest.mark.parametrize("gpu", [False, True])
def test_teachers_are_asked_where_the_training_is(
    gpu: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a GPU about random views only: plain ones are the same on every machine."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    settings = dataclasses.replace(taught_by(()), machine=Machine())
    for targets in ("cached", "consistent", "views"):
        of = dataclasses.replace(settings, teacher=Teacher(targets=targets))  # type: ignore[arg-type]
        assert teacher_targets.is_on_gpu(of) == (gpu and targets != "cached")
    of = dataclasses.replace(
        settings, teacher=Teacher(targets="consistent"), machine=Machine(device="cpu")
    )
    assert not teacher_targets.is_on_gpu(of)


# --- the lead of a teacher ------------------------------------------------------------------------
def test_a_teacher_that_hardly_beats_the_commonest_class_is_doubted() -> None:
    """Class 1 has 5 of 10 rows: 54 % is the least that is believed."""
    truth = np.array([0, 1, 1, 2, 1, 1, 0, 1, 2, 2])
    names = ("road", "roof", "tree")
    assert lead.doubt_teacher(0.54, truth, names) == ""
    line = lead.doubt_teacher(0.53, truth, names)
    assert "right on 53.0% of 10 training rows held out, always" in line
    assert "answering roof on 50.0%" in line
    assert lead.doubt_teacher(None, truth, names) == ""
    assert lead.doubt_teacher(None, truth[:0], names) == ""


def test_the_lead_is_over_the_best_epoch_of_the_twin() -> None:
    twin = {"validation accuracy": [0.5, 0.71, 0.6], "train accuracy": [0.9]}
    found = lead.describe_lead(0.74, twin, clean=True)
    assert found["teacher_lead"] == pytest.approx(3)
    assert found["baseline_validation_accuracy"] == 0.71
    assert not found["teacher_lead_flattered"]
    line = lead.doubt_lead(found)
    assert "by 3.0 points on rows held out;" in line
    flattered = lead.doubt_lead(lead.describe_lead(0.74, twin, clean=False))
    assert "by 3.0 points on rows held out (rows that it may have trained on" in flattered
    assert lead.doubt_lead(lead.describe_lead(0.7501, twin, clean=False)) == ""
    assert lead.describe_lead(None, twin, clean=True) == {}
    assert lead.describe_lead(0.74, {}, clean=True) == {}
    assert lead.doubt_lead({}) == ""


def test_one_line_and_metrics_say_the_lead(
    prepared: Path, prepared_test: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """17 rows are held out, all of whose classes are as common; the teacher has all of them right.

    As rows are not marked, it may have trained on them.
    """
    assert prepared_test.exists()
    (tmp_path / "t").mkdir()
    folder = score_folder(tmp_path / "t", prepared)
    dst = command(prepared, folder, tmp_path / "distill", "--validation=0.5", "--epochs=1")
    said = json.loads((dst / "metrics.json").read_text())
    assert said["teacher_validation_accuracy"] == 1
    alone = said["baseline_validation_accuracy"]
    assert said["teacher_lead"] == pytest.approx(100 * (1 - alone))
    assert said["teacher_lead_flattered"]
    heard = capfd.readouterr().err
    assert "the teacher leads" not in heard
    assert "is it the teacher of these rows" not in heard
    wrong = np.roll(np.load(folder / "train_logits.npy"), 2, 1)
    np.save(folder / "train_logits.npy", wrong)
    command(prepared, folder, tmp_path / "other", "--validation=0.5", "--epochs=1")
    heard = capfd.readouterr().err
    assert heard.count("is it the teacher of these rows?") == 1
    assert heard.count("the teacher leads the student without a teacher by ") == 1


@pytest.mark.parametrize("marked", [True, False])
def test_marked_rows_are_no_teachers(prepared: Path, marked: bool) -> None:
    if marked:
        with h5py.File(prepared, "a") as file:
            file["validation"] = (np.arange(34) < 17).astype(np.uint8)
    assert lead.is_clean(prepared, own=True) == marked
    assert not lead.is_clean(prepared, own=False)


@pytest.mark.parametrize("in_torch", [True, False])
def test_networks_in_torch_count_in_the_memory_of_a_step(
    prepared: Path, prepared_test: Path, tmp_path: Path, in_torch: bool
) -> None:
    """Of the student; its twin asks nobody, and onnxruntime is on the CPU."""
    folder, files = trained_folder(tmp_path / "t"), (prepared, prepared_test)
    teachers = onnx_teachers.read((folder,), lcz.CLASSES, prepared, in_torch=in_torch)
    settings, targets = taught_by((folder,)), teacher_targets.Targets(teachers=tuple(teachers))
    student = training._build_card(prepared, settings)
    labels = split.read_label_pair(*files, lcz.CLASSES)
    ours, twin = training._build_members(files, student, labels, targets, NOBODY, settings)
    assert ours.beside == tuple(one.network for one in teachers if in_torch)
    assert twin.beside == ()
    assert ours.learner(tiny.recipe()).beside == ours.beside
