"""Training: the arithmetic of SGD, the same weights after a stop, best epochs, held-out rows."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from shared.backend import devices
from shared.errors import StageError
from shared.training.data import draw_views, iterate_on, order
from shared.training.loop import checkpoints, engine
from shared.training.loop.display import EpochProgress
from shared.training.loop.learner import Learner
from shared.training.loop.recipe import Recipe
from tests.training.tiny import SIDE, learner, loss, network, recipe, same, split, view, weights

BUSY = {"augment": "sharp", "epochs": 4}
Found = tuple[dict[str, torch.Tensor], dict[str, list[float]]]


def fit(
    folder: Path, plan: Recipe, dropout: float = 0.3, held_out: np.ndarray | None = None
) -> Found:
    rows = split()
    one = learner(rows, plan, dropout=dropout)
    engine.fit([one], rows, plan, folder, held_out)
    return weights(one.network), one.history.series


def test_two_epochs_of_sgd_are_those_of_a_loop(tmp_path: Path) -> None:
    trained, history = fit(tmp_path, recipe(epochs=2), dropout=0.0)
    net, rows, losses = network(), split(), []
    optimiser = torch.optim.SGD(net.parameters(), 0.05, momentum=0.9, weight_decay=1e-4)
    for epoch in range(2):
        for chosen in order.cut_batches(order.shuffle_rows(np.arange(30), 3, epoch), 7):
            batch = rows[chosen]
            values = torch.stack([batch[band] for band in ("B4", "B3", "B2")], 1) / 255
            mean, std = (
                torch.tensor(v)[:, None, None] for v in ((0.5, 0.4, 0.3), (0.25, 0.2, 0.5))
            )
            optimiser.zero_grad()
            value = cross_entropy(net((values - mean) / std), rows.extra["label"][chosen])
            value.backward()
            optimiser.step()
            losses.append(value.item() * len(chosen))
    for key, expected in weights(net).items():
        torch.testing.assert_close(trained[key], expected, atol=1e-6, rtol=1e-5)
    assert history["train loss"][1] == pytest.approx(sum(losses[-5:]) / 30, rel=1e-5)


def test_clipping_and_cosine_change_the_steps(tmp_path: Path) -> None:
    changes: list[dict[str, Any]] = [
        {},
        {"clip": 1e-3},
        {"schedule": "cosine"},
        {"optimiser": "adamw"},
    ]
    trained = [fit(tmp_path / str(i), recipe(**more))[0] for i, more in enumerate(changes)]
    assert not any(same(trained[0], other) for other in trained[1:])


def crash(folder: Path, plan: Recipe, epoch: int, held_out: np.ndarray | None = None) -> None:
    """Train, and stop as a kill would, once the checkpoint of this epoch is written."""
    save = checkpoints.save

    def stop(fabric, one, into):  # type: ignore[no-untyped-def]
        save(fabric, one, into)
        if one.epoch == epoch:
            raise MemoryError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints, "save", stop)
        with pytest.raises(MemoryError):
            fit(folder, plan, held_out=held_out)


@pytest.mark.parametrize("epoch", [1, 3, 4])
@pytest.mark.parametrize("more", [{}, {"optimiser": "adamw", "schedule": "cosine", "clip": 5.0}])
def test_resumed_run_equals_an_undisturbed_one(
    tmp_path: Path, epoch: int, more: dict[str, object]
) -> None:
    plan = recipe(**BUSY, **more)
    whole, history = fit(tmp_path / "whole", plan)
    crash(tmp_path / "cut", plan, epoch)
    trained, resumed = fit(tmp_path / "cut", plan)
    assert same(trained, whole)
    assert resumed == history
    assert len(history["train loss"]) == 4


def test_seed_decides(tmp_path: Path) -> None:
    one, two = (fit(tmp_path / name, recipe(**BUSY))[0] for name in "ab")
    other, _ = fit(tmp_path / "c", recipe(**BUSY, seed=4))
    assert same(one, two)
    assert not same(one, other)


def test_broken_checkpoint_is_discarded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.ckpt").write_bytes(b"PK half a file")
    trained, _ = fit(tmp_path, recipe())
    assert "does not open, discarded; this member starts again" in capsys.readouterr().err
    assert same(trained, fit(tmp_path / "new", recipe())[0])


def accuracies(monkeypatch: pytest.MonkeyPatch, *values: float) -> None:
    """Say what the validation rows will give, epoch by epoch."""
    said, labels, logits = iter(values), split().extra["label"].numpy(), engine.compute_logits

    def fake(learners, of, plan, rows=None):  # type: ignore[no-untyped-def]
        real = logits(learners, of, plan, rows)
        right = np.eye(3)[labels[rows]]
        right[round(next(said) * len(rows)) :] *= -1
        return [right + 0 * real[0]]

    monkeypatch.setattr(engine, "compute_logits", fake)


@pytest.mark.parametrize("after", [None, 2, 3])
def test_best_epoch_is_kept_also_over_a_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int | None
) -> None:
    held_out, plan = np.arange(20, 30), recipe(**BUSY, keep_best=True)
    two_epochs, _ = fit(tmp_path / "two", recipe(augment="sharp", epochs=2), held_out=held_out)
    accuracies(monkeypatch, 0.1, 0.9, 0.9, 0.4)
    if after:
        crash(tmp_path, plan, after, held_out)
    trained, history = fit(tmp_path, plan, held_out=held_out)
    assert history["validation accuracy"] == [0.1, 0.9, 0.9, 0.4]
    assert same(trained, two_epochs)  # the first of two equals


def test_patience_stops_and_keeps_the_best(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held_out = np.arange(20, 30)
    one_epoch, _ = fit(tmp_path / "one", recipe(augment="sharp", epochs=1), held_out=held_out)
    accuracies(monkeypatch, 0.5, 0.4, 0.4, 0.9)
    trained, history = fit(tmp_path / "four", recipe(**BUSY, patience=2), held_out=held_out)
    assert history["validation accuracy"] == [0.5, 0.4, 0.4]
    assert same(trained, one_epoch)


@pytest.mark.parametrize("dropped", [None, np.array([5, 7, 11])])
def test_rows_held_out_or_dropped_are_never_trained_on(
    tmp_path: Path, dropped: np.ndarray | None
) -> None:
    seen, rows, held_out = [], split(), np.array([0, 5, 29])
    rows.extra["row"] = torch.arange(30)

    def spy(logits: torch.Tensor, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        seen.append(batch["row"])
        return loss(logits, batch)

    one = learner(rows, recipe())
    one.loss = spy
    engine.fit([one], rows, recipe(), tmp_path, held_out, dropped=dropped)
    expected = sorted(set(range(30)) - {0, 5, 29} - set([] if dropped is None else dropped))
    assert sorted(torch.cat(seen).tolist()) == sorted(expected * 3)


def two(folder: Path, rows: int = 0) -> list[Learner]:
    """Two networks in one pass; with `rows`, the second joins when the first has two epochs."""
    plan, of = recipe(**BUSY), split()
    both = [learner(of, plan, name, seed) for name, seed in (("a", 5), ("b", 6))]
    if rows:
        crash(folder, plan, 2)
    engine.fit(both, of, plan, folder)
    return both


@pytest.mark.parametrize("late", [0, 1])
def test_networks_of_one_pass_equal_those_trained_apart(tmp_path: Path, late: int) -> None:
    pair = two(tmp_path / "two", late)
    for one in pair:
        plan, rows = recipe(**BUSY), split()
        alone = learner(rows, plan, one.name, one.seed)
        engine.fit([alone], rows, plan, tmp_path / one.name)
        assert same(weights(alone.network), weights(one.network))
        assert alone.history == one.history
    assert not same(weights(pair[0].network), weights(pair[1].network))


def test_each_epoch_step_and_network_has_views_of_its_own(tmp_path: Path) -> None:
    """What the networks see is computed again from seed, epoch and step, and is never the same."""
    plan, rows, seen = recipe(augment="sharp", epochs=2, batch=15), split(), []
    both = [learner(rows, plan, name, seed) for name, seed in (("a", 5), ("b", 6))]

    def look(_: torch.nn.Module, given: tuple[torch.Tensor]) -> None:
        if len(given[0]) == 15:  # and not the few rows by which memory is measured
            seen.append(given[0].clone())

    for one in both:
        one.network.register_forward_pre_hook(look)
    engine.fit(both, rows, plan, tmp_path)
    places = []
    for epoch in range(2):
        batches = order.cut_batches(order.shuffle_rows(np.arange(30), plan.seed, epoch), 15)
        for step, batch in enumerate(batches):
            for seed in (5, 6):
                views = draw_views("sharp", 15, SIDE, hash((seed, epoch, step)) % 2**63)
                places.append(views["theta"])
                torch.testing.assert_close(seen.pop(0), view(rows)(rows[batch] | views))
    assert not seen
    assert len({tuple(theta.flatten().tolist()) for theta in places}) == 8


def test_divergence_is_told_and_leaves_no_checkpoint_of_it(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="training diverged in epoch 1; lower --lr"):
        fit(tmp_path, recipe(lr=1e30))
    assert list(tmp_path.iterdir()) == []


def test_logits_are_in_row_order_and_plain() -> None:
    rows = split(600)
    one = learner(rows, recipe(), dropout=0.5)
    one.network.train()
    said = engine.compute_logits([one], rows, recipe())[0]
    assert one.network.training
    assert said.shape == (600, 3)
    few = engine.compute_logits([one], rows, recipe(), np.array([599, 0]))[0]
    np.testing.assert_allclose(few, said[[599, 0]], atol=1e-6)


def test_logits_are_never_rounded_by_cudnn() -> None:
    rows, seen, before = split(4), [], torch.backends.cudnn.allow_tf32
    one = learner(rows, recipe())
    one.network.register_forward_hook(lambda *_: seen.append(torch.backends.cudnn.allow_tf32))
    engine.compute_logits([one], rows, recipe())
    assert seen == [False]
    assert torch.backends.cudnn.allow_tf32 == before


def test_cuda_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(StageError, match="--device: expected a CUDA device, found none"):
        devices.choose_device("cuda")
    with pytest.raises(StageError, match="--precision: float16 needs a CUDA device"):
        devices.choose_precision("float16", "auto")
    assert devices.choose_device("auto") == "cpu"
    assert devices.choose_precision("auto", "auto") == "float32"
    assert devices.choose_precision("bfloat16", "cpu") == "bfloat16"


def test_rows_that_are_on_the_device_stay_there() -> None:
    """Also where one says cuda and the other cuda:0; pinning what is on a GPU is an error."""
    rows = split(4)
    place = torch.device("cpu", 0)
    assert place != rows.extra["label"].device
    (batch,) = iterate_on(rows, [np.array([3, 1])], place)
    assert torch.equal(batch["label"], rows.extra["label"][[3, 1]])


@pytest.mark.gpu
def test_cuda_is_deterministic(tmp_path: Path) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device here")
    plan = recipe(**BUSY, device="cuda", keep_best=True)
    one, two = (fit(tmp_path / n, plan, held_out=np.arange(20, 30)) for n in "ab")
    assert same(one[0], two[0])
    assert one[1] == two[1]
    assert len(one[1]["validation accuracy"]) == 4


def test_the_bar_of_a_run_that_goes_on_begins_where_the_last_one_stopped() -> None:
    one = learner(split(), recipe(epochs=4))
    one.epoch = 3
    with EpochProgress([one], rows=30, epochs=4, quiet=False) as progress:
        assert (progress.bar.initial, progress.bar.total) == (90, 120)


def test_the_end_of_an_epoch_is_told_by_its_means() -> None:
    """Of the last epoch, over the networks that have ended it."""
    one, two = (learner(split(), recipe(epochs=4)) for _ in range(2))
    for of, losses, hits in ((one, [9.0, 1.0], [0.0, 0.5]), (two, [9.0, 2.0], [0.0, 0.75])):
        of.epoch = 2
        of.history.series["train loss"], of.history.series["train accuracy"] = losses, hits
    with EpochProgress([one, two], rows=30, epochs=4, quiet=False) as progress:
        progress.epoch([one, two])
        assert progress.bar.postfix == "epoch 2/4 loss 1.500 accuracy 0.625"
