"""Command line to checked values. The only place that imports fire.

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
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import fire
from fire.core import FireExit
from fire.decorators import SetParseFns

from shared.cli import completion, help_text
from shared.cli.parameters import Parameter
from shared.cli.signature import Signature, read_signature
from shared.errors import StageError

HELP = {"-h", "--help"}
FLAG = re.compile(r"--|-$|-[A-Za-z]")  # what Fire does not take for a value


def collect(run: Callable[..., None], argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Values for every parameter of ``run``, typed and checked as it declares.

    Args:
        run: see `shared.cli.parameters`.
        argv: arguments; those of the process when None.

    Returns:
        value by flag; the fields of groups are not nested.

    Raises:
        StageError: unknown, repeated or missing flag; a value of another type, outside its range
            or not among its choices.
        SystemExit: 0 after printing help.
    """
    return collect_for(read_signature(run), sys.argv[1:] if argv is None else list(argv))


def collect_for(signature: Signature, tokens: list[str]) -> dict[str, Any]:
    """As `collect`, for a signature that was read already."""
    if HELP & set(tokens):
        print(help_text.render(signature), end="", flush=True)
        raise SystemExit(0)
    parameters = {parameter.name: parameter for parameter in signature.parameters}
    _check_flags(tokens, parameters)
    raw = _collect_raw(signature, tokens)
    given: dict[str, Any] = {}
    for name, parameter in parameters.items():
        if name in raw and raw[name] is not parameter.default:
            given[name] = convert(parameter, raw[name])
            parameter.check(given[name])
        elif parameter.required:
            raise StageError(f"--{name}: required, not given")
    said = completion.complete(signature.run, given)
    for name, value in said.items():
        parameters[name].check(value)
    usual = {name: parameter.default for name, parameter in parameters.items()}
    return usual | {**said} | given


def _check_flags(tokens: list[str], parameters: Mapping[str, Parameter]) -> None:
    """Refuse what Fire would accept silently or only after the run."""
    seen: set[str] = set()
    position = 0
    while position < len(tokens):
        flag, equals, _ = tokens[position].partition("=")
        name = _name(flag, parameters)
        if name in seen:
            raise StageError(f"--{name}: given twice")
        seen.add(name)
        position += 1
        if equals or flag[2:].replace("-", "_") != name:  # --name=value, or --noname
            continue
        if position < len(tokens) and not FLAG.match(tokens[position]):
            position += 1
        elif parameters[name].kind is not bool:
            expected = parameters[name].expectation()
            raise StageError(f"--{name}: expected {expected}, found nothing")


def _name(flag: str, parameters: Mapping[str, Parameter]) -> str:
    """The parameter that a flag sets; --noname is for switches."""
    name = flag[2:].replace("-", "_")
    if flag.startswith("--") and name in parameters:
        return name
    if flag.startswith("--no") and name[2:] in parameters and parameters[name[2:]].is_switch:
        return name[2:]
    near = difflib.get_close_matches(name, list(parameters), 1)
    hint = f"did you mean --{near[0]}?" if near else f"the flags are --{', --'.join(parameters)}"
    raise StageError(f"{flag}: no such flag; {hint}")


def _collect_raw(signature: Signature, tokens: list[str]) -> dict[str, Any]:
    """The text that Fire reads for each flag."""
    raw: dict[str, Any] = {}
    messages = io.StringIO()

    def stand_in(**values: Any) -> None:
        raw.update(values)

    keyword = inspect.Parameter.KEYWORD_ONLY
    stand_in.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(p.name, keyword, default=p.default) for p in signature.parameters]
    )
    stand_in.__name__ = signature.stage
    try:
        with contextlib.redirect_stderr(messages):
            SetParseFns(**{p.name: str for p in signature.parameters})(stand_in)
            fire.Fire(stand_in, command=tokens, name=signature.stage)
    except FireExit:
        raise StageError(_first_complaint(messages.getvalue())) from None
    return raw


def _first_complaint(messages: str) -> str:
    """Fire's first line in our form."""
    if missing := re.search(r"required (?:argument|flags?).*: \W*(\w+)", messages):
        return f"--{missing[1]}: required, not given"
    first = messages.strip().splitlines() or ["cannot read the command line"]
    return first[0].removeprefix("ERROR: ")


def convert(parameter: Parameter, text: Any) -> Any:
    """The typed value of one flag's text.

    Raises:
        StageError: the text is not of the declared type.
    """
    text = str(text)  # Fire answers --name and --noname with True and False
    text = parameter.former.get(text.lower(), text)
    if parameter.optional and text == "None":
        return None
    try:
        if parameter.several:
            return _convert_several(text, parameter.kind)
        return _convert_one(text, parameter.kind)
    except ValueError:
        expected = parameter.expectation()
        raise StageError(f"--{parameter.name}: expected {expected}, found {text!r}") from None


def _convert_several(text: str, kind: type) -> tuple[Any, ...]:
    if text[:1] + text[-1:] in ("()", "[]"):
        parts = [part.strip(" '\"") for part in text[1:-1].split(",")]
        return tuple(_convert_one(part, kind) for part in parts if part)
    return tuple(_convert_one(part.strip(), kind) for part in text.split(","))


def _convert_one(text: str, kind: type) -> Any:
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
