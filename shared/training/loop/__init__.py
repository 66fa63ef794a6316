"""The training loop: the engine, its learners, the recipe, several processes."""

from shared.training.loop.learner import Learner, Loss
from shared.training.loop.recipe import Recipe, check_held_out, recipe_of

__all__ = [
    "Learner",
    "Loss",
    "Recipe",
    "check_held_out",
    "display",
    "distributed",
    "engine",
    "launchers",
    "learner",
    "memory",
    "recipe",
    "recipe_of",
    "recompute",
    "selection",
]
