"""`make torture`: damage by the thousand, and a table of how the stages took it."""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.torture.campaign import CAMPAIGNS, GOOD

WORDS = (*GOOD, "traceback", "crash", "hang")


def main() -> int:
    """1 if any case ended in another way than read or refused."""
    parser = argparse.ArgumentParser(prog="make torture", description=__doc__)
    parser.add_argument("--campaigns", nargs="+", choices=CAMPAIGNS, default=list(CAMPAIGNS))
    parser.add_argument("--cases", type=int, default=10_000, help="of each campaign")
    parser.add_argument("--seed", type=int, default=0, help="of the first case")
    options = parser.parse_args()
    worst = 0
    for campaign in options.campaigns:
        print(f"{campaign:24}" + "".join(f"{word:>10}" for word in WORDS), flush=True)
        with tempfile.TemporaryDirectory() as folder:
            for name, result in CAMPAIGNS[campaign](Path(folder), options.cases, options.seed):
                counts = [result.outcomes[word] for word in WORDS]
                print(f"{name:24}" + "".join(f"{count:10}" for count in counts), flush=True)
                for case in result.bad:
                    worst = 1
                    print(f"  seed {case['seed']}: {case['outcome']}, {case['status']}")
                    print("    " + "\n    ".join(case["said"].splitlines()[-12:]))
    return worst


if __name__ == "__main__":
    sys.exit(main())
