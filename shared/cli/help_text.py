"""The text of ``--help``: every flag with its type, range, default and whole description."""

import shutil
import textwrap
from pathlib import Path
from typing import Any

from shared.cli.parameters import Parameter
from shared.cli.signature import Signature

WIDEST = 100  # columns; longer lines are hard to read
NAMES = {Path: "PATH", str: "TEXT", int: "N", float: "X", bool: ""}
WORDS = {Path: "path", str: "text", int: "whole number", float: "number", bool: "switch"}
CLOSING = (
    "Write --name value or --name=value; a switch is --name or --noname. Several values are "
    "separated by commas. A flag that is unknown or given twice is refused before anything is read."
)


def render(signature: Signature, width: int | None = None) -> str:
    """The help of a stage.

    Args:
        signature: what it declares.
        width: columns; those of the terminal, at most `WIDEST`, when None.
    """
    width = width or min(WIDEST, shutil.get_terminal_size((WIDEST, 24)).columns)
    required = [p for p in signature.parameters if p.required]
    usage = " ".join([f"Usage: {signature.stage}", *(_synopsis(p) for p in required), "[flags]"])
    blocks = [_wrap(usage, width, "  ")]
    blocks += [_wrap(paragraph, width) for paragraph in signature.summary.split("\n\n")]
    for title, parameters in sections(signature).items():
        entries = [_entry(parameter, width) for parameter in parameters]
        blocks.append("\n".join([_wrap(title, width), *entries]))
    return "\n\n".join([*blocks, _wrap(CLOSING, width)]) + "\n"


def sections(signature: Signature) -> dict[str, list[Parameter]]:
    """Title to parameters: the required ones first, then those of `run`, then each group."""
    sections: dict[str, list[Parameter]] = {"Required:": [], "Optional:": []}
    for parameter in signature.parameters:
        title = parameter.group or "Optional:"
        sections.setdefault("Required:" if parameter.required else title, []).append(parameter)
    return {title: parameters for title, parameters in sections.items() if parameters}


def _synopsis(parameter: Parameter) -> str:
    name = NAMES[parameter.kind]
    shown = f"--{parameter.name} {name}".rstrip()
    return shown + (f",{name},…" if parameter.several else "")


def _entry(parameter: Parameter, width: int) -> str:
    """Flag, type and default in the first line, then the description."""
    flag = f"--{parameter.name}" if parameter.kind is bool else _synopsis(parameter)
    facts = [name_values(parameter)]
    if not parameter.required:
        facts.append(f"default: {name_default(parameter.default)}")
    head = _wrap(f"{flag}  ({'; '.join(facts)})", width - 2, "    ")
    return (
        textwrap.indent(head, "  ")
        + "\n"
        + textwrap.indent(_wrap(parameter.text, width - 6), " " * 6)
    )


def name_values(parameter: Parameter) -> str:
    """The values that a flag takes: type and range, or choices."""
    if parameter.choices:
        words = "one of " + ", ".join(map(str, parameter.choices))
    else:
        words = WORDS[parameter.kind] + (f", {parameter.limits}" if parameter.limits else "")
    return words + (", or several separated by commas" if parameter.several else "")


def name_default(value: Any) -> str:
    """A default as it would be written on the command line, or a word for it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return ",".join(map(str, value)) or "none"
    if isinstance(value, float):
        return f"{value:g}"
    return {None: "none", "": "empty"}.get(value, str(value))


def _wrap(text: str, width: int, further: str = "") -> str:
    return textwrap.fill(
        " ".join(text.split()), width, subsequent_indent=further,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
