"""Training: the arithmetic of SGD, the same weights after a stop, best epochs, held-out rows."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from shared.errors import StageError
from shared.learn import engine, keeper
from shared.learn.learner import History, Recipe
from shared.learn.split import Batches
from tests.learn.tiny import loss, network, recipe, same, split, view, weights

BUSY = {"augment": True, "epochs": 4}


def fit(
    folder: Path, plan: Recipe, dropout: float = 0.3, held_out: np.ndarray | None = None
) -> tuple[dict[str, torch.Tensor], History]:
    net, rows = network(dropout), split()
    history = engine.fit(net, view(rows), rows, loss, plan, folder / "a.ckpt", "a", held_out)
    return weights(net), history


def test_two_epochs_of_sgd_are_those_of_a_loop(tmp_path: Path) -> None:
    found, history = fit(tmp_path, recipe(epochs=2), dropout=0.0)
    net, rows, losses = network(), split(), []
    optimiser = torch.optim.SGD(net.parameters(), 0.05, momentum=0.9, weight_decay=1e-4)
    for epoch in range(2):
        batches = Batches(np.arange(30), 7, 3)
        batches.set_epoch(epoch)
        for chosen in batches:
            values = rows.parts[0].stored[chosen].permute(0, 3, 1, 2) / 255
            mean, std = (
                torch.tensor(v)[:, None, None] for v in ((0.5, 0.4, 0.3), (0.25, 0.2, 0.5))
            )
            optimiser.zero_grad()
            value = cross_entropy(net((values - mean) / std), rows.extra["label"][chosen])
            value.backward()
            optimiser.step()
            losses.append(value.item() * len(chosen))
    for key, expected in weights(net).items():
        torch.testing.assert_close(found[key], expected, atol=1e-6, rtol=1e-5)
    assert history.series["train loss"][1] == pytest.approx(sum(losses[-5:]) / 30, rel=1e-5)


def test_clipping_and_cosine_change_the_steps(tmp_path: Path) -> None:
    found = [fit(tmp_path / str(i), recipe(**more))[0] for i, more in enumerate(
        ({}, {"clip": 1e-3}, {"cosine": True}, {"optimiser": "adamw"})
    )]  # fmt: skip
    assert not any(same(found[0], other) for other in found[1:])


def crash(folder: Path, plan: Recipe, epoch: int, held_out: np.ndarray | None = None) -> None:
    """Train, and stop as a kill would, once the checkpoint of this epoch is written."""
    end = keeper.Keeper.on_train_epoch_end

    def stop(self, trainer, module):  # type: ignore[no-untyped-def]
        end(self, trainer, module)
        if trainer.current_epoch + 1 == epoch:
            raise MemoryError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keeper.Keeper, "on_train_epoch_end", stop)
        with pytest.raises(MemoryError):
            fit(folder, plan, held_out=held_out)


@pytest.mark.parametrize("epoch", [1, 3, 4])
@pytest.mark.parametrize("more", [{}, {"optimiser": "adamw", "cosine": True, "clip": 5.0}])
def test_resumed_run_equals_an_undisturbed_one(
    tmp_path: Path, epoch: int, more: dict[str, object]
) -> None:
    plan = recipe(**BUSY, **more)
    whole, history = fit(tmp_path / "whole", plan)
    crash(tmp_path / "cut", plan, epoch)
    found, resumed = fit(tmp_path / "cut", plan)
    assert same(found, whole)
    assert resumed.series == history.series
    assert len(history.series["train loss"]) == 4


def test_seed_decides(tmp_path: Path) -> None:
    one, two = (fit(tmp_path / name, recipe(**BUSY))[0] for name in "ab")
    other, _ = fit(tmp_path / "c", recipe(**BUSY, seed=4))
    assert same(one, two)
    assert not same(one, other)


def test_broken_checkpoint_is_discarded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.ckpt").write_bytes(b"PK half a file")
    found, _ = fit(tmp_path, recipe())
    assert "does not open, discarded; this member starts anew" in capsys.readouterr().err
    assert same(found, fit(tmp_path / "new", recipe())[0])


def accuracies(monkeypatch: pytest.MonkeyPatch, *values: float) -> None:
    """Say what the validation rows will give, epoch by epoch."""
    said, labels, logits = iter(values), split().extra["label"].numpy(), engine.logits

    def fake(net, view, of, plan, rows=None):  # type: ignore[no-untyped-def]
        real = logits(net, view, of, plan, rows)
        right = np.eye(3)[labels[rows]]
        right[round(next(said) * len(rows)) :] *= -1
        return right + 0 * real

    monkeypatch.setattr(engine, "logits", fake)


@pytest.mark.parametrize("after", [None, 2, 3])
def test_best_epoch_is_kept_also_over_a_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int | None
) -> None:
    held_out, plan = np.arange(20, 30), recipe(**BUSY, keep_best=True)
    two_epochs, _ = fit(tmp_path / "two", recipe(augment=True, epochs=2), held_out=held_out)
    accuracies(monkeypatch, 0.1, 0.9, 0.9, 0.4)
    if after:
        crash(tmp_path, plan, after, held_out)
    found, history = fit(tmp_path, plan, held_out=held_out)
    assert history.series["validation accuracy"] == [0.1, 0.9, 0.9, 0.4]
    assert same(found, two_epochs)  # the first of two equals


def test_held_out_rows_are_never_trained_on(tmp_path: Path) -> None:
    seen, rows, held_out = [], split(), np.array([0, 5, 29])
    rows.extra["row"] = torch.arange(30)

    def spy(logits: torch.Tensor, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        seen.append(batch["row"])
        return loss(logits, batch)

    engine.fit(network(), view(rows), rows, spy, recipe(), tmp_path / "a.ckpt", "a", held_out)
    expected = sorted(set(range(30)) - {0, 5, 29})
    assert sorted(torch.cat(seen).tolist()) == sorted(expected * 3)


def test_divergence_is_told_and_leaves_no_checkpoint_of_it(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="training diverged in epoch 1; lower --lr"):
        fit(tmp_path, recipe(lr=1e30))
    assert list(tmp_path.iterdir()) == []


def test_logits_are_in_row_order_and_plain() -> None:
    rows, net = split(600), network(0.5)
    net.train()
    said = engine.logits(net, view(rows), rows, recipe())
    assert net.training
    assert said.shape == (600, 3)
    few = engine.logits(net, view(rows), rows, recipe(), np.array([599, 0]))
    np.testing.assert_allclose(few, said[[599, 0]], atol=1e-6)


def test_logits_are_never_rounded_by_cudnn() -> None:
    rows, seen, before = split(4), [], torch.backends.cudnn.allow_tf32
    net = network(0.5)
    net.register_forward_hook(lambda *_: seen.append(torch.backends.cudnn.allow_tf32))
    engine.logits(net, view(rows), rows, recipe())
    assert seen == [False]
    assert torch.backends.cudnn.allow_tf32 == before


def test_cuda_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(StageError, match="--device: cuda asked for, but no CUDA device answers"):
        engine.accelerator("cuda")
    assert engine.accelerator("auto") == "cpu"


@pytest.mark.gpu
def test_cuda_is_deterministic(tmp_path: Path) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device here")
    one, two = (fit(tmp_path / n, recipe(**BUSY, device="cuda"))[0] for n in "ab")
    assert same(one, two)
