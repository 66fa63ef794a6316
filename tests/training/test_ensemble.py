"""Ensembles: sum rule, ONNX equal to torch, shards, members that are not trained twice."""

import csv
import dataclasses
import json
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from shared import models
from shared.models import scores
from shared.runs import record
from shared.training import ensemble, networks
from shared.training.parallel import distributed
from shared.training.records.results import Result, write_score_folder
from tests.training import tiny

TRAIN, TEST = tiny.split(30, 0), tiny.split(12, 1)
LABELS = TRAIN.extra["label"], TEST.extra["label"]
PRODUCT = {
    "confusion.csv", "confusion.png", "curves.csv", "curves.png", "metrics.json", "model.json",
    "models.csv", "test_labels.npy", "test_logits.npy", "test_scores.npy",
    "train_labels.npy", "train_logits.npy",
}  # fmt: skip


def train(dst: Path, *numbers: int, together: bool = False) -> Path:
    members = [tiny.member(number, TRAIN, TEST) for number in numbers]
    groups = [members] if together else [[member] for member in members]
    ensemble.train_ensemble(dst, groups, tiny.recipe(epochs=2, augment="sharp"), LABELS)
    return dst


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("two") / "two", 1, 2)


def result(number: int, logits: list[list[float]]) -> Result:
    card = tiny.member(number, TRAIN, TEST).card
    said = np.array(logits, np.float32)
    return Result(card, said, said, {"train loss": [1.0, 0.5]}, 0.0)


def test_sum_rule_by_hand(tmp_path: Path) -> None:
    """Two members, one row: the mean of the probabilities, not of the logits, is the score."""
    log = [[np.log([[0.8, 0.1, 0.1]]).tolist()], [np.log([[0.2, 0.7, 0.1]]).tolist()]]
    label = torch.tensor([1])
    metrics = write_score_folder(
        tmp_path, [result(i + 1, said[0]) for i, said in enumerate(log)], (label, label)
    )
    np.testing.assert_allclose(np.load(tmp_path / "test_scores.npy"), [[0.5, 0.4, 0.1]], atol=1e-6)
    mean = np.log([0.8 * 0.2, 0.1 * 0.7, 0.1 * 0.1]) / 2
    np.testing.assert_allclose(np.load(tmp_path / "train_logits.npy"), [mean], atol=1e-6)
    assert metrics["overall_accuracy"] == 0.0
    assert metrics["member_accuracy"] == {"member-01.onnx": 0.0, "member-02.onnx": 1.0}
    table = list(csv.reader((tmp_path / "curves.csv").open()))
    assert table[:2] == [["network", "epoch", "train loss"], ["member-01", "1", "1.0"]]
    assert len(table) == 5


def test_a_member_begins_with_weights_and_draws_of_its_own_seed() -> None:
    members = [tiny.member(number, TRAIN, TEST) for number in (1, 2)]
    learners = [member.learner(tiny.recipe()) for member in members]
    assert [learner.seed for learner in learners] == [member.seed for member in members] == [3, 4]
    for seed, learner in zip((3, 4), learners, strict=True):
        torch.manual_seed(seed)
        assert tiny.same(tiny.Network(0.2).state_dict(), tiny.weights(learner.network))
    assert not tiny.same(*(tiny.weights(learner.network) for learner in learners))


def test_product(two: Path) -> None:
    assert {path.name for path in record.files_of(two)} == PRODUCT | {
        "member-01.onnx",
        "member-02.onnx",
    }
    probabilities = np.load(two / "test_scores.npy")
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-6)
    assert np.load(two / "train_logits.npy").shape == (30, 3)
    np.testing.assert_array_equal(np.load(two / "test_labels.npy"), LABELS[1])
    metrics = json.loads((two / "metrics.json").read_text())
    assert metrics["overall_accuracy"] == (probabilities.argmax(1) == LABELS[1].numpy()).mean()
    assert tuple(metrics["classes"]) == tiny.CLASSES


def test_onnx_says_what_torch_said(two: Path) -> None:
    card, *_ = models.load(two)
    view = tiny.view(TEST)
    images = view(TEST[np.arange(12)])
    each = [networks.run_onnx(two / c.file, {"image": images}) for c in models.load(two)]
    np.testing.assert_allclose(np.mean(each, 0), np.load(two / "test_logits.npy"), atol=1e-5)
    mean = np.mean([scores.softmax(said) for said in each], 0)
    np.testing.assert_allclose(mean, np.load(two / "test_scores.npy"), atol=1e-5)
    stated = json.loads((two / "model.json").read_text())["onnx_difference"]
    assert stated.keys() == {"member-01.onnx", "member-02.onnx"}
    assert 0 <= max(stated.values()) < 1e-5
    one = networks.run_onnx(two / card.file, {"image": images[:1]})  # free batch size
    np.testing.assert_allclose(one, each[0][:1], atol=1e-5)


def test_shards_give_the_members_of_the_whole(two: Path, tmp_path: Path) -> None:
    for number in (1, 2):
        name = f"member-{number:02}.onnx"
        alone = train(tmp_path / str(number), number)
        assert (alone / name).read_bytes() == (two / name).read_bytes()


def test_one_pass_for_all_gives_the_same_product(two: Path, tmp_path: Path) -> None:
    assert tiny.files(train(tmp_path / "one", 1, 2, together=True)) == tiny.files(two)


@pytest.mark.parametrize("together", [False, True])
def test_finished_member_is_not_trained_again(
    two: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, together: bool
) -> None:
    finish, done = ensemble._finish, []

    def second_crashes(dst, member, learner):  # type: ignore[no-untyped-def]
        done.append(member.name)
        if done == ["member-01", "member-02"]:
            raise MemoryError
        return finish(dst, member, learner)

    monkeypatch.setattr(ensemble, "_finish", second_crashes)
    with pytest.raises(MemoryError):
        train(tmp_path / "cut", 1, 2, together=together)
    before = (tmp_path / "cut" / "member-01.onnx").stat()
    train(tmp_path / "cut", 1, 2)
    assert done == ["member-01", "member-02", "member-02"]
    assert (tmp_path / "cut" / "member-01.onnx").stat() == before
    assert tiny.files(tmp_path / "cut") == tiny.files(two)


def test_second_process_gets_what_an_earlier_run_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own folder is a scratch one, without the members that were finished before."""
    member, plan = tiny.member(1, TRAIN, TEST), tiny.recipe(epochs=1, augment="sharp")
    (left,) = ensemble.train_members(tmp_path / "first", [member], plan)
    work = tmp_path / "first" / ensemble.WORK
    said = iter([[True], [(work / name).read_bytes() for name in ensemble._left(member)]])
    other = SimpleNamespace(world_size=2, is_global_zero=False, broadcast=lambda _: next(said))
    monkeypatch.setattr(distributed, "launch", lambda *_: other)
    (restored,) = ensemble.train_members(tmp_path / "scratch", [member], plan)
    np.testing.assert_array_equal(restored.test_logits, left.test_logits)
    assert left.view_logits is not None
    np.testing.assert_array_equal(restored.view_logits, left.view_logits)
    assert restored.series == left.series


def test_only_the_clean_up_was_left(tmp_path: Path) -> None:
    whole = train(tmp_path / "whole", 1)
    before = tiny.files(whole)
    (whole / ensemble.WORK).mkdir()
    train(whole, 1)
    assert tiny.files(whole) == before
    assert not (whole / ensemble.WORK).exists()


def test_only_one_pass_is_in_memory(tmp_path: Path) -> None:
    """Neither the rows nor the networks of a pass are left when the next one's come."""
    alive: list[weakref.ref[object]] = []

    def groups() -> Iterator[list[ensemble.Member]]:
        for number in (1, 2):
            assert not [ref for ref in alive if ref() is not None]
            rows = tiny.split(30, 0)
            member = tiny.member(number, rows, TEST)
            make = member.network

            def noted(make=make):  # type: ignore[no-untyped-def]
                alive.append(weakref.ref(network := make()))
                return network

            alive.append(weakref.ref(rows))
            kept = [[dataclasses.replace(member, network=noted)]]
            del rows, member
            yield kept.pop()

    ensemble.train_ensemble(tmp_path, groups(), tiny.recipe(epochs=1), LABELS)
    assert len(alive) == 4
