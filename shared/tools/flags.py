"""Write docs/flags.md: the flags of every stage, from the signatures of the code (`make flags`).

A contract test compares the file with the code, so that no default, range or choice changes unseen.
"""

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from shared import cli
from shared.cli import help_text

PLACE = Path("docs", "flags.md")
HEAD = """# Flags

Every flag of every stage: the values that it takes, its default, and what it means. `--help` of a
stage says the same, and its README, which each heading links to, shows the stage at work.
`make flags` writes this page from the signatures in the code; a test compares the two.

Write `--name value` or `--name=value`; a switch is `--name` or `--noname`. Several values are
separated by commas, and `None` stands for an optional value that is not set. A flag that is unknown
or given twice, and a value outside its range or choices, is refused before anything is read. In the
pipeline, `FLAGS-STAGE` adds flags to a stage: `make tda FLAGS-tda="--bins 20"`
([usage.md](usage.md)).
"""


def read_signatures(root: Path) -> list[cli.Signature]:
    """What every stage of a checkout declares, by name; modules come from the import path."""
    names = sorted(path.parent.name for path in root.glob("stages/*/main.py"))
    return [cli.read_signature(importlib.import_module(f"stages.{n}.main").run) for n in names]


def render(signatures: Sequence[cli.Signature]) -> str:
    """The page: how flags are written, the stages, and the section of each one."""
    links = " · ".join(f"[{of.stage}](#{of.stage})" for of in signatures)
    return "\n".join([HEAD, links, "", *map(render_stage, signatures)])


def render_stage(signature: cli.Signature) -> str:
    """The section of one stage: its summary, and a table of each group of flags."""
    readme = f"../stages/{signature.stage.replace('-', '_')}/README.md"
    summary = signature.summary.partition("\n\n")[0]
    lines = [f"## [{signature.stage}]({readme})", "", " ".join(summary.split()), ""]
    for title, parameters in help_text.sections(signature).items():
        lines += [f"**{title.rstrip(':.')}**", ""]
        lines += ["| flag | value | default | meaning |", "| --- | --- | --- | --- |"]
        lines += [_row(parameter) for parameter in parameters] + [""]
    return "\n".join(lines)


def _row(parameter: cli.Parameter) -> str:
    values = help_text.name_values(parameter)
    cells = [f"`--{parameter.name}`", values, _default(parameter), parameter.text]
    escaped = [cell.replace("|", r"\|") for cell in cells]
    return f"| {' | '.join(escaped)} |"


def _default(parameter: cli.Parameter) -> str:
    """The default, as code where it can be written on the command line."""
    if parameter.required:
        return ""
    shown, worded = help_text.name_default(parameter.default), (None, "", ())
    return shown if parameter.kind is bool or parameter.default in worded else f"`{shown}`"


def main() -> int:
    """Write the page of the checkout that is the present folder, and name it."""
    PLACE.write_text(render(read_signatures(Path.cwd())), encoding="utf-8")
    print(PLACE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
