"""The life of a product inside one process: up to date, otherwise made, unfinished, published."""

import errno
import json
import os
import signal
import time
import weakref
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest

from shared import cli, errors
from shared.errors import RetryableError, StageError, explain_os_error
from shared.runs import input_files, lock, production, record, signals
from shared.unfinished import work
from tests.shared import toy


@pytest.fixture
def values(tmp_path: Path) -> dict[str, Any]:
    """Arguments of the toy stage, its input alone in its folder."""
    (tmp_path / "in").mkdir()
    src = tmp_path / "in" / "text.txt"
    src.write_text("abc")
    return {**(toy.run.__kwdefaults__ or {}), "src": src, "dst": tmp_path / "a" / "b" / "out.txt"}


def make(values: dict[str, Any], **other: Any) -> Path:
    return cli.produce(toy.run, {**values, **other})


def test_product_and_record_and_nothing_else(values: dict[str, Any]) -> None:
    dst = make(values)
    assert dst.read_text() == "abcabc"
    assert {path.name for path in dst.parent.iterdir()} == {"out.txt", "out.txt.run.json"}
    content = record.load(dst)
    assert content is not None
    assert content["plan"]["inputs"] == {
        "src": record.fingerprint(values["src"])["sha256"],
        "extra": None,
        "more": [],
    }
    assert content["plan"]["parameters"]["names"] == ["a", "b"]
    assert "dst" not in content["plan"]["parameters"]


def test_plan_does_not_depend_on_how_paths_are_written(
    values: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    dst = make(values)
    monkeypatch.chdir(dst.parent)
    make(values, src=Path("../../in/text.txt"), dst=Path("out.txt"))
    assert capsys.readouterr().err == "out.txt: up to date\n"


@pytest.mark.parametrize("joint", [True, False])
def test_second_process_makes_its_own_product_unless_it_trains(
    values: dict[str, Any], monkeypatch: pytest.MonkeyPatch, joint: bool
) -> None:
    """As the second shard of a row-wise stage does that one srun starts beside the first."""
    for name, value in (("PROCID", "1"), ("STEP_NUM_TASKS", "2")):
        monkeypatch.setenv(f"SLURM_{name}", value)
    monkeypatch.setattr(production, "JOINT", "scale" if joint else "epochs")
    dst = make(values)
    assert dst.exists() != joint
    assert production.is_helper(cli.read_signature(toy.run).job(values)) == joint


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"scale": 3}, r"was made with other settings \(scale 2, now 3\); move it away"),
        ({"extra": "src"}, r"was made with other settings \(extra: other content\)"),
    ],
)
def test_another_plan_never_overwrites(
    values: dict[str, Any], other: dict[str, Any], message: str
) -> None:
    dst = make(values)
    other = {name: values.get(str(value), value) for name, value in other.items()}
    with pytest.raises(StageError, match=message):
        make(values, **other)
    assert dst.read_text() == "abcabc"


def test_other_input_content_is_another_plan(values: dict[str, Any]) -> None:
    make(values)
    values["src"].write_text("abd")
    with pytest.raises(StageError, match="src: other content"):
        make(values)


def test_product_that_was_changed_is_not_up_to_date(values: dict[str, Any]) -> None:
    make(values).write_text("mine now")
    with pytest.raises(StageError, match="was changed after it was made"):
        make(values)


@pytest.mark.parametrize("text", [None, "", "{", "[]", "{}", '{"plan": {}, "output": 3}'])
def test_product_without_a_readable_record_is_left_alone(
    values: dict[str, Any], text: str | None
) -> None:
    dst = make(values)
    record.record_path(dst).unlink()
    if text is not None:
        record.record_path(dst).write_text(text)
    with pytest.raises(StageError, match="exists but has no record"):
        make(values)
    assert dst.read_text() == "abcabc"


def test_killed_between_record_and_rename(
    values: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise SystemError("as if killed here")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", killed)
        with pytest.raises(SystemError):
            make(values)
    assert not values["dst"].exists()
    assert make(values).read_text() == "abcabc"
    assert len(list(values["dst"].parent.iterdir())) == 2


@pytest.mark.parametrize("ticket", ["", "{", "null"])
def test_unfinished_work_of_nobody_is_not_taken_up(values: dict[str, Any], ticket: str) -> None:
    partial = lock.partial_path(values["dst"])
    partial.parent.mkdir(parents=True)
    partial.write_text("whose?")
    partial.with_name(partial.name + ".json").write_text(ticket)
    with pytest.raises(
        StageError, match="unfinished work of an unknown plan; remove it and run again"
    ):
        make(values)
    assert partial.read_text() == "whose?"


def test_ticket_without_work_is_no_hindrance(values: dict[str, Any]) -> None:
    values["dst"].parent.mkdir(parents=True)
    ticket = values["dst"].with_name("out.txt.partial.json")
    ticket.write_text(json.dumps({"stage": "another"}))
    assert make(values).read_text() == "abcabc"
    assert not ticket.exists()


def test_refusal_after_a_stop_keeps_the_earlier_work(values: dict[str, Any]) -> None:
    with pytest.raises(ZeroDivisionError):
        make(values, mode="bug")
    partial = lock.partial_path(values["dst"])
    ticket = partial.with_name(partial.name + ".json")
    plan = json.loads(ticket.read_text())
    plan["parameters"]["mode"] = "refuse"
    ticket.write_text(json.dumps(plan))
    with pytest.raises(StageError, match="expected more"):
        make(values, mode="refuse")
    assert partial.read_text() == "abc"
    assert ticket.exists()


def test_how_fast_and_from_where_is_no_part_of_the_plan(tmp_path: Path) -> None:
    def run(*, dst: Path, jobs: int = 1, mirror: str = "") -> None:
        dst.write_text(f"{jobs} {mirror}")

    dst = cli.produce(run, {"dst": tmp_path / "out", "jobs": 1, "mirror": ""})
    cli.produce(run, {"dst": dst, "jobs": 2, "mirror": "elsewhere"})
    assert dst.read_text() == "1 "


def test_what_broke_off_is_kept_and_gone_on_with(tmp_path: Path) -> None:
    def run(*, dst: Path) -> None:
        if not dst.exists():
            dst.write_text("half")
            raise RetryableError("no connection")
        dst.write_text(dst.read_text() + " and half")

    dst = tmp_path / "out"
    with pytest.raises(StageError, match="no connection"):
        cli.produce(run, {"dst": dst})
    assert lock.partial_path(dst).read_text() == "half"
    assert cli.produce(run, {"dst": dst}).read_text() == "half and half"


def test_a_full_volume_keeps_what_is_worth_going_on_with(tmp_path: Path) -> None:
    def run(*, dst: Path) -> None:
        if not dst.exists():
            dst.write_text("half")
            work.note("half", "0" * 64)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        dst.write_text(dst.read_text() + " and half")

    dst = tmp_path / "out"
    message = "No space left on device; make room and run the same command again: .* out.partial"
    with pytest.raises(StageError, match=message):
        cli.produce(run, {"dst": dst})
    assert cli.produce(run, {"dst": dst}).read_text() == "half and half"
    assert {path.name for path in tmp_path.iterdir()} == {"out", "out.run.json"}


def test_a_full_volume_keeps_nothing_that_is_not_worth_it(tmp_path: Path) -> None:
    def run(*, dst: Path) -> None:
        dst.write_text("hardly begun")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match="No space left"):
        cli.produce(run, {"dst": tmp_path / "new" / "out"})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.EROFS, "make it writable again"),
        (errno.EIO, "bring the volume back"),
        (errno.EDQUOT, "make room"),
    ],
)
def test_other_volumes_that_fail_are_told_apart(number: int, advice: str) -> None:
    assert errors.advise(OSError(number, "as HDF5 says")) == advice
    said = StageError(f"x.h5: cannot read (file read failed: errno = {number}, error message = '')")
    assert errors.advise(said) == advice
    assert errors.explain_os_error(said) == os.strerror(number)


def test_an_input_that_is_no_longer_what_was_made_is_refused(values: dict[str, Any]) -> None:
    made = make(values)
    other = {**values, "src": made, "dst": made.with_name("other.txt")}
    made.write_text("edited by hand")
    with pytest.raises(StageError, match=r"out.txt: was changed or damaged after it was made"):
        make(other)
    assert not other["dst"].exists()
    record.record_path(made).unlink()  # as the message says
    assert make(other).exists()


def test_what_a_kill_leaves_behind_its_last_step_goes_with_the_next_run(
    values: dict[str, Any],
) -> None:
    dst = make(values)
    for name in ("json", "sums", "holder-1"):
        dst.with_name(f"out.txt.partial.{name}").touch()
    make(values)
    assert {path.name for path in dst.parent.iterdir()} == {"out.txt", "out.txt.run.json"}


def test_a_signal_is_not_lost_in_a_callback(capfd: pytest.CaptureFixture[str]) -> None:
    """Where Python can raise nothing: the run would otherwise go on to its end."""

    class Thing:
        pass

    def run() -> None:
        thing = Thing()
        _ = weakref.ref(thing, lambda _: os.kill(os.getpid(), signal.SIGTERM))
        del thing
        time.sleep(30)
        raise AssertionError("nobody stopped it")

    with pytest.raises(KeyboardInterrupt) as stop, signals.stop_on_signals():
        run()
    assert stop.value.args == (143,)
    assert capfd.readouterr().err == ""


def test_refusal_removes_the_folders_made_for_it(values: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(StageError):
        make(values, mode="refuse")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_stage_that_writes_nothing_is_a_bug(values: dict[str, Any]) -> None:
    with pytest.raises(RuntimeError, match="returned without writing it"):
        cli.produce(lambda **_: None, {"dst": values["dst"]})


@pytest.mark.parametrize(
    ("dst", "message"),
    [
        (".", "--dst: expected the name of a file or folder"),
        ("/", "--dst: expected the name of a file or folder"),
        ("in/text.txt/out", "expected a folder to write"),
        ("in/text.txt/deep/out", "expected a folder to write"),
    ],
)
def test_refuses_places(values: dict[str, Any], tmp_path: Path, dst: str, message: str) -> None:
    place = Path(dst) if dst in "./" else tmp_path / dst
    with pytest.raises(StageError, match=message):
        make(values, dst=place)


def test_refuses_a_product_inside_its_input(values: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(StageError, match="lies inside the input --extra"):
        make(values, extra=tmp_path)


DEMO = "--src: no such file or folder: data/demo/tda/prepare/x.h5"


@pytest.mark.parametrize(
    ("inputs", "line"),
    [
        (
            {"src": ["data/sr-vdsr/x2/a.h5", "data/sr-edsr/x2/a.h5", "data/sr-vdsr/x3/a.h5"]},
            "--src: no such file or folder: data/sr-vdsr/x2/a.h5, data/sr-edsr/x2/a.h5, "
            "data/sr-vdsr/x3/a.h5; make sr-vdsr sr-edsr makes them",
        ),
        (
            {"src": [".", "data/tda/a.h5"], "extra": [], "more": ["b.h5"]},
            "--src: no such file or folder: data/tda/a.h5; --more: no such file or folder: b.h5; "
            "make tda makes them",
        ),
        ({"src": ["data/demo/tda/prepare/x.h5"]}, f"{DEMO}; make SOURCE=demo tda makes it"),
        ({"src": ["/a/data/demo/x.h5"]}, "--src: no such file or folder: /a/data/demo/x.h5"),
        (
            {"src": ["data/demo"], "more": ["data/demo/tda", "data/data/fusion/x.h5"]},
            "--src: no such file or folder: data/demo; --more: no such file or folder: "
            "data/demo/tda, data/data/fusion/x.h5; make fusion makes them",
        ),
        (
            {"src": ["/a/data/tda/b/"]},
            "--src: no such file or folder: /a/data/tda/b; make tda makes it",
        ),
        ({"src": ["data/mine/x.h5"]}, "--src: no such file or folder: data/mine/x.h5"),
        ({"src": ["teacher/x.h5"]}, "--src: no such file or folder: teacher/x.h5"),
        ({"src": ["data/teacher"]}, "--src: no such file or folder: data/teacher"),
    ],
)
def test_all_missing_inputs_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inputs: dict[str, list[str]], line: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StageError) as error:
        input_files.require(
            {name: [Path(path) for path in paths] for name, paths in inputs.items()}
        )
    assert str(error.value) == line


def test_an_image_of_one_stage_knows_the_others_by_their_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fusion").mkdir()
    (tmp_path / "fusion" / "main.py").touch()
    monkeypatch.setattr(input_files, "STAGES", tmp_path)
    paths = [Path("data/sr-edsr/x4/a.h5"), Path("data/so2sat/a.h5")]
    assert list(input_files.suggest_commands(paths)) == ["make sr-edsr makes them"]


def test_missing_inputs_leave_nothing_behind(values: dict[str, Any], tmp_path: Path) -> None:
    gone = (Path("no/a.h5"), Path("no/b.h5"))
    with pytest.raises(StageError, match=r"--more: no such file or folder: no/a.h5, no/b.h5"):
        make(values, more=gone)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(28, "x"), "No space left on device"),
        (PermissionError(13, "x", "f.h5"), "Permission denied (f.h5)"),
        (RuntimeError("write failed: errno = 27, error message"), "File too large"),
        (OSError("8000 requested and 512 written"), "No space left on device (8000 requested"),
        (RuntimeError("errno = 2, error"), None),
        (OSError(2, "No such file"), None),
        (ValueError("28"), None),
    ],
)
def test_what_a_volume_refuses(error: Exception, reason: str | None) -> None:
    explanation = explain_os_error(error)
    assert (explanation is None) if reason is None else str(explanation).startswith(reason)


def test_refusal_removes_drafts_beside_the_unfinished_product(tmp_path: Path) -> None:
    def run(*, dst: Path) -> None:
        dst.mkdir()
        (dst / "file").write_text("")
        dst.with_name(dst.name + ".draft").write_text("")
        raise StageError("no")

    (tmp_path / "out.partially").write_text("not ours")
    with pytest.raises(StageError, match="no"):
        cli.produce(run, {"dst": tmp_path / "out"})
    assert [path.name for path in tmp_path.iterdir()] == ["out.partially"]


def test_resources_are_not_part_of_the_plan(tmp_path: Path) -> None:
    def run(
        *, dst: Path, jobs: int = 0, threads: int = 0, together: int = 0, rows: int = 1
    ) -> None:
        dst.write_text(str(rows * (jobs > 0) * (threads > 0) * (together > 0)))

    dst = tmp_path / "out.txt"
    first, other = (
        {"jobs": 1, "threads": 2, "together": 3},
        {"jobs": 4, "threads": 5, "together": 6},
    )
    cli.produce(run, {"dst": dst, "rows": 3} | first)
    cli.produce(run, {"dst": dst, "rows": 3} | other)  # up to date
    content = record.load(dst)
    assert content is not None
    assert content["plan"]["parameters"] == {"rows": 3}


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_large_inputs_are_read_once_for_their_digest(
    values: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []
    fingerprint = record.fingerprint

    def count(path: Path) -> record.Fingerprint:
        read.append(path)
        return fingerprint(path)

    monkeypatch.setattr(record, "LARGE", 1)
    monkeypatch.setattr(record, "fingerprint", count)
    monkeypatch.setattr(toy, "misbehave", interrupt)
    with pytest.raises(KeyboardInterrupt):
        make(values)
    monkeypatch.undo()
    monkeypatch.setattr(record, "LARGE", 1)
    monkeypatch.setattr(record, "fingerprint", count)
    dst = make(values)  # goes on
    make(values)  # up to date
    assert read.count(values["src"]) == 1
    assert json.loads(record.record_path(dst).read_text())["large_inputs"][0]["bytes"] > 0
    values["src"].write_text("other")
    with pytest.raises(StageError, match="src: other content"):
        make(values)


def forget(path: Path, *names: str) -> None:
    """Write a plan, in a record or a ticket, as a stage did before it had these parameters."""
    content = json.loads(path.read_text())
    plan = content.get("plan", content)
    for name in names:
        del plan["inputs" if name in plan["inputs"] else "parameters"][name]
    content.pop("defaults", None)
    path.write_text(json.dumps(content))


def test_a_parameter_gained_later_had_its_default(values: dict[str, Any]) -> None:
    dst = make(values, scale=3)
    forget(record.record_path(dst), "ratio", "names", "extra", "more")
    assert make(values, scale=3).read_text() == "abcabcabc"  # up to date
    with pytest.raises(StageError, match=r"was made with other settings \(ratio 0.5, now 0.7\)"):
        make(values, scale=3, ratio=0.7)
    with pytest.raises(StageError, match=r"was made with other settings \(extra: other content\)"):
        make(values, scale=3, extra=values["src"])
    forget(record.record_path(dst), "scale")
    with pytest.raises(StageError, match=r"was made with other settings \(scale 2, now 3\)"):
        make(values, scale=3)


def test_unfinished_work_without_a_later_parameter_is_taken_up(
    values: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(toy, "misbehave", interrupt)
    with pytest.raises(KeyboardInterrupt):
        make(values)
    ticket = values["dst"].with_name("out.txt.partial.json")
    forget(ticket, "fast", "more")
    monkeypatch.undo()
    with pytest.raises(StageError, match=r"of another plan \(fast False, now True\)"):
        make(values, fast=True)
    assert make(values).read_text() == "abcabc"


def test_the_record_says_what_the_defaults_were(values: dict[str, Any]) -> None:
    content = record.load(make(values, scale=3))
    assert content is not None
    assert content["defaults"]["parameters"]["scale"] == 2
    assert content["defaults"]["inputs"] == {"extra": None, "more": []}


def test_product_from_before_a_parameter_counts_as_what_the_stage_did_then(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def before(*, dst: Path) -> None:
        dst.write_text("old")

    def run(
        *, dst: Path, views: Annotated[Literal["old", "new"], cli.gained("old")] = "new"
    ) -> None:
        dst.write_text(views)

    dst = cli.produce(before, {"dst": tmp_path / "out"})
    cli.produce(run, {"dst": dst, "views": "old"})
    assert capsys.readouterr().err.endswith("out: up to date\n")
    with pytest.raises(StageError, match=r"other settings \(views 'old', now 'new'\)"):
        cli.produce(run, {"dst": dst, "views": "new"})
    assert cli.arguments.collect(run, [f"--dst={dst}"])["views"] == "new"


def test_product_of_a_former_value_is_up_to_date(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Made when --views was a switch; its meaning of then has the name "old" now."""

    def before(*, dst: Path, views: bool = True) -> None:
        dst.write_text(f"{views}")

    def run(
        *,
        dst: Path,
        views: Annotated[Literal["no", "old", "new"], cli.formerly(true="old", false="no")] = "new",
    ) -> None:
        dst.write_text(views)

    dst = cli.produce(before, {"dst": tmp_path / "out", "views": True})
    cli.produce(run, {"dst": dst, "views": "old"})
    assert capsys.readouterr().err.endswith("out: up to date\n")
    with pytest.raises(StageError, match=r"other settings \(views 'old', now 'new'\)"):
        cli.produce(run, {"dst": dst, "views": "new"})
    for flag, value in (("--views=true", "old"), ("--noviews", "no"), ("--views=new", "new")):
        assert cli.arguments.collect(run, [f"--dst={dst}", flag])["views"] == value
    with pytest.raises(StageError, match="--views: expected no, old or new, found 'yes'"):
        cli.arguments.collect(run, [f"--dst={dst}", "--views=yes"])
