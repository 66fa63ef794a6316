"""Runs cases of campaigns for one stage.

    .venvs/dev/bin/python -m tests.torture.faults.worker STAGE GOOD kills:0:100 damage:0:20

Prints a JSON line for every seed, from the first up to the one that is named last: `seed`, `kind`,
`outcome`, `stage` and, where it is not as it should be, `said`.

finished    the accident came too late, or harmed nothing
recovered   a later run went on, or began again, and made the product of an undisturbed run
refused     exit code 2, one line; after what it says, the product of an undisturbed run
skipped     this machine does not let the accident happen
broken      anything else
"""

import contextlib
import json
import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.torture.faults import lab as labs
from tests.torture.faults import volumes
from tests.torture.faults.campaigns import KINDS, kinds_of


def run_case(lab: labs.Lab, campaign: str, kind: str, seed: int) -> dict[str, object]:
    """One accident; the folder of the case is empty before and after."""
    labs.remove(lab.folder)
    lab.folder.mkdir()
    said = ""
    try:
        outcome = KINDS[campaign][kind](lab, random.Random(f"{campaign} {kind} {seed}"))
    except labs.BrokenError as error:
        outcome, said = "broken", str(error)
    except volumes.UnableError as error:
        outcome, said = "skipped", str(error)
    lab.abort()
    labs.remove(lab.folder)
    return {"seed": seed, "kind": kind, "outcome": outcome, "stage": lab.work.stage, "said": said}


def main(name: str, good: Path, wanted: Sequence[str]) -> None:
    """All seeds of each campaign; a seed is one kind of accident, and kinds take turns."""
    with contextlib.suppress(volumes.UnableError):  # each case that mounts will say so
        volumes.isolate()
    with tempfile.TemporaryDirectory() as scratch, labs.open_lab(name, good, Path(scratch)) as lab:
        for text in wanted:
            campaign, first, stop = text.split(":")
            kinds = kinds_of(campaign, name)
            for seed in range(int(first), int(stop)):
                case = run_case(lab, campaign, kinds[seed % len(kinds)], seed)
                print(json.dumps(case), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
