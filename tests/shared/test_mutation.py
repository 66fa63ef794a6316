"""make mutate: which mistakes are made, which tests are asked, the list of equivalent ones."""

from pathlib import Path

import pytest

from shared.patches import shard
from tests.mutation import __main__ as run
from tests.mutation import concern, mutants

SOURCE = '''"""é"""
from a import f


def g(x: int | None = 2) -> int:
    """Doc."""
    return f(x, "é", scale=2 * x, **{"a": 1}) + f(way=f(deep=1))
'''


def test_every_keyword_of_a_call_can_be_dropped() -> None:
    """Also behind letters of two bytes, with more behind it, and alone; what is unpacked stays."""
    dropped = [
        mutants.drop_keyword(SOURCE, number).splitlines()[6].strip()
        for number in range(len(mutants.list_keywords(SOURCE)))
    ]
    assert dropped == [
        'return f(x, "é", **{"a": 1}) + f(way=f(deep=1))',
        'return f(x, "é", scale=2 * x, **{"a": 1}) + f()',
        'return f(x, "é", scale=2 * x, **{"a": 1}) + f(way=f())',
    ]


def test_a_mutant_says_what_differs() -> None:
    mutant = mutants.build("a.py", "NumberReplacer", SOURCE, SOURCE.replace("2 * x", "3 * x"))
    assert mutant is not None
    assert mutant.old.startswith('return f(x, "é", scale=2 * x')
    assert mutant.new.startswith('return f(x, "é", scale=3 * x')


@pytest.mark.parametrize(
    ("kind", "old", "new"),
    [
        ("ReplaceBinaryOperator_BitOr", "int | None", "int + None"),  # of an annotation
        ("AddNot", "def g", "def g"),  # nothing
    ],
)
def test_mistakes_that_say_nothing_are_left_out(kind: str, old: str, new: str) -> None:
    assert mutants.build("a.py", kind, SOURCE, SOURCE.replace(old, new)) is None


def test_every_file_has_tests_that_concern_it() -> None:
    files = mutants.list_files()
    assert {"shared/patches/writer.py", "stages/distill/settings.py"} <= set(files)
    for path in files:
        chosen = concern.choose_tests(path)
        assert chosen, path
        for tests in chosen:
            assert (mutants.ROOT / tests.path.partition("::")[0]).exists(), path


def test_the_nearest_tests_are_asked_first() -> None:
    file = shard.__name__.replace(".", "/") + ".py"
    asked = [(tests.environment, tests.path) for tests in concern.choose_tests(file)]
    assert asked[0] == ("dev", "tests/shared/test_shard.py")
    assert asked[-1] == ("prepare", "tests/stages/test_prepare.py")
    asked = [(t.environment, t.path) for t in concern.choose_tests("shared/training/data/view.py")]
    assert ("distill", "tests/training/test_view.py") in asked
    assert ("distill", "tests/training/test_size.py") not in asked


@pytest.mark.parametrize(
    ("path", "test"),
    [
        ("stages/distill/settings.py", "test_flags_are_as_docs_say[distill]"),
        ("stages/tda/main.py", "test_flags_are_as_docs_say[tda]"),
        ("shared/training/groups.py", "test_the_page_of_flags_is_as_make_writes_it"),
    ],
)
def test_files_that_declare_flags_are_held_against_the_page_of_flags(path: str, test: str) -> None:
    assert concern.choose_tests(path)[0].path == f"tests/test_stages.py::{test}"


def test_a_mutant_is_killed_by_tests_that_pass_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mutant = mutants.Mutant("a.py", "NumberReplacer", "x = 2\n", "x = 1", "x = 2")
    (tmp_path / "a.py").write_text("x = 1\n")
    runs: list[tuple[str, str]] = []

    def passes(tree: Path, tests: concern.Tests, limit: float) -> bool:
        assert limit > 0
        text = (tree / "a.py").read_text()
        runs.append((tests.path, text))
        return tests.path == "blind" or (tests.path == "good" and text == "x = 1\n")

    monkeypatch.setattr(run, "passes", passes)
    limits = run.Limits()
    said = {
        path: run.fails(tmp_path, concern.Tests("dev", path), mutant, limits)
        for path in ("broken", "good", "blind", "good")
    }
    assert said == {"broken": False, "good": True, "blind": False}
    assert runs.count(("good", "x = 1\n")) == 1  # measured once
    assert ("broken", "x = 2\n") not in runs
    assert (tmp_path / "a.py").read_text() == "x = 1\n"


def test_equivalent_mutants_are_still_there_and_say_why() -> None:
    for (path, old, new), why in run.read_equivalent().items():
        lines = "\n".join(line.strip() for line in (mutants.ROOT / path).read_text().splitlines())
        assert old in lines, f"{path}: {old}"
        assert new != old
        assert len(why) > 20, f"{path}: {why}"
