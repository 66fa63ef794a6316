"""What a stage declares: its name, its parameters and their groups, read from its ``run``."""

import dataclasses
import inspect
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from shared.cli.docstrings import describe, summarise
from shared.cli.parameters import REQUIRED, Parameter, read_parameter
from shared.runs import production


@dataclasses.dataclass(frozen=True)
class Signature:
    """What a stage declares.

    Attributes:
        run: its function.
        stage: "sr-swinir" for the run of stages/sr_swinir/main.py.
        summary: docstring of ``run`` before ``Args:``.
        parameters: every flag, in the order of the signature.
        groups: argument of ``run`` to the dataclass that it takes.
    """

    run: Callable[..., None]
    stage: str
    summary: str
    parameters: tuple[Parameter, ...]
    groups: Mapping[str, type]

    def defaults(self) -> dict[str, Any]:
        """The parameters that have a default, with it."""
        return {p.name: p.default for p in self.parameters if not p.required}

    def call(self, values: Mapping[str, Any]) -> None:
        """Call ``run`` with flat values; the fields of each group are gathered."""
        arguments = dict(values)
        for name, group in self.groups.items():
            fields = [field.name for field in dataclasses.fields(group)]
            arguments[name] = group(**{f: arguments.pop(f) for f in fields if f in arguments})
        self.run(**arguments)

    def job(self, values: Mapping[str, Any]) -> production.Job:
        """What `production.produce` needs to know of one run with these values."""
        paths = {p.name for p in self.parameters if p.kind is Path}
        usual = self.defaults()
        before = {p.name: p.before for p in self.parameters if p.before is not None}
        return production.Job(
            stage=self.stage,
            dst=values["dst"],
            inputs={n: v for n, v in values.items() if n in paths and n != "dst"},
            parameters={n: v for n, v in values.items() if n not in {*paths, "dst"}},
            default_inputs={n: v for n, v in usual.items() if n in paths},
            default_parameters={n: v for n, v in (usual | before).items() if n not in paths},
            former={p.name: p.former for p in self.parameters if p.former},
            call=lambda dst: self.call({**values, "dst": dst}),
        )


def read_signature(run: Callable[..., None]) -> Signature:
    """What the signature and the docstrings of ``run`` declare."""
    hints = typing.get_type_hints(run, include_extras=True)
    texts, groups = describe(run), dict[str, type]()
    parameters: list[Parameter] = []
    for name, entry in inspect.signature(run).parameters.items():
        if entry.kind is inspect.Parameter.VAR_KEYWORD:
            continue
        if dataclasses.is_dataclass(hints[name]):
            groups[name] = hints[name]
            parameters += _fields(hints[name], entry.default)
        else:
            default, text = entry.default, texts.get(name, "")
            parameters.append(read_parameter(name, hints[name], default, text))
    names = [parameter.name for parameter in parameters]
    if repeated := {name for name in names if names.count(name) > 1}:
        raise TypeError(f"{stage_name(run)}: declared twice: {', '.join(sorted(repeated))}")
    return Signature(run, stage_name(run), summarise(run), tuple(parameters), groups)


def _fields(group: type, default: Any) -> list[Parameter]:
    """The fields of a group as parameters; a stage may have other defaults than the group."""
    hints = typing.get_type_hints(group, include_extras=True)
    texts, title = describe(group), summarise(group).partition("\n")[0]
    return [
        read_parameter(
            field.name,
            hints[field.name],
            getattr(default, field.name, REQUIRED),
            texts.get(field.name, ""),
            title,
        )
        for field in dataclasses.fields(group)
    ]


def stage_name(run: Callable[..., None]) -> str:
    """ "sr-swinir" for the run of stages/sr_swinir/main.py."""
    return Path(inspect.getfile(run)).resolve().parent.name.replace("_", "-")
