"""A run of the pipeline: what is made, how much is left, and the report in between."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from shared.pipeline import Product, build, early_report, read_settings, remaining, rules

ROOT = Path(__file__).resolve().parents[2]


def test_what_is_older_than_its_input_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    one, two, three = Product("a", "one"), Product("b", "two", ("one",)), Product("c", "three")
    for number, name in enumerate(("one", "two", "three"), 1):
        Path(name).touch()
        Path(f"{name}.run.json").touch()
        os.utime(f"{name}.run.json", (number, number))
    assert remaining.outdated([one, two, three]) == []
    os.utime("two.run.json", (1, 1))  # as old as its input
    assert remaining.outdated([one, two, three]) == []
    own = Product("d", "three", (), raw=("brought",))
    Path("brought").touch()
    os.utime("brought", (4, 4))
    assert remaining.outdated([own]) == [own]
    os.utime("brought", (3, 3))
    assert remaining.outdated([own, Product("e", "new", ("nowhere",))])[0].path == "new"
    os.utime("one.run.json", (9, 9))
    assert remaining.outdated([one, two, three]) == [two]
    Path("one").unlink()
    Path("three.run.json").unlink()
    assert remaining.outdated([one, two, three]) == [one, two, three]


def record(path: str, seconds: float) -> None:
    Path(f"{path}.run.json").write_text(json.dumps({"seconds": seconds}))


def test_the_time_that_is_left_goes_by_the_pace_so_far(tmp_path: Path) -> None:
    paths = [str(tmp_path / name) for name in "abc"]
    expected = dict(zip(paths, (10.0, 100.0, 200.0), strict=True))
    state = {"todo": paths, "expected": expected, "recorded": {}, "pairs": {}}
    assert remaining.describe(state, 1, []) == "product 1 of 3, about 5 min left"
    record(paths[0], 2.0)  # five times as fast
    assert remaining.describe(state, 2, paths[:1]) == "product 2 of 3, about 60 s left"
    state["pairs"] = {"d": (88.0, 10.0)}  # made before this run: (2 + 88) s for 10 + 10
    assert remaining.describe(state, 2, paths[:1]) == "product 2 of 3, about 22 min left"
    state["recorded"] = {paths[1]: 30.0, paths[2]: 40.0}  # as long as the last time
    assert remaining.describe(state, 2, paths[:1]) == "product 2 of 3, about 70 s left"
    state["recorded"], state["expected"] = {}, {paths[0]: 10.0, paths[1]: 100.0}
    assert remaining.describe(state, 2, paths[:1]) == "product 2 of 3"


def test_state_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    whole = build(read_settings("demo", {"D": "x"}))
    for number, name in enumerate(("x/so2sat", "x/prepare/training.h5", "x/prepare/testing.h5")):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
        record(name, number + 1)
        os.utime(f"{name}.run.json", (number + 1, number + 1))
    Path("x/prepare/testing.h5").unlink()
    remaining.write_state(whole, ["all"], Path("s.json"))
    state = json.loads(Path("s.json").read_text())
    assert state["todo"][0] == "x/prepare/testing.h5"
    assert state["todo"][-1] == state["report"] == "x/report.html"
    assert state["recorded"] == {"x/prepare/testing.h5": 3}
    assert state["expected"].keys() == set(state["todo"])  # the source knows all its products
    assert state["pairs"]["x/so2sat"] == [1, whole.settings.seconds["so2sat"]]
    assert remaining.finished_products(state) == []
    os.utime("x/prepare/testing.h5.run.json")
    assert remaining.finished_products(state) == ["x/prepare/testing.h5"]


def test_products_that_start_together_have_different_numbers(tmp_path: Path) -> None:
    state = tmp_path / "s.json"
    assert [remaining.count_start(state, path) for path in ("a", "b", "c", "b")] == [1, 2, 3, 2]
    assert remaining.count_start(tmp_path / "other.json", "a") == 1


def step(tmp_path: Path, *command: str) -> subprocess.CompletedProcess[str]:
    path = str(tmp_path / "a")
    line = [sys.executable, "-m", "shared.pipeline", "step", str(tmp_path / "s.json"), "tda", path,
            "--", *command]  # fmt: skip
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_step_tells_its_stage_what_is_left(tmp_path: Path) -> None:
    shown = (sys.executable, "-c", "import os; print(os.environ['STAGE_PROGRESS'])")
    done = step(tmp_path, *shown)  # without a state, such as after `rm -r .make`
    assert (done.returncode, done.stdout) == (0, "\n")
    assert done.stderr == f"== tda -> {tmp_path}/a\n"
    path = f"{tmp_path}/a"
    state = {"todo": [path], "expected": {path: 40}, "recorded": {}, "pairs": {}, "start": 0}
    (tmp_path / "s.json").write_text(json.dumps(state))
    done = step(tmp_path, *shown)
    assert done.stdout == "product 1 of 1, about 40 s left\n"
    assert done.stderr == f"== product 1 of 1, about 40 s left: tda -> {path}\n"
    done = step(tmp_path, "nowhere/python")
    assert done.returncode == 2
    assert done.stderr.endswith(
        "error: nowhere/python: cannot be run (No such file or directory)\n"
    )


def test_where_stages_run_is_said_before_the_first_product(tmp_path: Path) -> None:
    """Only there, and only of products of this run."""
    state = {
        "todo": [str(tmp_path / name) for name in "ba"], "expected": {}, "recorded": {},
        "pairs": {}, "start": 0, "runner": "local",
    }  # fmt: skip
    (tmp_path / "s.json").write_text(json.dumps(state))
    said = f"product 1 of 2: tda -> {tmp_path}/a\n"
    first = step(tmp_path, "true").stderr
    assert first == f"{remaining.RUNS['local']}\n== {said}"
    assert first.startswith("runner: local, in the virtual environments .venvs/ (RUNNER=docker: in")
    (tmp_path / "s.started").write_text(f"{tmp_path}/b\n")
    assert step(tmp_path, "true").stderr == f"== {said.replace('1 of', '2 of')}"
    (tmp_path / "s.json").write_text(json.dumps({**state, "todo": []}))
    assert step(tmp_path, "true").stderr == f"== tda -> {tmp_path}/a\n"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "1 s"), (1.4, "1 s"), (89.4, "89 s"), (90, "2 min"), (149, "2 min"), (151, "3 min")],
)
def test_time_in_words(seconds: float, words: str) -> None:
    assert remaining.in_words(seconds) == f"about {words}"


def test_a_killed_stage_is_explained_and_its_code_kept() -> None:
    plan = build(read_settings("tiny", {}), "local")
    recipe = rules.rule(plan, plan.products[0], Path("s.json")).splitlines()[1]
    end = recipe.partition(" || ")[2].replace("$$", "$")
    for name, code in (("KILL", 137), ("TERM", 143)):
        shell = ["bash", "-c", f"bash -c 'kill -{name} $$' || {end}"]
        done = subprocess.run(shell, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == code
        assert ("the system killed it, mostly because memory" in done.stderr) == (code == 137)


# --- the report while a run goes on ---------------------------------------------------------------
WRITES = """
import sys; from pathlib import Path
line = dict(zip(sys.argv[1::2], sys.argv[2::2]))
page = Path(line["--dst"])
Path(f"{page}.run.json").touch()
page.write_text(line["--src"] + line["--title"])
"""


def early(folder: Path, program: str) -> Path:
    """The state file of a run in which one of two products is made."""
    (folder / "program.py").write_text(program)
    (folder / "a.run.json").touch()
    state = {
        "refresh": True, "report": str(folder / "report.html"),
        "shown": [str(folder / "a"), str(folder / "b")],
        "start_report": f"{sys.executable} {folder}/program.py", "report_flags": ["--title", "!"],
    }  # fmt: skip
    (folder / "s.json").write_text(json.dumps(state))
    return folder / "s.json"


def test_an_early_report_has_no_record(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    state, page = early(tmp_path, WRITES), tmp_path / "report.html"
    early_report.refresh(state)
    assert page.read_text() == f"{tmp_path}/a!"
    assert capfd.readouterr().err == f"report so far: {page} (renewed as products are made)\n"
    (tmp_path / "b.run.json").touch()
    (tmp_path / "report.html.run.json").touch()
    early_report.refresh(state)
    assert page.read_text() == f"{tmp_path}/a,{tmp_path}/b!"
    assert sorted(path.name for path in tmp_path.glob("report*")) == ["report.html"]
    assert capfd.readouterr().err == ""  # its path is printed once


def test_an_early_report_that_fails_keeps_the_page(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    state, page = (
        early(tmp_path, "import sys; sys.exit('one\\ntwo\\nerror: broken')"),
        "report.html",
    )
    (tmp_path / page).write_text("old")
    (tmp_path / "report-so-far.html.partial").mkdir()  # of an interrupted run
    early_report.refresh(state)
    assert (tmp_path / page).read_text() == "old"
    assert [path.name for path in tmp_path.glob("report*")] == [page]
    assert capfd.readouterr().err == f"{tmp_path}/{page}: not renewed yet (error: broken)\n"
    early_report.refresh(tmp_path / "none.json")  # a removed state ends no run


def test_an_early_report_waits_for_products_and_for_a_run_that_makes_it(tmp_path: Path) -> None:
    path = early(tmp_path, WRITES)
    state = json.loads(path.read_text())
    for changes in ({"refresh": False}, {"shown": [str(tmp_path / "b")]}):
        path.write_text(json.dumps({**state, **changes}))
        early_report.refresh(path)
        assert not (tmp_path / "report.html").exists()
    path.write_text(json.dumps(state))
    early_report.refresh(path)
    assert (tmp_path / "report.html").exists()


def test_an_early_report_that_says_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    early_report.refresh(early(tmp_path, "import sys; sys.exit(1)"))
    assert capfd.readouterr().err.endswith("report.html: not renewed yet (no message)\n")


def test_two_products_that_end_together_renew_the_report_once(tmp_path: Path) -> None:
    slow = WRITES + f"\nimport time; open('{tmp_path}/runs', 'a').write('x'); time.sleep(1)"
    line = [sys.executable, "-m", "shared.pipeline", "refresh", str(early(tmp_path, slow))]
    runs = [subprocess.Popen(line, cwd=ROOT) for _ in range(2)]
    assert [run.wait() for run in runs] == [0, 0]
    assert (tmp_path / "runs").read_text() == "x"
    assert (tmp_path / "report.html").exists()
