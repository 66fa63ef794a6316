"""XML of products, read without entities, external files or declarations of types."""

import re
from collections.abc import Iterator
from typing import Any

from shared.errors import StageError

DAY = re.compile(r"(?<!\d)(20\d\d)-?(0[1-9]|1[0-2])-?(0[1-9]|[12]\d|3[01])")


def parse(content: bytes, where: str) -> Any:
    """The root element of an XML file.

    Raises:
        StageError: cut, not XML, or with entities or a declaration of types, which no product has.
    """
    from xml.etree.ElementTree import ParseError

    from defusedxml import DefusedXmlException, ElementTree

    try:
        return ElementTree.fromstring(content, forbid_dtd=True)
    except DefusedXmlException as error:
        kind = type(error).__name__
        raise StageError(f"{where}: expected XML without entities, found some ({kind})") from None
    except (ParseError, ValueError, LookupError) as error:
        raise StageError(f"{where}: not a complete XML file ({error})") from None


def elements(root: Any, name: str) -> Iterator[Any]:
    """All elements of this name, whatever their namespace."""
    for element in root.iter():
        if isinstance(element.tag, str) and element.tag.rpartition("}")[2] == name:
            yield element


def text(root: Any, name: str) -> str:
    """Text of the first element of this name; "" if there is none."""
    return next(((e.text or "").strip() for e in elements(root, name)), "")


def number(root: Any, name: str, where: str) -> float | None:
    """Number of the first element of this name; None if there is none."""
    found = text(root, name)
    return to_number(found, f"{where}: {name}") if found else None


def to_number(found: str, where: str) -> float:
    """A finite number from text; StageError where it is none."""
    try:
        value = float(found)
    except ValueError:
        raise StageError(f"{where}: expected a number, found {found[:60]!r}") from None
    if not abs(value) < 1e9:
        raise StageError(f"{where}: expected a number, found {found[:60]!r}")
    return value


def find_date(name: str) -> str:
    """The first date in a name such as S2A_MSIL1C_20170527T102031, as 2017-05-27; "" for none."""
    match = DAY.search(name)
    return "-".join(match.groups()) if match else ""


def find_level(name: str) -> str:
    """L1C or L2A as a name such as S2A_MSIL2A_… or x_L1C_y says; "" when it says none or both."""
    found = {level for level in ("L1C", "L2A") if level in name.upper()}
    return found.pop() if len(found) == 1 else ""
