"""Mutants: one small mistake each, by the operators of Cosmic Ray and one of our own.

A place is what one mistake can be made at, such as a plus sign. A draw takes places, each as likely
as any other, and one of the mistakes there: an operator with eleven replacements is one place.
"""

import ast
import difflib
import random
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KEYWORD = "DropKeyword"
NEED_ARGUMENTS = {"core/VariableInserter", "core/VariableReplacer"}
# Lines whose mutants say nothing: whoever imports them does not run them; frozen is for readers;
# how much is read at once, and how often something is told, changes no result.
SKIPPED = re.compile(
    r"\b(__name__|TYPE_CHECKING)\b|@(dataclasses\.)?dataclass\("
    r"|^(BLOCK|BLOCK_BYTES|PIECE_BYTES|LAYER_BYTES|READ_BYTES) = .*2\*\*"
    r"|^BATCH = .* (at once|then written)|^(MALLOPT|EVERY|INTERVAL) = "
)
# What no test can see: strict of zip asserts what we know of lengths, check=False is the default.
SILENT = re.compile(r"\b(strict=(True|False)|check=False)(, )?")


@dataclass(frozen=True, order=True)
class Mutant:
    """One mistake in one file.

    Attributes:
        path: of the file, relative to the root.
        kind: the operator without its variant, such as "ReplaceBinaryOperator_Add".
        source: the file with the mistake.
        old: lines that differ, as they are.
        new: the same with the mistake.
    """

    path: str
    kind: str
    source: str
    old: str
    new: str

    def diff(self) -> str:
        """The mistake as a unified diff."""
        before = (ROOT / self.path).read_text().splitlines(keepends=True)
        after = self.source.splitlines(keepends=True)
        return "".join(difflib.unified_diff(before, after, self.path, self.path, n=1))


def list_files() -> list[str]:
    """Files to make mistakes in: shared, and the wiring of the stages."""
    paths = [*ROOT.glob("shared/**/*.py")]
    paths += [path for name in ("main", "settings") for path in ROOT.glob(f"stages/*/{name}.py")]
    named = (path.relative_to(ROOT).as_posix() for path in paths)
    return sorted(path for path in named if not path.endswith("__init__.py"))


def draw(count: int, seed: int, files: list[str] | None = None) -> list[Mutant]:
    """So many mutants of these files, or of all; the same for the same seed and code."""
    rng, places = random.Random(seed), []
    for path in files or list_files():
        source = (ROOT / path).read_text()
        places += [(path, kind, variants) for kind, variants in list_places(source)]
    rng.shuffle(places)
    mutants: list[Mutant] = []
    for path, kind, variants in places:
        if len(mutants) == count:
            break
        source = (ROOT / path).read_text()
        if mutant := build(path, kind, source, _mutate(source, rng.choice(variants))):
            mutants.append(mutant)
    return mutants


def build(path: str, kind: str, source: str, mutated: str | None) -> Mutant | None:
    """The mutant, unless nothing differs or what differs says nothing."""
    if mutated is None or mutated == source or not _compiles(mutated):
        return None
    changed = [
        line for line in difflib.ndiff(source.splitlines(), mutated.splitlines())
        if line[:2] in ("- ", "+ ")
    ]  # fmt: skip
    old, new = ("\n".join(x[2:].strip() for x in changed if x[0] == sign) for sign in "-+")
    if SKIPPED.search(old) or _is_silent(old, new):
        return None
    if kind.endswith("BitOr") and _meaning(source) == _meaning(mutated):
        return None
    return Mutant(path, kind, mutated, old, new)


def _is_silent(old: str, new: str) -> bool:
    """Whether only keywords of `SILENT` differ."""
    if "strict=True" in new or ("strict" in old and "zip(" not in old):
        return False
    one, other = (re.sub(r",?\s*(?=\)|$)", "", SILENT.sub("", text)) for text in (old, new))
    return one == other


def list_places(source: str) -> Iterator[tuple[str, list[tuple[str, int]]]]:
    """Each place: its kind, and its variants as (operator, number of the occurrence)."""
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.plugins import get_operator, operator_names

    groups: dict[str, list[str]] = {}
    for name in sorted(set(operator_names()) - NEED_ARGUMENTS):
        kind = "_".join(name.removeprefix("core/").split("_")[:2])
        groups.setdefault(kind, []).append(name)
    nodes = list(ast_nodes(get_ast(source)))
    for kind, names in groups.items():
        operator = get_operator(names[0])()
        positions = [place for node in nodes for place in operator.mutation_positions(node)]
        for number in range(len(positions)):
            yield kind, [(name, number) for name in names]
    for number in range(len(list_keywords(source))):
        yield KEYWORD, [(KEYWORD, number)]


def list_keywords(source: str) -> list[tuple[int, int]]:
    """Where the keyword arguments of calls begin and end, in bytes of the source."""
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line.encode()))

    def offset(line: int | None, column: int | None) -> int:
        return starts[(line or 1) - 1] + (column or 0)

    calls = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    keywords = [of for call in calls for of in call.keywords if of.arg]
    return sorted(
        (offset(of.lineno, of.col_offset), offset(of.end_lineno, of.end_col_offset))
        for of in keywords
    )


def drop_keyword(source: str, number: int) -> str:
    """The source without one keyword argument: its default is taken."""
    begin, end = list_keywords(source)[number]
    text = source.encode()
    rest = re.sub(rb"\A,[ ]?", b"", text[end:])
    return (text[:begin] + rest).decode()


def _mutate(source: str, variant: tuple[str, int]) -> str | None:
    name, number = variant
    if name == KEYWORD:
        return drop_keyword(source, number)
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    try:
        mutated: str | None = mutate_code(source, get_operator(name)(), number)
    except AttributeError:  # Cosmic Ray takes no exception with a dot in its name, among several
        return None
    return mutated


def _compiles(source: str) -> bool:
    """Whether Python takes it without a warning: what it refuses any test would see.

    It warns where `is` compares with text or a number, which ruff refuses and which means the same
    as `==` as long as the interpreter keeps one object of each.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error", SyntaxWarning)
        try:
            compile(source, "mutant", "exec")
        except SyntaxError:
            return False
    return True


def _meaning(source: str) -> str:
    """The tree without annotations: a mistake in one of them is none, or ends the import."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.returns = None
        elif isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant("")
    return ast.dump(tree)
