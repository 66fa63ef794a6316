"""Training of segmentation networks: steps in parts, what is learned, which epoch is handed on.

Run with the environment of `segment`.
"""

import copy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from shared import models, tiles
from shared.errors import StageError
from shared.segmentation import Views, data, fitting, learner, losses, networks, objective
from shared.training.data import order
from shared.training.loop import Plateau, Recipe
from shared.training.parallel import distributed
from tests import tile_files

K, PLAIN = 5, Views(augment="none")
BANDS = ("red", "green", "blue")
CARD = models.Card(
    "network.onnx", "pyramid-tiny", BANDS, (0.4, 0.4, 0.35), (0.15, 0.12, 0.12), 48, "bilinear",
    tiles.CLASSES, task="segmentation", decimals=6,
)  # fmt: skip
SIGHT = fitting.Sight(PLAIN, CARD)


def recipe(**more: Any) -> Recipe:
    usual: dict[str, Any] = {
        "epochs": 3, "batch": 4, "lr": 0.005, "seed": 3, "optimiser": "adam", "weight_decay": 0.0,
        "schedule": "plateau", "clip": 1.0, "device": "cpu", "keep_best": True,
        "monitor": learner.MONITOR, "plateau": Plateau(0.1, 1, 1e-6, learner.MONITOR),
    }  # fmt: skip
    return Recipe(**usual | more)


def make(plan: Recipe, parts: int = 1, **more: Any) -> learner.MaskLearner:
    """A tiny pyramid with the same first weights every time."""
    torch.manual_seed(1)
    network = networks.build("pyramid-tiny", K)
    aim = objective.Objective(losses.MaskLoss(torch.ones(K), **more))
    return learner.MaskLearner(network, aim, plan, seed=5, classes=K, parts=parts)


def stream(folder: Path, rows: int, seed: int = 0, ignored: int = 0) -> data.TileStream:
    images, masks = tile_files.draw(rows, 48, seed)
    masks[0, :ignored] = tiles.IGNORE
    return data.TileStream(tile_files.write(folder / f"{rows}-{seed}.h5", (images, masks)))


def weights(one: learner.MaskLearner) -> Tensor:
    return torch.cat([of.detach().reshape(-1) for of in one.network.parameters()])


def batch(rows: int) -> objective.Batch:
    images, masks = tile_files.draw(rows, 48)
    masks[0, :30] = tiles.IGNORE  # parts have unlike many pixels that count
    pictures = torch.from_numpy(images).permute(0, 3, 1, 2) / 255
    return {
        "image": data.normalise(pictures, CARD.mean, CARD.std), "mask": torch.from_numpy(masks),
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["ce", "dice", "focal"])
def test_a_step_in_parts_is_the_step_at_once(kind: losses.Kind) -> None:
    """Of a network without batch norm; what it says of a picture does not depend on others."""
    fabric = distributed.launch("cpu", "float32")
    trained = []
    for parts in (1, 3):
        one = make(recipe(batch=6, optimiser="sgd", lr=0.1), parts, kind=kind)
        one.begin(fabric)
        before = weights(one)
        for step in range(2):
            one.step(fabric, batch(6), 6, step)
        trained.append(weights(one))
        assert one.log.steps == 2
        assert one.matrix.sum() == 2 * (6 * 48 * 48 - 30 * 48)
        assert (trained[-1] - before).norm() > 0.01
    torch.testing.assert_close(trained[0], trained[1], rtol=1e-4, atol=1e-6)


def test_a_step_takes_as_many_passes_as_it_needs() -> None:
    fabric, sizes = distributed.launch("cpu", "float32"), list[int]()
    one = make(recipe(batch=8), 2)
    one.begin(fabric)
    one.network.register_forward_hook(lambda _, given, __: sizes.append(len(given[0])))
    for rows in (8, 4, 5):  # whole, half, a last one of an epoch
        one.step(fabric, batch(rows), rows, 0)
    assert sizes == [4, 4, 4, 3, 2]


@pytest.mark.parametrize("processes", [1, 2, 3, 8])
def test_all_processes_take_as_many_passes_to_a_step(processes: int) -> None:
    """Else one waits for ever for gradients that another has not; no pass is without a tile."""
    for tiles_of_step in range(2, 40):
        rows, ranks = np.arange(tiles_of_step), range(processes)
        own = [len(rows[order.rows_of_process(rows, rank, processes)]) for rank in ranks]
        passes = learner.count_passes(tiles_of_step, 2, processes)
        masks = [{"mask": torch.zeros(count, 1, 1)} for count in own]
        made = [[len(part["mask"]) for part in learner.cut(one, passes)] for one in masks]
        assert {len(sizes) for sizes in made} == {passes}
        assert [sum(sizes) for sizes in made] == own
        assert min(map(min, made)) > 0


def test_gradients_are_clipped_to_their_norm() -> None:
    fabric = distributed.launch("cpu", "float32")
    one = make(recipe(batch=4, optimiser="sgd", lr=1.0, clip=0.01))
    one.begin(fabric)
    before = weights(one)
    one.step(fabric, batch(4), 4, 0)
    assert (weights(one) - before).norm().item() == pytest.approx(0.01, rel=0.01)


def test_eight_tiles_are_learned_by_heart(tmp_path: Path) -> None:
    """IoU above 0.95 of all five classes together, of pixels that are exact to one."""
    seen, plan = stream(tmp_path, 8), recipe(epochs=140, batch=8, lr=0.006, clip=0.0)
    plan = Recipe(**vars(plan) | {"plateau": Plateau(0.3, 12, 0, learner.MONITOR)})
    one = make(plan)
    fitting.fit(one, seen, seen, SIGHT, tmp_path / "work")
    matrix = fitting.measure(one, seen, SIGHT).matrix
    assert tiles.mean_iou(matrix) > 0.95
    assert tiles.intersect_over_union(matrix).min() > 0.9


def test_measures_are_those_of_all_pixels_together(tmp_path: Path) -> None:
    """Whatever the tiles of one pass: not the mean of their values, and no ignored pixel."""
    seen, one = stream(tmp_path, 5, ignored=20), make(recipe(batch=2))
    some = seen[range(5)]
    images, masks = data.see_plain(some.image, some.mask, PLAIN)
    with torch.no_grad():
        logits = one.network.eval()(data.normalise(images, CARD.mean, CARD.std))
    said = logits.argmax(1).numpy().astype(np.uint8)
    found = fitting.measure(one, seen, SIGHT)
    assert np.array_equal(found.matrix, tiles.count_confusion(masks.numpy(), said, K))
    expected = one.objective.masks.add_up(logits, masks) / one.objective.masks.weigh(masks)
    assert found.loss == pytest.approx(expected.item(), rel=1e-5)
    each = [
        tiles.mean_iou(tiles.count_confusion(m, s, K))
        for m, s in zip(masks.numpy(), said, strict=True)
    ]
    assert found.summarise()["IoU"] != pytest.approx(float(np.mean(each)), abs=1e-4)


def say(patch: pytest.MonkeyPatch, values: list[float]) -> None:
    """Let the tiles held out be measured as these IoU, one an epoch."""
    left: Iterator[float] = iter(values)
    plain = fitting.Measured.summarise

    def summarise(self: fitting.Measured) -> Mapping[str, float]:
        return plain(self) | {"IoU": next(left)}

    patch.setattr(fitting.Measured, "summarise", summarise)


def test_the_best_epoch_is_handed_on_and_the_rate_falls_by_the_iou(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy is a true one: further steps leave it alone."""
    seen, kept, rates = stream(tmp_path, 4), list[Tensor](), list[float]()
    close = learner.MaskLearner.close_epoch

    def watch(self: learner.MaskLearner, fabric: Fabric, held_out: Mapping[str, float]) -> None:
        rates.append(self.optimiser.param_groups[0]["lr"])
        kept.append(weights(self))
        close(self, fabric, held_out)

    monkeypatch.setattr(learner.MaskLearner, "close_epoch", watch)
    say(monkeypatch, [0.2, 0.4, 0.3, 0.3, 0.35, 0.1])
    one = make(recipe(epochs=6, lr=0.004, patience=0))
    fitting.fit(one, seen, seen, SIGHT, tmp_path / "work")
    assert (one.epoch, one.kept) == (6, 2)
    assert torch.equal(weights(one), kept[1])
    assert not torch.equal(kept[1], kept[5])
    # Two epochs that are not better than the second: a tenth from the fifth on, and so again.
    assert rates == pytest.approx([0.004, 0.004, 0.004, 0.004, 0.0004, 0.0004])


def test_training_stops_where_the_iou_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = stream(tmp_path, 4)
    say(monkeypatch, [0.5, 0.4, 0.6, 0.6, 0.59, 0.9])
    one = make(recipe(epochs=6, patience=2))
    fitting.fit(one, seen, seen, SIGHT, tmp_path / "work")
    assert (one.epoch, one.kept) == (5, 3)


def test_epochs_are_followed_by_counts_of_their_own(tmp_path: Path) -> None:
    """With a rate of nothing, training on plain tiles sees what validation sees."""
    seen, one = stream(tmp_path, 4, ignored=10), make(recipe(epochs=2, lr=0.0))
    fitting.fit(one, seen, seen, SIGHT, tmp_path / "work")
    series = one.history.series
    for name in ("loss", "IoU", "accuracy", "precision", "recall", "F1"):
        assert series[f"train {name}"] == pytest.approx(series[f"validation {name}"], rel=1e-5)
        assert series[f"train {name}"][0] == pytest.approx(series[f"train {name}"][1], rel=1e-5)


def test_training_that_diverges_says_so(tmp_path: Path) -> None:
    seen, one = stream(tmp_path, 4), make(recipe(batch=2, lr=1e38, optimiser="sgd", clip=0.0))
    with pytest.raises(StageError, match="diverged in epoch 1; lower --lr"):
        fitting.fit(one, seen, seen, SIGHT, tmp_path / "work")


def test_a_teacher_alone_teaches_its_own_maps() -> None:
    """With alpha 0 the masks do not count: the student comes to say what the teacher says."""
    fabric = distributed.launch("cpu", "float32")
    torch.manual_seed(9)
    teacher = nn.Conv2d(3, K, 1).requires_grad_(False)
    teacher.weight *= 5
    aim = objective.Objective(losses.MaskLoss(torch.ones(K)), teacher, 0.0, 2.0)
    one = make(recipe(batch=4, lr=0.01))
    one.objective = aim
    one.begin(fabric)
    given = batch(4)
    known = given["mask"] != tiles.IGNORE
    taught = teacher(given["image"])

    def apart() -> float:
        with torch.no_grad():
            said = one.logits(given)
        return float(losses.add_up_divergence(said, taught, given["mask"], 2.0) / known.sum())

    before = apart()
    for step in range(35):
        one.step(fabric, copy.copy(given), 4, step)
    assert apart() < before / 4


def test_a_teacher_is_on_the_device_of_its_student(monkeypatch: pytest.MonkeyPatch) -> None:
    fabric = distributed.launch("cpu", "float32")
    monkeypatch.setattr(Fabric, "device", torch.device("meta"))
    monkeypatch.setattr(Fabric, "setup", lambda _, *both: both)
    teacher = nn.Conv2d(3, K, 1).requires_grad_(False)
    aim = objective.Objective(losses.MaskLoss(torch.ones(K)), teacher, 0.5, 2.0)
    one = learner.MaskLearner(networks.build("pyramid-tiny", K), aim, recipe(), seed=5, classes=K)
    one.begin(fabric)
    assert {of.device.type for of in (*teacher.parameters(), *one.network.parameters())} == {"meta"}


def test_whole_tiles_are_looked_at_in_passes_as_large_as_those_of_training(tmp_path: Path) -> None:
    seen = stream(tmp_path, 3)
    for augment, crop, expected in (("native", 24, 4), ("resized", 24, 16), ("none", 24, 16)):
        sight = fitting.Sight(Views(augment=augment, crop=crop), CARD)  # type: ignore[arg-type]
        assert sight.rows_at_once(seen, 16) == expected
