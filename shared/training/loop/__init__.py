"""The training loop: the engine, its learners, the recipe, several processes."""

from shared.training.loop.distributed import accelerator
from shared.training.loop.learner import Learner, Loss
from shared.training.loop.recipe import Recipe

__all__ = [
    "Learner",
    "Loss",
    "Recipe",
    "accelerator",
    "display",
    "distributed",
    "engine",
    "launchers",
    "learner",
    "recipe",
]
