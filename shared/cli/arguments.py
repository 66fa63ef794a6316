"""Command line to checked keyword arguments. The only place that imports fire.

Fire runs a function with its defaults before it rejects a misspelt flag, ignores annotations, takes
the last of two equal flags and turns a flag without a value into True. So the flags are checked
before Fire sees them, and Fire gets a stand-in that only collects raw text, typed here.
"""

import contextlib
import difflib
import inspect
import io
import math
import re
import sys
import types
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import fire
from fire.core import FireExit
from fire.decorators import SetParseFns

from shared.errors import StageError

KINDS = {
    Path: "a path",
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
}
HELP = {"-h", "--help"}
SHORT = re.compile(r"(?<=    )-\w, (?=--)")  # flags of one letter, which are not taken
FLAG = re.compile(r"--|-$|-[A-Za-z]")  # what Fire does not take for a value


def stage_name(run: Callable[..., None]) -> str:
    """ "sr-swinir" for the run of stages/sr_swinir/main.py."""
    return Path(inspect.getfile(run)).resolve().parent.name.replace("_", "-")


def defaults(run: Callable[..., None]) -> dict[str, Any]:
    """The parameters of ``run`` that have a default, with it."""
    found = inspect.signature(run).parameters.items()
    return {name: p.default for name, p in found if p.default is not inspect.Parameter.empty}


def collect(run: Callable[..., None], argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Values for every parameter of ``run``, typed by its annotations.

    Args:
        run: keyword-only function with annotated parameters.
        argv: arguments; those of the process when None.

    Raises:
        StageError: unknown, repeated or missing flag, a value that is not of the annotated type.
        SystemExit: 0 after printing help.
    """
    tokens = list(sys.argv[1:] if argv is None else argv)
    hints = {name: kind for name, kind in typing.get_type_hints(run).items() if name != "return"}
    if HELP & set(tokens):
        _help(run)
    _check(tokens, hints)
    raw = _raw(run, tokens)
    values: dict[str, Any] = {}
    for name, parameter in inspect.signature(run).parameters.items():
        given = name in raw and raw[name] is not parameter.default
        values[name] = convert(name, raw[name], hints[name]) if given else parameter.default
        if values[name] is inspect.Parameter.empty:
            raise StageError(f"--{name}: required, not given")
    return values


def _check(tokens: list[str], hints: dict[str, Any]) -> None:
    """Refuse what Fire would take silently or only after the run."""
    seen: set[str] = set()
    place = 0
    while place < len(tokens):
        flag, equals, _ = tokens[place].partition("=")
        name = _name(flag, hints)
        if name in seen:
            raise StageError(f"--{name}: given twice")
        seen.add(name)
        place += 1
        if equals or flag[2:].replace("-", "_") != name:  # --name=value, or --noname
            continue
        if place < len(tokens) and not FLAG.match(tokens[place]):
            place += 1
        elif hints[name] is not bool:
            raise StageError(f"--{name}: expected {described(hints[name])}, found nothing")


def _name(flag: str, hints: dict[str, Any]) -> str:
    """The parameter that a flag sets; --noname is for booleans."""
    name = flag[2:].replace("-", "_")
    if flag.startswith("--") and name in hints:
        return name
    if flag.startswith("--no") and hints.get(name[2:]) is bool:
        return name[2:]
    near = difflib.get_close_matches(name, list(hints), 1)
    hint = f"did you mean --{near[0]}?" if near else f"flags are --{', --'.join(hints)}"
    raise StageError(f"{flag}: no such flag; {hint}")


def _standing_in(run: Callable[..., None], found: dict[str, Any]) -> Callable[..., None]:
    def stand_in(**given: Any) -> None:
        found.update(given)

    signature = inspect.signature(run)
    stand_in.__signature__ = signature  # type: ignore[attr-defined]
    stand_in.__doc__, stand_in.__name__ = run.__doc__, stage_name(run)
    return stand_in


def _help(run: Callable[..., None]) -> typing.NoReturn:
    heard = io.StringIO()
    with contextlib.redirect_stderr(heard), contextlib.suppress(FireExit):
        fire.Fire(_standing_in(run, {}), command=["--", "--help"], name=stage_name(run))
    print(SHORT.sub("", heard.getvalue()), end="", flush=True)
    raise SystemExit(0)


def _raw(run: Callable[..., None], tokens: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    heard = io.StringIO()
    try:
        with contextlib.redirect_stderr(heard):
            stand_in = _standing_in(run, found)
            SetParseFns(**dict.fromkeys(inspect.signature(run).parameters, str))(stand_in)
            fire.Fire(stand_in, command=tokens, name=stage_name(run))
    except FireExit:
        raise StageError(_complaint(heard.getvalue())) from None
    return found


def _complaint(heard: str) -> str:
    """Fire's first line, said in our form."""
    if missing := re.search(r"required (?:argument|flags?).*: \W*(\w+)", heard):
        return f"--{missing[1]}: required, not given"
    first = heard.strip().splitlines() or ["cannot read the command line"]
    return first[0].removeprefix("ERROR: ")


def members(hint: Any) -> tuple[Any, bool, bool]:
    """Plain type of an annotation, whether it is a tuple of those, whether None is allowed."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        kind, several, _ = members(next(part for part in inner if part is not type(None)))
        return kind, several, type(None) in inner
    return (inner[0], True, False) if origin is tuple else (hint, False, False)


def described(hint: Any) -> str:
    """A few words for the values that an annotation allows."""
    kind, several, _ = members(hint)
    return KINDS[kind] + (" or several, with commas" if several else "")


def convert(name: str, text: Any, hint: Any) -> Any:
    """Raw text of one flag to its annotated type: Path str int float bool, tuples, or None."""
    kind, several, optional = members(hint)
    text = str(text)
    if optional and text == "None":
        return None
    try:
        return _tuple(text, kind) if several else _scalar(text, kind)
    except ValueError:
        raise StageError(f"--{name}: expected {described(hint)}, found {text!r}") from None


def _tuple(text: str, kind: type) -> tuple[Any, ...]:
    if text[:1] + text[-1:] in ("()", "[]"):
        parts = [part.strip(" '\"") for part in text[1:-1].split(",")]
        return tuple(_scalar(part, kind) for part in parts if part)
    return tuple(_scalar(part.strip(), kind) for part in text.split(","))


def _scalar(text: str, kind: type) -> Any:
    if kind is bool:
        if text.lower() not in ("true", "false", "1", "0"):
            raise ValueError(text)
        return text.lower() in ("true", "1")
    if kind is Path and not text:
        raise ValueError(text)
    value = kind(text)
    if kind is float and not math.isfinite(value):
        raise ValueError(text)
    return value
