"""Which accidents there are, and to which stages each one can happen."""

from collections.abc import Callable
from random import Random

from tests.torture.faults import damage, kills, nodes, shards, volumes
from tests.torture.faults.lab import Lab
from tests.torture.faults.works import WORKS

KINDS: dict[str, dict[str, Callable[[Lab, Random], str]]] = {
    "kills": dict(kills.KINDS),
    "volumes": dict(volumes.KINDS),
    "damage": {**damage.KINDS, **shards.KINDS},
    "nodes": dict(nodes.KINDS),
}


def kinds_of(campaign: str, name: str) -> list[str]:
    """The accidents of a campaign that a work can have."""
    work = WORKS[name]
    missing = {"input": not work.reads, "checkpoint": not work.trains}
    missing |= dict.fromkeys(shards.KINDS, work.stage != "merge")
    return [kind for kind in KINDS[campaign] if not missing.get(kind)]
