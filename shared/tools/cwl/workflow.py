"""Two stages, one after the other, as a Workflow of CWL 1.2."""

from collections.abc import Mapping
from typing import Any

from shared.tools.cwl.description import VERSION, Document

# What travels with an input or an output of a workflow.
KEPT = ("type", "doc", "secondaryFiles")


def chain(first: Document, second: Document, link: str) -> Document:
    """The workflow that hands the product of one stage to another.

    Its inputs are those of both stages, named STAGE_PARAMETER; its outputs are both products.

    Args:
        first: description of a stage.
        second: description of a stage.
        link: parameter of the second that takes the product of the first.
    """
    steps = {stage["id"]: stage for stage in (first, second)}
    links = {(second["id"], link): f"{first['id']}/product"}
    return {
        "cwlVersion": VERSION,
        "class": "Workflow",
        "id": "-".join(steps),
        "doc": f"{first['id']}: {first['doc']} {second['id']}: {second['doc']}",
        "inputs": {
            _join(name, parameter): _keep(described)
            for name, stage in steps.items()
            for parameter, described in stage["inputs"].items()
            if (name, parameter) not in links
        },
        "steps": {name: _step(name, stage, links) for name, stage in steps.items()},
        "outputs": {
            _join(name, output): _keep(described) | {"outputSource": f"{name}/{output}"}
            for name, stage in steps.items()
            for output, described in stage["outputs"].items()
        },
    }


def _step(name: str, stage: Document, links: Mapping[tuple[str, str], str]) -> Document:
    inputs = {
        parameter: links.get((name, parameter), _join(name, parameter))
        for parameter in stage["inputs"]
    }
    return {"run": f"{name}.cwl", "in": inputs, "out": list(stage["outputs"])}


def _join(stage: str, parameter: str) -> str:
    return f"{stage.replace('-', '_')}_{parameter}"


def _keep(described: Mapping[str, Any]) -> Document:
    return {key: described[key] for key in KEPT if key in described}
