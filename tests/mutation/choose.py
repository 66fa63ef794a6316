"""Which tests are asked of a mutant: those that run its lines, quickest first.

A line that runs while a file is imported (a constant, a default, a field, a decorator) counts for
every test, so there the tests are taken that run what uses its name.
"""

import ast
import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

BUDGET = 180.0  # seconds of tests, as measured, that one mutant is worth


@dataclass(frozen=True)
class Spot:
    """Where a mistake shows.

    Attributes:
        lines: of the same file, which tests may run; empty where only names help.
        names: what the lines define while the file is imported.
    """

    lines: frozenset[int]
    names: frozenset[str] = frozenset()


def changed_lines(old: str, new: str) -> set[int]:
    """Numbers of the lines of `old`, from 1, that differ in `new`; empty ones if no other does."""
    before = old.splitlines()
    blocks = difflib.SequenceMatcher(None, before, new.splitlines(), autojunk=False)
    lines: set[int] = set()
    for kind, begin, end, *_ in blocks.get_opcodes():
        if kind != "equal":
            lines.update(range(begin + 1, max(end, begin + 1) + 1))
    return {n for n in lines if n > len(before) or before[n - 1].strip()} or lines


def locate(source: str, lines: Iterable[int]) -> list[Spot]:
    """Where changed lines show: in their statements, or in what bears the names they define."""
    tree = ast.parse(source)
    return [_locate(tree, line) for line in sorted(lines)]


def _locate(tree: ast.Module, line: int) -> Spot:
    chain = _statements(tree, line)
    if not chain:
        return Spot(frozenset())
    inner, outer = chain[-1], chain[:-1]
    if any(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) for node in outer):
        return Spot(frozenset(range(_first(inner), _last(inner) + 1)))
    if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):  # a default or a decorator
        return Spot(frozenset(range(inner.body[0].lineno, (inner.end_lineno or line) + 1)))
    if isinstance(inner, ast.ClassDef):
        return Spot(frozenset(), frozenset({inner.name}))
    targets = [node for node in ast.walk(inner) if isinstance(node, ast.Name)]
    stored = {node.id for node in targets if isinstance(node.ctx, ast.Store)}
    return Spot(frozenset(), frozenset(stored))


def _statements(tree: ast.Module, line: int) -> list[ast.stmt]:
    """The statements that hold a line, the outermost first."""
    found = [
        node for node in ast.walk(tree)
        if isinstance(node, ast.stmt) and _first(node) <= line <= (node.end_lineno or 0)
    ]  # fmt: skip
    return sorted(found, key=lambda node: (_first(node), -(node.end_lineno or 0)))


def _first(node: ast.stmt) -> int:
    return min([node.lineno, *(of.lineno for of in getattr(node, "decorator_list", []))])


def _last(node: ast.stmt) -> int:
    """The last line of a statement, of one with a body the last of its head."""
    body = getattr(node, "body", [])
    return max(node.lineno, body[0].lineno - 1) if body else node.end_lineno or node.lineno


def mentions(source: str, names: Iterable[str]) -> set[int]:
    """Numbers of the lines that hold one of the names."""
    word = re.compile(rf"\b({'|'.join(map(re.escape, names))})\b")
    return {number for number, text in enumerate(source.splitlines(), 1) if word.search(text)}


def find_tests(
    path: str,
    spots: Iterable[Spot],
    sources: Mapping[str, str],
    running: Callable[[str], Mapping[int, set[str]]],
) -> set[str]:
    """Names of the tests, and of files of tests, that run what a mistake changes.

    Args:
        path: of the file with the mistake.
        spots: where it shows.
        sources: every file where the names may be used.
        running: the tests that run each line of a file.
    """
    found: set[str] = set()
    for spot in spots:
        looked = {path: set(spot.lines)}
        if spot.names:
            looked = {name: mentions(text, spot.names) for name, text in sources.items()}
        for name, lines in looked.items():
            by_line = running(name) if lines else {}
            found.update(test for line in lines for test in by_line.get(line, ()))
    return found - {""}


def rank(
    found: set[str], near: set[str], seconds: Mapping[str, float], budget: float = BUDGET
) -> list[str]:
    """The tests to ask, as many as the budget allows and at least one, in this order.

    Args:
        found: tests, and files of which every test counts.
        near: tests, and files of them, that concern the file with the mistake: they come first.
        seconds: of each test that passes, and what the fixtures of a file take beside them.
        budget: seconds.
    """
    files, chosen, spent = set[str](), list[str](), 0.0
    tests = [name for name in seconds if "::" in name and {name, file_of(name)} & found]

    def order(name: str) -> tuple[bool, float, str]:
        return not {name, file_of(name)} & near, seconds[name], name

    for test in sorted(tests, key=order):
        spent += seconds[test] + (0 if file_of(test) in files else seconds.get(file_of(test), 0))
        if spent > budget and chosen:
            break
        files.add(file_of(test))
        chosen.append(test)
    return chosen


def file_of(test: str) -> str:
    """The file of a test by its name."""
    return test.partition("::")[0]
