"""Memory of a step: foretold from a few rows, and halved by computing twice, bit for bit alike."""

import contextlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from shared.backend import devices
from shared.errors import StageError
from shared.training.data import Batch, Split
from shared.training.loop import Learner, Recipe, engine
from shared.training.memory import footprint, recompute, recording
from shared.training.parallel import distributed
from tests.training import tiny

WIDTH = 16


class Block(nn.Module):
    """A residual block: its input, two products and what is between them are kept."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(WIDTH, WIDTH, 3, padding=1), nn.BatchNorm2d(WIDTH)
        self.second, self.dropout = nn.Conv2d(WIDTH, WIDTH, 3, padding=1), nn.Dropout(0.2)

    def forward(self, image: Tensor) -> Tensor:
        inner = torch.relu(self.norm(self.first(image)))
        return image + self.dropout(self.second(inner))


class Deep(nn.Module):
    """Four blocks between a convolution and a matrix."""

    def __init__(self, block: type[nn.Module] = Block) -> None:
        super().__init__()
        self.stem, self.blocks = nn.Conv2d(3, WIDTH, 1), nn.Sequential(*[block() for _ in range(4)])
        self.head = nn.Linear(WIDTH, 3)

    def forward(self, image: Tensor) -> Tensor:
        return self.head(self.blocks(self.stem(image)).mean((2, 3)))


class Counting(Block):
    """A block that behaves otherwise every time it is called, so it cannot be computed again."""

    calls = 0

    def forward(self, image: Tensor) -> Tensor:
        Counting.calls += 1
        return super().forward(image) * (1 + Counting.calls % 7)


def learner(rows: Split, plan: Recipe, block: type[nn.Module] = Block) -> Learner:
    torch.manual_seed(1)
    return Learner("member-01", Deep(block), tiny.view(rows), tiny.loss, plan, seed=5)


def begun(block: type[nn.Module] = Block) -> tuple[Learner, Split]:
    rows = tiny.split()
    one = learner(rows, tiny.recipe(), block)
    one.begin(distributed.launch("cpu", "float32"))
    return one, rows


def allow(monkeypatch: pytest.MonkeyPatch, gigabytes: float) -> None:
    free = int(gigabytes * footprint.GIGABYTE / recompute.USABLE)
    monkeypatch.setattr(devices, "free_memory", lambda _: free)


def bounds(rows: int) -> tuple[float, float]:
    """GB of a step when everything is stored, and when blocks are computed twice."""
    one, split = begun()
    measured = footprint.estimate(distributed.launch("cpu", "float32"), one, split)
    return measured.gigabytes(rows), measured.gigabytes(rows, recompute=True)


def test_estimate_counts_what_a_step_keeps() -> None:
    one, rows = begun()
    measured = footprint.estimate(distributed.launch("cpu", "float32"), one, rows)
    plane = tiny.SIDE**2 * 4  # bytes of one channel of one row
    # Input of the stem; per block its input, what enters the norm, what enters the second
    # convolution (and the ReLU's backward), and dropout's mask; then the head.
    block = WIDTH * plane * 4
    kept = 3 * plane + 4 * block + WIDTH * 4
    passing = 2 * WIDTH * plane
    # The gradients of the last block come when all is kept.
    assert measured.stored == kept - WIDTH * 4 + passing
    assert measured.segments == tuple(f"blocks.{number}" for number in range(4))
    # Of four blocks what enters them, and of the last one also what it keeps, its input aside.
    again = 3 * plane + 4 * WIDTH * plane + (block - WIDTH * plane) + passing
    assert measured.recomputed == again
    weights = sum(of.numel() for of in one.network.parameters()) * 4
    assert measured.fixed == 2 * weights  # gradient and momentum


def test_estimate_counts_the_networks_that_the_loss_asks() -> None:
    """A wide teacher holds its pictures, what enters its ReLU and what leaves it, at once."""
    wide = 64
    teacher = nn.Sequential(nn.Conv2d(3, wide, 1), nn.ReLU(), nn.Conv2d(wide, 2, 1))
    one, rows = begun()
    alone, plain = (footprint.estimate(distributed.launch("cpu", "float32"), one, rows), one.loss)

    def asks(logits: Tensor, batch: Batch) -> Tensor:
        with torch.no_grad():
            said = teacher(one.view(batch)).mean()
        return plain(logits, batch) + said

    one.loss, one.beside = asks, (teacher,)
    found = footprint.estimate(distributed.launch("cpu", "float32"), one, rows)
    plane = tiny.SIDE**2 * 4
    kept = 3 * plane + 4 * WIDTH * plane * 4 + WIDTH * 4  # as in the test above
    assert found.stored == kept + (3 + 2 * wide) * plane
    assert found.recomputed == 3 * plane + 4 * WIDTH * plane + WIDTH * 4 + (3 + 2 * wide) * plane
    assert found.stored > alone.stored
    one.beside = ()
    assert footprint.estimate(distributed.launch("cpu", "float32"), one, rows) == alone


def test_estimate_leaves_network_and_random_numbers_alone() -> None:
    one, rows = begun()
    before, random = tiny.weights(one.network), torch.get_rng_state()
    footprint.estimate(distributed.launch("cpu", "float32"), one, rows)
    assert tiny.same(before, tiny.weights(one.network))
    assert torch.equal(random, torch.get_rng_state())


@pytest.mark.parametrize("augment", ["none", "lcz", "sharp"])
def test_computing_twice_changes_no_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, augment: str
) -> None:
    rows, plan = tiny.split(), tiny.recipe(augment=augment)
    plain, less = learner(rows, plan), learner(rows, plan)
    engine.fit([plain], rows, plan, tmp_path / "plain", np.arange(26, 30))
    stored, recomputed = bounds(7)
    allow(monkeypatch, (stored + recomputed) / 2)
    calls = count_calls(less.network)
    engine.fit([less], rows, plan, tmp_path / "less", np.arange(26, 30))
    assert "computed twice" in capsys.readouterr().err
    assert calls[0] > 1.5 * calls[1] > 0  # blocks against the stem, of which there is one
    assert tiny.same(tiny.weights(plain.network), tiny.weights(less.network))
    assert plain.history.series == less.history.series
    assert all("forward" not in vars(module) for module in less.network.modules())


def count_calls(network: nn.Module) -> list[int]:
    """Calls of the first block's convolution and of the stem, while they are counted."""
    calls = [0, 0]
    for place, name in enumerate(("blocks.0.first", "stem")):

        def count(*_: object, place: int = place) -> None:
            calls[place] += 1

        network.get_submodule(name).register_forward_hook(count)
    return calls


def test_a_step_that_cannot_fit_is_refused_with_a_batch_that_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = tiny.split(64)
    recomputed = bounds(16)[1]
    allow(monkeypatch, recomputed * 1.01)
    with pytest.raises(StageError, match=r"member-01: a step of 64 rows .* use --batch 16, "):
        engine.fit([learner(rows, tiny.recipe(batch=64))], rows, tiny.recipe(batch=64), tmp_path)
    fits = tiny.recipe(batch=16, epochs=1)
    engine.fit([learner(rows, fits)], rows, fits, tmp_path)


def test_what_differs_when_computed_again_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, plan = tiny.split(), tiny.recipe()
    allow(monkeypatch, sum(bounds(7)) / 2)
    with pytest.raises(StageError, match="use --batch"):
        engine.fit([learner(rows, plan, Counting)], rows, plan, tmp_path)


def test_the_batch_is_no_larger_than_the_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, plan = tiny.split(30), tiny.recipe(batch=1024, epochs=1)
    allow(monkeypatch, bounds(30)[0] * 1.01)
    engine.fit([learner(rows, plan)], rows, plan, tmp_path)


def test_logits_come_in_batches_of_fixed_size_whatever_the_batch() -> None:
    rows, plan = tiny.split(600), tiny.recipe(batch=1024)
    sizes: list[int] = []
    one = learner(rows, plan)
    one.network.register_forward_hook(lambda *given: sizes.append(len(given[2])))
    engine.compute_logits([one], rows, plan)
    assert sizes == [256, 256, 88]


def test_progress_is_told_within_a_large_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(recompute, "LARGE", 0.0)
    monkeypatch.setattr("shared.training.loop.display.EVERY", -1.0)
    monkeypatch.setattr("shared.training.loop.display.INTERVAL", -1.0)
    rows, plan = tiny.split(), tiny.recipe(epochs=1)
    engine.fit([learner(rows, plan)], rows, plan, tmp_path)
    told = capsys.readouterr().err
    assert "forward, member-01, layer 2 of " in told
    assert "backward, member-01, layer 1 of " in told


def test_free_memory_heeds_the_limit_of_a_container(tmp_path: Path) -> None:
    for name, text in {
        "memory.max": "8000000000\n",
        "memory.current": "5000000000\n",
        "memory.stat": "anon 4\ninactive_file 1000000000\n",
    }.items():
        (tmp_path / name).write_text(text)
    assert devices._free_of_groups(tmp_path) == [4_000_000_000]
    (tmp_path / "memory.max").write_text("max\n")
    assert devices._free_of_groups(tmp_path) == []
    assert 2**28 < devices.free_memory(torch.device("cpu")) < 2**50


def test_the_most_that_a_backward_pass_holds() -> None:
    """By hand: module a keeps 5, its inner b 7; results are 1 and 2; 10 and 100 enter.

    Stored, b holds 12 and two gradients of 1, a 12 and two of 2. Computed again, of a only what
    enters it lies there besides, whether the network itself is named or not.
    """
    for above in ((), ("",)):
        a, b = (*above, "a"), (*above, "a", "a.b")
        events = [
            recording.Event("enter", a, {1: 10}), recording.Event("keep", a, {2: 5}),
            recording.Event("enter", b, {3: 100}), recording.Event("keep", b, {4: 7}),
            recording.Event("keep", b, {4: 7}), recording.Event("leave", b, {5: 1}),
            recording.Event("leave", a, {6: 2}),
        ]  # fmt: skip
        assert footprint.peak(events) == 5 + 7 + 2 * 2
        assert footprint.peak(events, frozenset({"a"})) == 10 + 5 + 7 + 2 * 2
        assert footprint.peak(events, frozenset({"a.b"})) == 5 + 100 + 7 + 2 * 1
        again = [*events, recording.Event("enter", (*above, "c"), {7: 1}),
                 recording.Event("leave", (*above, "c"), {8: 20})]  # fmt: skip
        assert footprint.peak(again, frozenset({"a", "c"})) == 10 + 1 + 2 * 20


def test_modules_that_are_worth_computing_again() -> None:
    """An eighth of the network is small; else more than half of it has to lie in no part."""
    inner = nn.Sequential(nn.Linear(1, 1), nn.ReLU())
    network = nn.Sequential(inner, nn.Linear(1, 1))
    for own, parts, chosen in (
        (10.0, {"0.0": 10.0}, ["0"]),  # leaves are no parts
        (0.0, {}, []),
        (80.0, {}, ["0"]),
    ):
        inside = {"": 80.0, "0": own, **parts}
        assert footprint.choose_segments(network, inside) == chosen, own
    deep = nn.Sequential(nn.Sequential(inner, nn.Sequential(nn.ReLU())))
    for part, chosen in ((40.0, ["0.0"]), (39.0, ["0"])):
        inside = {"": 80.0, "0": 80.0, "0.0": part}
        assert footprint.choose_segments(deep, inside) == chosen
    small = {"": 80.0, "0": 10.0, "0.0": 10.0}
    assert footprint.choose_segments(deep, small) == ["0"]
    assert footprint.choose_segments(deep, {**small, "0": 10.1, "0.0": 10.1}) == ["0.0"]


def test_gigabytes_of_a_step() -> None:
    measured = footprint.Estimate(fixed=10**9, stored=5e8, recomputed=1e8, segments=("a",))
    assert measured.gigabytes(4) == 3.0
    assert measured.gigabytes(4, recompute=True) == pytest.approx(1.4)


@pytest.mark.parametrize(
    ("device", "processes", "rows", "fits"),
    [
        ("cpu", 1, 8, True),  # 8 of 10 GB, of which 8.5 may be used
        ("cpu", 1, 9, False),
        ("cpu", 2, 8, True),  # each takes 4 rows, and half of the memory
        ("cpu", 2, 10, False),  # 5 GB each
        ("cuda", 2, 16, True),  # each has its own
        ("cuda", 2, 18, False),
    ],
)
def test_how_much_of_the_free_memory_a_process_may_use(
    monkeypatch: pytest.MonkeyPatch, device: str, processes: int, rows: int, fits: bool
) -> None:
    estimate = footprint.Estimate(fixed=0, stored=1e9, recomputed=1e9, segments=())
    monkeypatch.setattr(footprint, "estimate", lambda *_: estimate)
    monkeypatch.setattr(devices, "free_memory", lambda _: 10e9)
    fabric = SimpleNamespace(device=torch.device(device), world_size=processes)
    one = SimpleNamespace(name="a", network=nn.ReLU(), large_steps=None)
    with contextlib.ExitStack() as stack:
        if not fits:
            stack.enter_context(pytest.raises(StageError, match="rows takes about"))
        recompute.fit_into_memory(fabric, one, {}, rows)  # type: ignore[arg-type]
    assert one.large_steps is True


def test_batches_that_are_suggested_are_powers_of_two() -> None:
    """The largest that fits, of all processes together; none where two rows do not."""
    estimate = footprint.Estimate(fixed=10**9, stored=1e9, recomputed=5e8, segments=("a",))
    for have, processes, batch in (
        (5.0, 1, "--batch 8, "), (4.9, 1, "--batch 4, "), (5.0, 2, "--batch 8, "),
        (2.0, 1, "--batch 2, "), (1.9, 1, ""), (10.0**9, 1, f"--batch {2**19}, "),
    ):  # fmt: skip
        said = recompute._suggest(estimate, have, processes)
        assert said == f"use {batch}a smaller --size or a machine with more memory"
