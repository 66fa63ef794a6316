"""Recipes of distill: the flags that a word stands for, and what is given beside it."""

import pytest

from shared.cli import arguments
from shared.cli.signature import read_signature
from stages.distill import main as stage
from stages.distill import recipes

FILES = ["--train=tests", "--test=tests", "--dst=out"]


def said(*flags: str) -> dict[str, object]:
    return arguments.collect(stage.run, [*FILES, *flags])


def test_the_usual_recipe_says_nothing() -> None:
    usual = said()
    assert usual["recipe"] == "published"
    assert (usual["loss"], usual["targets"], usual["epochs"]) == ("kd", "cached", None)
    assert said("--recipe=published") == usual


def test_the_consistent_recipe_takes_twice_the_epochs_of_the_student() -> None:
    given = said("--recipe=consistent")
    assert (given["loss"], given["targets"], given["epochs"]) == ("dist", "consistent", 60)
    assert given["standardise"] is False
    small = said("--recipe=consistent", "--architecture=mobilenetv3_small_100")
    assert small["epochs"] == 40
    assert {n for n, value in said().items() if given[n] != value} == {
        "recipe", "loss", "targets", "epochs",
    }  # fmt: skip


def test_a_recipe_leaves_what_the_student_says_of_its_own_end() -> None:
    given = said("--recipe=consistent", "--architecture=simple-net")
    assert (given["patience"], given["epochs"], given["loss"]) == (4, 40, "dist")
    assert said("--architecture=simple-net")["monitor"] == "loss"


def test_what_is_given_wins() -> None:
    given = said("--recipe=consistent", "--epochs=7", "--loss=kd", "--standardise")
    assert (given["loss"], given["targets"], given["epochs"]) == ("kd", "consistent", 7)
    assert given["standardise"] is True


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_recipes_say_flags_of_the_stage(name: recipes.Name) -> None:
    parameters = {parameter.name: parameter for parameter in read_signature(stage.run).parameters}
    for flag, value in recipes.RECIPES[name].flags.items():
        parameters[flag].check(value)
        assert isinstance(value, parameters[flag].kind)
