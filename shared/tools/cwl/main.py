"""Write the stages in the Common Workflow Language, and the workflow prepare → tda (`make cwl`).

    .venvs/dev/bin/python -m shared.tools.cwl.main --runner docker --to cwl

Descriptions name the images of compose.yaml, or, for `cwltool --no-container`, the environments of
this checkout. Which stage has a network is what compose.yaml says.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import yaml

from shared import terminal
from shared.destination import make_folder
from shared.errors import StageError
from shared.tools import flags
from shared.tools.cwl import description, workflow
from shared.tools.cwl.description import Document, Start

HEAD = "#!/usr/bin/env cwl-runner\n# Written by `make cwl` from the signatures of the stages.\n"
RUNNERS = ("docker", "local")


def list_starts(root: Path, runner: str) -> dict[str, Start]:
    """How each stage of a checkout starts, by name.

    Args:
        root: the checkout, absolute.
        runner: docker or local.
    """
    services: dict[str, Any] = yaml.safe_load((root / "compose.yaml").read_text())["services"]
    network = {name: service["network_mode"] != "none" for name, service in services.items()}
    if runner == "docker":
        return {
            name: description.in_image(service["image"], network=network[name])
            for name, service in services.items()
        }
    return {
        name: description.in_environment(name, root, network=network[name]) for name in services
    }


def write(root: Path, runner: str, to: Path) -> list[Path]:
    """Write all descriptions and the workflow; their paths.

    Args:
        root: the checkout, absolute.
        runner: docker or local.
        to: folder; files of earlier calls are written over.

    Raises:
        StageError: `to` is no folder and cannot be made one.
    """
    make_folder(to)
    starts = list_starts(root, runner)
    documents = {
        signature.stage: description.describe(signature, starts[signature.stage])
        for signature in flags.read_signatures(root)
    }
    chained = workflow.chain(documents["prepare"], documents["tda"], "src")
    return [_write(to, document) for document in [*documents.values(), chained]]


def _write(to: Path, document: Document) -> Path:
    path = to / f"{document['id']}.cwl"
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)
    path.write_text(HEAD + text, encoding="utf-8")
    return path


def main(argv: list[str] | None = None) -> int:
    """Write the files of the checkout that is the present folder, and print their paths; 0 or 2."""
    parser = argparse.ArgumentParser(prog="shared.tools.cwl", description=__doc__.splitlines()[0])
    parser.add_argument("--runner", choices=RUNNERS, required=True)
    parser.add_argument("--to", type=Path, required=True, help="folder")
    given = parser.parse_args(argv)
    try:
        for path in write(Path.cwd(), given.runner, given.to):
            print(terminal.escape(str(path)))
    except StageError as error:
        return terminal.refuse(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
