"""Flags that need not be given because an input of the stage says them."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

Run = TypeVar("Run", bound=Callable[..., None])
# What an input says, by flag, from the flags that are given.
Completion = Callable[[Mapping[str, Any]], Mapping[str, Any]]
NAME = "completion"


def completed_by(completion: Completion) -> Callable[[Run], Run]:
    """Let a function of the given flags say the value of others, before the plan is made.

    The plan then holds the same values as if they had been given. A function that sees a given flag
    contradict an input raises `StageError`.

    Args:
        completion: typed values of the flags that are given to values of others.
    """

    def mark(run: Run) -> Run:
        setattr(run, NAME, completion)
        return run

    return mark


def complete(run: Callable[..., None], given: Mapping[str, Any]) -> Mapping[str, Any]:
    """What inputs say instead of flags; nothing for a stage that has no such inputs."""
    completion: Completion | None = getattr(run, NAME, None)
    return completion(given) if completion else {}
