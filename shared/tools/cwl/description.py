"""A stage as a CommandLineTool of the Common Workflow Language 1.2 (CWL), from its signature."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared import cli
from shared.cli import help_text
from shared.tools.cwl.kinds import read_kinds

VERSION = "v1.2"
RECORD = ".run.json"
# Of inputs, for a large one need not be hashed again, and merge looks at the plans of shards; of
# products in the same words, since cwltool warns where what one stage hands to another differs.
BESIDE = {"pattern": RECORD, "required": False}
TYPES = {int: "long", float: "double", bool: "boolean", str: "string"}
NAME = "name of the product in the folder of outputs, without a folder; "
CODE = "/app"  # where the code lies in an image
Document = dict[str, Any]


@dataclass(frozen=True)
class Start:
    """How a stage starts.

    Attributes:
        requirements: of CWL: the image, or none in a local environment; the variables, the network.
        words: the program and its first arguments; () where the image has them.
    """

    requirements: Mapping[str, Any]
    words: tuple[str, ...] = ()


def in_image(image: str, *, network: bool) -> Start:
    """A stage in its image, which the engine must have: no registry is asked for one of ours.

    Args:
        image: its name.
        network: whether the stage fetches anything.
    """
    # The image starts the stage itself, but CWL runs it in a folder of outputs, not in /app.
    variables = {"PYTHONPATH": CODE, "STAGE_VOLUME": "$(runtime.outdir)"}
    return Start({"DockerRequirement": {"dockerImageId": image}, **_common(variables, network)})


def in_environment(stage: str, root: Path, *, network: bool) -> Start:
    """A stage in the virtual environment of a checkout.

    Args:
        stage: its name.
        root: the checkout, absolute.
        network: whether the stage fetches anything.
    """
    module = stage.replace("-", "_")
    python = str(root / ".venvs" / module / "bin" / "python")
    words = (python, "-m", f"stages.{module}.main")
    return Start(_common({"PYTHONPATH": str(root)}, network), words)


def _common(variables: Mapping[str, str], network: bool) -> Document:
    return {
        "EnvVarRequirement": {"envDef": dict(variables)},
        "NetworkAccess": {"networkAccess": network},
    }


def describe(signature: cli.Signature, start: Start) -> Document:
    """The description of a stage.

    Args:
        signature: what the stage declares.
        start: how it starts.
    """
    parameters = [p for p in signature.parameters if p.name != "dst"]
    (dst,) = [p for p in signature.parameters if p.name == "dst"]
    return {
        "cwlVersion": VERSION,
        "class": "CommandLineTool",
        "id": signature.stage,
        "doc": " ".join(signature.summary.split()),
        "requirements": dict(start.requirements),
        **({"baseCommand": list(start.words)} if start.words else {}),
        "inputs": {
            "dst": {"type": "string", "doc": NAME + dst.text, "inputBinding": _binding("dst")},
            **{parameter.name: describe_input(parameter) for parameter in parameters},
        },
        "outputs": describe_outputs(dst),
    }


def describe_input(parameter: cli.Parameter) -> Document:
    """One parameter: its type, what it means, the flag. What is not given keeps its default."""
    kinds = list(read_kinds(parameter.text)) if parameter.kind is Path else []
    one: Any = kinds[0] if len(kinds) == 1 else kinds or TYPES.get(parameter.kind)
    if parameter.choices and parameter.kind is str:
        one = {"type": "enum", "symbols": list(parameter.choices)}
    whole = _shape(one, several=parameter.several, optional=not parameter.required)
    binding = _binding(parameter.name)
    if parameter.several:
        binding["itemSeparator"] = ","
    if parameter.kind is bool:  # CWL leaves out a switch that is false
        binding = {"valueFrom": f"--{parameter.name}=$(self)"}
    described = {"type": whole, "doc": _explain(parameter), "inputBinding": binding}
    if kinds == ["File"]:
        described["secondaryFiles"] = [dict(BESIDE)]
    return described


def _shape(one: Any, *, several: bool, optional: bool) -> Any:
    """The type of a list, or of what may be left out; in the short form of CWL where it has one."""
    if isinstance(one, str):
        return one + "[]" * several + "?" * optional
    whole = {"type": "array", "items": one} if several else one
    return ["null", *(whole if isinstance(whole, list) else [whole])] if optional else whole


def describe_outputs(dst: cli.Parameter) -> Document:
    """The product and its record, which CWL can keep beside a file, but not beside a folder."""
    kinds = list(read_kinds(dst.text))
    product = {"type": kinds if len(kinds) > 1 else kinds[0],
               "outputBinding": {"glob": "$(inputs.dst)"}}  # fmt: skip
    if kinds == ["File"]:
        return {"product": product | {"secondaryFiles": [dict(BESIDE)]}}
    record = {"type": "File", "outputBinding": {"glob": f"$(inputs.dst){RECORD}"}}
    return {"product": product, "record": record}


def _binding(name: str) -> Document:
    """--name=value in one word, so that a value may begin with a minus sign."""
    return {"prefix": f"--{name}=", "separate": False}


def _explain(parameter: cli.Parameter) -> str:
    """The description, with the values and the default that a path has none of."""
    facts = [] if parameter.kind is Path else [help_text.name_values(parameter)]
    if not parameter.required and parameter.kind is not Path:
        facts.append(f"default: {help_text.name_default(parameter.default)}")
    return parameter.text + (f" ({'; '.join(facts)})" if facts else "")
