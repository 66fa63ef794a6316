"""Command lines: what is taken, as which type, and what is refused before anything runs."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import pytest

from shared import cli
from shared.cli import arguments
from shared.errors import StageError
from tests.shared import toy

NEEDED = ("--src=in.txt", "--dst=out.txt")


def collect(*flags: str) -> dict[str, Any]:
    return arguments.collect(toy.run, [*NEEDED, *flags])


def test_defaults_are_those_of_the_signature() -> None:
    assert collect() == {
        "src": Path("in.txt"),
        "dst": Path("out.txt"),
        "extra": None,
        "more": (),
        "scale": 2,
        "ratio": 0.5,
        "names": ("a", "b"),
        "fast": False,
        "mode": "",
    }


@pytest.mark.parametrize(
    ("flags", "name", "value"),
    [
        (("--scale=3",), "scale", 3),
        (("--scale", "3"), "scale", 3),
        (("--scale=-3",), "scale", -3),
        (("--scale", "-3"), "scale", -3),
        (("--ratio=1e-3",), "ratio", 0.001),
        (("--ratio=2",), "ratio", 2.0),
        (("--fast",), "fast", True),
        (("--nofast",), "fast", False),
        (("--fast=0",), "fast", False),
        (("--fast", "true"), "fast", True),
        (("--mode=1e3",), "mode", "1e3"),
        (("--mode=None",), "mode", "None"),
        (("--mode=",), "mode", ""),
        (("--mode=[1, 2]",), "mode", "[1, 2]"),
        (("--mode=a=b",), "mode", "a=b"),
        (("--mode='x'",), "mode", "'x'"),
        (("--extra=1e3",), "extra", Path("1e3")),
        (("--extra=None",), "extra", None),
        (("--names=x",), "names", ("x",)),
        (("--names=x,1e3,None",), "names", ("x", "1e3", "None")),
        (("--names=('x', 'y')",), "names", ("x", "y")),
        (("--names=(xy,z)",), "names", ("xy", "z")),
        (("--names=[xy,zw]",), "names", ("xy", "zw")),
        (("--names=(xy",), "names", ("(xy",)),
        (("--names=()",), "names", ()),
        (("--more=a.h5,b (1).h5",), "more", (Path("a.h5"), Path("b (1).h5"))),
    ],
)
def test_values_are_of_the_annotated_type(flags: tuple[str, ...], name: str, value: Any) -> None:
    converted = collect(*flags)[name]
    assert converted == value
    assert type(converted) is type(value)


def test_dst_that_looks_like_a_number_stays_text() -> None:
    assert arguments.collect(toy.run, ["--src=a", "--dst", "1e3"])["dst"] == Path("1e3")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--scal=3",), "--scal: no such flag; did you mean --scale?"),
        (("--zzz",), "--zzz: no such flag; the flags are --src, --dst"),
        (("positional",), "positional: no such flag"),
        (("--scale", "2", "3"), "3: no such flag"),
        (("-s", "3"), "-s: no such flag"),
        (("--nosrc",), "--nosrc: no such flag"),
        (("--scale=x",), "--scale: expected a whole number, found 'x'"),
        (("--scale=1e3",), "--scale: expected a whole number, found '1e3'"),
        (("--scale=2.0",), "--scale: expected a whole number, found '2.0'"),
        (("--scale=",), "--scale: expected a whole number, found ''"),
        (("--scale=None",), "--scale: expected a whole number, found 'None'"),
        (("--ratio=nan",), "--ratio: expected a number, found 'nan'"),
        (("--fast=maybe",), "--fast: expected true or false, found 'maybe'"),
        (("--extra=",), "--extra: expected a path, found ''"),
        (("--more=",), "--more: expected a path or several, separated by commas, found ''"),
        (("--scale",), "--scale: expected a whole number, found nothing"),
        (("--mode", "--fast"), "--mode: expected a text, found nothing"),
        (("--scale=2", "--scale=2"), "--scale: given twice"),
        (("--fast", "--nofast"), "--fast: given twice"),
        (("--", "--trace"), "--: no such flag"),
        (("--", "--interactive"), "--: no such flag"),
        (("-",), "-: no such flag"),
    ],
)
def test_refuses(flags: tuple[str, ...], message: str) -> None:
    with pytest.raises(StageError) as refused:
        collect(*flags)
    assert message in str(refused.value)


@pytest.mark.parametrize("missing", ["src", "dst"])
def test_names_a_required_flag_that_is_missing(missing: str) -> None:
    flags = [flag for flag in NEEDED if not flag.startswith(f"--{missing}")]
    with pytest.raises(StageError, match=f"^--{missing}: required, not given$"):
        arguments.collect(toy.run, flags)


@pytest.mark.parametrize("flags", [["--help"], ["-h"], ["--src=x", "--help"], ["--", "--help"]])
def test_help_is_on_stdout_and_names_every_parameter(
    flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="0"):
        arguments.collect(toy.run, flags)
    shown = capsys.readouterr()
    assert shown.err == ""
    for word in ("Repeat a text", "--src", "--dst", "--names", "how many times"):
        assert word in shown.out


def test_stage_name_is_the_folder_with_hyphens(tmp_path: Path) -> None:
    (tmp_path / "sr_toy").mkdir()
    code = (tmp_path / "sr_toy" / "main.py").as_posix()
    names: dict[str, Any] = {}
    exec(compile("def run(*, dst): ...", code, "exec"), names)
    assert cli.stage_name(names["run"]) == "sr-toy"


# --- flags that an input says ---------------------------------------------------------------------
def described(given: Mapping[str, Any]) -> dict[str, Any]:
    """A text file whose name says how often it is to be repeated."""
    if "scale" in given and given["scale"] != 7:
        raise StageError(f"--scale: {given['src']} says 7, found {given['scale']}")
    return {"scale": 7} if given["src"].name == "seven.txt" else {}


@cli.completed_by(described)
def completed(*, src: Path, dst: Path, scale: Annotated[int, cli.between(1, 9)] = 2) -> None:
    """Repeat a text.

    Args:
        src: text file.
        dst: file to write.
        scale: how many times.
    """
    dst.write_text(src.read_text() * scale)


def test_an_input_says_a_flag_that_is_not_given() -> None:
    seven, other = ("--src=seven.txt", "--dst=o"), ("--src=other.txt", "--dst=o")
    assert arguments.collect(completed, seven)["scale"] == 7
    assert arguments.collect(completed, [*seven, "--scale=7"])["scale"] == 7
    assert arguments.collect(completed, other)["scale"] == 2
    with pytest.raises(StageError, match=r"--scale: seven\.txt says 7, found 3"):
        arguments.collect(completed, [*seven, "--scale=3"])
    with pytest.raises(StageError, match=r"--scale: seven\.txt says 7, found 2"):  # the default
        arguments.collect(completed, [*seven, "--scale=2"])


def test_what_an_input_says_is_checked_and_stands_in_the_plan(tmp_path: Path) -> None:
    wrong = cli.completed_by(lambda _: {"scale": 10})(completed)
    with pytest.raises(StageError, match="--scale: expected 1 to 9, found 10"):
        arguments.collect(wrong, ["--src=a.txt", "--dst=o"])
    right = cli.completed_by(described)(completed)
    (tmp_path / "seven.txt").write_text("a")
    cli.main(right, [f"--src={tmp_path}/seven.txt", f"--dst={tmp_path}/out"])
    assert (tmp_path / "out").read_text() == "a" * 7
    plan = json.loads((tmp_path / "out.run.json").read_text())["plan"]
    assert plan["parameters"] == {"scale": 7}
