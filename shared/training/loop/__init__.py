"""The training loop: the engine, its learners, the recipe, the choice of the epoch."""

from shared.training.loop.learner import Learner, Loss
from shared.training.loop.recipe import Plateau, Recipe, check_held_out, recipe_of

__all__ = [
    "Learner",
    "Loss",
    "Plateau",
    "Recipe",
    "check_held_out",
    "checkpoints",
    "display",
    "engine",
    "history",
    "learner",
    "recipe",
    "recipe_of",
    "selection",
    "single",
]
