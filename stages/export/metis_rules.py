"""What each version of the SDK compiles, as its public documents say: ``metis/VERSION.toml``.

A profile lists operators, and rules for some of them. Of ``all`` conditions of a rule each must
hold; of ``any`` one, where an inner list holds if all in it do. A profile may keep rules of
another one, which its own document states alike. ``file.toml`` is about files, of any version.
"""

import dataclasses
import functools
import re
from pathlib import Path
from typing import Any

import tomllib

from stages.export.metis_case import Case
from stages.export.metis_conditions import holds

FOLDER = Path(__file__).with_name("metis")
VERSIONS = ("1.2", "1.6", "1.8")
NEWEST = VERSIONS[-1]
ACCELERATED, HOST, REFUSED = VERDICTS = ("accelerated", "host", "refused")
FIELD = re.compile(r"\{([^{}:]+)(?::([^{}]+))?\}")


@dataclasses.dataclass(frozen=True)
class Rule:
    """One rule of a document.

    Attributes:
        name: unique within the profile.
        document: where it stands.
        operators: that it is about.
        attribute: of the node, or what of it is meant: "shape", "input", "output".
        message: what is there, in braces, and what was expected.
        remedy: how to get rid of a violation.
        alternatives: lists of conditions; it holds where all conditions of one list do.
    """

    name: str
    document: str
    operators: tuple[str, ...]
    attribute: str
    message: str
    remedy: str
    alternatives: tuple[tuple[dict[str, Any], ...], ...]

    def allows(self, case: Case) -> bool:
        """Whether a node is as the rule wants it."""
        return any(all(holds(case, one) for one in some) for some in self.alternatives)

    def describe(self, case: Case) -> str:
        """The message, with what the node has."""
        return FIELD.sub(lambda found: _show(case.value(found[1]), found[2] or ""), self.message)


@dataclasses.dataclass(frozen=True)
class Profile:
    """One version of the SDK.

    Attributes:
        operators: the first opset for which each is listed.
        rules: in the order of their names in the file.
        unlisted: verdict for operators that are not listed, and what is said of them.
        outside: verdict for a listed operator that breaks a rule.
        remedies: for operators that are not listed; "default" for all others.
        documents: of its rules, where each list of operators and rules stands.
        unchecked: what they ask, or what happens there, that no look at a file can tell.
    """

    operators: dict[str, int]
    rules: dict[str, Rule]
    unlisted: tuple[str, str]
    outside: str
    remedies: dict[str, str]
    documents: tuple[str, ...]
    unchecked: tuple[str, ...]

    def rules_of(self, operator: str) -> list[Rule]:
        """The rules about one operator."""
        return [rule for rule in self.rules.values() if operator in rule.operators]


@functools.cache
def load(version: str) -> Profile:
    """The profile of one of `VERSIONS`."""
    content = tomllib.loads((FOLDER / f"{version}.toml").read_text(encoding="utf-8"))
    documents, rules = content["documents"], dict[str, Rule]()
    for other, names in content.get("kept", {}).items():
        if other != "document":
            document = documents[content["kept"]["document"]]
            theirs = load(other).rules
            rules |= {n: dataclasses.replace(theirs[n], document=document) for n in names}
    for name, entry in content["rules"].items():
        if name in rules:
            raise ValueError(f"{version}.toml: {name}: both kept and its own")
        rules[name] = _rule(name, entry, documents)
    listed = {name: int(opset) for opset, some in content["operators"].items() for name in some}
    unlisted = content["unlisted"], content["unlisted_message"]
    return Profile(
        operators=listed, rules=rules, unlisted=unlisted, outside=content["outside"],
        remedies=content["remedies"], documents=tuple(documents.values()),
        unchecked=tuple(content["unchecked"]),
    )  # fmt: skip


@functools.cache
def load_file_rules() -> dict[str, Any]:
    """What is asked of files: opsets, IR version, and a remedy for each violation."""
    return tomllib.loads((FOLDER / "file.toml").read_text(encoding="utf-8"))


def _rule(name: str, entry: dict[str, Any], documents: dict[str, str]) -> Rule:
    lists = [entry["all"]] if "all" in entry else entry["any"]
    alternatives = tuple(tuple(some) if isinstance(some, list) else (some,) for some in lists)
    texts = {key: entry[key] for key in ("attribute", "message", "remedy")}
    return Rule(
        name=name, document=documents[entry["document"]], operators=tuple(entry["operators"]),
        alternatives=alternatives, **texts,
    )  # fmt: skip


def _show(value: Any, form: str) -> str:
    return format(value, form) if isinstance(value, float) else str(value)
