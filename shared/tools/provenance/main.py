"""Writes where a product comes from: PROV-JSON and a picture, below DATA/provenance.

python3 -m shared.tools.provenance.main data/demo/voyager/student-separable --data data/demo

Standard library only: it runs with the machine's own Python, before any environment is made.
"""

import argparse
import json
import sys
from pathlib import Path

from shared import terminal
from shared.destination import make_folder
from shared.errors import StageError
from shared.tools.provenance import chain, picture, prov


def main(argv: list[str] | None = None) -> int:
    """Write both files and print their paths; 0, or 2 when the product has no record."""
    parser = argparse.ArgumentParser(
        prog="shared.tools.provenance", description=__doc__.splitlines()[0]
    )
    parser.add_argument("product", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="data folder")
    arguments = parser.parse_args(argv)
    folder = arguments.data / "provenance"
    try:
        traced = chain.trace(arguments.product, arguments.data)
        make_folder(folder)
    except StageError as error:
        return terminal.refuse(error)
    name = "-".join(arguments.product.relative_to(arguments.data).parts)
    texts = {
        "json": json.dumps(prov.as_prov(traced), indent=1) + "\n",
        "svg": picture.as_svg(traced, arguments.data),
    }
    for ending, text in texts.items():
        path = folder / f"{name}.{ending}"
        path.write_text(text)
        print(terminal.escape(str(path)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
