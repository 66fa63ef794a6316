"""What is known of each epoch that has ended, and which one is the best."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from shared.training.loop.recipe import Recipe
from shared.training.loop.selection import find_best


@dataclass
class History:
    """Values per epoch, by quantity: "train loss", "train accuracy", and validation likewise."""

    series: dict[str, list[float]] = field(default_factory=dict)

    def add(self, quantity: str, value: float) -> None:
        """Append one epoch's value."""
        self.series.setdefault(quantity, []).append(value)

    def monitored(self, recipe: Recipe) -> Sequence[float]:
        """By which epochs are compared, one value an epoch; none without rows held out."""
        return self.series.get(f"validation {recipe.monitor}", [])

    def best(self, recipe: Recipe) -> int:
        """Zero-based position of the best epoch; -1 where none was measured."""
        return find_best(self.monitored(recipe), recipe.monitor, recipe.min_improvement)

    def epochs_since_best(self, recipe: Recipe) -> int:
        """How many measured epochs came after the best one."""
        return len(self.monitored(recipe)) - 1 - self.best(recipe)

    def ends_best(self, recipe: Recipe) -> bool:
        """Whether the last epoch is the best one."""
        return self.best(recipe) == len(self.monitored(recipe)) - 1
