"""Accuracy on training rows: in their plain view, in random ones, and the line that warns."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from shared.models import scores
from shared.training import ensemble
from shared.training.data import draw_views, order
from shared.training.loop import engine
from shared.training.records import results
from tests.training import tiny

TRUTH = np.array([0, 1, 2, 0, 1])
LOOKED = np.array([0, 1, 2, 4])


def says(*classes: int, strength: float = 4.0) -> np.ndarray:
    """Logits of networks that say these classes."""
    return strength * np.eye(3, dtype=np.float32)[list(classes)]


def result(name: str, plain: np.ndarray, views: np.ndarray | None) -> results.Result:
    looked = None if views is None else LOOKED
    return results.Result(tiny.card(name), plain, plain, {}, 0.0, looked=looked, view_logits=views)


def test_accuracies_of_members_and_of_their_mean_by_hand() -> None:
    """Row 3 is not looked at; the second member is surer, so the mean says what it says."""
    one = result("a", says(0, 0, 0, 0, 1), says(0, 1, 0, 0))
    two = result("b", says(0, 1, 1, 1, 1, strength=8), says(0, 1, 2, 1, strength=8))
    assert results.compare_views([one, two], TRUTH) == {
        "train_accuracy_plain": 0.75,
        "train_accuracy_views": 1.0,
        "member_train_accuracy": {
            "a.onnx": {"plain": 0.5, "views": 0.5}, "b.onnx": {"plain": 0.75, "views": 1.0},
        },
    }  # fmt: skip
    assert "member_train_accuracy" not in results.compare_views([one], TRUTH)
    assert results.compare_views([one, result("c", says(0, 0, 0, 0, 0), None)], TRUTH) == {}
    other = dataclasses.replace(two, looked=LOOKED[::-1])  # as with folds: other rows each
    assert results.compare_views([one, other], TRUTH) == {}


@pytest.mark.parametrize(("plain", "views", "told"), [(0.5, 0.52, True), (0.5, 0.505, False)])
def test_a_line_warns_by_more_than_a_point(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], plain: float, views: float, told: bool
) -> None:
    seen = {"train_accuracy_plain": plain, "train_accuracy_views": views}
    results.warn_of_views(tmp_path, seen)
    results.warn_of_views(tmp_path, {})
    said = capsys.readouterr().err
    assert said.count("\n") == told
    expected = "50.00 % are right in their plain view and 52.00 % in random ones"
    assert (expected in said) == told


@pytest.mark.parametrize("augment", ["none", "sharp", "overhead"])
def test_trained_members_look_at_views_of_their_own_rows(tmp_path: Path, augment: str) -> None:
    """Computed again: views of the epoch after the last one, rows that are not held out."""
    plan, rows = tiny.recipe(augment=augment, epochs=2), tiny.split()
    member = tiny.member(1, rows, tiny.split(6, seed=1))
    (left,) = ensemble.train_members(tmp_path, [member], plan)
    if augment == "none":
        assert left.looked is None
        return
    assert left.looked is not None
    assert left.view_logits is not None
    assert left.looked.tolist() == list(range(30))
    learner = member.learner(plan)
    engine.fit([learner], rows, plan, tmp_path / "again")
    batch = rows[np.arange(30)]
    batch |= draw_views(augment, 30, tiny.SIDE, hash((member.seed, 2, 0)) % 2**63, [*rows.bands])
    with torch.inference_mode():
        expected = learner.network.eval()(member.view(batch))
    np.testing.assert_allclose(left.view_logits, expected.numpy(), atol=1e-5)
    again = ensemble.train_members(tmp_path, [member], plan)[0]  # finished: read, not computed
    np.testing.assert_array_equal(again.view_logits, left.view_logits)
    said = results.compare_views([left], rows.extra["label"].numpy())
    right = scores.softmax(left.train_logits).argmax(1) == rows.extra["label"].numpy()
    assert said["train_accuracy_plain"] == pytest.approx(right.mean())


def test_balanced_epochs_train_on_their_draws(tmp_path: Path) -> None:
    seen, rows, plan = [], tiny.split(), tiny.recipe(balance=True, epochs=2)
    rows.extra["row"] = torch.arange(30)

    def spy(logits: torch.Tensor, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        seen.append(batch["row"])
        return tiny.loss(logits, batch)

    one = tiny.learner(rows, plan)
    one.loss = spy
    engine.fit([one], rows, plan, tmp_path)
    labels = rows.extra["label"].numpy()
    expected = [order.draw_balanced(np.arange(30), labels, plan.seed, epoch) for epoch in (0, 1)]
    assert sorted(torch.cat(seen).tolist()) == sorted(np.concatenate(expected).tolist())
