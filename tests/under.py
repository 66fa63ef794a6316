"""Run pytest with a stage's own interpreter, so under its own pins.

    .venvs/tda/bin/python tests/under.py tests/stages/test_tda.py

pytest is in no stage's lock: it comes from .venvs/pytest (`make .venvs/pytest`), behind
the own packages of the stage, so that nothing that the stage imports comes from there.
"""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTEST = ROOT / ".venvs" / "pytest"


def main(arguments: list[str]) -> int:
    """pytest's exit code for its command-line arguments, from the repository root."""
    if not PYTEST.is_dir():
        print(f"error: {PYTEST}: no such folder; make .venvs/pytest", file=sys.stderr)
        return 2
    # Tiny networks on two threads that wait for each other beside other work take seconds a step.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.path[0] = str(ROOT)  # was tests/, whose folders would hide packages of the same name
    sys.path.append(str(PYTEST))
    import pytest

    return int(pytest.main(arguments))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
