"""Flags of the trainers of ensembles, and what they should become, for tests of the wiring."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from shared import cli
from shared.cli import arguments
from shared.runs import record
from shared.training import ensemble, networks
from shared.training.loop import Recipe

FLAGS = (
    "--members=3", "--together=2", "--seed=11", "--epochs=7", "--batch=9", "--lr=0.125",
    "--momentum=0.5", "--weight_decay=0.25", "--cosine", "--noaugment", "--balance", "--mixup=0.3",
    "--validation=0.5", "--patience=3", "--monitor=loss", "--min_improvement=0.25",
    "--precision=bfloat16", "--size=48", "--interpolation=nearest",
)  # fmt: skip


def recipe(clip: float = 0.0) -> Recipe:
    """The recipe that FLAGS describe."""
    return Recipe(
        epochs=7, batch=9, lr=0.125, seed=11, optimiser="sgd", momentum=0.5, weight_decay=0.25,
        schedule="cosine", clip=clip, augment="none", balance=True, mixup=0.3, device="cpu",
        precision="bfloat16", keep_best=True, patience=3, monitor="loss", min_improvement=0.25,
    )  # fmt: skip


def write_start(path: Path) -> dict[str, Tensor]:
    """Weights to begin with, and the file of them."""
    torch.manual_seed(8)
    start = networks.build("test_resnet", 3, 17).state_dict()
    save_file(start, path)
    return start


def mark(path: Path, *rows: int) -> None:
    """Mark these rows of a patch file as validation."""
    with h5py.File(path, "r+") as file:
        marks = np.zeros(len(file["label"]), np.uint8)
        marks[list(rows)] = 1
        file["validation"] = marks


def plan_is_that_of_before(
    run: Callable[..., None], flags: Sequence[str], gained: set[str]
) -> bool:
    """Whether a product made before its stage had these parameters is one of the same flags now."""
    job = cli.read_signature(run).job(arguments.collect(run, flags))
    now, defaults = job.plan([]), job.default_plan()
    assert gained <= now["parameters"].keys()
    kept = {name: of for name, of in now["parameters"].items() if name not in gained}
    return record.fill_defaults(now | {"parameters": kept}, defaults) == now


def stop_at_training(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Groups of members, recipe and labels of a run, which stops instead of training."""
    given: list[Any] = []

    def stop(_: Path, groups: Any, recipe: Recipe, labels: tuple[Tensor, Tensor]) -> None:
        given.extend(([*groups], recipe, labels))
        raise KeyboardInterrupt

    monkeypatch.setattr(ensemble, "train_ensemble", stop)
    return given


def check_members(groups: Any, labels: tuple[Tensor, Tensor]) -> list[Any]:
    """The members of all groups: as FLAGS describe them, of 34 rows and 17, two and one a class."""
    assert [truth.tolist() for truth in labels] == [[*range(17), *range(17)], [*range(17)]]
    names = [[(member.name, member.seed) for member in group] for group in groups]
    assert names == [[("member-01", 11), ("member-02", 12)], [("member-03", 13)]]
    members = [member for group in groups for member in group]
    for member in members:
        assert (member.card.size, member.card.interpolation) == (48, "nearest")
        assert member.held_out.tolist() == list(range(17, 34))  # the second row of each class
        assert (len(member.train), len(member.test)) == (34, 17)
    return members
