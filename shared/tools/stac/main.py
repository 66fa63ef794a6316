"""Write STAC items of a network and of what it was made of, below DATA/stac (`make stac`).

.venvs/stac/bin/python -m shared.tools.stac.main data/demo/voyager/NAME --data data/demo
"""

import argparse
import json
import sys
from pathlib import Path

from shared import terminal
from shared.destination import make_folder
from shared.errors import StageError
from shared.tools.stac import item, lineage


def write(product: Path, root: Path) -> list[Path]:
    """Write the items of a product, of its network before that, up to the trained one; their paths.

    Args:
        product: folder with one network, of distill, teacher, export or voyager.
        root: data folder.

    Raises:
        StageError: not such a product, or not as its record says.
    """
    folder, source = root / "stac", ""
    networks = lineage.trace_networks(product, root)
    texts = {}
    for network in networks:
        name = item.name_item(network.path, root)
        content = item.make_item(network, name, folder, source)
        texts[folder / f"{name}.json"] = json.dumps(content, indent=1) + "\n"
        source = name
    make_folder(folder)
    for path, text in texts.items():
        path.write_text(text)
    return list(texts)


def main(argv: list[str] | None = None) -> int:
    """Write the items and print their paths; 0, or 2 when there is no such product."""
    parser = argparse.ArgumentParser(prog="shared.tools.stac", description=__doc__.splitlines()[0])
    parser.add_argument("product", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="data folder")
    given = parser.parse_args(argv)
    try:
        for path in write(given.product, given.data):
            print(terminal.escape(str(path)))
    except StageError as error:
        return terminal.refuse(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
