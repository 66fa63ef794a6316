"""What a Google docstring says: its summary, and the text of every parameter."""

import inspect
import re
from collections.abc import Callable
from typing import Any

SECTIONS = ("Args", "Attributes", "Raises", "Returns")
SECTION = re.compile(rf"^({'|'.join(SECTIONS)}):$", re.M)
ENTRY = re.compile(r"^    (\w+): ?", re.M)


def summarise(documented: Callable[..., Any] | type) -> str:
    """The docstring before its first section, paragraphs kept."""
    return SECTION.split(inspect.getdoc(documented) or "")[0].strip()


def describe(documented: Callable[..., Any] | type) -> dict[str, str]:
    """Name to text of what stands under ``Args:`` or ``Attributes:``, each text in one line."""
    parts = SECTION.split(inspect.getdoc(documented) or "")
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    body = sections.get("Args", sections.get("Attributes", ""))
    entries = ENTRY.split(body)[1:]
    return {
        name: " ".join(text.split())
        for name, text in zip(entries[0::2], entries[1::2], strict=True)
    }
