"""Bands drawn for a member, members of a shard, settings that are refused."""

from pathlib import Path
from typing import Any

import pytest

from shared import lcz
from shared.cli import arguments
from shared.errors import StageError
from shared.training import groups
from shared.training.loop import Recipe, check_held_out, recipe_of
from shared.training.members import draw_bands, members_of_shard

SEN2, SEN1 = lcz.SEN2.bands, lcz.SEN1.bands


@pytest.mark.parametrize("mode", ["rand", "randrgb", "sar"])
def test_bands_are_distinct_sorted_and_from_the_seed(mode: str) -> None:
    drawn = [draw_bands(mode, SEN2, SEN1, seed) for seed in range(60)]
    assert drawn == [draw_bands(mode, SEN2, SEN1, seed) for seed in range(60)]
    order = [*SEN2, *SEN1]
    for bands in drawn:
        assert len(set(bands)) == 3
        assert list(bands) == sorted(bands, key=order.index)
    assert len(set(drawn)) > 20


def test_modes_draw_from_the_right_bands() -> None:
    for seed in range(40):
        rgb = draw_bands("randrgb", SEN2, (), seed)
        assert sum(band in ("B4", "B3", "B2") for band in rgb) == 1
        sar = draw_bands("sar", SEN2, SEN1, seed)
        assert [band in SEN1 for band in sar] == [False, False, True]
    assert draw_bands("rand", ("B4", "B3", "B2"), (), 5) == ("B4", "B3", "B2")
    seen = {band for seed in range(99) for band in draw_bands("sar", SEN2, SEN1, seed)}
    assert seen == {*SEN2, *SEN1}


@pytest.mark.parametrize(
    ("mode", "optical", "message"),
    [
        ("rand", ("B2", "B3"), "--mode=rand: expected 3 or more optical bands, found B2, B3"),
        ("sar", SEN2, "--mode=sar: expected 1 or more channels of sen1, found none"),
        ("randrgb", ("B4", "B3", "B2"), "expected 2 or more bands besides B4, B3, B2, found none"),
    ],
)
def test_bands_that_cannot_be_drawn(mode: str, optical: tuple[str, ...], message: str) -> None:
    with pytest.raises(StageError, match=message):
        draw_bands(mode, optical, (), 0)


def test_members_of_shards() -> None:
    assert [list(members_of_shard(5, f"{i}/2")) for i in (1, 2)] == [[0, 1], [2, 3, 4]]
    with pytest.raises(StageError, match="--shard=1/3: none of the 2 members falls into it"):
        members_of_shard(2, "1/3")


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--epochs=0", "--epochs: expected at least 1, found 0"),
        ("--batch=1", "--batch: expected at least 2, found 1"),
        ("--lr=-0.001", "--lr: expected at least 0, found -0.001"),
        ("--lr=nan", "--lr: expected at least 0, found 'nan'"),
        ("--device=gpu", "--device: expected auto, cpu or cuda, found 'gpu'"),
        ("--seed=-1", "--seed: expected at least 0, found -1"),
        ("--precision=fp16", "--precision: expected auto, float32 or bfloat16, found 'fp16'"),
        ("--members=0", "--members: expected at least 1, found 0"),
        ("--together=0", "--together: expected at least 1, found 0"),
        ("--resident=0", "--resident: expected above 0, found 0.0"),
        ("--validation=0.6", "--validation: expected 0 to 0.5, found 0.6"),
        ("--patience=-1", "--patience: expected at least 0, found -1"),
        ("--monitor=f1", "--monitor: expected accuracy or loss, found 'f1'"),
        ("--min_improvement=-1", "--min_improvement: expected at least 0, found -1.0"),
        ("--schedule=step", "--schedule: expected constant, cosine or plateau, found 'step'"),
        ("--optimiser=lbfgs", "--optimiser: expected sgd, adamw or adam, found 'lbfgs'"),
        ("--size=8", "--size: expected 16 to 1024, found 8"),
        ("--interpolation=cubic", "--interpolation: expected bilinear or nearest, found 'cubic'"),
        ("--mode=all", "--mode: expected rand, randrgb or sar, found 'all'"),
    ],
)
def test_groups_refuse(flag: str, message: str) -> None:
    with pytest.raises(StageError) as refused:
        arguments.collect(run, ["--dst=x", flag])
    assert str(refused.value) == message


def run(
    *,
    dst: Path,
    ensemble: groups.Ensemble,
    network: groups.Network,
    descent: groups.Descent,
    held_out: groups.Validation,
    machine: groups.Machine,
) -> None:
    """Have every group.

    Args:
        dst: file.
    """


run.__kwdefaults__ = {
    "ensemble": groups.Ensemble(), "network": groups.Network(), "descent": groups.Descent(),
    "held_out": groups.Validation(), "machine": groups.Machine(),
}  # fmt: skip


@pytest.mark.parametrize(
    ("held_out", "schedule", "message"),
    [
        ({"patience": 2}, "constant", "--patience: expected 0 without rows held out"),
        ({"monitor": "loss"}, "constant", "--monitor: expected accuracy without rows held out"),
        ({"min_improvement": 0.1}, "cosine", "--min_improvement: expected 0.0 without rows held"),
        ({}, "plateau", "--schedule=plateau: needs rows held out by --validation; any share above"),
    ],
)
def test_needs_rows_held_out(held_out: dict[str, Any], schedule: str, message: str) -> None:
    check_held_out(groups.Validation(0.1, **held_out), schedule)
    check_held_out(groups.Validation(), "cosine")
    with pytest.raises(StageError, match=message):
        check_held_out(groups.Validation(**held_out), schedule)


def descend(**flags: Any) -> Recipe:
    """The recipe of an ensemble with these flags of `Descent`."""
    descent = groups.Descent(**flags)
    plan = groups.Plan(
        groups.Ensemble(), groups.Network(), descent, groups.Validation(0.1), groups.Machine()
    )
    return recipe_of(plan)


def test_cosine_is_the_earlier_name_of_a_schedule() -> None:
    assert descend().schedule == "constant"
    assert descend(cosine=True) == descend(schedule="cosine")
    assert descend(schedule="plateau").schedule == "plateau"
    with pytest.raises(StageError, match="--cosine: the earlier name of --schedule cosine, found"):
        descend(cosine=True, schedule="plateau")


def test_momentum_is_that_of_sgd() -> None:
    assert descend(optimiser="adam").optimiser == "adam"
    with pytest.raises(StageError, match="--momentum: concerns --optimiser sgd, found adamw"):
        descend(optimiser="adamw", momentum=0.5)
