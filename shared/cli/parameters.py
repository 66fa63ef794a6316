"""How a stage declares its parameters, and how each value is checked.

A parameter of ``run`` has a plain type: ``Path``, ``str``, ``int``, ``float``, ``bool``, a tuple of
one of these (several values, separated by commas), a ``Literal`` (one of some choices), or any of
them with ``| None``. ``Annotated`` adds the range that is accepted, choices that are read from data
(`one_of`), or what values were called before (`formerly`). Parameters that belong together, or that
several stages share, stand in a frozen dataclass; its fields become flags like all others. A
default need not be among the values that are accepted: ``heads: Annotated[int, at_least(1)] = 0``
takes 0 for "as published"::

    @dataclass(frozen=True)
    class Schedule:
        '''How the learning rate changes.

        Attributes:
            epochs: passes over the training rows.
            decay: how the rate falls.
        '''

        epochs: Annotated[int, at_least(1)] = 12
        decay: Literal["cosine", "constant"] = "constant"

    def run(*, src: Path, dst: Path, scale: Annotated[int, between(2, 4)] = 2,
            schedule: Schedule = Schedule()) -> None:
        '''Train something.

        Args:
            src: patch file.
            dst: folder to write.
            scale: factor on height and width.
        '''

gives ``--src --dst --scale --epochs --decay``. The docstring of ``run`` describes its plain
parameters under ``Args:``, that of a group its fields under ``Attributes:``; the first line of a
group's docstring is its title in ``--help``. Only conditions between two flags are left to the
stage.
"""

import dataclasses
import inspect
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shared.cli.annotations import Choices, Former, Gained, Range
from shared.errors import StageError

REQUIRED = inspect.Parameter.empty
WRAPPERS = (typing.Annotated, types.UnionType, typing.Union, tuple)  # around a plain type
KINDS = {
    Path: "a path",
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
}


@dataclasses.dataclass(frozen=True)
class Parameter:
    """One flag.

    Attributes:
        name: of the parameter; the flag is ``--name``.
        kind: Path, str, int, float or bool.
        several: whether it is a tuple of those.
        optional: whether None is accepted.
        choices: the only values that are accepted, if they are listed.
        limits: the range of its numbers, if there is one.
        former: value of before, as it was spelt, to what it is called now.
        before: what records without the parameter count as; None for the default.
        default: `REQUIRED` when there is none.
        text: its description.
        group: title of the group it belongs to, "" for a parameter of ``run`` itself.
    """

    name: str
    kind: type
    several: bool = False
    optional: bool = False
    choices: tuple[Any, ...] = ()
    limits: Range | None = None
    former: Mapping[str, str] = dataclasses.field(default_factory=dict)
    before: str | None = None
    default: Any = REQUIRED
    text: str = ""
    group: str = ""

    @property
    def is_switch(self) -> bool:
        """Whether --noname is a way to say false; that of a former switch still is."""
        return self.kind is bool or "false" in self.former

    @property
    def required(self) -> bool:
        """Whether the flag must be given."""
        return self.default is REQUIRED

    def expectation(self) -> str:
        """A few words for the values that are accepted, for messages."""
        words = KINDS[self.kind]
        if self.choices:
            *most, last = map(str, self.choices)
            words = f"{', '.join(most)} or {last}" if most else last
        elif self.limits:
            words = str(self.limits)
        return words + (" or several, separated by commas" if self.several else "")

    def check(self, value: Any) -> None:
        """Refuse a value other than the default that is not accepted, or none at all.

        Raises:
            StageError: says what was expected.
        """
        if value is None or value == self.default:
            return
        if self.required and value == ():
            raise StageError(f"--{self.name}: expected {self.expectation()}, found none")
        for item in value if self.several else (value,):
            if (self.choices and item not in self.choices) or (
                self.limits and item not in self.limits
            ):
                raise StageError(f"--{self.name}: expected {self.expectation()}, found {item!r}")


def read_parameter(
    name: str, hint: Any, default: Any = REQUIRED, text: str = "", group: str = ""
) -> Parameter:
    """One parameter by its annotation."""
    limits, listed, former, optional, several = None, Choices(()), Former({}), False, False
    before: Gained | None = None
    while (origin := typing.get_origin(hint)) in WRAPPERS:
        inner = typing.get_args(hint)
        if origin is typing.Annotated:
            extras = {type(extra): extra for extra in hint.__metadata__}
            limits, listed = extras.get(Range, limits), extras.get(Choices, listed)
            former, before = extras.get(Former, former), extras.get(Gained, before)
        elif origin is not tuple:
            optional = type(None) in inner
        several |= origin is tuple
        hint = next(part for part in inner if part is not type(None))
    literal = origin is typing.Literal
    choices = typing.get_args(hint) if literal else listed.values
    kind = type(choices[0]) if literal else hint
    if kind not in KINDS:
        raise TypeError(f"{name}: {hint} is not a type that a command line can give")
    return Parameter(
        name, kind, several=several, optional=optional, choices=choices, limits=limits,
        former=former.names, before=before.value if before else None, default=default, text=text,
        group=group,
    )  # fmt: skip
