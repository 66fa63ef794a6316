"""The training loop: the engine, its learners, the recipe, the choice of the epoch."""

from shared.training.loop.learner import Learner, Loss
from shared.training.loop.recipe import Recipe, check_held_out, recipe_of

__all__ = [
    "Learner",
    "Loss",
    "Recipe",
    "check_held_out",
    "display",
    "engine",
    "history",
    "learner",
    "recipe",
    "recipe_of",
    "selection",
]
