"""Checks the licences of all packages of the environments against licences.toml.

    python3 -m shared.tools.licences .venvs

Environments have the very packages of the images. A licence is what a package's metadata declare;
where they declare nothing, or one thing here and another there, licences.toml says what its files
show. Standard library only, and no package is imported.
"""

import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import distributions
from itertools import chain
from pathlib import Path
from typing import Any

import tomllib

from shared import terminal
from shared.errors import StageError

RULES = Path(__file__).with_suffix(".toml")
LONGEST = 60  # signs of a License field that names a licence; longer ones are its text
TRUE, FALSE = "true", "false"


@dataclass(frozen=True, order=True)
class Package:
    """One package of one environment, with what its metadata say about its licence."""

    name: str
    version: str
    environment: str
    says: tuple[str, ...]


@dataclass(frozen=True)
class Rules:
    """The content of licences.toml, whose comments explain it."""

    allowed: list[str]
    only: dict[str, list[str]]
    spellings: dict[str, str]
    packages: dict[str, dict[str, str]]

    def find_licence(self, package: Package) -> str:
        """The SPDX expression of a package.

        Raises:
            StageError: the metadata name no licence, or two that do not agree.
        """
        entry = self.packages.get(package.name, {})
        if entry.get("says") == (" | ".join(package.says) or f"nothing in {package.version}"):
            return entry["licence"]
        spelled = [self.spellings.get(text, text) for text in package.says]
        if not spelled:
            raise StageError("the metadata declare nothing")
        if not all(_agree(spelled[0], other) for other in spelled[1:]):
            raise StageError(f"the metadata do not agree: {' | '.join(package.says)}")
        return spelled[0]

    def allow(self, expression: str, environment: str) -> bool:
        """Whether an SPDX expression may be in an environment.

        OR asks for one side and AND for both; AND binds more strongly, parentheses most strongly.
        """
        while inner := re.search(r"\(([^()]*)\)", expression):
            known = TRUE if self.allow(inner[1], environment) else FALSE
            expression = expression[: inner.start()] + known + expression[inner.end() :]
        sides = [side.split(" AND ") for side in expression.split(" OR ")]
        return any(all(self._allow_one(word.strip(), environment) for word in s) for s in sides)

    def _allow_one(self, name: str, environment: str) -> bool:
        return name in (TRUE, *self.allowed) or environment in self.only.get(name, [])


def read_rules(path: Path = RULES) -> Rules:
    """The rules of a file such as licences.toml."""
    content: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    return Rules(**content)


def list_packages(environments: Path) -> Iterator[Package]:
    """The packages of all virtual environments that are folders of one."""
    for folder in sorted(environments.glob("*/lib/python3*/site-packages")):
        for found in distributions(path=[str(folder)]):
            fields = found.metadata
            name = re.sub("[-_.]+", "-", fields["Name"]).lower()
            yield Package(name, found.version, folder.parents[2].name, _list_statements(fields))


def check(packages: list[Package], rules: Rules) -> tuple[Counter[str], list[str]]:
    """How many packages have which licence, and one line about each one that may not be there."""
    counts: Counter[str] = Counter()
    wrong = []
    for package in sorted(packages):
        where = f"{package.name} {package.version} in {package.environment}"
        try:
            licence = rules.find_licence(package)
        except StageError as error:
            wrong.append(f"{where}: {error}; add what its files show to {RULES.name}")
            continue
        counts[licence] += 1
        if not rules.allow(licence, package.environment):
            wrong.append(f"{where}: expected a licence that {RULES.name} allows, found {licence}")
    return counts, wrong


def main(environments: Path) -> int:
    """Print counts and what is wrong; 0, 1 when something is, or 2 without environments."""
    packages = list(list_packages(environments))
    if not packages:
        print(f"error: {environments}: expected environments; make environments", file=sys.stderr)
        return 2
    counts, wrong = check(packages, read_rules())
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    lines = [f"{number:6}  {licence}" for licence, number in ordered]
    names = {package.environment for package in packages}
    total = f"{len(packages)} packages in {len(names)} environments, {len(wrong)} not as allowed"
    print(terminal.escape_lines("\n".join([*lines, total])))
    print("".join(f"{terminal.join_line(line)}\n" for line in wrong), end="", file=sys.stderr)
    return 1 if wrong else 0


def _list_statements(fields: Any) -> tuple[str, ...]:
    """Expression, licence in one line, and classifiers; texts of licences are left out."""
    written = fields.get_all("License-Expression", []) + fields.get_all("License", [])
    short = [text.strip() for text in written if "\n" not in text.strip()]
    parts = [text.split(" :: ") for text in fields.get_all("Classifier", [])]
    classes = [part[-1] for part in parts if part[0] == "License" and part[-1] != "OSI Approved"]
    named = [text for text in short if text not in ("", "UNKNOWN") and len(text) <= LONGEST]
    return tuple(dict.fromkeys(chain(named, classes)))


def _agree(one: str, other: str) -> bool:
    """Whether two expressions have a licence in common; "BSD" is any of its kind."""
    first, second = (re.split(r" AND | OR |[()]", text) for text in (one, other))
    return any(a.startswith(b) or b.startswith(a) for a in first if a for b in second if b)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
