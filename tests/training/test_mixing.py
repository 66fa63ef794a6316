"""Mixup: pairings, targets and steps by hand; the same after a stop and in two processes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from shared.training.data import Batch, draw_views, mix, mixing, over_labels, rows_of_process
from shared.training.data import order as orders
from shared.training.data.split import Split
from shared.training.data.stream import Streamed
from shared.training.loop import checkpoints, engine
from shared.training.loop.learner import Learner
from shared.training.loop.recipe import Recipe
from stages.distill.loss import hard_and_soft
from stages.fusion.topology_only import FeatureView
from tests.training import test_engine, tiny

ALPHA = 0.4


def loss(logits: Tensor, rows: Batch) -> Tensor:
    return over_labels(lambda label: cross_entropy(logits, label), rows)


def learner(plan: Recipe, name: str = "a", seed: int = 5, dropout: float = 0.0) -> Learner:
    rows = tiny.split()
    return Learner(name, tiny.network(dropout), tiny.view(rows), loss, plan, seed=seed)


def mixed(share: float, **values: object) -> Batch:
    return {"share": torch.tensor(share)} | {k: torch.tensor(v) for k, v in values.items()}


def test_pairing_is_drawn_from_seed_epoch_and_step_alone() -> None:
    one, same = (mixing.draw_pairing(9, ALPHA, 3, 1, 2) for _ in range(2))
    assert sorted(one.partners) == list(range(9))
    np.testing.assert_array_equal(one.partners, same.partners)
    assert one.share == same.share
    shares = {one.share}
    for seed, epoch, step in ((4, 1, 2), (3, 2, 2), (3, 1, 3)):
        shares.add(mixing.draw_pairing(9, ALPHA, seed, epoch, step).share)
    assert len(shares) == 4


def test_shares_are_of_the_beta_distribution() -> None:
    """Its mean is 1/2, its variance 1 / (4 (2 alpha + 1))."""
    for alpha in (0.2, 1.0, 8.0):
        shares = [mixing.draw_pairing(2, alpha, 3, 0, step).share for step in range(4000)]
        assert np.mean(shares) == pytest.approx(0.5, abs=0.03)
        assert np.var(shares) == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.08)


def test_parts_of_processes_are_those_of_the_whole_batch() -> None:
    pairing = mixing.Pairing(np.array([4, 0, 3, 1, 2]), 0.25)
    assert pairing.places(slice(None)).tolist() == [0, 1, 2, 3, 4, 4, 0, 3, 1, 2]
    parts = [pairing.places(rows_of_process(np.arange(5), rank, 2)) for rank in (0, 1)]
    assert [part.tolist() for part in parts] == [[0, 1, 4, 0], [2, 3, 4, 3, 1, 2]]


def test_values_and_labels_by_hand() -> None:
    batch = mixed(0.25, label=[0, 1, 1, 0], rows=[[1.0], [2.0], [9.0], [6.0]])
    assert mix(batch["rows"], batch).tolist() == [[7.0], [5.0]]
    assert over_labels(lambda label: label[0] * 8.0, batch).item() == 6.0  # 1/4 of 0, 3/4 of 8
    assert FeatureView("rows")(batch).tolist() == [[7.0], [5.0]]
    plain = {name: of for name, of in batch.items() if name != "share"}
    assert mix(plain["rows"], plain) is plain["rows"]
    assert over_labels(lambda label: label.sum(), plain).item() == 2


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_softened_probabilities_are_mixed(share: float) -> None:
    logits = torch.tensor([[6.0, 0, -3], [1, 2, 3], [0, 9, 0], [-40, 0, 40]], dtype=torch.float64)
    found = (mixing.mix_softened(logits, mixed(share), 3.0) / 3).softmax(1)
    parts = (logits / 3).softmax(1)
    torch.testing.assert_close(found, share * parts[:2] + (1 - share) * parts[2:], rtol=1e-6,
                               atol=1e-7)  # fmt: skip
    assert mixing.mix_softened(logits, {}, 3.0) is logits


def test_loss_of_distillation_by_hand() -> None:
    """Two rows of two classes, T 2, alpha 0.4, by numpy from the published formulae."""
    ours, cached, share = np.array([[2.0, 0.0]]), np.array([[3.0, -1.0], [-2.0, 2.0]]), 0.75
    batch = mixed(share, label=[0, 1], teacher=cached)

    def softmax(values: np.ndarray) -> np.ndarray:
        return np.exp(values) / np.exp(values).sum()

    hard = -share * np.log(softmax(ours[0])[0]) - (1 - share) * np.log(softmax(ours[0])[1])
    p = share * softmax(cached[0] / 2) + (1 - share) * softmax(cached[1] / 2)
    soft = 4 * (p * np.log(p / softmax(ours[0] / 2))).sum()
    found = hard_and_soft(0.4, 2.0)(torch.from_numpy(ours), batch).item()
    assert found == pytest.approx(0.4 * hard + 0.6 * soft, rel=1e-6)
    asked = hard_and_soft(0.4, 2.0, teacher=lambda _: torch.tensor([[1.0, 0.5]]))  # of the mixture
    p = softmax(np.array([0.5, 0.25]))
    soft = 4 * (p * np.log(p / softmax(ours[0] / 2))).sum()
    assert asked(torch.from_numpy(ours), batch).item() == pytest.approx(0.4 * hard + 0.6 * soft)


@pytest.mark.parametrize("augment", ["none", "overhead"])
def test_two_epochs_are_those_of_a_loop(tmp_path: Path, augment: str) -> None:
    plan = tiny.recipe(epochs=2, mixup=ALPHA, augment=augment)
    one, rows = learner(plan), tiny.split()
    engine.fit([one], rows, plan, tmp_path)
    net, view = tiny.network(), tiny.view(rows)
    optimiser = torch.optim.SGD(net.parameters(), 0.05, momentum=0.9, weight_decay=1e-4)
    hits = 0.0
    for epoch in range(2):
        order = orders.cut_batches(orders.shuffle_rows(np.arange(30), 3, epoch), 7)
        for step, chosen in enumerate(order):
            rng = np.random.default_rng((3, epoch, step, 2))
            partner, share = rng.permutation(len(chosen)), rng.beta(ALPHA, ALPHA)
            batch, seed = rows[chosen], hash((5, epoch, step)) % 2**63
            if augment != "none":
                batch |= draw_views(augment, len(chosen), tiny.SIDE, seed, ("B4", "B3", "B2"))
            images, label = view(batch), batch["label"]
            logits = net(share * images + (1 - share) * images[partner])
            value = share * cross_entropy(logits, label)
            value = value + (1 - share) * cross_entropy(logits, label[partner])
            said = logits.argmax(1)
            if epoch == 1:
                hits += (share * (said == label) + (1 - share) * (said == label[partner])).sum()
            optimiser.zero_grad()
            value.backward()
            optimiser.step()
    for key, expected in tiny.weights(net).items():
        found = one.network.state_dict()[key]
        torch.testing.assert_close(found, expected, atol=2e-6, rtol=1e-5)
    assert one.history.series["train accuracy"][1] == pytest.approx(float(hits) / 30, abs=1e-6)


def test_a_streamed_split_is_mixed_alike() -> None:
    """Of a piece, rows come twice: as themselves and as partners of others."""
    rows, order = tiny.split(), [np.array([4, 9, 9, 4]), np.array([1, 0, 0, 1])]
    streamed = Streamed.__new__(Streamed)
    streamed.at_once, streamed._piece = 8, lambda known: _Piece(rows, known)  # type: ignore[assignment,method-assign,return-value]
    found = [batch["label"].tolist() for batch in streamed.batches(order)]
    assert found == [[1, 0, 0, 1], [1, 0, 0, 1]]


class _Piece:
    """The rows of a split that were read."""

    def __init__(self, rows: Split, known: np.ndarray) -> None:
        self.rows, self.known = rows, known

    def __getitem__(self, places: np.ndarray) -> Batch:
        return self.rows[self.known[places]]


def test_a_run_that_goes_on_equals_an_undisturbed_one(tmp_path: Path) -> None:
    plan = tiny.recipe(epochs=3, mixup=ALPHA, augment="sharp")

    def fit(folder: Path) -> Learner:
        one = learner(plan, dropout=0.3)
        engine.fit([one], tiny.split(), plan, folder)
        return one

    whole, save = fit(tmp_path / "whole"), checkpoints.save

    def stop(fabric, one, into):  # type: ignore[no-untyped-def]
        save(fabric, one, into)
        if one.epoch == 2:
            raise MemoryError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints, "save", stop)
        with pytest.raises(MemoryError):
            fit(tmp_path / "cut")
    resumed = fit(tmp_path / "cut")
    assert tiny.same(tiny.weights(resumed.network), tiny.weights(whole.network))
    assert resumed.history.series == whole.history.series


def test_networks_trained_together_equal_those_trained_apart(tmp_path: Path) -> None:
    plan = tiny.recipe(epochs=2, mixup=ALPHA, augment="overhead")
    both = [learner(plan, "a", 5), learner(plan, "b", 6)]
    engine.fit(both, tiny.split(), plan, tmp_path / "both")
    for together, seed in zip(both, (5, 6), strict=True):
        alone = learner(plan, together.name, seed)
        engine.fit([alone], tiny.split(), plan, tmp_path / f"{seed}")
        assert tiny.same(tiny.weights(alone.network), tiny.weights(together.network))


def test_without_mixup_nothing_is_mixed(tmp_path: Path) -> None:
    plain = test_engine.fit(tmp_path / "a", tiny.recipe(mixup=0.0))[0]
    assert tiny.same(plain, test_engine.fit(tmp_path / "b", tiny.recipe())[0])
    assert tiny.recipe().pairing(7, 0, 0) is None
