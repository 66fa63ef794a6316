"""Event files of TensorBoard: what they say of a run, once, also of one that was killed."""

from pathlib import Path

import numpy as np
import pytest
import torch

from shared.runs import record
from shared.tools import comparison
from shared.training.loop import checkpoints, engine
from shared.training.loop.recipe import Recipe
from shared.training.records import events
from tests.event_files import FILE, read_events, read_values
from tests.training.tiny import learner, recipe, same, split, weights

pytest.importorskip("tensorboardX")
HELD_OUT = np.arange(20, 30)  # of 30 rows; 20 are three steps of 7 at most an epoch


def fit(folder: Path, plan: Recipe) -> tuple[dict[str, list[float]], dict[str, torch.Tensor]]:
    rows = split()
    one = learner(rows, plan, dropout=0.3)
    engine.fit([one], rows, plan, folder / "work", HELD_OUT, folder / events.FOLDER)
    return one.history.series, weights(one.network)


def values_of(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What the only network of a run has in its event file."""
    (place,) = (folder / events.FOLDER).iterdir()
    return read_values(place)


def test_every_epoch_once_with_loss_accuracies_rate_and_speed(tmp_path: Path) -> None:
    series, _ = fit(tmp_path, recipe(epochs=3, schedule="cosine"))
    values = values_of(tmp_path)
    assert set(values) == {
        "epoch/train loss", "epoch/train accuracy", "epoch/validation loss",
        "epoch/validation accuracy",
        "epoch/learning rate", "epoch/rows per second", "step/train loss",
    }  # fmt: skip
    for quantity, expected in series.items():
        said = values[f"epoch/{quantity}"]
        assert [step for step, _ in said] == [1, 2, 3]
        np.testing.assert_allclose([value for _, value in said], expected, rtol=1e-6)
    rates = [value for _, value in values["epoch/learning rate"]]
    np.testing.assert_allclose(rates, [0.05, 0.05 * 0.75, 0.05 * 0.25], rtol=1e-6)
    assert all(value > 0 for _, value in values["epoch/rows per second"])


def test_losses_of_steps_are_those_of_every_fiftieth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here of every second: three steps an epoch, so 1, 3, 5, over epochs as well."""
    assert events.EVERY == 50
    monkeypatch.setattr(events, "EVERY", 2)
    seen: list[float] = []
    count = events.Log.step

    def step(log: events.Log, loss: torch.Tensor, rate: float) -> None:
        seen.append(loss.item())
        count(log, loss, rate)

    monkeypatch.setattr(events.Log, "step", step)
    fit(tmp_path, recipe(epochs=2))
    said = values_of(tmp_path)["step/train loss"]
    assert len(seen) == 6
    assert [step for step, _ in said] == [1, 3, 5]
    np.testing.assert_allclose([value for _, value in said], seen[::2], rtol=1e-6)


@pytest.mark.parametrize("place", ["before", "after"])
def test_a_killed_run_goes_on_with_one_value_an_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """Killed before or after the second checkpoint, when two epochs are in the file already."""
    monkeypatch.setattr(events, "EVERY", 2)
    plan = recipe(epochs=4)
    series, trained = fit(tmp_path / "whole", plan)
    save = checkpoints.save

    def stop(fabric, one, into):  # type: ignore[no-untyped-def]
        if place == "after" or one.epoch < 2:
            save(fabric, one, into)
        if one.epoch == 2:
            raise MemoryError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints, "save", stop)
        with pytest.raises(MemoryError):
            fit(tmp_path / "cut", plan)
    before = values_of(tmp_path / "cut")
    assert [step for step, _ in before["epoch/train loss"]] == [1, 2]
    resumed, again = fit(tmp_path / "cut", plan)
    assert (resumed, same(again, trained)) == (series, True)
    whole, cut = values_of(tmp_path / "whole"), values_of(tmp_path / "cut")
    measured = "epoch/rows per second"
    kept = {"before": 1, "after": 2}[place]
    assert cut[measured][:kept] == before[measured][:kept]
    assert [step for step, _ in cut.pop(measured)] == [1, 2, 3, 4]
    assert whole.pop(measured)
    assert cut == whole
    assert [step for step, _ in whole["step/train loss"]] == [1, 3, 5, 7, 9, 11]


def test_a_run_whose_epochs_are_all_done_keeps_its_file(tmp_path: Path) -> None:
    """Killed between training and export: times stay those of the epochs."""
    fit(tmp_path, recipe(epochs=2))
    (path,) = (tmp_path / events.FOLDER).rglob(FILE)
    before = read_events(path)[1:]
    fit(tmp_path, recipe(epochs=2))
    assert read_events(path)[1:] == before
    assert [event.wall_time for event in before] == sorted(event.wall_time for event in before)


def test_a_checkpoint_from_before_there_were_logs_goes_on(tmp_path: Path) -> None:
    fit(tmp_path, recipe(epochs=1))
    (path,) = (tmp_path / "work").glob("*.ckpt")
    state = torch.load(path, weights_only=True)
    del state["log"]
    torch.save(state, path)
    fit(tmp_path, recipe(epochs=3))
    assert [step for step, _ in values_of(tmp_path)["epoch/train loss"]] == [2, 3]


def test_nothing_is_written_without_a_folder_or_without_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, plan = split(), recipe(epochs=1)
    engine.fit([learner(rows, plan)], rows, plan, tmp_path / "work")
    monkeypatch.setattr(events, "find_spec", {"tensorboardX": None}.get)
    fit(tmp_path, plan)
    assert [path.name for path in tmp_path.iterdir()] == ["work"]


def test_products_are_neither_told_apart_nor_compared_by_it(tmp_path: Path) -> None:
    for name in ("one", "two"):
        folder = tmp_path / name
        fit(folder, recipe(epochs=1))
        (next((folder / "work").iterdir())).write_bytes(b"the same")
    files = [next((tmp_path / name / events.FOLDER).rglob(FILE)) for name in ("one", "two")]
    assert files[0].read_bytes() != files[1].read_bytes()
    digests = {record.fingerprint(tmp_path / name)["sha256"] for name in ("one", "two")}
    assert len(digests) == 1
    assert comparison.compare_products(tmp_path / "one", tmp_path / "two") == []
    files[1].unlink()  # of a product from before there were logs
    assert comparison.compare_products(tmp_path / "one", tmp_path / "two") == []
