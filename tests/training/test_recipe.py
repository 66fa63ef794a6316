"""Rates and steps of the optimisers, worked by hand; what goes on after a stop; best weights."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from shared.errors import StageError
from shared.training.data import order
from shared.training.loop import checkpoints, engine, selection
from shared.training.loop.learner import Learner
from shared.training.loop.recipe import Recipe, build_optimiser, build_schedule, step_schedule
from shared.training.parallel import distributed
from tests.training.tiny import Network, learner, loss, network, recipe, same, split, view, weights

HELD_OUT = np.arange(20, 30)
# A loss counts as lower by more than a ten-thousandth of the lowest; the third that does not halves
# the rate, and the next three are counted anew.
LOSSES = [1.0, 0.9, 0.9, 0.89995, 0.95, 0.8, 0.85, 0.79993, 0.8, 0.7999, 0.7998, 0.9, 0.9, 0.9, 2]
HALVED = [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 2, 3, 3]


def test_rates_on_a_plateau_by_hand() -> None:
    plan = recipe(schedule="plateau", lr=0.8)
    optimiser = build_optimiser(nn.Linear(1, 1), plan)
    schedule, rates = build_schedule(optimiser, plan), []
    for value in LOSSES:
        step_schedule(schedule, plan, value)
        rates.append(optimiser.param_groups[0]["lr"])
    assert rates == [0.8 / 2**count for count in HALVED]


def test_a_plateau_needs_a_loss() -> None:
    plan = recipe(schedule="plateau")
    schedule = build_schedule(build_optimiser(nn.Linear(1, 1), plan), plan)
    with pytest.raises(StageError, match="--schedule=plateau: needs rows held out by --validation"):
        step_schedule(schedule, plan, None)


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_two_steps_of_adam_by_hand(name: str) -> None:
    """Default betas 0.9 and 0.999, epsilon 1e-8; the L2 penalty is in the gradient or apart."""
    plan, weight = recipe(optimiser=name, lr=0.1, weight_decay=0.5), nn.Linear(1, 1, bias=False)
    weight.weight.data.fill_(2.0)
    optimiser, expected, mean, square = build_optimiser(weight, plan), 2.0, 0.0, 0.0
    for step, slope in enumerate((0.5, -3.0), 1):
        weight.weight.grad = torch.full((1, 1), slope)
        optimiser.step()
        if name == "adamw":
            expected -= 0.1 * 0.5 * expected
        gradient = slope + (0.5 * expected if name == "adam" else 0.0)
        mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
        unbiased = mean / (1 - 0.9**step), square / (1 - 0.999**step)
        expected -= 0.1 * unbiased[0] / (math.sqrt(unbiased[1]) + 1e-8)
        assert weight.weight.item() == pytest.approx(expected, rel=1e-6)


def say(monkeypatch: pytest.MonkeyPatch, *values: tuple[float, float]) -> None:
    """Let the rows held out give these accuracies and losses, epoch by epoch."""
    left = iter(values)
    monkeypatch.setattr(selection, "measure", lambda *_: selection.Measured(*next(left)))


def fit(folder: Path, plan: Recipe) -> tuple[dict[str, Tensor], Learner]:
    rows = split()
    one = learner(rows, plan, dropout=0.0)
    engine.fit([one], rows, plan, folder, HELD_OUT)
    return weights(one.network), one


def by_hand(rates: list[float]) -> dict[str, Tensor]:
    """Weights after one epoch at each of these rates, rows 20 to 29 apart."""
    net, rows, eye = network(), split(), view(split())
    optimiser = torch.optim.SGD(net.parameters(), 1.0, momentum=0.9, weight_decay=1e-4)
    for epoch, rate in enumerate(rates):
        optimiser.param_groups[0]["lr"] = rate
        for chosen in order.cut_batches(order.shuffle_rows(np.arange(20), 3, epoch), 7, True):
            optimiser.zero_grad()
            cross_entropy(net(eye(rows[chosen])), rows.extra["label"][chosen]).backward()
            optimiser.step()
    return weights(net)


RATES = {
    "constant": [0.05] * 6,
    "cosine": [0.025 * (1 + math.cos(math.pi * epoch / 6)) for epoch in range(6)],
    "plateau": [0.05, 0.05, 0.05, 0.05, 0.025, 0.025],  # the loss never falls
}


@pytest.mark.parametrize("schedule", RATES)
def test_each_epoch_has_its_rate(
    tmp_path: Path, schedule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(monkeypatch, *[(0.5, 1.0)] * 6)
    trained, _ = fit(tmp_path, recipe(epochs=6, schedule=schedule))
    for key, expected in by_hand(RATES[schedule]).items():
        torch.testing.assert_close(trained[key], expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("epoch", [2, 5])
@pytest.mark.parametrize(
    ("schedule", "optimiser"), [("constant", "adam"), ("cosine", "sgd"), ("plateau", "adam")]
)
def test_a_stopped_run_goes_on_with_its_rate(
    tmp_path: Path, schedule: str, optimiser: str, epoch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = [(0.5, 1.0), (0.7, 1.1), (0.7, 1.0), (0.2, 1.0), (0.9, 0.5), (0.3, 0.7)]
    plan = recipe(epochs=6, schedule=schedule, optimiser=optimiser, keep_best=True, monitor="loss")
    say(monkeypatch, *measured)
    whole, undisturbed = fit(tmp_path / "whole", plan)
    save = checkpoints.save

    def stop(fabric: Any, one: Learner, into: Path) -> None:
        save(fabric, one, into)
        if one.epoch == epoch:
            raise MemoryError

    say(monkeypatch, *measured)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "save", stop)
        with pytest.raises(MemoryError):
            fit(tmp_path / "cut", plan)
    trained, resumed = fit(tmp_path / "cut", plan)
    assert same(trained, whole)
    assert resumed.history == undisturbed.history
    assert resumed.kept == undisturbed.kept == 5
    rates = [one.optimiser.param_groups[0]["lr"] for one in (resumed, undisturbed)]
    assert rates[0] == rates[1]
    assert same(resumed.network.state_dict(), whole)


def test_patience_counts_from_the_last_that_was_better_by_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Accuracy rises all the time; the loss falls by enough in the second epoch only."""
    measured = [(0.1, 1.0), (0.2, 0.875), (0.3, 0.8125), (0.4, 0.78125), (0.5, 0.0), (0.6, 0.0)]
    say(monkeypatch, *measured)
    plan = recipe(epochs=6, patience=2, monitor="loss", min_improvement=0.0996)
    trained, one = fit(tmp_path, plan)
    assert one.history.series["validation loss"] == [1.0, 0.875, 0.8125, 0.78125]
    assert one.history.series["validation accuracy"] == [0.1, 0.2, 0.3, 0.4]
    assert (one.epoch, one.kept) == (4, 2)
    for key, expected in by_hand([0.05] * 2).items():
        torch.testing.assert_close(trained[key], expected, atol=1e-6, rtol=1e-5)


def test_the_loss_is_that_of_the_rows_held_out(tmp_path: Path) -> None:
    trained, one = fit(tmp_path, recipe(epochs=2))
    net, rows = Network(), split()
    net.load_state_dict(trained)
    with torch.no_grad():
        logits = net.eval()(view(rows)(rows[HELD_OUT]))
    truth = rows.extra["label"][HELD_OUT]
    each = torch.logsumexp(logits, 1) - logits[torch.arange(10), truth]
    assert one.history.series["validation loss"][1] == pytest.approx(each.mean().item(), rel=1e-5)
    assert [*one.history.series] == [
        "train loss", "train accuracy", "validation accuracy", "validation loss",
    ]  # fmt: skip


def test_what_is_kept_is_a_copy_that_nothing_changes() -> None:
    """Weights and statistics of batch norm change in place after the best epoch."""
    plan, fabric = recipe(keep_best=True, epochs=3), distributed.launch("cpu", "float32")
    one = Learner("a", Network(), view(split()), loss, plan, seed=5)
    one.begin(fabric)
    norm = one.network.body[1]  # type: ignore[index]
    for number, accuracy in ((1.0, 0.5), (2.0, 0.9), (3.0, 0.4)):
        with torch.no_grad():
            for tensor in one.network.state_dict().values():  # the live ones
                tensor.fill_(number)
        one.totals += 1
        one.end_epoch(fabric, selection.Measured(accuracy, 1 - accuracy))
        assert (norm.weight == number).all()
    kept = one.state()["best"]
    one.end()
    for tensors in (one.network.state_dict(), kept[1]):
        assert len(tensors) == 9
        assert all((tensor == 2).all() for tensor in tensors.values())
    assert (norm.running_mean == 2).all()
    assert (one.kept, kept[0]) == (2, 0.9)


def test_a_run_from_before_there_was_a_loss_goes_on(tmp_path: Path) -> None:
    plan = recipe(epochs=3, keep_best=True)
    one = learner(split(), plan, dropout=0.0)
    one.begin(distributed.launch("cpu", "float32"))
    state = one.state() | {"epoch": 1, "history": {
        "train loss": [1.0], "train accuracy": [0.5], "validation accuracy": [0.25],
    }}  # fmt: skip
    torch.save(state, tmp_path / "a.ckpt")
    _, resumed = fit(tmp_path, plan)
    losses = resumed.history.series["validation loss"]
    assert len(losses) == len(resumed.history.series["train loss"]) == 3
    assert math.isnan(losses[0])
    assert not np.isnan(losses[1:]).any()
