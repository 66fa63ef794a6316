"""How often each ensemble counts in the average, and of how many networks it then is the mean."""

from collections.abc import Sequence
from typing import Literal

from shared.errors import StageError
from shared.models import score_folders


def counts(
    ensembles: Sequence[score_folders.ScoreFolder], weigh: Literal["folders", "members"]
) -> list[int]:
    """How often each ensemble counts: once ("folders"), or as often as it has networks ("members").

    Raises:
        StageError: a folder that does not say how many networks it averages.
    """
    if weigh == "folders":
        return [1] * len(ensembles)
    numbers = []
    for part in ensembles:
        if part.networks is None:
            raise StageError(
                f"--weigh=members: expected 'networks' in {part.name}/metrics.json, found none: "
                "it is no plain mean of networks, or was made before they were counted"
            )
        numbers.append(part.networks)
    return numbers


def networks(ensembles: Sequence[score_folders.ScoreFolder], often: Sequence[int]) -> int | None:
    """How many networks the mean by `often` is the plain mean of; None if of none, or unknown."""
    known = [part.networks for part in ensembles if part.networks is not None]
    if len(known) < len(ensembles):
        return None
    each = {number / count for number, count in zip(known, often, strict=True)}
    return sum(known) if len(each) == 1 else None
