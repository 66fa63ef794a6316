"""Runs the one stage of an image: ``python -m stages`` is ``python -m stages.NAME.main`` there.

An image holds one stage. In a checkout, where there are several, name the module.
"""

import runpy
import sys
import tempfile
from pathlib import Path


def main() -> None:
    """Run the only stage beside this file, as if its module had been named."""
    names = sorted(path.parent.name for path in Path(__file__).parent.glob("*/main.py"))
    if len(names) != 1:
        print(f"expected one stage here, found {len(names)}; run python -m stages.NAME.main")
        sys.exit(2)
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        print("error: /tmp: expected a folder to write in, found none; start the container with "
              "--tmpfs /tmp, as `docker compose run` does", file=sys.stderr)  # fmt: skip
        sys.exit(2)
    runpy.run_module(f"stages.{names[0]}.main", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
