"""Whether a path is a file or a folder, as the description of its parameter says."""

import re
from typing import Literal

Kind = Literal["File", "Directory"]
SIGN = r"\bfolders?\b|\bfiles?\b|\bzip\b|\bJSON\b|\bsafetensors\b|\.[a-z]\w+"
FIRST = re.compile(rf"({SIGN})")
# What it may be as well: "or an ONNX file", "a --shard other than 1/1 a file", ", folders of".
OTHER = re.compile(rf"\b(?:an?|or)(?: [\w-]+)? ?({SIGN})|, (folders|files)\b")
BOTH: tuple[Kind, ...] = ("File", "Directory")


def read_kinds(text: str) -> tuple[Kind, ...]:
    """What a parameter of kind Path takes: a file, a folder, or either, as where it is not said.

    The first word for one of them counts ("folder with one ONNX file per member" is a folder), and
    each one that follows an article or an "or" ("model folder, or an ONNX file of others").

    Args:
        text: the description in the docstring of the stage.
    """
    signs = FIRST.findall(text)[:1]
    signs += [first or second for first, second in OTHER.findall(text)]
    found = ["Directory" if sign.startswith("folder") else "File" for sign in signs]
    return tuple(kind for kind in BOTH if kind in found) or BOTH
