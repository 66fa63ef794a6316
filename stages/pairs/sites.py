"""Which rows are for training, validation and testing: whole sites, as neighbours are alike."""

import numpy as np
from numpy.typing import NDArray

from shared import sisr
from shared.errors import StageError
from stages.pairs.samples import Row
from stages.pairs.settings import Held


def decide(rows: list[Row], held: Held) -> NDArray[np.uint8]:
    """(N,) number of each row's split in `sisr.SPLITS`.

    Raises:
        StageError: a name that is no site, or is given for both; nothing is left for training.
    """
    sites = sorted({row.site for row in rows})
    if held.test_sites or held.validation_sites:
        chosen = _by_names(sites, held)
    elif all(row.split for row in rows):
        chosen = {row.site: row.split for row in rows}
    else:
        chosen = _by_shares(sites, held)
    numbers = [sisr.SPLITS.index(chosen.get(row.site, "training")) for row in rows]
    if 0 not in numbers:
        expected = "expected some for training, found all of them held out"
        raise StageError(f"--test_sites, --validation_sites: {len(sites)} sites: {expected}")
    return np.array(numbers, np.uint8)


def _by_names(sites: list[str], held: Held) -> dict[str, str]:
    named = {"testing": held.test_sites, "validation": held.validation_sites}
    for split, names in named.items():
        if unknown := [name for name in names if name not in sites]:
            flag = "--test_sites" if split == "testing" else "--validation_sites"
            known = ", ".join(sites[:40]) + (", …" if len(sites) > 40 else "")
            raise StageError(f"{flag}: expected of {known}; found {', '.join(unknown)}")
    if both := sorted({*held.test_sites} & {*held.validation_sites}):
        raise StageError(f"--validation_sites: {both[0]} is among --test_sites, too; name it once")
    return {name: split for split, names in named.items() for name in names}


def _by_shares(sites: list[str], held: Held) -> dict[str, str]:
    shares = {"validation": held.validation_share, "testing": held.test_share}
    counts = {s: max(round(len(sites) * share), 1) if share else 0 for s, share in shares.items()}
    if sum(counts.values()) >= len(sites):
        expected = f"expected more than {sum(counts.values())} sites"
        raise StageError(f"--validation_share, --test_share: {expected}, found {len(sites)}")
    order = np.random.default_rng(held.split_seed).permutation(len(sites)).tolist()
    names = [split for split, count in counts.items() for _ in range(count)]
    return {sites[number]: split for number, split in zip(order, names, strict=False)}
