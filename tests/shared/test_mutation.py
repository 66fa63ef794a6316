"""make mutate: which mistakes are made, which tests are asked, the list of equivalent ones."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from shared.patches import shard
from tests.mutation import __main__ as run
from tests.mutation import choose, concern, measure, mutants, trial

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
        ("AddNot", "return f", "return not y := f"),  # refused by Python
        ("ReplaceComparisonOperator_Eq", "return f(x", "return x is 'a' or f(x"),  # warned of
    ],
)
def test_mistakes_that_say_nothing_are_left_out(kind: str, old: str, new: str) -> None:
    assert mutants.build("a.py", kind, SOURCE, SOURCE.replace(old, new)) is None


@pytest.mark.parametrize(
    ("line", "mutant", "says_something"),
    [
        ("x = dict(zip(a, b, strict=True))", "x = dict(zip(a, b, strict=False))", False),
        ("x = dict(zip(a, b, strict=True))", "x = dict(zip(a, b, ))", False),
        ("x = dict(zip(a, b, strict=False))", "x = dict(zip(a, b, strict=True))", True),
        ("x = dict(zip(a, b, strict=True))", "x = dict(zip(a, c, strict=True))", True),
        ("net.load(x, strict=True)", "net.load(x, strict=False)", True),
        ("run(x, check=False)", "run(x, )", False),
        ("run(x, check=False, text=True)", "run(x, text=True)", False),
        ("run(x, check=False)", "run(x, check=True)", True),
        ("run(x, check=True)", "run(x, )", True),
        ("plot(x, linewidth=1.3)", "plot(x, linewidth= 2.3)", True),
        ("plot(x, dpi=100, y=1)", "plot(x, y=1)", True),
        ('f"{name[:80]}: no"', 'f"{name[: 81]}: no"', True),
        ("BATCH = 128  # rows in memory at once", "BATCH = 127  # rows in memory at once", False),
        ("mb = x / 1e6", "mb = x / 1000001.0", True),
        ("BLOCK = 2**20", "BLOCK = 2**19", False),
        ("BLOCK = 256  # rows", "BLOCK = 255  # rows", True),
        ("CHUNK_BYTES = 2**20", "CHUNK_BYTES = 2**19", True),
    ],
)
def test_lines_that_only_assert_or_say_how_much_is_read(
    line: str, mutant: str, says_something: bool
) -> None:
    made = mutants.build("a.py", "NumberReplacer", f"{line}\n", f"{mutant}\n")
    assert (made is not None) == says_something


def test_what_cosmic_ray_cannot_change_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """It stumbles over `except (OSError, shutil.Error)`, which must not end the whole draw."""

    def stumble(*_: object) -> str:
        raise AttributeError("'PythonNode' object has no attribute 'value'")

    ray: dict[str, dict[str, Any]] = {
        "mutating": {"mutate_code": stumble},
        "plugins": {"get_operator": lambda _: dict},
    }
    for name, members in ray.items():
        monkeypatch.setitem(sys.modules, f"cosmic_ray.{name}", SimpleNamespace(**members))
    monkeypatch.setitem(sys.modules, "cosmic_ray", SimpleNamespace())
    monkeypatch.setattr(mutants, "list_places", lambda _: [("ExceptionReplacer", [("e", 0)])] * 2)
    assert mutants.draw(1, 0, ["shared/patches/shard.py"]) == []


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
    asked = [
        (t.environment, t.path) for t in concern.choose_tests("shared/training/data/views/view.py")
    ]
    assert ("distill", "tests/training/test_view.py") in asked
    assert ("distill", "tests/training/test_size.py") not in asked
    asked = [(t.environment, t.path) for t in concern.choose_tests("shared/segmentation/losses.py")]
    names = [f"tests/stages/test_segment{name}.py" for name in ("", "_losses", "_networks")]
    assert {("segment", name) for name in names} <= set(asked)
    assert ("map", "tests/stages/test_map_orthophoto.py") in asked
    assert ("export", "tests/stages/test_export_segmentation.py") not in asked
    assert len(asked) < 20  # and not all tests there are


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


def test_an_empty_line_is_no_change() -> None:
    """Else a class would have changed as a whole with the decorator below the line."""
    old = "class A:\n    x = 1\n\n    @property\n    def f(self):\n        return 1\n"
    assert choose.changed_lines(old, old.replace("\n    @property", "")) == {4}
    assert choose.changed_lines(old, old.replace("1\n\n", "1\n")) == {3}


FILE = '''"""Doc."""
LIMIT = 5
if LIMIT:
    LEFT, RIGHT = 1, 2


@cache
def f(x=LIMIT):
    if (
        x > 3
    ):
        return g(
            x,
            2,
        )
    return 1


class C:
    field: int = 4

    def method(self, y=1):
        return self.field
'''


@pytest.mark.parametrize(
    ("line", "lines", "names"),
    [
        (2, [], {"LIMIT"}),
        (4, [], {"LEFT", "RIGHT"}),
        (7, [9, 10, 11, 12, 13, 14, 15, 16], set()),  # a decorator: whoever runs the function
        (8, [9, 10, 11, 12, 13, 14, 15, 16], set()),  # a default
        (10, [9, 10, 11], set()),  # a head of several lines, without what it guards
        (14, [12, 13, 14, 15], set()),
        (16, [16], set()),
        (19, [], {"C"}),
        (20, [], {"field"}),
        (22, [23], set()),
        (5, [], set()),  # between statements
    ],
)
def test_where_a_mistake_shows(line: int, lines: list[int], names: set[str]) -> None:
    assert choose.locate(FILE, [line]) == [choose.Spot(frozenset(lines), frozenset(names))]


def test_the_lines_that_a_mistake_changes() -> None:
    old = "a\nb\nc\nd\n"
    assert choose.changed_lines(old, "a\nB\nc\nd\n") == {2}
    assert choose.changed_lines(old, "a\nc\nD\n") == {2, 4}  # a line that is gone, too
    assert choose.changed_lines(old, old) == set()


RUNNING = {  # of each file: line -> tests
    "a.py": {1: {""}, 9: {"", "t/x.py::one"}, 10: {"t/x.py::two"}, 12: {"t/x.py::far"}},
    "b.py": {3: {"t/y.py"}, 4: {"t/x.py::far"}},
}
USES = {"a.py": FILE, "b.py": "\n\nfield(LIMITED)\nLIMIT\n"}


def test_the_tests_that_run_a_line_or_a_name() -> None:
    def find(*spots: choose.Spot) -> set[str]:
        return choose.find_tests("a.py", spots, USES, lambda name: RUNNING[name])

    assert find(choose.Spot(frozenset({9, 10}))) == {"t/x.py::one", "t/x.py::two"}
    assert find(choose.Spot(frozenset({1, 2, 3}))) == set()  # nobody runs them: a survivor
    assert find(choose.Spot(frozenset(), frozenset({"LIMIT"}))) == {"t/x.py::far"}  # a whole word
    assert find(choose.Spot(frozenset(), frozenset({"field"}))) == {"t/y.py"}


def test_the_nearest_and_quickest_tests_come_first_within_the_budget() -> None:
    seconds = {
        "t/x.py::slow": 4.0, "t/x.py::quick": 1.0, "t/y.py::a": 0.5, "t/y.py::b": 0.25,
        "t/y.py": 2.0, "t/z.py::c": 0.0,
    }  # fmt: skip
    found = {"t/x.py::slow", "t/x.py::quick", "t/x.py::fails", "t/y.py"}
    order = ["t/x.py::quick", "t/x.py::slow", "t/y.py::b", "t/y.py::a"]
    assert choose.rank(found, {"t/x.py"}, seconds, 99) == order
    # 1 + 4, then 0.25 and the 2 seconds that the fixtures of the file take once
    assert choose.rank(found, {"t/x.py"}, seconds, 7.25) == order[:3]
    assert choose.rank(found, {"t/x.py"}, seconds, 7) == order[:2]
    assert choose.rank(found, {"t/x.py"}, seconds, 0.1) == order[:1]  # one is always asked
    assert choose.rank(found, set(), seconds, 99) == [*order[2:], *order[:2]]
    assert choose.rank(found, {"t/x.py::slow"}, seconds, 99) == [order[1], *order[2:], order[0]]
    assert choose.rank(set(), {"t/x.py"}, seconds, 99) == []


def test_a_file_that_runs_only_as_a_copy_is_asked_of_the_tests_that_concern_it() -> None:
    path = "shared/tools/ship/host/install.py"
    source = (mutants.ROOT / path).read_text()
    line = "    if not pictures.is_dir() or"
    measured = measure.Measured([])
    measured.seconds = {"tests/ship/test_ship.py::a": 1.0, "tests/shared/test_shard.py::b": 0.5}
    assert source.count(line) == 1
    mutant = mutants.build(
        path, "AddNot", source, source.replace(line, "    if pictures.is_dir() or")
    )
    assert mutant is not None
    assert trial.choose(mutant, measured) == ["tests/ship/test_ship.py::a"]
    measured.running = lambda _: {1: {"tests/shared/test_shard.py::b"}}
    assert trial.choose(mutant, measured) == []  # it runs, but nobody runs this line


def test_the_page_of_flags_is_asked_of_a_default_that_runs_with_the_stage() -> None:
    path, line = "stages/sr_train/main.py", "batch: Annotated[int, cli.at_least(1)] = 512"
    source = (mutants.ROOT / path).read_text()
    assert source.count(line) == 1
    mutant = mutants.build(path, "NumberReplacer", source, source.replace(line, line + " + 1"))
    assert mutant is not None
    page = "tests/test_stages.py::test_flags_are_as_docs_say[sr_train]"
    stage = "tests/stages/test_sr_train.py::a"
    measured = measure.Measured([])
    measured.seconds = {page: 0.1, stage: 0.05, page.replace("sr_train", "tda"): 0.1}
    measured.running = lambda _: {line: {stage} for line in range(200)}
    assert trial.choose(mutant, measured) == [page, stage]


def test_only_what_changed_is_measured_again(tmp_path: Path) -> None:
    record = tmp_path / "record.json"
    assert not measure.is_fresh(record, tmp_path)  # never measured
    (tmp_path / "a.py").write_text("1")
    (tmp_path / "b.py").write_text("1")
    digests = {name: measure.digest(tmp_path / name) for name in ("a.py",)}
    record.write_text(json.dumps({"seconds": {}, "digests": digests}))
    assert measure.is_fresh(record, tmp_path)
    (tmp_path / "b.py").write_text("2")  # not run by these tests
    assert measure.is_fresh(record, tmp_path)
    (tmp_path / "a.py").write_text("2")
    assert not measure.is_fresh(record, tmp_path)
    (tmp_path / "a.py").unlink()
    assert not measure.is_fresh(record, tmp_path)


def test_every_file_of_tests_is_measured_in_its_environment() -> None:
    of = {tests.path: tests.environment for tests in concern.list_tests()}
    assert of["tests/shared/test_shard.py"] == of["tests/test_stages.py"] == "dev"
    assert of["tests/training/test_view.py"] == "distill"
    assert of["tests/stages/test_sr_edsr.py"] == "sr_edsr"
    assert of["tests/stages/test_export_fix.py"] == "export"
    assert of["tests/stac/test_stac.py"] == "stac"
    assert "tests/shared/test_mutation.py" not in of
    chosen = [of for path in mutants.list_files() for of in concern.choose_tests(path)]
    asked = {choose.file_of(tests.path) for tests in chosen}
    assert asked <= of.keys()
    assert {"tests/ship/test_ship.py", "tests/stages/test_tda.py"} <= asked


def test_a_mutant_is_tried_in_each_environment_until_a_test_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mutant = mutants.Mutant("a.py", "NumberReplacer", "x = 2\n", "x = 1", "x = 2")
    (tmp_path / "a.py").write_text("x = 1\n")
    runs: list[tuple[str, list[str], str]] = []

    def passes(bench: trial.Bench, environment: str, tests: list[str]) -> bool:
        runs.append((environment, tests, (bench.tree / "a.py").read_text()))
        return environment != "tda"

    monkeypatch.setattr(trial.Bench, "passes", passes)
    measured = measure.Measured([])
    measured.environments = {"t/x.py": "dev", "t/y.py": "tda", "t/z.py": "voyager"}
    bench = trial.Bench(tmp_path, measured)
    assert bench.survives(mutant, ["t/x.py::a", "t/x.py::b"])
    assert bench.survives(mutant, [])
    tests = ["t/x.py::a", "t/y.py::c", "t/x.py::b", "t/z.py::d"]
    assert not bench.survives(mutant, tests)
    both = ("dev", ["t/x.py::a", "t/x.py::b"], "x = 2\n")
    assert runs == [both, both, ("tda", ["t/y.py::c"], "x = 2\n")]
    assert (tmp_path / "a.py").read_text() == "x = 1\n"


TESTS = """import time
from pathlib import Path

import a


def test_first():
    Path("ran").open("a").write("1")


def test_second():
    Path("ran").open("a").write("2")
    assert a.x == 1


def test_slow():
    time.sleep(a.x - 1)


def test_other():
    assert False
"""


def test_mutants_run_in_forks_of_one_process_and_see_the_mistake(tmp_path: Path) -> None:
    """In a tree with tests of its own; one of them fails and is not asked, one waits for a day."""
    (tmp_path / ".venvs").symlink_to(mutants.ROOT / ".venvs")
    (tmp_path / "a.py").write_text("x = 1\n")
    for path in (mutants.ROOT / "tests" / "mutation").glob("*.py"):
        (tmp_path / "tests" / "mutation").mkdir(parents=True, exist_ok=True)
        (tmp_path / "tests" / "mutation" / path.name).write_text(path.read_text())
    (tmp_path / "tests" / "test_a.py").write_text(TESTS)
    (tmp_path / "pyproject.toml").write_text('[tool.pytest.ini_options]\npythonpath = ["."]\n')
    names = {of: f"tests/test_a.py::test_{of}" for of in ("first", "second", "slow", "other")}
    measured = measure.Measured([])
    measured.seconds = dict.fromkeys(names.values(), 0.0) | {names["slow"]: -5.99}  # 0.05 s allowed
    measured.environments = {"tests/test_a.py": "dev"}
    bench = trial.Bench(tmp_path, measured)

    def survives(new: str, *asked: str) -> bool:
        mutant = mutants.Mutant("a.py", "NumberReplacer", new, "x = 1\n", new)
        return bench.survives(mutant, [names[name] for name in asked])

    try:
        assert survives("x = 1.0\n", "second", "first", "slow")
        assert (tmp_path / "ran").read_text() == "21"  # in the order asked, not that of the file
        assert not survives("x = 2\n", "second", "first")
        assert (tmp_path / "ran").read_text() == "212"  # the first that fails ends it
        assert survives("x = 2\n", "first")
        assert not survives("x = \n", "first")
        assert not survives("x = 86400\n", "slow")
        assert len(bench.servers) == 1
    finally:
        bench.close()


def test_equivalent_mutants_are_still_there_and_say_why() -> None:
    for (path, old, new), why in run.read_equivalent().items():
        lines = "\n".join(line.strip() for line in (mutants.ROOT / path).read_text().splitlines())
        assert old in lines, f"{path}: {old}"
        assert new != old
        assert len(why) > 20, f"{path}: {why}"
