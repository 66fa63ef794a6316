"""`make torture`: damage and accidents by the thousand; tables of how the stages took them."""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.torture import tables
from tests.torture.campaign import CAMPAIGNS, Result
from tests.torture.faults import driver

CASES = 50_000  # of a campaign of damaged inputs


def main() -> int:
    """1 if any case ended as none must."""
    names = [*CAMPAIGNS, *driver.CASES]
    parser = argparse.ArgumentParser(prog="make torture", description=__doc__)
    parser.add_argument("--campaigns", nargs="+", choices=names, default=names)
    parser.add_argument("--cases", type=int, default=0, help="of each campaign")
    parser.add_argument("--seed", type=int, default=0, help="of the first case of each reader")
    parser.add_argument("--jobs", type=int, help="processes at a time; one for each core")
    options = parser.parse_args()
    worst = 0
    for campaign in options.campaigns:
        if campaign in driver.CASES:
            worst |= driver.show(campaign, options.cases, options.seed, options.jobs)
            continue
        print(tables.head(campaign), flush=True)
        results: dict[str, Result] = {}
        with tempfile.TemporaryDirectory() as folder:
            for name, result in CAMPAIGNS[campaign](
                Path(folder), options.cases or CASES, options.seed, options.jobs
            ):
                tables.join(results, name, result)
                for text in tables.describe_bad(result):
                    worst = 1
                    print(text, flush=True)
        for name, result in results.items():
            print(tables.line(name, result))
        print(tables.line("all", tables.total(results)), flush=True)
    return worst


if __name__ == "__main__":
    sys.exit(main())
